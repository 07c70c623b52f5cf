import { CancelledFailure, Context } from '@temporalio/activity';
import type { WorkflowHandle } from '@temporalio/client';
import { expect, it } from 'vitest';
import { ROUND_MS } from '../../activities/watch-service.js';
import type { ServiceVerdict } from '../../domain/endpoint.js';
import { startEndpoint } from '../../workflows/messages.js';
import type { endpoint } from '../../workflows/index.js';
import { startTimeSkipping } from '../support/temporal.js';
import { deferred, digestOf, stage } from '../support/zones.js';

const on = stage(startTimeSkipping);
const DAY_MS = 24 * 3_600_000;
/** Within the time after which a watch counts as dead. */
const BEAT_MS = 9_000;
/** Far fewer than Temporal asks for, so that a day has the ends of several runs in it. */
const LONGEST = 20;

/** A watch that sees nothing for its whole round, by the server's clock, and says all the time that it is alive. */
async function seesNothing(revision: number, beaten: () => void): Promise<ServiceVerdict> {
  const context = Context.current();
  const { taskToken } = context.info;
  const { client, namespace = 'default' } = on.env;
  for (let passed = 0; passed < ROUND_MS; passed += BEAT_MS) {
    // To its worker by the real clock, and to the server by the server's.
    context.heartbeat();
    const { cancelRequested } = await client.workflowService.recordActivityTaskHeartbeat({ namespace, taskToken });
    if (cancelRequested) throw new CancelledFailure('the watch is to end');
    await on.env.sleep(BEAT_MS);
    beaten();
  }
  return { kind: 'again', revision };
}

/** The events of every run of the workflow, from the first on. */
async function eventsOfRuns(first: WorkflowHandle): Promise<number[]> {
  const lengths: number[] = [];
  for (let runId: string | undefined | null = (await first.describe()).runId; runId != null;) {
    const { events } = await on.env.client.workflow.getHandle(first.workflowId, runId).fetchHistory();
    lengths.push(events?.length ?? 0);
    runId = events?.at(-1)?.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId;
  }
  return lengths;
}

it('a day of a quiet, watched endpoint is fewer than 100 events, those of continued runs counted', async () => {
  const serving = [{ release: digestOf('1.0.0'), version: '1.0.0', weight: 100 }];
  on.zones.position = { revision: 3, document: digestOf('3'), serving, killedBy: [] };
  const day = deferred();
  let left = DAY_MS / BEAT_MS;
  on.zones.acts.watchService = (_model, revision) =>
    seesNothing(revision, () => {
      left -= 1;
      if (left === 0) day.resolve();
    });
  const startedAt = await on.env.currentTimeMs();
  const started = await on.env.client.workflow.start<typeof endpoint>('endpoint', {
    ...startEndpoint('quiet'),
    args: [LONGEST],
  });
  const first = on.env.client.workflow.getHandle(started.workflowId, started.firstExecutionRunId);
  // Its clock stands still unless a result is awaited.
  const ended = started.result().catch(() => 'ended');
  await day.promise;
  const lengths = await eventsOfRuns(first);
  expect((await on.env.currentTimeMs()) - startedAt).toBeGreaterThanOrEqual(DAY_MS);
  expect(lengths.length).toBeGreaterThan(1);
  expect(lengths.reduce((sum, length) => sum + length, 0)).toBeLessThan(100);
  await on.env.client.workflow.getHandle(started.workflowId).terminate('the day is over');
  expect(await ended).toBe('ended');
}, 600_000);
