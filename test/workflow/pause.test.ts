import { WorkflowUpdateFailedError, type WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EndpointStatus, RolloutOrder, StepVerdict } from '../../domain/endpoint.js';
import type { SignedEnvelope } from '../../domain/statements.js';
import type { endpoint } from '../../workflows/index.js';
import {
  decisionUpdate,
  endpointStatusQuery,
  rolloutSignal,
  startEndpoint,
  type EndpointDecision,
} from '../../workflows/messages.js';
import { capture, captureRuns, startDevServer } from '../support/temporal.js';
import { decision, deferred, digestOf, envelope, orderOf, stage, watching } from '../support/zones.js';

const on = stage(startDevServer);
let model: string;
let handle: WorkflowHandle<typeof endpoint>;
let count = 0;

beforeEach(() => {
  model = `paused-${(count += 1)}`;
  on.zones.pausesAt = 0;
});
afterEach(async () => {
  await handle?.terminate('the test has ended').catch(() => undefined);
});

/** A rollout that has come to the gate after its first step. */
const paused = async (continueAfterEvents: number | null = null): Promise<RolloutOrder> => {
  await on.env.client.workflow.start<typeof endpoint>('endpoint', {
    ...startEndpoint(model),
    args: [continueAfterEvents],
  });
  handle = on.env.client.workflow.getHandle(startEndpoint(model).workflowId);
  const order = orderOf(model, '1.1.0');
  await handle.signal(rolloutSignal, order);
  await expect.poll(async () => (await status()).gate?.requestId).toBe('proceed-1');
  return order;
};
const update = (name: EndpointDecision, message: SignedEnvelope) =>
  handle.executeUpdate(decisionUpdate(name), { args: [message] });
const status = (): Promise<EndpointStatus> => handle.query(endpointStatusQuery);
const codeOf = (error: unknown): unknown =>
  error instanceof WorkflowUpdateFailedError && error.cause instanceof ApplicationFailure ? error.cause.type : error;
const approved = (by: string, requestId = 'proceed-1') => update('approve', decision(by, requestId));
const result = () => on.zones.argsOf('replyRollout')[0]?.[1].result;
const routed = () => on.zones.argsOf('routeStep').map(([, , step, agreed]) => [step, agreed?.request ?? null]);
/** The first watch passes, the one during the pause goes on until the test says something. */
const watchFor = (pause: Promise<StepVerdict>): void => {
  on.zones.acts.watchStep = (_model, revision) =>
    on.zones.argsOf('watchStep').length === 2
      ? watching(pause)
      : Promise.resolve({ kind: 'pass', revision, samples: 100 });
};

