import { ApplicationFailure, CancellationScope, workflowInfo } from '@temporalio/workflow';
import type { StagePart } from '../activities/contract.js';
import type { Digest } from '../domain/digest.js';
import type { LifecycleOutcome, Progress, RolloutResult } from '../domain/lifecycle.js';
import { parseLifecycleId } from '../domain/names.js';
import { awaitGate, opened } from './gate.js';
import type { LifecycleInput } from './messages.js';
import { retire } from './retire.js';
import { LifecycleRun, type LifecycleCarried } from './run.js';
import { control, intake, refusalOf, serving, signing } from './zones.js';

/** An endpoint that knows nothing of the rollout for this long is sent its order again. */
const SILENT_MS = 2 * 60_000;
const MAX_SILENT = 30;
/** A rollout under way is asked about this often; its end is told by the endpoint. */
const UNDER_WAY_MS = 10 * 60_000;

/**
 * One release from its first byte to its destruction. Every stage that has ended is a record in WORM, and is not repeated.
 * `continueAfterEvents` ends a history earlier than Temporal suggests it; the last argument is what a run hands on.
 */
export async function lifecycle(
  input: LifecycleInput,
  continueAfterEvents: number | null = null,
  carried?: LifecycleCarried,
): Promise<LifecycleOutcome> {
  const name = parseLifecycleId(workflowInfo().workflowId);
  if (name === null)
    throw ApplicationFailure.nonRetryable('the workflow id is not lifecycle/<model>/<version>', 'USAGE');
  const run = new LifecycleRun(name, input, continueAfterEvents, carried);
  return CancellationScope.nonCancellable(() => toItsEnd(run));
}

async function toItsEnd(run: LifecycleRun): Promise<LifecycleOutcome> {
  void run.refuseStrays();
  run.progress = await control.resumeLifecycle(run.name);
  const outcome = run.progress.outcome ?? (await conclude(run, await lead(run)));
  run.progress = { ...run.progress, outcome };
  run.enter('ended');
  await run.close('the lifecycle has ended');
  return outcome;
}

async function lead(run: LifecycleRun): Promise<LifecycleOutcome> {
  try {
    return (await intoService(run)) ?? (await retire(run));
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal === null) throw error;
    return { kind: 'rejected', stage: run.at, ...refusal };
  }
}

/** A request that was never admitted leaves no record under the release's name: the next one may be genuine. */
async function conclude(run: LifecycleRun, outcome: LifecycleOutcome): Promise<LifecycleOutcome> {
  if (run.progress.admission === undefined) return outcome;
  return run.insist(() => control.recordOutcome(run.name, run.progress.ingested?.release ?? null, outcome));
}

/** From the request to the moment the release serves; an outcome if it never comes to that. */
async function intoService(run: LifecycleRun): Promise<LifecycleOutcome | null> {
  const { name } = run;
  const admission = await run.part('admission', 'admit', () => control.admitRelease(name, run.input.request));
  const ingested = await run.part('ingested', 'ingest', async () =>
    record(run, 'ingested', await intake.ingest(name, admission)),
  );
  const validated = await run.part('validated', 'validate', async () =>
    record(run, 'validated', await intake.validate(name, admission, ingested)),
  );
  if (validated.failed.length > 0) {
    const reason = `failed: ${validated.failed.join(', ')}`;
    return { kind: 'rejected', stage: 'validate', code: 'VALIDATION_FAILED', reason };
  }

  const refused = run.progress.approved === undefined ? await awaitApproval(run) : null;
  run.asking = false;
  if (refused !== null) return refused;

  await run.part('signed', 'sign', async () => record(run, 'signed', await signing.signRelease(name, run.progress)));
  const rollout = await run.part('rollout', 'roll out', async () => rollOut(run, ingested.release));
  if (rollout.kind === 'promoted') {
    run.enter('in service');
    return null;
  }
  await run.insist(() => serving.stopRelease(name, ingested.release));
  return rollout.kind === 'refused'
    ? { kind: 'rejected', stage: 'roll out', code: rollout.code, reason: rollout.reason }
    : { kind: 'rolled back', reason: rollout.reason };
}

async function awaitApproval(run: LifecycleRun): Promise<LifecycleOutcome | null> {
  const gate = await run.part('gate', 'approve', () => control.openDeployGate(run.name, run.progress));
  run.enter('approve');
  run.count(run.counting?.act === 'deploy' ? run.counting : opened('deploy', gate));
  const outcome = await awaitGate(run.inbox, run.counting ?? opened('deploy', gate), run.until.bind(run), (counting) =>
    run.count(counting),
  );
  run.asking = false;
  run.count(null);
  if (outcome.kind === 'expired') return { kind: 'expired', stage: 'approve' };
  if (outcome.kind === 'rejected')
    return { kind: 'rejected', stage: 'approve', code: 'POLICY_REFUSED', reason: `${outcome.by}: ${outcome.reason}` };
  await run.part('approved', 'approve', () => record(run, 'approved', outcome.approved));
  return null;
}

/** Hands over to the endpoint, which answers by signal; at each bound it is asked, and the same order sent again. */
async function rollOut(run: LifecycleRun, release: Digest): Promise<RolloutResult> {
  const { model, version } = run.name;
  const approved = run.progress.approved;
  if (approved === undefined) throw ApplicationFailure.nonRetryable('no approval to roll out with', 'INTERNAL');
  const { request, approvals } = approved;
  const order = { request, approvals, release, version, replyTo: workflowInfo().workflowId };
  for (let silent = 0; silent < MAX_SILENT;) {
    run.rolloutEnded = false;
    const state = await control.rolloutState(model, request);
    if (state !== null && state !== 'under way') return await record(run, 'rollout', state);
    silent = state === null ? silent + 1 : 0;
    if (state === null) await control.askEndpoint(model, order);
    await run.until(() => run.rolloutEnded, state === null ? SILENT_MS : UNDER_WAY_MS, 'waits for the endpoint');
  }
  // Recorded first: from then on no step of it is routed. What was routed all the same is taken out again.
  const ended = await record(run, 'rollout', {
    kind: 'refused',
    code: 'EXPIRED',
    reason: 'the endpoint did not answer',
  });
  if (ended.kind === 'refused') await run.insist(() => control.withdrawRelease(run.name, release));
  return ended;
}

function record<K extends StagePart>(
  run: LifecycleRun,
  part: K,
  value: NonNullable<Progress[K]>,
): Promise<NonNullable<Progress[K]>> {
  return control.record<K>(run.name, part, value, run.progress.ingested?.release ?? null);
}
