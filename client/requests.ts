import type { ConsumerPredicate } from '../domain/consumers.js';
import type { Digest } from '../domain/digest.js';
import {
  consumerId,
  holdId,
  lifecycleId,
  liftId,
  promoteId,
  resignId,
  trainingId,
  type ReleaseName,
} from '../domain/names.js';
import type { AcknowledgementPredicate } from '../domain/ending-predicates.js';
import type { OverridePredicate, RiskAssessment } from '../domain/provisional-predicates.js';
import type { RequestAction, RequestPredicate, SignedEnvelope, Verified } from '../domain/statements.js';
import { isoTime, plusSeconds } from '../domain/time.js';
import { envelopeDigest } from '../formats/dsse.js';
import { canonicalBytes } from '../formats/jcs.js';
import { newNonce as nonce, signRequest, validity, type Asked, type Signer } from '../formats/requests.js';
import { sha256 } from '../formats/sha256.js';
import { signStatement } from '../formats/statements.js';
import { VULNERABILITY } from '../domain/vulnerability.js';

export { orderKill, orderRollback, requestRestore, type Signer } from '../formats/requests.js';

const REQUEST_SECONDS = 24 * 3600;
const DECISION_SECONDS = 3600;
const DAY_SECONDS = 86_400;
/** It is acted on at once; the short life bounds how long a copy of it could do harm. */
const CONDEMN_SECONDS = 600;

function request(
  signer: Signer,
  workflowId: string,
  about: Asked['about'],
  action: RequestAction,
  seconds = REQUEST_SECONDS,
): SignedEnvelope {
  return signRequest(signer, { workflowId, about, action, seconds });
}

export function requestTraining(
  signer: Signer,
  {
    model,
    version,
    run,
    trainer,
    commit,
    hyperparameters,
    data,
  }: ReleaseName & { run: string; trainer: string; commit: string; hyperparameters: Digest; data: Digest },
): SignedEnvelope {
  const about = { model, version, release: null };
  return request(signer, trainingId(model, run), about, { kind: 'train', run, trainer, commit, hyperparameters, data });
}

export function requestRelease(
  signer: Signer,
  name: ReleaseName,
  places: Omit<Extract<RequestAction, { kind: 'release' }>, 'kind'>,
  assessment: SignedEnvelope | null = null,
): SignedEnvelope {
  const evidence = assessment === null ? {} : { riskAssessment: envelopeDigest(assessment) };
  const about = { ...name, release: null };
  const action = { kind: 'release', ...places } as const;
  return signRequest(signer, { workflowId: lifecycleId(name), about, action, seconds: REQUEST_SECONDS, evidence });
}

/** Why this release cannot wait, by whoever asks for it. */
export function assessRisk(
  { key, environment }: Signer,
  { release, ...name }: ReleaseName & { readonly release: Digest },
  assessment: RiskAssessment,
): SignedEnvelope {
  const said = { environment, ...name, assessment, issuedAt: isoTime(Date.now()) };
  return signStatement('riskAssessment', { name: lifecycleId(name), sha256: release }, said, [key]);
}

/** Lifts what this request says has failed, which the signer has seen, for so long. */
export function overrideFailure(
  { key }: Pick<Signer, 'key'>,
  { digest, predicate }: Verified<RequestPredicate>,
  { lifts, justification, seconds }: { lifts: readonly string[]; justification: string; seconds: number },
): SignedEnvelope {
  const { requestId, environment, workflowId, release, evidence } = predicate;
  const { issuedAt, expiresAt } = validity(DECISION_SECONDS);
  const said: OverridePredicate = {
    requestId,
    nonce: nonce(),
    environment,
    workflowId,
    release: release ?? '',
    testResult: evidence['testResult'] ?? '',
    lifts,
    justification,
    holdsUntil: plusSeconds(issuedAt, seconds),
    issuedAt,
    expiresAt,
  };
  return signStatement('override', { name: requestId, sha256: digest }, said, [key]);
}

export function requestRetirement(
  signer: Signer,
  name: ReleaseName,
  { release, vulnerability, ...said }: Retiring,
  withinSeconds: number,
): SignedEnvelope {
  const action = { kind: 'retire', ...said } as const;
  const asked = { workflowId: lifecycleId(name), about: { ...name, release }, action, seconds: withinSeconds };
  return signRequest(
    signer,
    vulnerability === undefined ? asked : { ...asked, evidence: { [VULNERABILITY]: vulnerability } },
  );
}

interface Retiring {
  readonly release: Digest;
  readonly reason: string;
  readonly noticeSeconds: number;
  /** What its callers are to use then. */
  readonly instead?: string;
  readonly fallback?: Digest;
  readonly despite?: readonly string[];
  /** The notice that has condemned it: nobody waits for a period then. */
  readonly vulnerability?: Digest;
}

