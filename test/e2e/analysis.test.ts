import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { endpointStatus, outcomeOf } from '../../client/messages.js';
import { shippedFolder } from '../../examples/digits/ship.js';
import { Bench, FIRST, MODEL } from './harness.js';
import { until } from './support/until.js';

const WORSE = '1.2.0';
/** Longer than the test may take: whatever ends the step has not waited for it. */
const BAKE_SECONDS = 3600;

let bench: Bench;

beforeAll(async () => {
  bench = await Bench.start((policy) => ({
    ...policy,
    rollout: {
      ...policy.rollout,
      steps: [
        { weight: 50, bakeSeconds: BAKE_SECONDS },
        { weight: 100, bakeSeconds: 1 },
      ],
      // The limits allow what the worse release does; the stable one is better.
      triggers: {
        ...{ minimumSamples: 20, maxErrorRate: 0.9, maxLatencyMs: 60_000 },
        comparison: { maxFalseAlarmRate: 0.001, tolerance: 0.02 },
      },
    },
  }));
  await bench.putFirstInService();
});
afterAll(() => bench?.stop());

test('a canary within every limit that is worse than the stable release is rolled back as soon as that is proved', async () => {
  const change = (folder: string): void => cpSync(shippedFolder(WORSE), folder, { recursive: true });
  await bench.start(await bench.source(WORSE, { change }));
  const waiting = await bench.openGate(WORSE);
  expect(await bench.tell(waiting.workflowId, 'approve', await bench.decision('alice', waiting))).toBe('accepted');
  const outcome = await until('the end of the canary', 180, () =>
    outcomeOf(bench.custody, { model: MODEL, version: WORSE }),
  );
  expect(outcome).toMatchObject({
    kind: 'rolled back',
    reason: expect.stringMatching(
      /^fail: \d+ of \d+ answers failed, of release 1\.0\.0 \d+ of \d+: it is worse, by more than the 2 % that are tolerated$/,
    ) as string,
  });
  await bench.answers({ status: 200, version: FIRST.version });
  const { serving } = await endpointStatus(bench.custody, MODEL);
  expect(serving).toMatchObject([{ version: FIRST.version, weight: 100 }]);
  const ended = (await bench.log()).find(
    ({ change: what, subject }) => what === 'rollout.ended' && subject.version === WORSE,
  );
  expect(ended?.reason).toContain('it is worse');
});

test('a firing alert of Alertmanager ends a rollout; about what cannot be taken back it is an alarm that people see', async () => {
  const version = '1.3.0';
  await bench.start(await bench.source(version));
  const waiting = await bench.openGate(version);
  expect(await bench.tell(waiting.workflowId, 'approve', await bench.decision('alice', waiting))).toBe('accepted');
  await bench.answers({ status: 200, version });
  const token = readFileSync(bench.stack.layout.alertToken, 'utf8').trim();
  const fired = {
    ...{ status: 'firing', labels: { alertname: 'PromptLeak', model: MODEL, version }, annotations: {} },
    ...{ startsAt: new Date().toISOString(), endsAt: '0001-01-01T00:00:00Z', fingerprint: 'c0ffee' },
  };
  const answer = await fetch(new URL('/v1/alerts', bench.custody.description.api.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ version: '4', groupKey: '{}:{}', status: 'firing', alerts: [fired] }),
  });
  expect(await answer.json()).toEqual({ signed: 1, known: 0, resolved: 0 });
  const outcome = await until('the end of the rollout', 180, () => outcomeOf(bench.custody, { model: MODEL, version }));
  const reason = 'critical security alert of alertmanager: PromptLeak';
  expect(outcome).toMatchObject({ kind: 'rolled back', reason });
  await bench.answers({ status: 200, version: FIRST.version });

  // By a person, and the plain Temporal CLI.
  const file = join(bench.folder, 'alert.json');
  const printed = await bench.cli(
    ...['alert', MODEL, '--reason', 'seen elsewhere', '--key', 'mona', '--print', file, '--json'],
  );
  const { update } = JSON.parse(printed.stdout) as { update: string };
  expect(await bench.shell(update)).toMatchObject({ code: 0 });
  const { trouble } = await endpointStatus(bench.custody, MODEL);
  expect(trouble).toEqual([
    expect.stringMatching(/^critical security alert of mona: seen elsewhere; it serves on: .*the policy lets nothing/),
  ]);
  const warned = await bench.cli(
    ...['alert', `${MODEL}@${FIRST.version}`, '--severity', 'warning', '--reason', 'slow', '--key', 'mona'],
  );
  expect(warned).toMatchObject({ code: 0, stdout: expect.stringContaining('nothing was changed') as string });
  const refused = await bench.cli('alert', MODEL, '--reason', 'no monitor', '--key', 'oscar');
  expect(refused).toMatchObject({ code: 4, stderr: expect.stringContaining('NOT_AUTHORISED') as string });
  // Of a model that nobody has: there is no endpoint to refuse it.
  const stray = await bench.cli('alert', 'nobody', '--reason', 'wrong name', '--key', 'mona');
  expect(stray).toMatchObject({ code: 3, stderr: expect.stringContaining('POLICY_REFUSED') as string });
  const refusals = (await bench.log()).filter(({ change: what }) => what === 'message.refused');
  expect(refusals.map(({ subject }) => subject.model)).toContain('nobody');
  await bench.answers({ status: 200, version: FIRST.version });

  const raised = await until('the alerts in the audit log', 180, async () => {
    const found = (await bench.log()).filter(({ change: what }) => what === 'alert.raised');
    return found.length === 3 ? found : null;
  });
  expect(raised.map(({ actor }) => actor.id).sort()).toEqual(['alertmanager', 'mona', 'mona']);
  expect(raised.map(({ reason: why }) => why)).toContain(`${reason}; its rollout was ended`);
});
