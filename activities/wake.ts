import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { endingReleases } from '../adapters/announced.js';
import { lifecycleId, type ReleaseName } from '../domain/names.js';
import { consumersChangedSignal, type holdLiftedSignal } from '../workflows/messages.js';
import type { Desk } from './control.js';

/** A lifecycle looks again by itself at what it waits for; one that has ended waits for nothing. */
export async function wakeLifecycle(
  temporal: Client,
  name: ReleaseName,
  signal: typeof holdLiftedSignal | typeof consumersChangedSignal,
): Promise<void> {
  try {
    await temporal.workflow.getHandle(lifecycleId(name)).signal(signal);
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
}

/** Whoever comes to depend on these models is told now that releases of theirs are to end, and not when that is looked at anyway. */
export async function wakeEndings({ records, temporal }: Desk, models: readonly string[]): Promise<void> {
  for (const model of models)
    for (const name of await endingReleases(records, model))
      await wakeLifecycle(temporal, name, consumersChangedSignal);
}
