import { describe, expect, it } from 'vitest';
import type { WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import type { LifecycleStatus, Progress } from '../../domain/lifecycle.js';
import {
  decisionSignal,
  decisionUpdate,
  lifecycleStatusQuery,
  startLifecycle,
  type LifecycleDecision,
} from '../../workflows/messages.js';
import type { lifecycle } from '../../workflows/index.js';
import { capture, startTimeSkipping } from '../support/temporal.js';
import { decision, deferred, digestOf, envelope, obstacle, refusal, stage } from '../support/zones.js';

type Handle = WorkflowHandleWithFirstExecutionRunId<typeof lifecycle>;

const DAY_MS = 86_400_000;
const on = stage(startTimeSkipping);
/** More events than a release has behind it with one decision on its retirement, however they come together. */
const LONG = 150;
let count = 0;

const update = (handle: Handle, name: LifecycleDecision, message = envelope(name)) =>
  handle.executeUpdate(decisionUpdate(name), { args: [message] });
const status = (handle: Handle): Promise<LifecycleStatus> => handle.query(lifecycleStatusQuery);
const indexOf = (name: string): number => on.zones.names().indexOf(name);
const certified = { kind: 'retired', certificate: digestOf('certificate') };

/** Where records have it that was taken in. */
const behind: Progress = {
  admission: { request: digestOf('s'), requester: 'ci', source: '', bundle: '', provenance: '', policy: '' },
  ingested: {
    ...{ release: digestOf('r'), producer: 'ci', bundle: '', provenance: '', scan: '', change: '' },
    ...{ files: 1, bytes: 1 },
  },
};

const begin = (continueAfterEvents: number | null = null): Promise<Handle> =>
  on.env.client.workflow.start<typeof lifecycle>('lifecycle', {
    ...startLifecycle({ model: `condemned-${(count += 1)}`, version: '1.0.0' }),
    args: [{ request: envelope('start') }, continueAfterEvents],
  });

async function begun(continueAfterEvents?: number): Promise<Handle> {
  const handle = await begin(continueAfterEvents);
  await on.zones.called('openDeployGate');
  return handle;
}

async function inService(continueAfterEvents?: number): Promise<Handle> {
  const handle = await begun(continueAfterEvents);
  for (const by of ['alice', 'bob']) await update(handle, 'approve', decision(by, 'deploy-1'));
  await expect.poll(async () => (await status(handle)).stage).toBe('in service');
  return handle;
}

async function erased(handle: Handle): Promise<unknown> {
  await update(handle, 'retire', envelope('retire'));
  for (const by of ['alice', 'bob']) await update(handle, 'approve', decision(by, 'retire-1'));
  return handle.result();
}

/** From here on the notice of a retirement is over at once, as control has it of one that rests on a vulnerability. */
function noPeriod(): void {
  on.zones.noticeSeconds = 0;
}

describe('a release that a security authority condemns', () => {
  it('is revoked and taken out at once, and everybody is told; its keys go when people say so, without a notice', async () => {
    const handle = await inService();
    expect(await update(handle, 'condemn')).toMatchObject({
      accepted: true,
      by: 'sam',
      statement: digestOf('condemn'),
    });
    await on.zones.called('informCondemned');
    await on.zones.called('withdrawRelease');
    expect(indexOf('condemnRelease')).toBeLessThan(indexOf('revokeCondemned'));
    expect(indexOf('revokeCondemned')).toBeLessThan(indexOf('withdrawRelease'));
    await on.zones.called('noteCondemned');
    await on.zones.called('noteErasure');
    // However long it takes: nobody destroys what may have to be looked into.
    await on.env.sleep('400 days');
    expect(await status(handle)).toMatchObject({ stage: 'condemned', gate: null });
    expect(on.zones.names()).not.toContain('destroyKeys');
    noPeriod();
    expect(await erased(handle)).toEqual(certified);
    expect(on.zones.argsOf('destroyKeys')[0]?.[3]).toBe(digestOf('revocation'));
    expect(on.zones.names()).not.toContain('revokeRelease');
    await capture(handle, 'lifecycle-condemned');
  });

  it('is stopped beside whatever it waits in: a gate, a rollout, the notice of a retirement', async () => {
    const atGate = await begun();
    await update(atGate, 'condemn');
    await expect.poll(async () => (await status(atGate)).stage).toBe('condemned');
    await expect(update(atGate, 'approve', decision('alice', 'deploy-1'))).rejects.toMatchObject({
      cause: { type: 'POLICY_REFUSED' },
    });

    on.zones.acts.rolloutState = async () => 'under way';
    const rollingOut = await begun();
    for (const by of ['alice', 'bob']) await update(rollingOut, 'approve', decision(by, 'deploy-1'));
    await on.zones.called('rolloutState');
    await update(rollingOut, 'condemn');
    await expect.poll(async () => (await status(rollingOut)).stage).toBe('condemned');
  });

  it('in the notice of a retirement leaves the routes at once, and its keys go when the notice is over', async () => {
    const handle = await inService();
    await update(handle, 'retire', envelope('retire'));
    for (const by of ['alice', 'bob']) await update(handle, 'approve', decision(by, 'retire-1'));
    await on.zones.called('followNotice');
    await update(handle, 'condemn');
    await on.zones.called('withdrawRelease');
    expect(await handle.result()).toEqual(certified);
    const at = (name: string): number => on.zones.calls.find((call) => call.name === name)!.at;
    expect(at('withdrawRelease') - at('giveNotice')).toBeLessThan(DAY_MS);
    expect(at('destroyKeys') - at('giveNotice')).toBeGreaterThanOrEqual(30 * DAY_MS - 1000);
  });

  it('attack: a notice that does not count changes nothing, and the sender is told', async () => {
    const handle = await inService();
    await expect(update(handle, 'condemn', envelope('condemn', 'forged'))).rejects.toMatchObject({
      cause: { type: 'NOT_AUTHORISED' },
    });
    expect(await status(handle)).toMatchObject({ stage: 'in service' });
    expect(on.zones.names()).not.toContain('revokeCondemned');
    await handle.terminate();
  });

  it('attack: a release whose stage ends meanwhile ends as condemned, not as that', async () => {
    const handle = await begun();
    const { promise, resolve } = deferred();
    const { decide } = on.zones.acts;
    on.zones.acts.decide = async (input) => {
      await promise;
      return decide(input);
    };
    const rejected = update(handle, 'reject', decision('alice', 'deploy-1', 'reject'));
    await on.zones.called('decide');
    await update(handle, 'condemn');
    resolve();
    await rejected;
    await expect.poll(async () => (await status(handle)).stage).toBe('condemned');
    expect(on.zones.names()).not.toContain('recordOutcome');
  });

  it('is told to whom no way reached for as long as it takes, and shows what keeps it from being revoked', async () => {
    let missed = 2;
    on.zones.acts.informCondemned = async () => missed;
    let isAway = true;
    on.zones.acts.revokeCondemned = async () => {
      if (isAway) throw refusal('SIGNATURE_INVALID', 'no policy is readable');
      return digestOf('revocation');
    };
    const handle = await inService();
    await update(handle, 'condemn');
    const trouble = ['SIGNATURE_INVALID: no policy is readable'];
    await expect.poll(async () => (await status(handle)).trouble).toEqual(trouble);
    isAway = false;
    await on.zones.called('informCondemned');
    await on.env.sleep('2 days');
    expect(on.zones.argsOf('informCondemned').length).toBeGreaterThan(5);
    missed = 0;
    await on.env.sleep('2 days');
    const { length } = on.zones.argsOf('informCondemned');
    await on.env.sleep('30 days');
    expect(on.zones.argsOf('informCondemned')).toHaveLength(length);
  });

  it('attack: it came as a signal while control was away: the kill is tried until it is done, and only once', async () => {
    const { condemnRelease } = on.zones.acts;
    let failures = 3;
    on.zones.acts.condemnRelease = async (...args) => {
      if ((failures -= 1) >= 0) throw obstacle('GATEWAY_UNAVAILABLE', 'a gateway has not stopped yet');
      return condemnRelease(...args);
    };
    const handle = await inService();
    await handle.signal(decisionSignal('condemn'), envelope('condemn'));
    await on.zones.called('withdrawRelease');
    expect(on.zones.argsOf('condemnRelease')).toHaveLength(4);
    expect(on.zones.argsOf('revokeCondemned')).toHaveLength(1);
  });

  it('attack: it came before it was known where the release stands, as after a restart: it is not refused', async () => {
    const known = deferred();
    on.zones.progress = { ...behind, rollout: { kind: 'promoted', revision: 1 } };
    on.zones.acts.resumeLifecycle = async () => {
      await known.promise;
      return on.zones.progress;
    };
    const handle = await begin();
    await on.zones.called('resumeLifecycle');
    await handle.signal(decisionSignal('condemn'), envelope('condemn'));
    known.resolve();
    await on.zones.called('informCondemned');
    expect(on.zones.refused).toEqual([]);
  });

  it('while its callers stay with it, because their fallback is gone, leaves all the same', async () => {
    let isGone = false;
    on.zones.acts.withdrawRelease = async () => {
      if (!isGone) throw refusal('POLICY_REFUSED', 'its callers stay with it: the fallback is not kept warm');
      return { revision: 2, document: null, serving: [], killedBy: [], stopped: [] };
    };
    const handle = await inService();
    await update(handle, 'retire', envelope('retire'));
    for (const by of ['alice', 'bob']) await update(handle, 'approve', decision(by, 'retire-1'));
    await on.env.sleep('31 days');
    await expect
      .poll(async () => (await status(handle)).trouble)
      .toEqual(['POLICY_REFUSED: its callers stay with it: the fallback is not kept warm']);
    await expect(update(handle, 'acknowledge')).rejects.toMatchObject({ cause: { type: 'POLICY_REFUSED' } });
    await update(handle, 'condemn');
    await on.zones.called('revokeCondemned');
    isGone = true;
    expect(await handle.result()).toEqual(certified);
  });

  it('while how it ends is being recorded is refused, and not taken and forgotten', async () => {
    const recorded = deferred();
    on.zones.acts.recordOutcome = async (_name, _release, outcome) => {
      await recorded.promise;
      return outcome;
    };
    const handle = await begun();
    await update(handle, 'reject', decision('alice', 'deploy-1', 'reject'));
    await on.zones.called('recordOutcome');
    await expect(update(handle, 'condemn')).rejects.toMatchObject({ cause: { type: 'POLICY_REFUSED' } });
    recorded.resolve();
    expect(await handle.result()).toMatchObject({ kind: 'rejected' });
  });

  it('that starts again with an open request to retire it counts on with what was said before', async () => {
    const handle = await inService(LONG);
    await update(handle, 'condemn');
    await expect.poll(async () => (await status(handle)).stage).toBe('condemned');
    noPeriod();
    await update(handle, 'retire', envelope('retire'));
    await update(handle, 'approve', decision('alice', 'retire-1'));
    // Handed on to a fresh history, with one of two.
    const filled = async (): Promise<string> => {
      await handle.signal('noise');
      return (await handle.describe()).runId;
    };
    await expect.poll(filled).not.toBe(handle.firstExecutionRunId);
    await update(handle, 'approve', decision('bob', 'retire-1'));
    expect(await handle.result()).toEqual(certified);
  });

  it('that starts again goes on where it was: it does not serve', async () => {
    const condemned = { vulnerability: digestOf('condemn'), order: null };
    on.zones.progress = { ...behind, condemned };
    noPeriod();
    const handle = await begin();
    await on.zones.called('informCondemned');
    expect(on.zones.names()).not.toContain('ingest');
    expect(await erased(handle)).toEqual(certified);
  });
});
