import { condition } from '@temporalio/workflow';
import type { LifecycleOutcome, Retirement } from '../domain/lifecycle.js';
import { refuseAll } from './desk.js';
import { awaitGate } from './gate.js';
import { settle } from './inbox.js';
import type { Lifecycle } from './lifecycle.js';
import { control, refusalOf, serving, signing } from './zones.js';

/** In service until somebody asks for its retirement and a quorum agrees; then notice, drain, revoke, destroy, prove. */
export async function retire(run: Lifecycle): Promise<LifecycleOutcome> {
  const { name } = run;
  const release = run.progress.ingested?.release ?? '';
  const retirement = run.progress.retirement ?? (await agreed(run, release));
  run.advance('retire', { retirement });

  const left = Date.parse(retirement.retiresAt) - Date.now();
  // The notice period is waited out whole: nothing that arrives can shorten it.
  if (left > 0) await interruptibleWait(run, left);

  await control.withdrawRelease(name, release);
  await serving.stopRelease(name, release);
  const revocation = await signing.revokeRelease(name, release, retirement);
  const certificate = await signing.destroyKeys(name, release, retirement, revocation);
  return { kind: 'retired', certificate };
}

/** Waits for a request that is admitted and approved; a refused or expired one leaves the release in service. */
async function agreed(run: Lifecycle, release: string): Promise<Retirement> {
  for (;;) {
    await condition(() => run.inbox.has('retire', 'approve', 'reject', 'unknown'));
    const stray = run.inbox.take(['approve', 'reject', 'unknown']);
    await refuseAll(run.name.model, stray, 'nothing waits for a decision');
    const [asked] = run.inbox.take(['retire'], 1);
    if (asked === undefined) continue;
    try {
      const gate = await control.openRetireGate(run.name, release, asked.decision.envelope);
      settle([asked], [{ accepted: true, by: gate.requestId, statement: gate.request }]);
      run.await(gate);
      const outcome = await awaitGate(run.inbox, gate, 'retire');
      run.await(null);
      if (outcome.kind === 'approved') return await control.giveNotice(run.name, release, outcome.approved);
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === null) throw error;
      run.await(null);
      settle([asked], [{ accepted: false, ...refusal }]);
    }
  }
}

async function interruptibleWait(run: Lifecycle, ms: number): Promise<void> {
  const until = Date.now() + ms;
  for (;;) {
    const left = until - Date.now();
    const arrived = left > 0 && (await condition(() => run.inbox.has('approve', 'reject', 'retire', 'unknown'), left));
    if (!arrived) return;
    await refuseAll(
      run.name.model,
      run.inbox.take(['approve', 'reject', 'retire', 'unknown']),
      'the release is being retired',
    );
  }
}
