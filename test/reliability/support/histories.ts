import type { WorkflowHandle } from '@temporalio/client';
import type { Attempt } from './faults.js';

const SETTLE_MS = 120_000;

type Event = NonNullable<Awaited<ReturnType<WorkflowHandle['fetchHistory']>>['events']>[number];

async function eventsOf(handle: WorkflowHandle): Promise<readonly Event[]> {
  try {
    return (await handle.fetchHistory()).events ?? [];
  } catch {
    return []; // There is no such workflow in this story.
  }
}

/** Until no workflow waits for an activity, but for the watch of what serves. */
export async function settled(handles: readonly WorkflowHandle[]): Promise<void> {
  for (const end = Date.now() + SETTLE_MS; Date.now() < end;) {
    const open = (await Promise.all(handles.map(eventsOf))).flatMap(openIn);
    if (open.length === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
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
