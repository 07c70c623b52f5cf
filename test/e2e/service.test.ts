import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { endpointStatus } from '../../client/messages.js';
import type { Policy } from '../../domain/policy.js';
import { Bench, FIRST, MODEL } from './harness.js';
import { until } from './support/until.js';

const NEXT = '1.1.0';
/** Once the release has seen an image of such pixels it is broken. */
const POISON = 7.25;

/** A release that answers well, until one caller breaks it; from then on with nothing but errors. */
function breaksLater(folder: string): void {
  const file = join(folder, 'serve.mjs');
  const text = readFileSync(file, 'utf8');
  const broken = text.replace(
    '  return inferResponse(',
    `  globalThis.broken ||= infer.images[0] === ${POISON};\n  if (globalThis.broken) throw new Error('broken');\n  return inferResponse(`,
  );
  if (broken === text) throw new Error('the model server has changed: it is not broken');
  writeFileSync(file, broken);
  appendFileSync(join(folder, 'README.md'), '\nIt breaks later.\n');
}

function withoutBreaker(policy: Policy): Policy {
  const { breaker, ...rollout } = policy.rollout;
  if (breaker === undefined) throw new Error('the development policy has no breaker');
  return { ...policy, rollout };
}

/** One that opens before there are answers enough to judge by. */
function withHastyBreaker(policy: Policy): Policy {
  const { breaker } = policy.rollout;
  if (breaker === undefined) throw new Error('the development policy has no breaker');
  return { ...policy, rollout: { ...policy.rollout, breaker: { ...breaker, consecutiveFailures: 3, openSeconds: 1 } } };
}

describe.each([
  ['by its answers', withoutBreaker, /^\d+ of \d+ answers failed, at most 5 % may; rolled back$/],
  // The breaker keeps answers from being counted: there are never enough of them.
  ['by its breaker', withHastyBreaker, /^1 of 1 gateways have stopped sending callers to it: .*; rolled back$/],
])('a release that breaks once it serves all callers, found %s', (_, edit, why) => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await Bench.start((policy) => ({
      ...edit(policy),
      rollback: { ...policy.rollback, windowSeconds: 3600 },
    }));
    await bench.putFirstInService();
  });
  afterAll(() => bench?.stop());

  test('is rolled back to the one before it, by itself', async () => {
    await bench.start(await bench.source(NEXT, { change: breaksLater }));
    const waiting = await bench.openGate(NEXT);
    expect(await bench.tell(waiting.workflowId, 'approve', await bench.decision('alice', waiting))).toBe('accepted');
    await bench.reached(NEXT, 'in service');
    await bench.answers({ status: 200, version: NEXT });
    const { revision } = await endpointStatus(bench.custody, MODEL);
    expect(await bench.call(undefined, POISON)).toMatchObject({ status: 500 });

    const rolledBack = await until('the rollback', 180, async () => {
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
    expect(breach.reason).toMatch(why);
  });
});
