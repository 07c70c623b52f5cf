import type { Client } from '@temporalio/client';
import type { SignalDefinition } from '@temporalio/common';
import { startEndpoint } from '../workflows/messages.js';

/** Signals the endpoint of a model; one that does not run is started by it. */
export async function tellEndpoint<T>(
  temporal: Client,
  model: string,
  signal: string | SignalDefinition<[T]>,
  said: T,
): Promise<void> {
  await temporal.workflow.signalWithStart('endpoint', {
    ...startEndpoint(model),
    signal,
    signalArgs: [said],
    args: [],
    workflowIdConflictPolicy: 'USE_EXISTING',
  });
}
