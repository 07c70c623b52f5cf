import { proxyActivities } from '@temporalio/workflow';

/** Somebody else's workflow in the namespace: it asks any zone for any activity, with made-up arguments. */
export async function call(zone: string, activity: string, args: readonly unknown[]): Promise<unknown> {
  const activities = proxyActivities<Record<string, (...args: readonly unknown[]) => Promise<unknown>>>({
    taskQueue: zone,
    startToCloseTimeout: '30 seconds',
    scheduleToCloseTimeout: '40 seconds',
    retry: { maximumAttempts: 2 },
  });
  const act = activities[activity];
  if (act === undefined) throw new Error(`no activity ${activity}`);
  return act(...args);
}
