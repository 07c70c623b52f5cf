import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { endpointStatus } from '../../client/messages.js';
import { Bench, FIRST, MODEL } from './harness.js';
import { until } from './support/until.js';

const NEXT = '1.1.0';
/** So long after its start the release breaks: validated, approved and promoted it is by then. */
const GOOD_SECONDS = 75;

let bench: Bench;

beforeAll(async () => {
  bench = await Bench.start((policy) => {
    // Without a breaker: one that is open leaves the watch too few answers to judge a release by.
    const { triggers, stepTimeoutSeconds, deployWithinSeconds } = policy.rollout;
    const steps = [{ weight: 100, bakeSeconds: 1 }];
    return {
      ...policy,
      rollout: { triggers, stepTimeoutSeconds, deployWithinSeconds, steps },
      rollback: { ...policy.rollback, windowSeconds: 3600 },
    };
  });
  await bench.putFirstInService();
});
afterAll(() => bench?.stop());

/** A release that answers well at first, and after a while with nothing but errors. */
function breaksLater(folder: string): void {
  const file = join(folder, 'serve.mjs');
  const text = readFileSync(file, 'utf8');
  const broken = text.replace(
    '  const infer = parseInfer(',
    `  if (process.uptime() > ${GOOD_SECONDS}) throw new Error('broken');\n  const infer = parseInfer(`,
  );
  if (broken === text) throw new Error('the model server has changed: it is not broken');
  writeFileSync(file, broken);
  appendFileSync(join(folder, 'README.md'), '\nIt breaks later.\n');
}

test('a release that breaks once it serves all callers is rolled back to the one before it, by itself', async () => {
  await bench.start(await bench.source(NEXT, { change: breaksLater }));
  const waiting = await bench.openGate(NEXT);
  expect(await bench.tell(waiting.workflowId, 'approve', await bench.decision('alice', waiting))).toBe('accepted');
  await bench.reached(NEXT, 'in service');
  await bench.answers({ status: 200, version: NEXT });
  const { revision } = await endpointStatus(bench.custody, MODEL);

  const rolledBack = await until('the rollback', GOOD_SECONDS + 60, async () => {
    const now = await endpointStatus(bench.custody, MODEL);
    return now.revision > revision ? now : null;
  });
  expect(rolledBack).toMatchObject({ revision: revision + 1, serving: [{ version: FIRST.version, weight: 100 }] });
  await bench.answers({ status: 200, version: FIRST.version });
  const breach = await until(
    'the breach in the log',
    60,
    async () => (await bench.log()).find(({ change }) => change === 'service.breached') ?? null,
  );
  expect(breach).toMatchObject({ subject: { model: MODEL, version: NEXT } });
  expect(breach.reason).toMatch(/^\d+ of \d+ answers failed, at most 5 % may; rolled back$/);
});
