import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { endingReleases } from '../adapters/announced.js';
import { gatherInventory } from '../adapters/inventory.js';
import { dependentsOfRelease } from '../domain/dependents.js';
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

/** Whoever comes to depend on a release in its notice period is told now, and not when it would be looked at anyway. */
export async function wakeEndingsFor({ records, consumers, temporal }: Desk, consumer: string): Promise<void> {
  const ending = await endingReleases(records);
  if (ending.length === 0) return;
  const inventory = await gatherInventory(records, consumers, []);
  for (const name of ending)
    if (dependentsOfRelease(inventory, name).some(({ id }) => id === consumer))
      await wakeLifecycle(temporal, name, consumersChangedSignal);
}
