import { proxyActivities } from '@temporalio/workflow';

const { nothing } = proxyActivities({ startToCloseTimeout: '1 minute' });

/** One activity after the other, as most workflows are written. */
export async function naive(activities) {
  for (let at = 0; at < activities; at += 1) await nothing(at);
}
