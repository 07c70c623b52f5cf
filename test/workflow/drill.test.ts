import { expect, it } from 'vitest';
import type { drill } from '../../workflows/index.js';
import { startDrill } from '../../workflows/messages.js';
import { capture, startTimeSkipping } from '../support/temporal.js';
import { attempt, deferred, digestOf, refusal, stage } from '../support/zones.js';

const on = stage(startTimeSkipping);

// The server with the clock that jumps has no schedules: the test starts each run as the schedule does.
let runs = 0;
const run = () =>
  on.env.client.workflow.start<typeof drill>('drill', {
    ...startDrill(),
    workflowId: `drill-${(runs += 1)}`,
    args: [],
  });
const stepsTaken = (): string[] => on.zones.argsOf('drillStep').map(([step]) => step);

it('goes back, stops and restores, in this order, and records what each took', async () => {
  const handle = await run();
  expect(await handle.result()).toMatchObject({
    ...{ kind: 'within', model: 'digits', serving: digestOf('digits 1.1.0'), earlier: digestOf('digits 1.0.0') },
    reason: 'rollback 90 of 100 ms, kill 90 of 100 ms, restore 90 of 100 ms',
  });
  expect(on.zones.names()).toEqual(['beginDrill', 'drillStep', 'drillStep', 'drillStep', 'recordDrill']);
  expect(stepsTaken()).toEqual(['rollback', 'kill', 'restore']);
  await capture(handle, 'drill-within');
});

it('touches nothing where it may not begin', async () => {
  on.zones.acts.beginDrill = async () => ({ kind: 'postponed', why: 'a release is being rolled out' });
  const postponed = await run();
  expect(await postponed.result()).toMatchObject({ kind: 'postponed', steps: [] });
  await capture(postponed, 'drill-postponed');
  on.zones.acts.beginDrill = async () => {
    throw refusal('CONFIG_INVALID', 'control has no key for drills');
  };
  expect(await (await run()).result()).toMatchObject({
    kind: 'failed',
    reason: 'CONFIG_INVALID: control has no key for drills',
  });
  expect(on.zones.names()).not.toContain('drillStep');
});

it('attack: a step that fails or is refused keeps no endpoint killed, and the drill has failed', async () => {
  on.zones.acts.drillStep = async (step) => {
    if (step === 'rollback') throw refusal('NOT_AUTHORISED', 'it may not');
    return step === 'kill'
      ? { ms: null, trouble: 'it had no effect: gateway 2 answers 200' }
      : { ms: 50, trouble: null };
  };
  const failed = await run();
  const ended = await failed.result();
  await capture(failed, 'drill-failed');
  expect(stepsTaken()).toEqual(['rollback', 'kill', 'restore']);
  expect(ended).toMatchObject({
    kind: 'failed',
    reason: 'rollback: NOT_AUTHORISED: it may not, kill: it had no effect: gateway 2 answers 200, restore 50 of 100 ms',
  });
});

it('says that a step took longer than agreed', async () => {
  on.zones.acts.drillStep = async (step) => ({ ms: step === 'kill' ? 101 : 1, trouble: null });
  expect(await (await run()).result()).toMatchObject({ kind: 'over' });
});

it('attack: control is killed between kill and restore: the next attempt goes on, and restores', async () => {
  const killed = deferred();
  on.zones.dead.add('drillStep');
  on.zones.acts.drillStep = async (step) => {
    if (step === 'restore' && attempt() === 1) await killed.promise;
    return { ms: 90, trouble: null };
  };
  expect(await (await run()).result()).toMatchObject({ kind: 'within' });
  expect(stepsTaken()).toEqual(['rollback', 'kill', 'restore', 'restore']);
  killed.resolve();
});
