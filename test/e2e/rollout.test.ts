import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { endpointStatus, lifecycleStatus, openGates, outcomeOf, type WaitingGate } from '../../client/messages.js';
import { endpointId } from '../../domain/names.js';
import type { PlanStep } from '../../domain/plan.js';
import type { RouteEntry } from '../../domain/routing.js';
import type { SignedEnvelope } from '../../domain/statements.js';
import { sha256 } from '../../formats/sha256.js';
import { Bench, MODEL } from './harness.js';
import { Callers } from './support/callers.js';
import { allOfItOther, sourceInParts, tellingItsParts } from './support/parts.js';
import { until } from './support/until.js';

const [FIRST, NEXT, AGAIN] = ['1.0.0', '1.1.0', '1.2.0'] as const;
const PATIENCE_SECONDS = 180;

/** Stricter than the policy's: one more step, and people are asked twice. */
const PLAN: readonly PlanStep[] = [
  { weight: 25, bakeSeconds: 0.5, pause: true },
  { weight: 50, bakeSeconds: 0.5, pause: true },
  { weight: 100, bakeSeconds: 0.5 },
];

let bench: Bench;
let callers: Callers;
const parts = new Map<string, string>();

const source = (version: string, change: (folder: string) => void) => sourceInParts(bench, version, change, parts);

async function approved(version: string): Promise<SignedEnvelope> {
  const waiting = await bench.openGate(version);
  const said = await bench.decision('alice', waiting);
  expect(await bench.tell(waiting.workflowId, 'approve', said)).toBe('accepted');
  return said;
}

const expectWhole = (): void =>
  expect({ failed: callers.failed, mixed: callers.mixed }).toEqual({ failed: [], mixed: [] });
const serving = async (): Promise<readonly string[]> =>
  (await endpointStatus(bench.custody, MODEL)).serving.map(({ version, weight }: RouteEntry) => `${version} ${weight}`);

beforeAll(async () => {
  bench = await Bench.start((policy) => ({
    ...policy,
    artifacts: { ...policy.artifacts, allowUnreviewedPrompts: true },
    rollout: { ...policy.rollout, triggers: { ...policy.rollout.triggers, maxLatencyMs: 30_000 } },
    rollback: { warmReleases: 0 },
    retirement: { noticeSeconds: 1 },
  }));
  await bench.start(await source(FIRST, tellingItsParts));
  await approved(FIRST);
  await bench.reached(FIRST, 'in service');
  callers = new Callers(bench.stack.description.gateway.url, MODEL, parts);
});
afterAll(async () => {
  await callers?.stop();
  await bench?.stop();
});

describe('a release with a plan of its own', () => {
  const planFile = (steps: readonly PlanStep[]): string => {
    const file = join(bench.folder, `plan-${sha256(JSON.stringify(steps)).slice(0, 8)}.yaml`);
    writeFileSync(file, stringify(steps));
    return file;
  };
  const release = async (steps: readonly PlanStep[], ...more: readonly string[]) => {
    const { folder, bundle } = await source(NEXT, allOfItOther);
    return bench.cli(
      '--json',
      'release',
      folder,
      '--bundle',
      bundle,
      '--key',
      'ci',
      '--plan',
      planFile(steps),
      ...more,
    );
  };
  /** The request to go on that comes after the one before. */
  const pause = (before: WaitingGate | null): Promise<WaitingGate> =>
    until('a request to go on', PATIENCE_SECONDS, async () => {
      const { gate, missing } = await endpointStatus(bench.custody, MODEL);
      const isNext = gate?.requestId.startsWith('proceed-') === true && gate.request !== before?.gate.request;
      return gate !== null && isNext ? { workflowId: endpointId(MODEL), gate, missing } : null;
    });

  test.each([
    ['leaves a step out', PLAN.filter(({ weight }) => weight !== 50), /leaves out the step to 50 %/],
    ['watches one for less', PLAN.map((step) => ({ ...step, bakeSeconds: 0.1 })), /for 0.1 s, the policy for 0.5 s/],
  ])('attack: that %s is refused, and nobody is asked about it', async (_, steps, why) => {
    const refused = await release(steps, '--wait');
    expect(refused.code, refused.stderr).toBe(3);
    expect(refused.stdout).toMatch(why);
    expect(await openGates(bench.custody)).toEqual([]);
  });

  test('goes on after each pause by those alone whom the policy names, and each word counts for one step', async () => {
    const started = await release(PLAN);
    expect(started, started.stderr).toMatchObject({ code: 0 });
    const deploy = await approved(NEXT);
    const first = await pause(null);
    expect(await serving()).toEqual([`${NEXT} 25`, `${FIRST} 75`]);
    const tell = (said: SignedEnvelope) => bench.tell(first.workflowId, 'approve', said);
    // An operator, who restores endpoints; whoever asked; and what was said to the deployment.
    expect(await tell(await bench.decision('oscar', first))).toBe('NOT_AUTHORISED');
    expect(await tell(await bench.decision('ci', first))).toBe('NOT_AUTHORISED');
    expect(await tell(deploy)).toBe('REPLAYED');
    expect(await serving()).toEqual([`${NEXT} 25`, `${FIRST} 75`]);

    const said = await bench.decision('alice', first);
    expect(await tell(said)).toBe('accepted');
    const second = await pause(first);
    expect(await serving()).toEqual([`${NEXT} 50`, `${FIRST} 50`]);
    // As a signal: the same update again would only be told what it was told before.
    await bench.signal(first.workflowId, 'approve', said);
    expect((await bench.refusalOf(said)).reason).toContain('REPLAYED');
    expect(await serving()).toEqual([`${NEXT} 50`, `${FIRST} 50`]);
    await bench.approvals(second.gate.requestId);
    expect(await bench.cli('approve', second.gate.requestId, '--key', 'bob', '--yes')).toMatchObject({ code: 0 });
    await bench.reached(NEXT, 'in service');
    await bench.answers({ status: 200, version: NEXT });
    expect(callers.versions.get(NEXT)).toBeGreaterThan(0);
    expectWhole();

    const refused = (await bench.log())
      .filter(({ change }) => change === 'message.refused')
      .map(({ reason }) => reason);
    expect(refused.filter((reason) => reason.includes('× approve'))).toHaveLength(4);
  });
});

