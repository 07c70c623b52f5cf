import type { WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import { WorkflowUpdateFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { describe, expect, it } from 'vitest';
import type { Custody } from '../../client/connect.js';
import { retriesOf } from '../../client/retries.js';
import type { LifecycleStatus, RolloutResult } from '../../domain/lifecycle.js';
import {
  decisionSignal,
  decisionUpdate,
  holdLiftedSignal,
  lifecycleStatusQuery,
  startLifecycle,
  type LifecycleDecision,
} from '../../workflows/messages.js';
import type { lifecycle } from '../../workflows/index.js';
import type { SignedEnvelope } from '../../domain/statements.js';
import { capture, startTimeSkipping } from '../support/temporal.js';
import { decision, deferred, digestOf, envelope, obstacle, refusal, stage } from '../support/zones.js';

type Handle = WorkflowHandleWithFirstExecutionRunId<typeof lifecycle>;

const on = stage(startTimeSkipping);
let count = 0;

const start = (): Promise<Handle> =>
  on.env.client.workflow.start<typeof lifecycle>('lifecycle', {
    ...startLifecycle({ model: `digits-${(count += 1)}`, version: '1.0.0' }),
    args: [{ request: envelope('start') }],
  });
const send = (handle: Handle, name: LifecycleDecision, message: SignedEnvelope) =>
  handle.signal(decisionSignal(name), message);
const update = (handle: Handle, name: LifecycleDecision, message: SignedEnvelope) =>
  handle.executeUpdate(decisionUpdate(name), { args: [message] });
const status = (handle: Handle): Promise<LifecycleStatus> => handle.query(lifecycleStatusQuery);
const codeOf = (error: unknown): unknown =>
  error instanceof WorkflowUpdateFailedError && error.cause instanceof ApplicationFailure ? error.cause.type : error;
/** Ordinary ones and local ones. */
const activitiesOf = async (handle: Handle): Promise<number> =>
  ((await handle.fetchHistory()).events ?? []).filter(
    ({ activityTaskScheduledEventAttributes: scheduled, markerRecordedEventAttributes: marker }) =>
      Boolean(scheduled) || marker?.markerName === 'core_local_activity',
  ).length;
const approveDeploy = async (handle: Handle): Promise<void> => {
  await on.zones.called('openDeployGate');
  await update(handle, 'approve', decision('alice', 'deploy-1'));
  await update(handle, 'approve', decision('bob', 'deploy-1'));
};
const approveRetire = async (handle: Handle): Promise<void> => {
  await update(handle, 'retire', envelope('retire'));
  await update(handle, 'approve', decision('alice', 'retire-1'));
  await update(handle, 'approve', decision('bob', 'retire-1'));
};

describe('a release goes through its whole life', () => {
  it('after it waited for room on a full disk, and said so: its version is not used up', async () => {
    const { ingest } = on.zones.acts;
    const freed = deferred();
    let attempts = 0;
    on.zones.acts.ingest = async (...args) => {
      attempts += 1;
      if (attempts === 1) throw obstacle('NO_SPACE', 'no room is left for weights.safetensors: free some');
      await freed.promise;
      return ingest(...args);
    };
    const handle = await start();
    await on.zones.called('ingest');
    await expect
      .poll(async () => (await status(handle)).trouble)
      .toEqual(['NO_SPACE: no room is left for weights.safetensors: free some']);
    await on.env.sleep('31 seconds');
    freed.resolve();
    await on.zones.called('openDeployGate');
    expect(await status(handle)).toMatchObject({ stage: 'approve', trouble: [] });
    expect(attempts).toBe(2);
    await update(handle, 'reject', decision('alice', 'deploy-1', 'reject'));
    expect(await handle.result()).toMatchObject({ kind: 'rejected', stage: 'approve' });
  });

  it('while the log is away it waits, and whoever asks is told why', async () => {
    const { openDeployGate } = on.zones.acts;
    let isAway = true;
    on.zones.acts.openDeployGate = async (...args) => {
      if (isAway) throw ApplicationFailure.retryable('the audit log takes nothing', 'STORE_UNAVAILABLE');
      return openDeployGate(...args);
    };
    const handle = await start();
    const retries = (): Promise<string[]> => retriesOf({ temporal: on.env.client } as Custody, handle.workflowId);
    const why = /^openDeployGate is tried again, attempt \d+: STORE_UNAVAILABLE: the audit log takes nothing$/;
    await expect.poll(retries).toEqual([expect.stringMatching(why)]);
    expect(await status(handle)).toMatchObject({ gate: null });
    isAway = false;
    await on.env.sleep('10 minutes');
    await expect.poll(async () => (await status(handle)).stage).toBe('approve');
    expect(await retries()).toEqual([]);
    await update(handle, 'reject', decision('alice', 'deploy-1', 'reject'));
    expect(await handle.result()).toMatchObject({ kind: 'rejected' });
  });

  it('from its request to destruction, with thirty days of notice waited out', async () => {
    const handle = await start();
    await approveDeploy(handle);
    await approveRetire(handle);
    expect(await handle.result()).toEqual({ kind: 'retired', certificate: digestOf('certificate') });

    const happened = on.zones
      .names()
      .filter((name) => !['record', 'decide', 'rolloutState', 'noteErasure'].includes(name));
    expect(happened).toEqual([
      ...['resumeLifecycle', 'admitRelease', 'ingest', 'validate', 'openDeployGate', 'signRelease', 'askEndpoint'],
      ...['openRetireGate', 'giveNotice', 'followNotice', 'followNotice', 'withdrawRelease', 'stopRelease'],
      ...['revokeRelease', 'destroyKeys', 'probeHost', 'probeGateways', 'certify', 'recordOutcome'],
    ]);
    // Beside the destruction of the keys, which does not wait for the log.
    await on.zones.called('noteErasure');
    const [noticed, withdrawn] = ['giveNotice', 'withdrawRelease'].map((name) =>
      on.zones.calls.find((c) => c.name === name),
    );
    expect(withdrawn!.at - noticed!.at).toBeGreaterThanOrEqual(30 * 86_400_000 - 1000);
    await capture(handle, 'lifecycle-retired');
  });

  it('is erased while the log takes no record of its revocation, and ends once it has that', async () => {
    const taken = deferred();
    on.zones.acts.noteErasure = () => taken.promise;
    const handle = await start();
    await approveDeploy(handle);
    await approveRetire(handle);
    // Who waits for its result lets the notice pass.
    const ended = handle.result();
    await on.zones.called('recordOutcome');
    expect((await handle.describe()).status.name).toBe('RUNNING');
    taken.resolve();
    expect(await ended).toMatchObject({ kind: 'retired' });
  });

  it('shows what people are to approve, with the command to run', async () => {
    const handle = await start();
    await on.zones.called('openDeployGate');
    await update(handle, 'approve', decision('alice', 'deploy-1'));
    const { stage, gate, missing } = await status(handle);
    expect({ stage, missing, id: gate?.requestId, envelope: gate?.envelope }).toEqual({
      stage: 'approve',
      missing: 1,
      id: 'deploy-1',
      envelope: envelope('deploy-1'),
    });
    const metadata = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
    expect(metadata.currentDetails).toContain('custody approve deploy-1 --key');
    expect(metadata.currentDetails).toContain(
      `temporal workflow signal --workflow-id ${handle.workflowId} --name approve`,
    );
    const { typedSearchAttributes } = await handle.describe();
    expect(Object.fromEntries(typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value]))).toMatchObject(
      {
        CustodyVersion: '1.0.0',
        CustodyStage: 'approve',
        CustodyAwaiting: 'release-approver',
      },
    );
    await update(handle, 'reject', decision('bob', 'deploy-1', 'reject'));
    await handle.result();
  });
});