/** What a security authority says to stop a release for good. */
export function condemnRelease(
  { key, environment }: Pick<Signer, 'key' | 'environment'>,
  { release, ...name }: ReleaseName & { readonly release: Digest },
  said: { readonly vulnerability: string; readonly reason: string },
): SignedEnvelope {
  const predicate = { environment, ...name, ...said, ...validity(CONDEMN_SECONDS) };
  return signStatement('vulnerability', { name: lifecycleId(name), sha256: release }, predicate, [key]);
}

/** What a consumer was told of. */
export interface Notified extends ReleaseName {
  readonly release: Digest;
  /** The request to retire it. */
  readonly request: Digest;
  readonly consumer: string;
}

export function acknowledgeNotice(signer: Pick<Signer, 'key' | 'environment'>, about: Notified): SignedEnvelope {
  return signStatement('acknowledgement', noticeSubject(about), noticeAnswer(signer, about), [signer.key]);
}

export function waiveNotice(
  signer: Pick<Signer, 'key' | 'environment'>,
  about: Notified,
  reason: string,
): SignedEnvelope {
  return signStatement('waiver', noticeSubject(about), { ...noticeAnswer(signer, about), reason }, [signer.key]);
}

const noticeSubject = (about: Notified) => ({ name: lifecycleId(about), sha256: about.release });

const noticeAnswer = ({ environment }: Pick<Signer, 'environment'>, about: Notified): AcknowledgementPredicate => ({
  environment,
  model: about.model,
  version: about.version,
  consumer: about.consumer,
  request: about.request,
  issuedAt: isoTime(Date.now()),
});

export function requestResign(signer: Signer, name: ReleaseName, release: Digest): SignedEnvelope {
  return request(signer, resignId(name), { ...name, release }, { kind: 'resign' });
}

export function requestPromotion(signer: Signer, name: ReleaseName, release: Digest): SignedEnvelope {
  return request(signer, promoteId(name), { ...name, release }, { kind: 'promote' });
}

/** Nothing of this release may be erased until a quorum lifts it. */
export function orderHold(
  { key, environment }: Pick<Signer, 'key' | 'environment'>,
  name: ReleaseName,
  release: Digest,
  reason: string,
): SignedEnvelope {
  const order = { environment, ...name, nonce: nonce(), reason, ...validity(DECISION_SECONDS) };
  return signStatement('hold', { name: holdId(name), sha256: release }, order, [key]);
}

export function requestLift(
  signer: Signer,
  name: ReleaseName,
  { release, holds, reason }: { release: Digest; holds: readonly Digest[]; reason: string },
  withinSeconds: number,
): SignedEnvelope {
  return request(signer, liftId(name), { ...name, release }, { kind: 'lift', holds, reason }, withinSeconds);
}

/** One person's decision on one request, which they have seen. */
export function decide(
  { key }: Pick<Signer, 'key'>,
  { digest, predicate }: Verified<RequestPredicate>,
  decision: 'approve' | 'reject',
  reason: string,
): SignedEnvelope {
  const { requestId, environment, workflowId } = predicate;
  const approval = {
    requestId,
    nonce: nonce(),
    environment,
    workflowId,
    decision,
    reason,
    ...validity(DECISION_SECONDS),
  };
  return signStatement('approval', { name: requestId, sha256: digest }, approval, [key]);
}

/** What is said of a consumer from now on. */
export function declareConsumer(
  { key, environment }: Signer,
  said: Omit<ConsumerPredicate, 'environment' | 'issuedAt' | 'expiresAt'>,
  days: number,
): SignedEnvelope {
  const declared = { environment, ...said, ...validity(days * DAY_SECONDS) };
  const subject = { name: consumerId(said.consumer, said.sequence), sha256: sha256(canonicalBytes(declared)) };
  return signStatement('consumer', subject, declared, [key]);
}

/** What is asked of the desk and answered with records. */
export type RecordsQuestion =
  | { readonly question: 'state'; readonly model: string; readonly at: string }
  | { readonly question: 'recover'; readonly model: string; readonly version: string; readonly release: Digest };

/** `seen`: entries of the newest checkpoint that was seen here. */
export type AuditQuestion = { readonly question: 'log' } | (RecordsQuestion & { readonly seen: number });

export function askAuditor({ key, environment }: Signer, question: AuditQuestion): SignedEnvelope {
  const { release, ...asked } = { release: null, ...question };
  const unsaid = { model: null, at: null, version: null, seen: 0 };
  const predicate = { environment, nonce: nonce(), ...unsaid, ...asked, ...validity(DECISION_SECONDS) };
  const subject = { name: 'audit', sha256: release ?? sha256(canonicalBytes(predicate)) };
  return signStatement('auditQuestion', subject, predicate, [key]);
}
