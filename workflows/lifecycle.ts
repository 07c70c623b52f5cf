import { allHandlersFinished, ApplicationFailure, condition, setHandler, workflowInfo } from '@temporalio/workflow';
import type { StagePart } from '../activities/contract.js';
import type {
  LifecycleOutcome,
  LifecycleStatus,
  OpenGate,
  Progress,
  RolloutResult,
  Stage,
} from '../domain/lifecycle.js';
import { parseLifecycleId, type ReleaseName } from '../domain/names.js';
import { refuseAll } from './desk.js';
import { show } from './display.js';
import { awaitGate } from './gate.js';
import { Inbox } from './inbox.js';
import { LIFECYCLE_DECISIONS, lifecycleStatusQuery, rolloutEndedSignal, type LifecycleInput } from './messages.js';
import { retire } from './retire.js';
import { control, intake, refusalOf, serving, signing } from './zones.js';

/** A rollout that says nothing for this long is asked about, and its order sent again. */
const REPLY_BOUND = '2 minutes';
const REPLY_ATTEMPTS = 30;

/** One release from its first byte to its destruction. Every stage that has ended is a record in WORM, and is not repeated. */
export async function lifecycle(input: LifecycleInput): Promise<LifecycleOutcome> {
  const name = parseLifecycleId(workflowInfo().workflowId);
  if (name === null)
    throw ApplicationFailure.nonRetryable('the workflow id is not lifecycle/<model>/<version>', 'USAGE');
  const run = new Lifecycle(name, input);
  const outcome = await run.toItsEnd();
  await condition(allHandlersFinished);
  return outcome;
}

export class Lifecycle {
  readonly inbox = new Inbox(LIFECYCLE_DECISIONS);
  progress: Progress = {};
  private stage: Stage = 'admit';
  private gate: OpenGate | null = null;
  private rolloutEnded = false;
  readonly name: ReleaseName;
  private readonly input: LifecycleInput;

  constructor(name: ReleaseName, input: LifecycleInput) {
    this.name = name;
    this.input = input;
    setHandler(rolloutEndedSignal, () => {
      this.rolloutEnded = true;
    });
    setHandler(lifecycleStatusQuery, (): LifecycleStatus => ({
      stage: this.stage,
      progress: this.progress,
      awaiting: this.gate === null ? null : { what: this.gate.role, until: this.gate.expiresAt },
    }));
  }

  async toItsEnd(): Promise<LifecycleOutcome> {
    let outcome: LifecycleOutcome;
    try {
      outcome = (await this.intoService()) ?? (await retire(this));
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === null) throw error;
      outcome = { kind: 'rejected', stage: this.stage, ...refusal } as LifecycleOutcome;
    }
    await control.recordOutcome(this.name, this.progress.ingested?.release ?? null, outcome);
    this.enter('ended', [['Outcome', outcome.kind]]);
    const late = this.inbox.take(['approve', 'reject', 'retire', 'unknown'], 1_000);
    await refuseAll(this.name.model, late, 'the lifecycle has ended');
    return outcome;
  }

  /** From the request to the moment the release serves; an outcome if it never comes to that. */
  private async intoService(): Promise<LifecycleOutcome | null> {
    const { name } = this;
    this.progress = await control.resumeLifecycle(name);
    const admission = this.progress.admission ?? (await control.admitRelease(name, this.input.request));
    this.advance('ingest', { admission });

    const ingested = this.progress.ingested ?? (await this.record('ingested', await intake.ingest(name, admission)));
    this.advance('validate', { ingested });

    const validated =
      this.progress.validated ?? (await this.record('validated', await intake.validate(name, admission, ingested)));
    this.advance('approve', { validated });
    if (validated.failed.length > 0)
      return {
        kind: 'rejected',
        stage: 'validate',
        code: 'VALIDATION_FAILED',
        reason: `failed: ${validated.failed.join(', ')}`,
      };

    if (this.progress.approved === undefined) {
      const decided = await this.awaitApproval();
      if (decided !== null) return decided;
    }
    this.advance('sign', {});

    const signed =
      this.progress.signed ?? (await this.record('signed', await signing.signRelease(name, this.progress)));
    this.advance('roll out', { signed });

    const rollout = this.progress.rollout ?? (await this.rollOut(ingested.release));
    this.advance('in service', { rollout });
    if (rollout.kind === 'promoted') return null;
    await serving.stopRelease(name, ingested.release);
    return rollout.kind === 'refused'
      ? { kind: 'rejected', stage: 'roll out', code: rollout.code, reason: rollout.reason }
      : { kind: 'rolled back', reason: rollout.reason };
  }

  private async awaitApproval(): Promise<LifecycleOutcome | null> {
    const gate = this.progress.gate ?? (await control.openDeployGate(this.name, this.progress));
    this.await(gate);
    const outcome = await awaitGate(this.inbox, gate, 'deploy');
    this.await(null);
    if (outcome.kind === 'expired') return { kind: 'expired', stage: 'approve' };
    if (outcome.kind !== 'approved')
      return {
        kind: 'rejected',
        stage: 'approve',
        code: 'POLICY_REFUSED',
        reason: outcome.kind === 'rejected' ? `${outcome.by}: ${outcome.reason}` : outcome.kind,
      };
    const approved = await this.record('approved', outcome.approved);
    this.progress = { ...this.progress, gate, approved };
    return null;
  }

  /** Hands over to the endpoint, which answers by signal; at each bound it is asked, and the same order sent again. */
  private async rollOut(release: string): Promise<RolloutResult> {
    const approved = this.progress.approved;
    if (approved === undefined) throw ApplicationFailure.nonRetryable('no approval to roll out with', 'INTERNAL');
    const order = { ...approved, release, version: this.name.version, replyTo: workflowInfo().workflowId };
    for (let attempt = 0; attempt < REPLY_ATTEMPTS; attempt += 1) {
      await control.askEndpoint(this.name.model, order);
      const replied = await condition(() => this.rolloutEnded, REPLY_BOUND);
      const result = await control.rolloutResult(this.name.model, approved.request);
      if (result !== null) return await this.record('rollout', result);
      if (replied) this.rolloutEnded = false;
    }
    return { kind: 'refused', code: 'EXPIRED', reason: 'the endpoint did not answer' };
  }

  private record<K extends StagePart>(part: K, value: NonNullable<Progress[K]>): Promise<NonNullable<Progress[K]>> {
    const release = this.progress.ingested?.release ?? null;
    return control.record<K>(this.name, part, value, release);
  }

  advance(stage: Stage, ended: Progress): void {
    this.progress = { ...this.progress, ...ended };
    this.enter(stage, []);
  }

  await(gate: OpenGate | null): void {
    this.gate = gate;
    this.enter(this.stage, []);
  }

  private enter(stage: Stage, facts: readonly (readonly [string, string])[]): void {
    this.stage = stage;
    show({
      title: `${this.name.model} ${this.name.version}`,
      stage,
      digest: this.progress.ingested?.release ?? null,
      facts,
      gate: this.gate === null ? null : { open: this.gate, missing: this.gate.count },
    });
  }
}