describe('a release that does not come into service', () => {
  it('expires when nobody decides in time', async () => {
    const handle = await start();
    expect(await handle.result()).toEqual({ kind: 'expired', stage: 'approve' });
    expect(on.zones.names()).not.toContain('signRelease');
    await capture(handle, 'lifecycle-expired');
  });

  it('is rejected by one person', async () => {
    const handle = await start();
    await on.zones.called('openDeployGate');
    await update(handle, 'approve', decision('alice', 'deploy-1'));
    await update(handle, 'reject', decision('bob', 'deploy-1', 'reject'));
    expect(await handle.result()).toMatchObject({ kind: 'rejected', stage: 'approve', reason: 'bob: not yet' });
    expect(on.zones.names()).not.toContain('signRelease');
  });

  it('is rejected when validation fails, and nobody is asked', async () => {
    on.zones.acts.validate = async () => ({ testResult: digestOf('t'), passed: 19, failed: ['case 7'], accuracy: 0.9 });
    const handle = await start();
    expect(await handle.result()).toMatchObject({ kind: 'rejected', stage: 'validate', code: 'VALIDATION_FAILED' });
    expect(on.zones.names()).not.toContain('openDeployGate');
  });

  it('leaves no record under its name when its request is refused', async () => {
    on.zones.acts.admitRelease = async () => {
      throw refusal('SIGNATURE_INVALID', 'signed by a stranger');
    };
    const handle = await start();
    expect(await handle.result()).toMatchObject({ kind: 'rejected', stage: 'admit', code: 'SIGNATURE_INVALID' });
    expect(on.zones.names()).not.toContain('recordOutcome');
  });

  it('is sent to a silent endpoint again at each bound, then refused and taken out', async () => {
    on.zones.acts.askEndpoint = async () => undefined;
    const handle = await start();
    await approveDeploy(handle);
    expect(await handle.result()).toMatchObject({ kind: 'rejected', stage: 'roll out', code: 'EXPIRED' });
    expect(on.zones.argsOf('askEndpoint')).toHaveLength(30);
    expect(new Set(on.zones.argsOf('askEndpoint').map(([, order]) => order.request)).size).toBe(1);
    expect(on.zones.names().slice(-3)).toEqual(['withdrawRelease', 'stopRelease', 'recordOutcome']);
  });

  it('is waited for as long as the endpoint says that its rollout is under way', async () => {
    let asked = 0;
    const back: RolloutResult = { kind: 'rolled back', revision: 4, reason: 'fail: 3 % errors' };
    on.zones.acts.askEndpoint = async () => undefined;
    on.zones.acts.rolloutState = async () => ((asked += 1) === 1 ? null : asked < 60 ? 'under way' : back);
    const handle = await start();
    await approveDeploy(handle);
    expect(await handle.result()).toEqual({ kind: 'rolled back', reason: 'fail: 3 % errors' });
    expect(on.zones.argsOf('askEndpoint')).toHaveLength(1);
    expect(on.zones.names()).toContain('stopRelease');
  });
});

