import { cpSync } from 'node:fs';
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
  const outcome = await until('the end of the canary', 90, () =>
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
