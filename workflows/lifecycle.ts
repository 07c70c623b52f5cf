import { ApplicationFailure, CancellationScope, condition, workflowInfo } from '@temporalio/workflow';
import type { Digest } from '../domain/digest.js';
import type { LifecycleOutcome, RolloutResult } from '../domain/lifecycle.js';
import { parseLifecycleId } from '../domain/names.js';
import { given, handedOn } from './arguments.js';
import { emergencies, endCondemned } from './condemned.js';
import { passGate } from './gate.js';
import { inService } from './in-service.js';
import type { LifecycleInput } from './messages.js';
import { liftFailure, renewals } from './override.js';
import { Lapsed, rollBack, Stopped, weigh } from './provisional.js';
import { LifecycleRun, type LifecycleCarried } from './run.js';
import { refusalOf } from './failures.js';
import { control, intake, serving, signing } from './zones.js';

/** An endpoint that knows nothing of the rollout for this long is sent its order again. */
const SILENT_MS = 2 * 60_000;
const MAX_SILENT = 30;
/** A rollout under way is asked about after this long, and then ever less often; its end is told by the endpoint. */
const UNDER_WAY_MS = 10 * 60_000;
const LONGEST_UNDER_WAY_MS = 4 * 3_600_000;

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
  const run = new LifecycleRun(name, input, continueAfterEvents, handedOn(carried));
  return CancellationScope.nonCancellable(() => toItsEnd(run));
}

async function toItsEnd(run: LifecycleRun): Promise<LifecycleOutcome> {
  void run.refuseStrays();
  void renewals(run);
  void emergencies(run);
  run.progress = await control.resumeLifecycle(run.name);
  run.resumed = true;
  const outcome = run.progress.outcome ?? (await conclude(run, await ended(run)));
  run.progress = { ...run.progress, outcome };
  run.enter('ended');
  await run.close('the lifecycle has ended');
  return outcome;
}

/** From here on nothing can change how it ends; what was under way then still does. */
async function ended(run: LifecycleRun): Promise<LifecycleOutcome> {
  const outcome = await lead(run);
  run.closed ??= 'the lifecycle has ended';
  await condition(() => run.inbox.settled);
  return run.condemned === null ? outcome : endCondemned(run);
}

/** A release that is condemned on its way, whatever that has come to meanwhile, ends as such. */
async function lead(run: LifecycleRun): Promise<LifecycleOutcome> {
  if (run.progress.condemned !== undefined) return endCondemned(run);
  try {
    const outcome = await through(run);
    if (run.condemned === null) return outcome;
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
  }
  return endCondemned(run);
}

async function through(run: LifecycleRun): Promise<LifecycleOutcome> {
  try {
    if (run.progress.lapsed !== undefined && run.progress.retirement === undefined)
      throw new Lapsed(run.progress.lapsed);
    return (await intoService(run)) ?? (await inService(run));
  } catch (error) {
    if (error instanceof Lapsed) return rollBack(run, error.proviso);
    const refusal = refusalOf(error);
    if (refusal === null) throw error;
    return { kind: 'rejected', stage: run.stage, ...refusal };
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
  const { request, riskAssessment = null } = given(run.input);
  const admission = await run.part('admission', 'admit', () => control.admitRelease(name, request, riskAssessment));
  const ingested = await run.part('ingested', 'ingest', async () =>
    run.record('ingested', await intake.ingest(name, admission)),
  );
  const validated = await run.part('validated', 'validate', async () =>
    run.record('validated', await intake.validate(name, admission, ingested)),
  );
  const blocked = validated.failed.length > 0 ? await liftFailure(run, validated.failed) : null;
  if (blocked !== null) return blocked;

  const refused = run.progress.approved === undefined ? await awaitApproval(run) : null;
  run.asking = false;
  if (refused !== null) return refused;

  await run.part('signed', 'sign', async () => run.record('signed', await signing.signRelease(name, run.progress)));
  await weigh(run);
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
  const outcome = await passGate(run, 'deploy', gate);
  run.asking = false;
  if (outcome.kind === 'expired') return { kind: 'expired', stage: 'approve' };
  if (outcome.kind === 'rejected')
    return { kind: 'rejected', stage: 'approve', code: 'POLICY_REFUSED', reason: `${outcome.by}: ${outcome.reason}` };
  await run.part('approved', 'approve', () => run.record('approved', outcome.approved));
  return null;
}

/** Hands over to the endpoint, which answers by signal; at each bound it is asked, and the same order sent again. */
async function rollOut(run: LifecycleRun, release: Digest): Promise<RolloutResult> {
  const { model, version } = run.name;
  const approved = run.progress.approved;
  if (approved === undefined) throw ApplicationFailure.nonRetryable('no approval to roll out with', 'INTERNAL');
  const { request, approvals } = approved;
  const order = { request, approvals, release, version, replyTo: workflowInfo().workflowId };
  let patience = UNDER_WAY_MS;
  for (let silent = 0; silent < MAX_SILENT;) {
    run.rolloutEnded = false;
    const state = await control.rolloutState(model, request);
    if (state !== null && state !== 'under way') return await run.record('rollout', state);
    silent = state === null ? silent + 1 : 0;
    if (state === null) await control.askEndpoint(model, order);
    await run.until(() => run.rolloutEnded, state === null ? SILENT_MS : patience, 'waits for the endpoint');
    if (state !== null) patience = Math.min(2 * patience, LONGEST_UNDER_WAY_MS);
  }
  // Recorded first: from then on no step of it is routed. What was routed all the same is taken out again.
  const ended = await run.record('rollout', {
    kind: 'refused',
    code: 'EXPIRED',
    reason: 'the endpoint did not answer',
  });
  if (ended.kind === 'refused') await run.insist(() => control.withdrawRelease(run.name, release));
  return ended;
}
