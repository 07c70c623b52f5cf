import { ScheduleNotFoundError } from '@temporalio/client';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Records } from '../../adapters/records.js';
import type { DrillRules } from '../../domain/drill.js';
import { CustodyError } from '../../domain/errors.js';
import { DrillSchedule } from '../../workers/schedule.js';
import { startDevServer } from '../support/temporal.js';

/** What the policy in force says, and a real Temporal that nobody works for: a schedule is looked at, and starts nothing. */
const HOUR = 3600;
const RULES: DrillRules = {
  model: 'practice',
  everySeconds: 24 * HOUR,
  rollbackMs: 1000,
  killMs: 2000,
  restoreMs: 5000,
};

let env: TestWorkflowEnvironment;
let newest: { version: number; drills?: DrillRules };
let readable: boolean;
let schedule: DrillSchedule;
let errors: unknown[];

const records = {
  policies: async () => {
    if (!readable) throw new CustodyError('STORE_UNAVAILABLE', 'no answer');
    return { newest };
  },
} as unknown as Records;

beforeAll(async () => {
  env = await startDevServer();
});
afterAll(() => env.teardown());
beforeEach(() => {
  newest = { version: 1 };
  readable = true;
  errors = [];
  schedule = new DrillSchedule(env.client, records, (error) => errors.push(error));
});
afterEach(async () => {
  schedule.stop();
  await handle()
    .delete()
    .catch(() => undefined);
});

const handle = () => env.client.schedule.getHandle('drill');
const described = () => handle().describe();
/** `null`: there is none. */
async function planned(): Promise<object | null> {
  try {
    const { spec, action, policies, state } = await described();
    const { every } = spec.intervals?.[0] ?? { every: 0 };
    const { workflowType, taskQueue } = action;
    return { every, workflowType, taskQueue, overlap: policies.overlap, paused: state.paused, note: state.note };
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return null;
    throw error;
  }
}
const plan = (rules: DrillRules) => ({
  ...{ every: rules.everySeconds * 1000, workflowType: 'drill', taskQueue: 'control', overlap: 'SKIP', paused: false },
  note: `drills ${rules.model}, as the policy has it`,
});
/** Another policy comes into force. */
async function apply(drills?: DrillRules): Promise<void> {
  newest = { version: newest.version + 1, ...(drills === undefined ? {} : { drills }) };
  await schedule.follow();
}

describe('the schedule of drills', () => {
  it('is made, changed and taken away by the policy, and holds no drill at once', async () => {
    await schedule.follow();
    expect(await planned()).toBeNull();
    await apply(RULES);
    expect(await planned()).toEqual(plan(RULES));
    const other = { ...RULES, model: 'exercise', everySeconds: 2 * HOUR };
    await apply(other);
    expect(await planned()).toEqual(plan(other));
    expect((await described()).info.numActionsTaken).toBe(0);
    await apply();
    expect(await planned()).toBeNull();
    await apply();
    await apply(RULES);
    expect(await planned()).toEqual(plan(RULES));
  });

  it('attack: that somebody has made into something else is made what it should be; that people have paused stays so', async () => {
    await apply(RULES);
    await handle().update((before) => ({
      ...before,
      spec: { intervals: [{ every: '1 second' }] },
      action: { type: 'startWorkflow', workflowType: 'retention', taskQueue: 'theirs', workflowId: 'x', args: [] },
      state: { ...before.state, paused: true, note: 'until the move is over' },
    }));
    await apply({ ...RULES, everySeconds: HOUR });
    const expected = { ...plan({ ...RULES, everySeconds: HOUR }), paused: true, note: 'until the move is over' };
    expect(await planned()).toEqual(expected);
  });

  it('is followed by a control that has been started anew, also where the policy has let go of it meanwhile', async () => {
    await apply(RULES);
    newest = { version: 9 };
    await new DrillSchedule(env.client, records, (error) => errors.push(error)).follow();
    expect(await planned()).toBeNull();
  });

  it('follows by itself, and goes on once the store answers again', async () => {
    readable = false;
    newest = { version: 5, drills: RULES };
    schedule.start();
    await expect.poll(() => errors.length).toBeGreaterThan(0);
    expect(await planned()).toBeNull();
    readable = true;
    await expect.poll(planned).toEqual(plan(RULES));
    newest = { version: 6 };
    await expect.poll(planned).toBeNull();
  });
});
