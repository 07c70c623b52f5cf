import { setTimeout } from 'node:timers/promises';
import {
  isGrpcServiceError,
  ServiceError,
  WorkflowFailedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { EndpointStatus } from '../domain/endpoint.js';
import { CustodyError, isErrorCode, type ErrorCode } from '../domain/errors.js';
import { GATES_WAITING, type LifecycleOutcome, type LifecycleStatus, type OpenGate } from '../domain/lifecycle.js';
import { endpointId, lifecycleId, parseLifecycleId, type ReleaseName } from '../domain/names.js';
import type { RequestPredicate, SignedEnvelope, Verified } from '../domain/statements.js';
import { envelopeDigest } from '../formats/dsse.js';
import type { Receipt } from '../workflows/messages.js';
import type { Custody } from './connect.js';

const ANSWER_MS = 30_000;
const QUERY_MS = 10_000;
// Of gRPC, which the client does not hand on.
const [DEADLINE_EXCEEDED, FAILED_PRECONDITION, UNAVAILABLE] = [4, 9, 14];
const WHO = 'the zone control runs it: `custody doctor` says whether its process is up';
const LATE = Symbol('late');
// What Temporal itself says of an update.
const UNREAD = 'UnprocessedUpdate';
const AGAIN_MS = 100;

/**
 * Sends a decision as an update and answers its verdict. The same envelope again is the same update. PENDING: no worker
 * answered in time; the message is on its way and may still count.
 */
export async function send(
  { temporal }: Custody,
  workflowId: string,
  name: string,
  envelope: SignedEnvelope,
  answerMs = ANSWER_MS,
): Promise<Receipt> {
  const handle = temporal.workflow.getHandle(workflowId);
  const deadline = Date.now() + answerMs;
  const sent = (): Promise<Receipt> =>
    temporal.withDeadline(deadline, () =>
      handle.executeUpdate<Receipt, [SignedEnvelope]>(name, { args: [envelope], updateId: envelopeDigest(envelope) }),
    );
  for (;;)
    try {
      return await sent();
    } catch (error) {
      if (!isUnread(error)) throw explain(error, workflowId, answerMs);
      await setTimeout(AGAIN_MS);
    }
}

/** The worker that was given it has died, and no workflow has seen it: this is no verdict. */
const isUnread = (error: unknown): boolean => verdictIn(error)?.type === UNREAD;

/** What an update was refused with, by its workflow or by Temporal. */
function verdictIn(error: unknown): ApplicationFailure | null {
  const isVerdict = error instanceof WorkflowUpdateFailedError && error.cause instanceof ApplicationFailure;
  return isVerdict ? error.cause : null;
}

/**
 * Starts a short workflow, or joins the one that runs under its id, and answers what it ends with. Fails as it was rejected.
 * PENDING: it has not ended in time, and goes on by itself.
 */
export async function runToEnd<O extends { readonly kind: string }>(
  { temporal }: Custody,
  type: 'policy' | 'resign' | 'promote' | 'consumer' | 'hold' | 'alert' | 'data',
  options: { readonly workflowId: string; readonly taskQueue: string; readonly staticSummary: string },
  argument: unknown,
): Promise<O> {
  const { workflowId } = options;
  const late = setTimeout(ANSWER_MS, LATE, { ref: false });
  const ended = async (): Promise<O | Rejected> => {
    const handle = await temporal.workflow.start(type, {
      ...options,
      args: [argument],
      workflowIdConflictPolicy: 'USE_EXISTING',
    });
    return (await handle.result()) as O | Rejected;
  };
  const outcome = await Promise.race([ended(), late]).catch((error: unknown) => {
    throw unanswered(error, workflowId, ANSWER_MS);
  });
  if (outcome !== LATE) {
    if (isRejected(outcome)) throw new CustodyError(outcome.code, outcome.reason);
    return outcome;
  }
  throw new CustodyError('PENDING', `${workflowId} has not ended in ${ANSWER_MS / 1000} s: it goes on by itself`);
}

interface Rejected {
  readonly kind: 'rejected';
  readonly code: ErrorCode;
  readonly reason: string;
}

function isRejected(outcome: { readonly kind: string }): outcome is Rejected {
  return outcome.kind === 'rejected';
}

function explain(error: unknown, workflowId: string, waitedMs: number): unknown {
  if (error instanceof WorkflowNotFoundError)
    return new CustodyError('INPUT_MISSING', `there is no running workflow ${workflowId}`, { cause: error });
  if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError)
    return new CustodyError(
      'PENDING',
      `${workflowId} has not answered in ${waitedMs / 1000} s: ${WHO}. The message is on its way, send the same again to learn its verdict`,
      { cause: error },
    );
  const verdict = verdictIn(error);
  if (verdict !== null) {
    const { type, message } = verdict;
    return new CustodyError(isErrorCode(type) ? type : 'INTERNAL', message, { cause: error });
  }
  return unanswered(error, workflowId, waitedMs);
}

