import { patched } from '@temporalio/workflow';
import type { LifecycleOutcome } from '../domain/lifecycle.js';
import { passGate } from './gate.js';
import { AUDITED_LATER, weigh } from './provisional.js';
import { retire } from './retire.js';
import type { LifecycleRun } from './run.js';
import { control } from './zones.js';

/** In service: an emergency is reviewed first, then the release serves until its retirement is agreed to. */
export async function inService(run: LifecycleRun): Promise<LifecycleOutcome> {
  const { admission, reviewed, retirement } = run.progress;
  if (admission?.riskAssessment !== undefined && reviewed === undefined && retirement === undefined) await review(run);
  return retire(run);
}

/** What was decided moves the time that the release stands until: for good, to that very moment, or not at all. */
async function review(run: LifecycleRun): Promise<void> {
  run.asking = true;
  const gate = await run.part('reviewGate', 'in service', () => control.openReviewGate(run.name, run.progress));
  run.enter('in service');
  const outcome = await passGate(run, 'review', gate);
  run.asking = false;
  if (outcome.kind === 'expired') return;
  const { by, statement } = outcome.kind === 'rejected' ? outcome : { by: '', statement: '' };
  const decided =
    outcome.kind === 'approved' ? outcome.approved : { request: gate.request, approvals: [statement], approvers: [by] };
  // What takes it back waits for no log.
  const later = outcome.kind === 'rejected' && patched(AUDITED_LATER);
  const reviewed = await run.part('reviewed', 'in service', () => run.record('reviewed', decided, later));
  if (later) run.audits.add(() => run.record('reviewed', reviewed));
  if (outcome.kind === 'rejected' && outcome.unnoted === true)
    run.audits.add(() => control.noteRejection(gate.request, outcome.statement));
  await weigh(run);
}