describe('messages', () => {
  it('that come too early wait for their gate, and count for no other', async () => {
    const ingested = deferred();
    const { ingest } = on.zones.acts;
    on.zones.acts.ingest = async (...args) => {
      await ingested.promise;
      return ingest(...args);
    };
    const handle = await start();
    await on.zones.called('ingest');
    await send(handle, 'retire', envelope('retire'));
    await send(handle, 'approve', decision('alice', 'deploy-1'));
    await send(handle, 'approve', decision('bob', 'retire-1'));
    ingested.resolve();
    await on.zones.called('decide');
    expect(on.zones.argsOf('decide')[0]?.[0].decisions).toHaveLength(2);
    await update(handle, 'approve', decision('carol', 'deploy-1'));
    await on.zones.called('openRetireGate');
    expect(on.zones.argsOf('openRetireGate')[0]?.[2]).toEqual(envelope('retire'));
    await expect.poll(async () => (await status(handle)).missing).toBe(2);
    await update(handle, 'reject', decision('bob', 'retire-1', 'reject'));
    expect((await status(handle)).stage).toBe('in service');
    expect(on.zones.refused).toEqual([]);
    await handle.terminate();
  });

  it('of the same decision, as signal and as update, are both answered and counted once', async () => {
    const handle = await start();
    await on.zones.called('openDeployGate');
    await send(handle, 'approve', decision('alice', 'deploy-1'));
    expect(await update(handle, 'approve', decision('alice', 'deploy-1'))).toMatchObject({
      accepted: true,
      by: 'alice',
    });
    expect((await status(handle)).missing).toBe(1);
    await handle.terminate();
  });

  it('cost no more than five activities each, from the sending to the count', async () => {
    const handle = await start();
    await on.zones.called('openDeployGate');
    const before = await activitiesOf(handle);
    await update(handle, 'approve', decision('alice', 'deploy-1'));
    expect((await status(handle)).missing).toBe(1);
    const added = (await activitiesOf(handle)) - before;
    expect(added).toBeGreaterThan(0);
    expect(added).toBeLessThanOrEqual(5);
    await handle.terminate();
  });

  it('that are forged change nothing, and the sender is told', async () => {
    const handle = await start();
    await on.zones.called('openDeployGate');
    const forged = update(handle, 'approve', decision('alice', 'deploy-1', 'approve', 'forged'));
    expect(await forged.then(() => 'accepted', codeOf)).toBe('SIGNATURE_INVALID');
    await send(handle, 'approve', decision('bob', 'deploy-1', 'approve', 'forged'));
    await on.zones.called('decide', 2);
    expect(await handle.result()).toEqual({ kind: 'expired', stage: 'approve' });
  });

  it('with no decision in them are refused by the gate and leave it open', async () => {
    const handle = await start();
    await on.zones.called('openDeployGate');
    await handle.signal('approve', null);
    await handle.signal('approve', 'approve please');
    await update(handle, 'approve', decision('alice', 'deploy-1'));
    expect((await status(handle)).missing).toBe(1);
    const misshapen = handle.executeUpdate('approve', { args: [{ payload: 'x' }] });
    expect(await misshapen.then(() => 'accepted', codeOf)).toBe('MALFORMED');
    await handle.terminate();
  });

  it('of unknown names, and a cancellation, are audited and stop nothing', async () => {
    const handle = await start();
    await on.zones.called('openDeployGate');
    await handle.signal('promoteNow', { force: true });
    const unknown = handle.executeUpdate('promoteNow', { args: [{ force: true }] });
    expect(await unknown.then(() => 'accepted', codeOf)).toBe('POLICY_REFUSED');
    await handle.cancel();
    await expect
      .poll(() => on.zones.refused.flatMap((each) => each.messages))
      .toEqual(['promoteNow', 'promoteNow', 'cancel']);
    await update(handle, 'approve', decision('alice', 'deploy-1'));
    await update(handle, 'reject', decision('bob', 'deploy-1', 'reject'));
    expect(await handle.result()).toMatchObject({ kind: 'rejected', stage: 'approve' });
    await capture(handle, 'lifecycle-rejected');
  });

  it('that nothing waits for any more are refused at once, not when the next gate opens', async () => {
    const handle = await start();
    await approveDeploy(handle);
    const late = update(handle, 'approve', decision('carol', 'deploy-1'));
    expect(await late.then(() => 'accepted', codeOf)).toBe('POLICY_REFUSED');
    await approveRetire(handle);
    const again = update(handle, 'retire', envelope('retire'));
    expect(await again.then(() => 'accepted', codeOf)).toBe('POLICY_REFUSED');
    expect(await handle.result()).toMatchObject({ kind: 'retired' });
    expect(on.zones.refused.map((each) => each.reason)).toEqual([
      'nothing waits for a decision',
      'the release is being retired',
    ]);
  });

  it('in a flood are counted and audited in batches, and crowd no decision out', async () => {
    const stuck = deferred();
    const { refuse } = on.zones.acts;
    on.zones.acts.refuse = async (input) => {
      await stuck.promise;
      await refuse(input);
    };
    const handle = await start();
    await on.zones.called('openDeployGate');
    for (let i = 0; i < 5; i += 1)
      await Promise.all(Array.from({ length: 60 }, () => handle.signal('noise', 'x'.repeat(100))));
    await handle.signal('noise', 'x'.repeat(70_000));
    await update(handle, 'approve', decision('alice', 'deploy-1'));
    stuck.resolve();
    await update(handle, 'reject', decision('bob', 'deploy-1', 'reject'));
    expect(await handle.result()).toMatchObject({ kind: 'rejected', stage: 'approve' });
    expect(on.zones.refused.reduce((sum, each) => sum + each.messages.length + each.dropped, 0)).toBe(301);
    expect(on.zones.refused.some((each) => each.dropped > 0)).toBe(true);
    expect(on.zones.refused.length).toBeLessThan(20);
  });
});

