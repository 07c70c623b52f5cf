import type { temporal } from '@temporalio/proto';
import type { Custody } from './connect.js';

/** How a watch that is long goes on: nothing has failed. */
const GOES_ON = 'PENDING';

/**
 * What a workflow has tried, and tries again by itself, each with why it did not work the last time: of that the workflow itself
 * knows nothing until Temporal gives up.
 */
export async function retriesOf({ temporal }: Custody, workflowId: string): Promise<string[]> {
  const { raw } = await temporal.workflow.getHandle(workflowId).describe();
  return (raw.pendingActivities ?? []).flatMap(problemOf);
}

function problemOf({
  activityType,
  attempt,
  lastFailure,
}: temporal.api.workflow.v1.IPendingActivityInfo): readonly string[] {
  const code = lastFailure?.applicationFailureInfo?.type;
  if (lastFailure === null || lastFailure === undefined || code === GOES_ON) return [];
  const why = code === null || code === undefined || code === '' ? '' : `${code}: `;
  return [
    `${activityType?.name ?? 'an activity'} is tried again, attempt ${attempt ?? 1}: ${why}${lastFailure.message ?? ''}`,
  ];
}
