import { describe, expect, it } from 'vitest';
import type { WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import type { LifecycleStatus } from '../../domain/lifecycle.js';
import {
  consumersChangedSignal,
  decisionUpdate,
  lifecycleStatusQuery,
  startLifecycle,
  type LifecycleDecision,
} from '../../workflows/messages.js';
import type { lifecycle } from '../../workflows/index.js';
import { capture, startTimeSkipping } from '../support/temporal.js';
import { decision, digestOf, envelope, refusal, stage } from '../support/zones.js';

type Handle = WorkflowHandleWithFirstExecutionRunId<typeof lifecycle>;

const DAY_MS = 86_400_000;
const on = stage(startTimeSkipping);
let count = 0;

const update = (handle: Handle, name: LifecycleDecision, message = envelope(name)) =>
  handle.executeUpdate(decisionUpdate(name), { args: [message] });
const status = (handle: Handle): Promise<LifecycleStatus> => handle.query(lifecycleStatusQuery);
const timeOf = (name: string): number => on.zones.calls.find((call) => call.name === name)?.at ?? NaN;
const isCalled = (name: string): boolean => on.zones.calls.some((call) => call.name === name);

/** In service, and its retirement agreed to: notice has been given. */
async function noticed(): Promise<Handle> {
  const handle = await on.env.client.workflow.start<typeof lifecycle>('lifecycle', {
    ...startLifecycle({ model: `noticed-${(count += 1)}`, version: '1.0.0' }),
    args: [{ request: envelope('start') }],
  });
  await on.zones.called('openDeployGate');
  for (const by of ['alice', 'bob']) await update(handle, 'approve', decision(by, 'deploy-1'));
  await update(handle, 'retire', envelope('retire'));
  for (const by of ['alice', 'bob']) await update(handle, 'approve', decision(by, 'retire-1'));
  await on.zones.called('followNotice');
  return handle;
}

describe('the notice of a retirement', () => {
  it('is waited out whole, although all have answered on its first day', async () => {
    on.zones.awaited = ['checkout', 'billing'];
    const handle = await noticed();
    await expect.poll(async () => (await status(handle)).notice?.awaited).toEqual(['checkout', 'billing']);
    expect(await update(handle, 'acknowledge')).toMatchObject({ accepted: true, by: 'carol' });
    expect(await update(handle, 'waive')).toMatchObject({ accepted: true });
    expect(await status(handle)).toMatchObject({ stage: 'retire', notice: { awaited: [] } });
    expect(await handle.result()).toEqual({ kind: 'retired', certificate: digestOf('certificate') });
    expect(timeOf('withdrawRelease') - timeOf('giveNotice')).toBeGreaterThanOrEqual(30 * DAY_MS - 1000);
    await capture(handle, 'lifecycle-noticed');
  });

  it('goes on after its end for as long as somebody must answer, and ends as soon as they have', async () => {
    on.zones.awaited = ['checkout'];
    const handle = await noticed();
    await on.env.sleep('90 days');
    expect(isCalled('withdrawRelease')).toBe(false);
    expect(await status(handle)).toMatchObject({ stage: 'retire', notice: { awaited: ['checkout'] } });
    await update(handle, 'waive');
    expect(await handle.result()).toMatchObject({ kind: 'retired' });
    expect(timeOf('withdrawRelease') - timeOf('giveNotice')).toBeGreaterThanOrEqual(90 * DAY_MS - 1000);
  });

  it('attack: a consumer that appears in its last hour is told, and is waited for', async () => {
    const { followNotice } = on.zones.acts;
    let appeared = false;
    on.zones.acts.followNotice = async (...args) => {
      const standing = await followNotice(...args);
      if (standing.lookAt !== null || appeared) return standing;
      appeared = true;
      on.zones.awaited = ['latecomer'];
      return { ...standing, awaited: on.zones.awaited };
    };
    const handle = await noticed();
    await on.env.sleep('31 days');
    await expect.poll(async () => (await status(handle)).notice?.awaited).toEqual(['latecomer']);
    expect(isCalled('withdrawRelease')).toBe(false);
    await update(handle, 'acknowledge');
    expect(await handle.result()).toMatchObject({ kind: 'retired' });
  });

  it('is looked at again at once when somebody has come to depend on the release', async () => {
    const handle = await noticed();
    await expect.poll(async () => (await status(handle)).notice?.awaited).toEqual([]);
    const looked = on.zones.argsOf('followNotice').length;
    await on.env.sleep('2 days');
    on.zones.awaited = ['latecomer'];
    await handle.signal(consumersChangedSignal);
    await expect.poll(async () => (await status(handle)).notice?.awaited).toEqual(['latecomer']);
    expect(on.zones.argsOf('followNotice')).toHaveLength(looked + 1);
    expect(isCalled('withdrawRelease')).toBe(false);
    await update(handle, 'acknowledge');
    expect(await handle.result()).toMatchObject({ kind: 'retired' });
    expect(timeOf('withdrawRelease') - timeOf('giveNotice')).toBeGreaterThanOrEqual(30 * DAY_MS - 1000);
  });

  it('attack: whoever says it again and again keeps nobody from answering, and has it looked once a minute', async () => {
    on.zones.awaited = ['checkout'];
    const handle = await noticed();
    await expect.poll(async () => (await status(handle)).notice?.awaited).toEqual(['checkout']);
    const looked = on.zones.argsOf('followNotice').length;
    for (let time = 0; time < 20; time += 1) await handle.signal(consumersChangedSignal);
    await update(handle, 'acknowledge');
    expect(await status(handle)).toMatchObject({ notice: { awaited: [] } });
    for (let time = 0; time < 20; time += 1) await handle.signal(consumersChangedSignal);
    await on.env.sleep('59 seconds');
    expect(on.zones.argsOf('followNotice').length).toBeLessThanOrEqual(looked + 1);
    await on.env.sleep('10 minutes');
    expect(on.zones.argsOf('followNotice').length).toBeLessThanOrEqual(looked + 2);
    expect(await handle.result()).toMatchObject({ kind: 'retired' });
  });

  it('attack: who appears while it is looked for the last time is told all the same', async () => {
    const { followNotice } = on.zones.acts;
    let hasSaid = false;
    on.zones.acts.followNotice = async (...args) => {
      const standing = await followNotice(...args);
      if (standing.lookAt !== null || hasSaid) return standing;
      hasSaid = true;
      await handle.signal(consumersChangedSignal);
      on.zones.awaited = ['latecomer'];
      return standing;
    };
    const handle = await noticed();
    await on.env.sleep('31 days');
    await expect.poll(async () => (await status(handle)).notice?.awaited).toEqual(['latecomer']);
    expect(isCalled('withdrawRelease')).toBe(false);
    await update(handle, 'acknowledge');
    expect(await handle.result()).toMatchObject({ kind: 'retired' });
  });

  it('attack: whoever answers last does not keep it from being looked whether somebody has appeared', async () => {
    on.zones.awaited = ['checkout'];
    const handle = await noticed();
    await on.env.sleep('31 days');
    const { followNotice } = on.zones.acts;
    let appeared = false;
    on.zones.acts.followNotice = async (...args) => {
      if (!appeared) on.zones.awaited = ['latecomer'];
      appeared = true;
      return followNotice(...args);
    };
    await update(handle, 'acknowledge');
    await expect.poll(async () => (await status(handle)).notice?.awaited).toEqual(['latecomer']);
    await update(handle, 'waive');
    expect(await handle.result()).toMatchObject({ kind: 'retired' });
  });

  it('an answer that does not count says why, and nobody is waited for the less', async () => {
    on.zones.awaited = ['checkout'];
    const { answerNotice } = on.zones.acts;
    const verdict = { accepted: false, code: 'NOT_AUTHORISED', reason: 'oscar may not answer for checkout' } as const;
    on.zones.acts.answerNotice = async (...args) => ({
      ...{
        verdicts: args[3].map(() => verdict),
        awaited: ['checkout'],
        endsAt: args[2].retiresAt,
        lookAt: args[2].retiresAt,
      },
    });
    const handle = await noticed();
    await expect(update(handle, 'acknowledge')).rejects.toMatchObject({ cause: { type: 'NOT_AUTHORISED' } });
    on.zones.acts.answerNotice = () => Promise.reject(refusal('SIGNATURE_INVALID', 'no policy is readable'));
    await expect(update(handle, 'waive')).rejects.toMatchObject({ cause: { type: 'SIGNATURE_INVALID' } });
    expect(await status(handle)).toMatchObject({ notice: { awaited: ['checkout'] } });
    on.zones.acts.answerNotice = answerNotice;
    await update(handle, 'acknowledge');
    expect(await handle.result()).toMatchObject({ kind: 'retired' });
  });

  it('attack: an answer before there is a notice is refused', async () => {
    const handle = await on.env.client.workflow.start<typeof lifecycle>('lifecycle', {
      ...startLifecycle({ model: `noticed-${(count += 1)}`, version: '1.0.0' }),
      args: [{ request: envelope('start') }],
    });
    await on.zones.called('openDeployGate');
    await expect(update(handle, 'acknowledge')).rejects.toMatchObject({ cause: { type: 'POLICY_REFUSED' } });
    await update(handle, 'reject', decision('alice', 'deploy-1', 'reject'));
    expect(await handle.result()).toMatchObject({ kind: 'rejected' });
  });

  it('attack: any other decision after it is refused', async () => {
    const retiring = await noticed();
    for (const name of ['retire', 'approve', 'override'] as const)
      await expect(update(retiring, name)).rejects.toMatchObject({
        cause: { type: 'POLICY_REFUSED', message: 'the release is being retired' },
      });
    expect(await retiring.result()).toMatchObject({ kind: 'retired' });
  });

  it('of a year, with three reminders, costs the server under a hundred events', async () => {
    on.zones.noticeSeconds = 365 * 86_400;
    const reminders = [335, 358, 364].map((day) => day * DAY_MS);
    const { followNotice } = on.zones.acts;
    on.zones.acts.followNotice = async (name, release, retirement) => {
      const standing = await followNotice(name, release, retirement);
      const begun = Date.parse(retirement.retiresAt) - 365 * DAY_MS;
      const now = await on.env.currentTimeMs();
      const next = reminders.map((after) => begun + after).find((at) => at > now);
      return { ...standing, lookAt: next === undefined ? standing.lookAt : new Date(next).toISOString() };
    };
    const handle = await noticed();
    const before = (await handle.describe()).historyLength;
    await handle.result();
    // What follows on it is the same after any notice.
    const events = (await handle.fetchHistory()).events ?? [];
    const ended = events.findIndex(
      ({ activityTaskScheduledEventAttributes: scheduled }) => scheduled?.activityType?.name === 'withdrawRelease',
    );
    expect(ended).toBeGreaterThan(before);
    expect(ended - before).toBeLessThan(100);
    expect(on.zones.argsOf('followNotice')).toHaveLength(5);
  });
});