describe('a lifecycle that starts again', () => {
  const release = digestOf('release');
  const places = { source: 'x', bundle: 'y', provenance: 'z' };
  const admission = { request: digestOf('s'), requester: 'ci', ...places, policy: digestOf('p') };
  const signed = {
    bundle: digestOf('oms'),
    provenance: digestOf('made'),
    scan: digestOf('scan'),
    change: digestOf('c'),
  };
  const ingested = { release, producer: 'ci', ...signed, files: 5, bytes: 9 };
  const validated = { testResult: digestOf('t'), passed: 20, failed: [], accuracy: 0.97 };
  const approved = { request: digestOf('deploy-1'), approvals: [digestOf('a')], approvers: ['alice'] };
  const behind = { admission, ingested, validated, approved, signed: { signature: digestOf('signature') } };

  it('in the middle repeats no stage that has its record', async () => {
    on.zones.progress = behind;
    const handle = await start();
    await approveRetire(handle);
    await handle.result();
    expect(on.zones.names().slice(0, 3)).toEqual(['resumeLifecycle', 'rolloutState', 'askEndpoint']);
    expect(on.zones.argsOf('askEndpoint')[0]?.[1]).toMatchObject({ release, request: approved.request });
  });

  it('after a rollback ends as rolled back', async () => {
    on.zones.progress = { ...behind, rollout: { kind: 'rolled back', revision: 3, reason: 'slow' } };
    const handle = await start();
    expect(await handle.result()).toEqual({ kind: 'rolled back', reason: 'slow' });
    expect(on.zones.names()).toEqual(['resumeLifecycle', 'stopRelease', 'recordOutcome']);
  });

  it('while it is being retired waits only for the rest of the notice', async () => {
    const retiresAt = new Date((await on.env.currentTimeMs()) + 3_600_000).toISOString();
    const retirement = { request: digestOf('r'), approvals: [], notice: digestOf('n'), retiresAt };
    on.zones.progress = { ...behind, rollout: { kind: 'promoted', revision: 3 }, retirement };
    const handle = await start();
    expect(await handle.result()).toMatchObject({ kind: 'retired' });
    const names = [
      'resumeLifecycle',
      'followNotice',
      'followNotice',
      'withdrawRelease',
      'stopRelease',
      'revokeRelease',
      'destroyKeys',
      'probeHost',
      'probeGateways',
      'certify',
      'recordOutcome',
    ];
    expect(on.zones.names().filter((name) => name !== 'noteErasure')).toEqual(names);
    await on.zones.called('noteErasure');
    expect(on.zones.calls.find((call) => call.name === 'withdrawRelease')!.at).toBeGreaterThanOrEqual(
      Date.parse(retiresAt),
    );
  });

  it('goes on at once when the hold is lifted that has kept its keys; who only says so gets it to look, and no further', async () => {
    const retirement = {
      request: digestOf('r'),
      approvals: [],
      notice: digestOf('n'),
      retiresAt: '2020-01-01T00:00:00.000Z',
    };
    on.zones.progress = { ...behind, rollout: { kind: 'promoted', revision: 3 }, retirement };
    let isHeld = true;
    on.zones.acts.destroyKeys = async () => {
      if (isHeld) throw refusal('HELD', 'held by sam: a lawsuit');
      return digestOf('erased');
    };
    const handle = await start();
    await on.zones.called('destroyKeys');
    await handle.signal(holdLiftedSignal);
    await on.zones.called('destroyKeys', 2);
    const trouble = ['HELD: held by sam: a lawsuit'];
    await expect.poll(async () => (await handle.query(lifecycleStatusQuery)).trouble).toEqual(trouble);
    isHeld = false;
    await handle.signal(holdLiftedSignal);
    await on.zones.called('destroyKeys', 3);
    // Nobody has awaited its result so far: the clock of this server has stood still, no pause has ended by itself.
    expect(await handle.result()).toMatchObject({ kind: 'retired' });
    const [first, , last] = on.zones.calls.filter(({ name }) => name === 'destroyKeys').map(({ at }) => at);
    expect(last! - first!).toBeLessThan(30_000);
    expect(on.zones.argsOf('destroyKeys')).toHaveLength(3);
  });

  it('after its end answers what is recorded, and does nothing', async () => {
    on.zones.progress = { ...behind, outcome: { kind: 'expired', stage: 'approve' } };
    const handle = await start();
    expect(await handle.result()).toEqual({ kind: 'expired', stage: 'approve' });
    expect(on.zones.names()).toEqual(['resumeLifecycle']);
  });
});