/** Nobody behind Temporal answers, or Temporal does not; every other error as it is. */
function unanswered(error: unknown, workflowId: string, waitedMs: number): unknown {
  const status = error instanceof ServiceError ? error.cause : error;
  if (!isGrpcServiceError(status)) return error;
  const code: number = status.code;
  if (code === UNAVAILABLE)
    return new CustodyError('TEMPORAL_UNAVAILABLE', 'Temporal does not answer: is the stack up? (`custody doctor`)', {
      cause: error,
    });
  if (code !== DEADLINE_EXCEEDED && code !== FAILED_PRECONDITION) return error;
  return new CustodyError('PENDING', `${workflowId} has not answered in ${waitedMs / 1000} s: ${WHO}`, {
    cause: error,
  });
}

/** INPUT_MISSING: there is no such workflow. PENDING: control, which would answer, does not. */
export function lifecycleStatus(custody: Custody, name: ReleaseName): Promise<LifecycleStatus> {
  return query(custody, lifecycleId(name));
}

/** Fails as `lifecycleStatus` does. */
export function endpointStatus(custody: Custody, model: string): Promise<EndpointStatus> {
  return query(custody, endpointId(model));
}

async function query<T>({ temporal }: Custody, id: string): Promise<T> {
  try {
    return await temporal.withDeadline(Date.now() + QUERY_MS, () => temporal.workflow.getHandle(id).query<T>('status'));
  } catch (error) {
    if (error instanceof WorkflowNotFoundError)
      throw new CustodyError('INPUT_MISSING', `there is no workflow ${id}`, { cause: error });
    throw unanswered(error, id, QUERY_MS);
  }
}

export interface WaitingGate {
  readonly workflowId: string;
  readonly gate: OpenGate;
  readonly missing: number;
}

/** Everything that waits for people. */
export async function openGates(custody: Custody): Promise<readonly WaitingGate[]> {
  const waiting: WaitingGate[] = [];
  for await (const { workflowId } of custody.temporal.workflow.list({ query: GATES_WAITING })) {
    const status = await query<LifecycleStatus | EndpointStatus>(custody, workflowId);
    if (status.gate !== null) waiting.push({ workflowId, gate: status.gate, missing: status.missing });
  }
  return waiting;
}

/** A release that is neither in service nor ended, or that waits for people, with what its lifecycle says. */
export interface LifecycleUnderWay extends ReleaseName {
  readonly stage: string;
  readonly waiting: WaitingGate | null;
  readonly trouble: readonly string[];
}

/** Those of one model, or of all. A lifecycle that does not answer is there with that as its trouble. */
export async function lifecyclesUnderWay(
  custody: Custody,
  model: string | null,
): Promise<readonly LifecycleUnderWay[]> {
  const asked = `WorkflowType = 'lifecycle' AND ExecutionStatus = 'Running' AND (CustodyStage != 'in service' OR CustodyAwaiting IS NOT NULL)`;
  const found: LifecycleUnderWay[] = [];
  try {
    for await (const { workflowId } of custody.temporal.workflow.list({ query: asked })) {
      const name = parseLifecycleId(workflowId);
      if (name === null || (model !== null && name.model !== model)) continue;
      found.push({ ...name, ...(await standing(custody, workflowId)) });
    }
  } catch (error) {
    throw unanswered(error, 'Temporal', QUERY_MS);
  }
  return found;
}

async function standing(
  custody: Custody,
  workflowId: string,
): Promise<Pick<LifecycleUnderWay, 'stage' | 'waiting' | 'trouble'>> {
  try {
    const { stage, gate, missing, trouble } = await query<LifecycleStatus>(custody, workflowId);
    return { stage, waiting: gate === null ? null : { workflowId, gate, missing }, trouble };
  } catch (error) {
    if (!(error instanceof CustodyError)) throw error;
    return { stage: 'unknown', waiting: null, trouble: [error.message] };
  }
}

/** The open request that has this id. */
export async function gateById(custody: Custody, requestId: string): Promise<WaitingGate> {
  const gates = await openGates(custody);
  const waiting = gates.find(({ gate }) => gate.requestId === requestId);
  if (waiting !== undefined) return waiting;
  const open = gates.map(({ gate }) => gate.requestId).join(', ');
  throw new CustodyError('INPUT_MISSING', `no request ${requestId} waits for a decision (open: ${open || 'none'})`);
}

/** The request somebody is about to decide on, as it lies in WORM under its digest: what Temporal shows is not signed. */
export async function requestOf(
  { records }: Custody,
  { workflowId, gate }: WaitingGate,
): Promise<Verified<RequestPredicate>> {
  const { verified } = await records.get('request', gate.request);
  if (verified.predicate.requestId !== gate.requestId || verified.predicate.workflowId !== workflowId)
    throw new CustodyError('DIGEST_MISMATCH', `the workflow shows ${gate.requestId}, the store holds another request`);
  return verified;
}

/** How a lifecycle ended, once it has. */
export async function outcomeOf({ temporal }: Custody, name: ReleaseName): Promise<LifecycleOutcome> {
  try {
    return (await temporal.workflow.getHandle(lifecycleId(name)).result()) as LifecycleOutcome;
  } catch (error) {
    if (error instanceof WorkflowFailedError)
      throw new CustodyError('INTERNAL', `the workflow ${lifecycleId(name)} failed: ${error.cause?.message ?? ''}`, {
        cause: error,
      });
    throw error;
  }
}
