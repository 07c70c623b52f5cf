import { isGrpcServiceError, WorkflowNotFoundError, type WorkflowHandle } from '@temporalio/client';
import type { Attempt } from './faults.js';
import { until } from './until.js';

const NOT_FOUND = 5;

type Event = NonNullable<Awaited<ReturnType<WorkflowHandle['fetchHistory']>>['events']>[number];

/** None where there is no such workflow. */
async function eventsOf(handle: WorkflowHandle): Promise<readonly Event[]> {
  try {
    return (await handle.fetchHistory()).events ?? [];
  } catch (error) {
    if (isGrpcServiceError(error) && Number(error.code) === NOT_FOUND) return [];
    throw error;
  }
}

/** Until no workflow waits for an activity, but for the watch of what serves. */
export async function settled(handles: readonly WorkflowHandle[]): Promise<void> {
  await until('all that is under way to be done', async () => {
    const open = (await Promise.all(handles.map(eventsOf))).flatMap(openIn);
    return open.length === 0 ? true : null;
  });
}

function openIn(events: readonly Event[]): string[] {
  const open = new Map<string, string>();
  for (const event of events) {
    const { activityTaskScheduledEventAttributes: scheduled, eventId } = event;
    if (scheduled) open.set(String(eventId), scheduled.activityType?.name ?? '');
    for (const ended of [
      event.activityTaskCompletedEventAttributes,
      event.activityTaskFailedEventAttributes,
      event.activityTaskTimedOutEventAttributes,
      event.activityTaskCanceledEventAttributes,
    ])
      if (ended) open.delete(String(ended.scheduledEventId));
  }
  return [...open.values()].filter((name) => name !== 'watchService');
}

/** Attempts that a worker has seen and the history has not. */
export async function notRecorded(handles: readonly WorkflowHandle[], attempts: readonly Attempt[]): Promise<string[]> {
  const recorded = new Map<string, number>();
  for (const handle of handles) {
    const events = await eventsOf(handle);
    const ids = new Map<string, string>();
    const cancelled = new Set(
      events.map((event) => String(event.activityTaskCanceledEventAttributes?.scheduledEventId)),
    );
    for (const event of events) {
      const { activityTaskScheduledEventAttributes: scheduled, activityTaskStartedEventAttributes: started } = event;
      if (scheduled) ids.set(String(event.eventId), scheduled.activityId ?? '');
      // What was cancelled has no beginning in the histories of this server.
      if (scheduled && cancelled.has(String(event.eventId)))
        recorded.set(`${handle.workflowId} ${scheduled.activityId ?? ''}`, -1);
      if (started)
        recorded.set(`${handle.workflowId} ${ids.get(String(started.scheduledEventId)) ?? ''}`, started.attempt ?? 0);
    }
  }
  const seen = new Map<string, Attempt>();
  for (const each of attempts) {
    const key = `${each.workflowId} ${each.activityId}`;
    if ((seen.get(key)?.attempt ?? 0) < each.attempt) seen.set(key, each);
  }
  return [...seen]
    .filter(
      ([key, { name, attempt }]) =>
        name !== 'watchService' && recorded.get(key) !== attempt && recorded.get(key) !== -1,
    )
    .map(
      ([key, { name, attempt }]) =>
        `${key}: attempt ${attempt} of ${name} is recorded as ${recorded.get(key) ?? 'none'}`,
    );
}

/** Ends those that go on. */
export async function terminate(handles: readonly WorkflowHandle[]): Promise<void> {
  for (const handle of handles)
    try {
      await handle.terminate('it is over');
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    }
}