describe('what is refused once there is no way back', () => {
  it('is shown and tried again until it is done', async () => {
    let tries = 0;
    on.zones.acts.revokeRelease = async () => {
      if ((tries += 1) < 4) throw refusal('POLICY_REFUSED', 'the evidence is not complete');
      return digestOf('revocation');
    };
    const handle = await start();
    await approveDeploy(handle);
    await approveRetire(handle);
    expect(await handle.result()).toMatchObject({ kind: 'retired' });
    expect(tries).toBe(4);
  });

  it('a path that is still open is shown, and nothing is certified before it is closed', async () => {
    let isOpen = true;
    on.zones.acts.probeHost = async () => {
      if (isOpen) throw refusal('VALIDATION_FAILED', 'vault open digits 1.0.0 is not refused: a key');
      return envelope('served');
    };
    const handle = await start();
    await approveDeploy(handle);
    await approveRetire(handle);
    // Who waits for its result lets the notice pass.
    const ended = handle.result();
    await on.zones.called('probeHost', 2);
    expect((await status(handle)).trouble).toEqual([
      'VALIDATION_FAILED: vault open digits 1.0.0 is not refused: a key',
    ]);
    expect(on.zones.names()).not.toContain('certify');
    isOpen = false;
    expect(await ended).toEqual({ kind: 'retired', certificate: digestOf('certificate') });
    const [, , , probed] = on.zones.argsOf('certify')[0]!;
    expect(probed).toEqual({ signing: digestOf('erased'), serving: envelope('served'), control: digestOf('routed') });
  });
});
