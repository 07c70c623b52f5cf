import { WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError, type Client } from '@temporalio/client';
import { inParts } from '../../adapters/in-parts.js';
import { readUnderWay } from '../../adapters/under-way.js';
import { lifecycleId } from '../../domain/names.js';
import type { endpoint, lifecycle } from '../../workflows/index.js';
import { SEARCH_ATTRIBUTES, startEndpoint, startLifecycle } from '../../workflows/messages.js';
import { answer, counted, plain } from '../output.js';
import type { ConnectedSession } from '../session.js';

interface Options {
  readonly dryRun?: true;
}

/** One workflow that is to run, and how to start it. */
interface Wanted {
  readonly id: string;
  readonly start: (temporal: Client) => Promise<unknown>;
}

/**
 * Starts what is to run by the records and does not. Each reads from them how far it has come, and checks all of it: so nothing
 * is repeated, and nothing happens that would not have happened anyway. What runs is left alone.
 */
export async function reconcile(session: ConnectedSession, { dryRun }: Options): Promise<void> {
  const { temporal, records } = session.custody;
  const { lifecycles, ended, models, odd } = await readUnderWay(records);
  const wanted: Wanted[] = [
    ...models.map((model) => ({
      id: startEndpoint(model).workflowId,
      start: (on: Client) => on.workflow.start<typeof endpoint>('endpoint', { ...startEndpoint(model), args: [] }),
    })),
    ...lifecycles.map(({ name, request }) => ({
      id: lifecycleId(name),
      start: (on: Client) =>
        on.workflow.start<typeof lifecycle>('lifecycle', {
          ...startLifecycle(name),
          args: [{ request }],
          typedSearchAttributes: [{ key: SEARCH_ATTRIBUTES.model, value: name.model }],
        }),
    })),
  ];
  const states = await inParts(wanted, async (each) => ({ id: each.id, state: await bring(temporal, each, dryRun) }));
  const of = (state: 'started' | 'running'): string[] =>
    states.filter((each) => each.state === state).map(({ id }) => id);
  const [started, running] = [of('started'), of('running')];
  const verb = dryRun === true ? 'would be started again' : 'started again';
  answer(session, { started, running, ended, odd }, [
    ...started.map((id) => `${plain(id)} ${verb}`),
    ...odd.map(({ id, why }) => `${plain(id)} passed over: ${plain(why)}`),
    `${counted(started.length, 'workflow')} ${verb}, ${running.length} running, ${ended} ended`,
  ]);
}

async function bring(temporal: Client, { id, start }: Wanted, dryRun?: true): Promise<'started' | 'running'> {
  if (dryRun === true) return (await isRunning(temporal, id)) ? 'running' : 'started';
  try {
    await start(temporal);
    return 'started';
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    return 'running';
  }
}

async function isRunning(temporal: Client, id: string): Promise<boolean> {
  try {
    return (await temporal.workflow.getHandle(id).describe()).status.name === 'RUNNING';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}
