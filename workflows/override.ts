import { condition } from '@temporalio/workflow';
import type { LifecycleOutcome } from '../domain/lifecycle.js';
import { passGate } from './gate.js';
import { settle, settleRefused } from './verdicts.js';
import type { LifecycleRun } from './run.js';
import { failureOf } from './failures.js';
import { control } from './zones.js';

/** What has failed ends the release, unless override authorities lift exactly that in time. */
export async function liftFailure(run: LifecycleRun, failed: readonly string[]): Promise<LifecycleOutcome | null> {
  if (run.progress.overridden !== undefined) return null;
  const gate = await run.part('overrideGate', 'validate', () => control.openOverrideGate(run.name, run.progress));
  run.enter('override');
  const outcome = await passGate(run, 'override', gate);
  if (outcome.kind !== 'approved') {
    const reason = `failed: ${failed.join(', ')}; nobody has lifted it until ${gate.expiresAt}`;
    return { kind: 'rejected', stage: 'override', code: 'VALIDATION_FAILED', reason };
  }
  await run.part('overridden', 'override', () => run.record('overridden', outcome.approved));
  return null;
}

/** From the rollout on, further overrides renew the first ones: they move the time that the release stands until. */
export async function renewals(run: LifecycleRun): Promise<never> {
  for (;;) {
    await condition(() => isRenewable(run) && run.inbox.has('override'));
    const batch = run.inbox.take(['override']);
    try {
      const decisions = batch.map((item) => item.decision);
      const { verdicts, proviso } = await control.renewOverride(run.name, decisions);
      // What has lapsed meanwhile stays so.
      if (isRenewable(run)) run.stand(proviso);
      settle(batch, verdicts);
    } catch (error) {
      const failure = failureOf(error);
      if (failure === null) throw error;
      settleRefused(batch, failure);
    }
  }
}

function isRenewable({ proviso, progress }: LifecycleRun): boolean {
  return proviso !== null && progress.overridden !== undefined;
}
