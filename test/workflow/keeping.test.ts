import { expect, it } from 'vitest';
import type { hold, lift, retention } from '../../workflows/index.js';
import { startHold, startLift, startRetention } from '../../workflows/messages.js';
import { capture, captureRuns, startTimeSkipping } from '../support/temporal.js';
import { attempt, decision, deferred, digestOf, envelope, refusal, stage } from '../support/zones.js';

const on = stage(startTimeSkipping);

const NAME = { model: 'digits', version: '1.0.0' };
const send = (workflowId: string, name: string, payload: unknown) =>
  on.env.client.workflow.getHandle(workflowId).signal(name, payload);

// The server with the clock that jumps has no schedules: the test starts each day's run as the schedule does.
const runOf = (day: number) =>
  on.env.client.workflow.start<typeof retention>('retention', {
    ...startRetention(),
    workflowId: `retention-day-${day}`,
    args: [],
  });

it('extends everything every day for a month, ten thousand locks in a few events', async () => {
  on.zones.locks = 10_000;
  const started: number[] = [];
  for (let day = 0; day < 30; day += 1) {
    const handle = await runOf(day);
    const outcome = await handle.result();
    expect(outcome).toMatchObject({ kind: 'kept', checked: 30_000, troubled: 0 });
    started.push(Date.parse(outcome.startedAt));
    expect((await handle.fetchHistory()).events?.length).toBeLessThan(60);
    if (day === 0) await capture(handle, 'retention-kept');
    await on.env.sleep('24 hours');
  }
  expect(on.zones.argsOf('recordRetention')).toHaveLength(30);
  for (const [day, at] of started.entries())
    if (day > 0) expect(at - (started[day - 1] ?? 0)).toBeGreaterThanOrEqual(86_400_000);
});

it('says what is wrong, and extends the rest, where one pass is refused', async () => {
  on.zones.acts.extendReleases = async () => {
    throw refusal('STORE_NOT_WORM', 'the store does not lock');
  };
  const outcome = await (await runOf(100)).result();
  expect(outcome).toMatchObject({ kind: 'troubled', checked: 200, troubled: 1 });
  expect(outcome.troubles[0]).toMatch(/locks of the releases could not be extended: STORE_NOT_WORM/);
});

it('attack: a pass whose worker is killed in the middle goes on in another, and the run ends as if nothing had been', async () => {
  const killed = deferred();
  on.zones.dead.add('extendReleases');
  on.zones.acts.extendReleases = async () => {
    if (attempt() === 1) await killed.promise;
    return { checked: 1, extended: 1, earliest: null, troubled: 0, troubles: [] };
  };
  const outcome = await (await runOf(101)).result();
  expect(outcome).toMatchObject({ kind: 'kept', checked: 201 });
  expect(on.zones.argsOf('extendReleases')).toHaveLength(2);
  expect(on.zones.argsOf('recordRetention')).toHaveLength(1);
  killed.resolve();
});

const place = (workflowId = startHold(NAME).workflowId) =>
  on.env.client.workflow.start<typeof hold>('hold', { ...startHold(NAME), workflowId, args: [envelope('hold')] });

it('has a hold verified, and then placed', async () => {
  const handle = await place();
  const held = { release: digestOf('digits 1.0.0'), hold: digestOf('hold'), by: 'sam', objects: 7 };
  expect(await handle.result()).toEqual({ kind: 'held', ...held, open: [digestOf('hold')] });
  expect(on.zones.names()).toEqual(['admitHold', 'holdRelease']);
  await capture(handle, 'hold-held');
});

