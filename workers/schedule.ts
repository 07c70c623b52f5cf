import { ScheduleAlreadyRunning, ScheduleOverlapPolicy, type Client, type ScheduleOptions } from '@temporalio/client';
import { PERIOD_MS } from '../domain/retention.js';
import { startRetention } from '../workflows/messages.js';

const SCHEDULE_ID = 'retention';

const spec = { intervals: [{ every: PERIOD_MS }] } satisfies ScheduleOptions['spec'];
const policies = {
  // One that hangs is not joined by another; one that Temporal's outage has kept from its time is made up for.
  overlap: ScheduleOverlapPolicy.SKIP,
  catchupWindow: PERIOD_MS,
  pauseOnFailure: false,
} satisfies ScheduleOptions['policies'];
const action = {
  type: 'startWorkflow',
  workflowType: 'retention',
  args: [],
  ...startRetention(),
} satisfies ScheduleOptions['action'];

/**
 * Makes the schedule that extends locks, with a first run at once; one that is there, and that somebody may have changed, is
 * made what it should be. Whether people have paused it is theirs: a run that does not come is an alarm.
 */
export async function ensureRetentionSchedule({ schedule }: Client): Promise<void> {
  try {
    await schedule.create({
      scheduleId: SCHEDULE_ID,
      spec,
      policies,
      action,
      state: { triggerImmediately: true, note: 'extends the locks of what must stay' },
    });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    await schedule.getHandle(SCHEDULE_ID).update(({ state }) => ({ spec, policies, action, state }));
  }
}