describe('a rollout that pauses', () => {
  it('waits until people have approved the next step, tells them how, and goes on with what they said', async () => {
    watchFor(new Promise(() => undefined));
    await paused();
    const { currentDetails } = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
    expect(currentDetails).toContain('custody approve proceed-1 --key');
    expect(currentDetails).toContain('**Awaiting:** 2 more with the role release-approver, to proceed');
    await approved('alice');
    expect(await status()).toMatchObject({ missing: 1, rollout: { step: 0 } });
    expect(routed()).toEqual([[0, null]]);
    await approved('bob');
    await on.zones.called('replyRollout');
    expect(result()).toMatchObject({ kind: 'promoted' });
    expect(routed()).toEqual([
      [0, null],
      [1, digestOf('proceed-1')],
      [2, null],
    ]);
    expect(await status()).toMatchObject({ gate: null, missing: 0 });
    expect(on.zones.argsOf('openStepGate').map(([, , step]) => step)).toEqual([1]);
    await capture(handle, 'endpoint-paused');
  });

  it('attack: a decision on something else, or by nobody, is refused, and opens nothing', async () => {
    watchFor(new Promise(() => undefined));
    await paused();
    const codes = [
      await approved('alice', 'proceed-2').then(() => 'accepted', codeOf),
      await approved('alice', 'deploy-1').then(() => 'accepted', codeOf),
      await update('approve', decision('alice', 'proceed-1', 'approve', 'forged')).then(() => 'accepted', codeOf),
    ];
    expect(codes).toEqual(['REPLAYED', 'REPLAYED', 'SIGNATURE_INVALID']);
    // The same person twice is one.
    await approved('alice');
    await approved('alice');
    expect(await status()).toMatchObject({ missing: 1, rollout: { step: 0 } });
    expect(routed()).toEqual([[0, null]]);
  });

  it('is rolled back when somebody is against it', async () => {
    watchFor(new Promise(() => undefined));
    await paused();
    await update('reject', decision('bob', 'proceed-1', 'reject'));
    await on.zones.called('replyRollout');
    expect(result()).toMatchObject({ kind: 'rolled back', reason: 'bob rejected the next step: not yet' });
    expect(await approved('alice').then(() => 'accepted', codeOf)).toBe('POLICY_REFUSED');
    await capture(handle, 'endpoint-paused-rejected');
  });

  it('is rolled back when nobody decides in time', async () => {
    on.zones.gateSeconds = 2;
    watchFor(new Promise(() => undefined));
    await paused();
    await on.zones.called('replyRollout');
    expect(result()).toMatchObject({ kind: 'rolled back', reason: /the next step was not approved before 2/ });
    expect(on.zones.argsOf('rollBack')).toHaveLength(1);
    expect(routed()).toEqual([[0, null]]);
  });

  it('is watched on, and rolled back at once when something speaks against it', async () => {
    const seen = deferred<StepVerdict>();
    watchFor(seen.promise);
    await paused();
    await approved('alice');
    seen.resolve({ kind: 'fail', revision: 1, reason: '3 % errors' });
    await on.zones.called('replyRollout');
    expect(result()).toMatchObject({ kind: 'rolled back', reason: 'fail: 3 % errors' });
    expect(await status()).toMatchObject({ gate: null, rollout: null });
  });

  it.each(['kill', 'rollback'] as const)('ends at once by a %s', async (name) => {
    watchFor(new Promise(() => undefined));
    await paused();
    await approved('alice');
    expect(await update(name, envelope(name === 'kill' ? 'stop' : ''))).toMatchObject({ accepted: true });
    await on.zones.called('replyRollout');
    expect(result()).toMatchObject({ kind: 'rolled back' });
    expect(await approved('bob').then(() => 'accepted', codeOf)).toBe('POLICY_REFUSED');
    expect(await status()).toMatchObject({ gate: null, rollout: null });
    expect(routed()).toEqual([[0, null]]);
  });

  it('keeps its gate and what has counted when its history is continued', async () => {
    on.zones.acts.resumeRollout = async () => {
      const last = routed().at(-1)?.[0];
      return typeof last === 'number' ? { kind: 'at', step: last } : { kind: 'new' };
    };
    on.zones.acts.watchStep = (_model, revision) =>
      routed().at(-1)?.[0] === 0 && on.zones.argsOf('watchStep').length > 1
        ? watching(new Promise(() => undefined))
        : Promise.resolve({ kind: 'pass', revision, samples: 100 });
    await paused(80);
    await approved('alice');
    const { runId } = await handle.describe();
    await expect
      .poll(async () => {
        await handle.signal('nonsense');
        return (await handle.describe()).runId;
      })
      .not.toBe(runId);
    await expect.poll(status).toMatchObject({ gate: { requestId: 'proceed-1' }, missing: 1 });
    await approved('bob');
    await on.zones.called('replyRollout');
    expect(result()).toMatchObject({ kind: 'promoted' });
    expect(on.zones.argsOf('openStepGate')).toHaveLength(1);
    await captureRuns(on.env.client, handle, ['endpoint-paused-continued', 'endpoint-paused-taken-over']);
  });
});