it('attack: a hold that control refuses never reaches the signing zone; what that refuses is audited', async () => {
  on.zones.acts.admitHold = async () => {
    throw refusal('NOT_AUTHORISED', 'alice may not hold releases');
  };
  expect(await (await place()).result()).toMatchObject({ kind: 'rejected', code: 'NOT_AUTHORISED' });
  expect(on.zones.names()).toEqual(['admitHold']);
  on.zones.acts.admitHold = async () => ({
    ...{ release: digestOf('digits 1.0.0'), hold: digestOf('hold'), by: 'sam', reason: 'x' },
  });
  on.zones.acts.holdRelease = async () => {
    throw refusal('ERASED', 'its keys are gone');
  };
  const refused = await place();
  expect(await refused.result()).toMatchObject({ kind: 'rejected', code: 'ERASED' });
  await capture(refused, 'hold-refused');
  expect(on.zones.refused[0]).toMatchObject({ messages: ['hold'], reason: expect.stringMatching(/ERASED/) as string });
});

const ask = (continueAfter: number | null = null, workflowId = startLift(NAME).workflowId) =>
  on.env.client.workflow.start<typeof lift>('lift', {
    ...startLift(NAME),
    workflowId,
    args: [envelope('lift'), continueAfter],
  });

it('lifts holds once a quorum agrees, also over several histories', async () => {
  const handle = await ask(10);
  await on.zones.called('openLiftGate');
  await send(handle.workflowId, 'approve', decision('oscar', 'lift-1'));
  await on.zones.called('decide');
  const now = async () => (await on.env.client.workflow.getHandle(handle.workflowId).describe()).runId;
  await expect.poll(now).not.toBe(handle.firstExecutionRunId);
  await send(handle.workflowId, 'approve', decision('olga', 'lift-1'));
  expect(await handle.result()).toMatchObject({ kind: 'lifted', open: [] });
  expect(on.zones.argsOf('openLiftGate')).toHaveLength(1);
  expect(on.zones.names().slice(-2)).toEqual(['liftHolds', 'recordLifted']);
  await captureRuns(on.env.client, handle, ['lift-continued', 'lift-lifted']);
});

it('lifts nothing before that', async () => {
  const handle = await ask();
  await on.zones.called('openLiftGate');
  await send(handle.workflowId, 'approve', decision('oscar', 'lift-1', 'approve', 'forged'));
  await send(handle.workflowId, 'approve', decision('oscar', 'lift-1'));
  await send(handle.workflowId, 'approve', decision('oscar', 'lift-1'));
  expect(await handle.result()).toEqual({ kind: 'expired' });
  expect(on.zones.names()).not.toContain('liftHolds');
  await capture(handle, 'lift-expired');
});

it('lifts nothing that one person rejects, or that the vault refuses', async () => {
  const rejected = await ask();
  await on.zones.called('openLiftGate');
  await send(rejected.workflowId, 'reject', decision('oscar', 'lift-1', 'reject'));
  expect(await rejected.result()).toMatchObject({ kind: 'rejected', code: 'POLICY_REFUSED' });
  await capture(rejected, 'lift-rejected');
  expect(on.zones.names()).not.toContain('liftHolds');

  on.zones.acts.liftHolds = async () => {
    throw refusal('NOT_AUTHORISED', '1 more must approve');
  };
  const refused = await ask();
  await on.zones.called('openLiftGate', 2);
  for (const by of ['oscar', 'olga']) await send(refused.workflowId, 'approve', decision(by, 'lift-1'));
  expect(await refused.result()).toMatchObject({ kind: 'rejected', code: 'NOT_AUTHORISED' });
  await capture(refused, 'lift-refused');
  expect(on.zones.names()).not.toContain('recordLifted');
  expect(on.zones.refused.at(-1)).toMatchObject({ messages: ['lift'] });
});

it.each(['hold/digits', 'lift/digits/1.0.0', 'lifecycle/digits/1.0.0'])(
  'places no hold under the id %s',
  async (id) => {
    await expect((await place(id)).result()).rejects.toThrow();
    expect(on.zones.names()).toEqual([]);
  },
);

it('lifts none under another id', async () => {
  await expect((await ask(null, 'hold/digits/1.0.0')).result()).rejects.toThrow();
  expect(on.zones.names()).toEqual([]);
});