describe('weights, config, prompt and dependencies that were changed together', () => {
  test('are rolled back together under load, to the release that is warm; what was rolled back is kept no longer', async ({
    annotate,
  }) => {
    const startedAt = performance.now();
    const back = await bench.cli('rollback', MODEL, '--reason', 'worse on large batches', '--key', 'oscar');
    expect(back, back.stderr).toMatchObject({ code: 0 });
    await bench.answers({ status: 200, version: FIRST });
    await annotate(`rolled back, the command included, in ${Math.round(performance.now() - startedAt)} ms`);
    expect(await serving()).toEqual([`${FIRST} 100`]);
    expectWhole();
    const cold = await bench.cli('rollback', MODEL, '--to', NEXT, '--reason', 'back', '--key', 'oscar');
    expect(cold).toMatchObject({ code: 2, stderr: expect.stringContaining(`${NEXT} is not kept warm`) as string });
    const log = await until('the order in the log', PATIENCE_SECONDS, async () => {
      const found = (await bench.log()).find(({ reason }) => reason === 'roll back: worse on large batches');
      return found ?? null;
    });
    expect(log).toMatchObject({ change: 'decision.accepted', actor: { id: 'oscar' } });
  });

  test('attack: a release that is held outlives its own retirement, until a quorum lifts the hold', async () => {
    const name = { model: MODEL, version: NEXT };
    const held = await bench.cli('hold', 'add', `${MODEL}@${NEXT}`, '--reason', 'case 17', '--key', 'sam');
    expect(held, held.stderr).toMatchObject({ code: 0 });
    const asked = await bench.cli('retire', MODEL, NEXT, '--reason', 'it was worse', '--key', 'otto');
    expect(asked, asked.stderr).toMatchObject({ code: 0 });
    const waiting = await bench.openGate(NEXT);
    for (const who of ['alice', 'bob'])
      expect(await bench.tell(waiting.workflowId, 'approve', await bench.decision(who, waiting))).toBe('accepted');
    const trouble = await until('the retirement to be held up', PATIENCE_SECONDS, async () => {
      const now = await lifecycleStatus(bench.custody, name);
      return now.trouble.find((each) => /held|hold/.test(each)) ?? null;
    });
    expect(trouble).toContain('case 17');
    const changes = async (): Promise<string[]> =>
      (await bench.log()).filter(({ subject }) => subject.version === NEXT).map(({ change }) => change);
    expect(await changes()).not.toContain('release.retired');

    const lift = await bench.cli('hold', 'lift', `${MODEL}@${NEXT}`, '--reason', 'closed', '--key', 'otto');
    expect(lift, lift.stderr).toMatchObject({ code: 0 });
    const gate = await until('somebody is asked to lift the hold', PATIENCE_SECONDS, async () => {
      return (await openGates(bench.custody))[0] ?? null;
    });
    // Neither whoever asked for it, nor who holds another role, nor one alone.
    for (const who of ['otto', 'alice'])
      expect(await bench.tell(gate.workflowId, 'approve', await bench.decision(who, gate))).toBe('NOT_AUTHORISED');
    for (const who of ['oscar', 'olga'])
      expect(await bench.tell(gate.workflowId, 'approve', await bench.decision(who, gate))).toBe('accepted');
  });

  test('come back without a failed request when they are no longer warm, as a release of their own', async ({
    annotate,
  }) => {
    const startedAt = performance.now();
    await bench.start(await source(AGAIN, allOfItOther));
    await approved(AGAIN);
    await bench.reached(AGAIN, 'in service');
    await bench.answers({ status: 200, version: AGAIN });
    await annotate(`brought back, cold, in ${Math.round(performance.now() - startedAt)} ms`);
    expect(await serving()).toEqual([`${AGAIN} 100`, `${FIRST} 0`]);
    expect(callers.versions.get(AGAIN)).toBeGreaterThan(0);
    expectWhole();
  });

  test('and the retirement has gone on once the hold was lifted; what lives on of those bytes serves', async () => {
    const outcome = await outcomeOf(bench.custody, { model: MODEL, version: NEXT });
    expect(outcome).toMatchObject({ kind: 'retired' });
    await bench.answers({ status: 200, version: AGAIN });
    await callers.stop();
    expectWhole();
    expect(bench.load.report().mixed).toBe(0);
  });
});
