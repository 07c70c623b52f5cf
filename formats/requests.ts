import { randomBytes } from 'node:crypto';
import type { AlertPredicate } from '../domain/alert.js';
import type { Digest } from '../domain/digest.js';
import { endpointId } from '../domain/names.js';
import type { KillPredicate, RequestAction, RequestPredicate, SignedEnvelope } from '../domain/statements.js';
import { isoTime, plusSeconds } from '../domain/time.js';
import { canonicalBytes } from './jcs.js';
import type { EnvelopeSigner } from './keys.js';
import { sha256 } from './sha256.js';
import { signStatement } from './statements.js';

/** Who signs, under which policy. */
export interface Signer {
  readonly key: EnvelopeSigner;
  readonly id: string;
  readonly environment: string;
  readonly policy: Digest;
}

export const newNonce = (): string => randomBytes(18).toString('base64url');

/** From now on, for so many seconds. */
export function validity(seconds: number): { readonly issuedAt: string; readonly expiresAt: string } {
  const issuedAt = isoTime(Date.now());
  return { issuedAt, expiresAt: plusSeconds(issuedAt, seconds) };
}

export interface Asked {
  readonly workflowId: string;
  readonly about: { readonly model: string; readonly version: string | null; readonly release: Digest | null };
  readonly action: RequestAction;
  readonly seconds: number;
  /** What the request rests on, where there is anything yet. */
  readonly evidence?: RequestPredicate['evidence'];
  /** For whom the signer asks; without it, in its own name. */
  readonly vouched?: Required<Pick<RequestPredicate, 'requester' | 'identity'>>;
}

/** A request with a nonce of its own, signed. */
export function signRequest(
  { key, id, environment, policy }: Signer,
  { workflowId, about, action, seconds, evidence = {}, vouched }: Asked,
): SignedEnvelope {
  const predicate: RequestPredicate = {
    requestId: `${action.kind}-${about.model}-${randomBytes(4).toString('hex')}`,
    nonce: newNonce(),
    environment,
    workflowId,
    ...about,
    action,
    evidence,
    policy,
    requester: id,
    producer: null,
    ...vouched,
    ...validity(seconds),
  };
  // A request about no release yet is about what it acts on.
  const subject = about.release ?? sha256(canonicalBytes([workflowId, action]));
  return signStatement('request', { name: workflowId, sha256: subject }, predicate, [key]);
}

/** An alert that waits longer than this for somebody to look at it is told again, or is over. */
const ALERT_SECONDS = 3600;

/** What a monitor says of a model. */
export function signAlert(
  { key, environment }: Pick<Signer, 'key' | 'environment'>,
  said: Omit<AlertPredicate, 'environment' | 'issuedAt' | 'expiresAt'>,
): SignedEnvelope {
  const alert = { environment, ...said, ...validity(ALERT_SECONDS) };
  const subject = { name: endpointId(said.model), sha256: said.release ?? sha256(canonicalBytes(alert)) };
  return signStatement('alert', subject, alert, [key]);
}

/** An order to stop is acted on at once; the short life bounds how long a copy of it could do harm. */
const KILL_SECONDS = 600;
const ROLLBACK_SECONDS = 3600;

export function orderKill(
  { key, environment }: Pick<Signer, 'key' | 'environment'>,
  model: string,
  reason: string,
  of: Pick<KillPredicate, 'nonce' | 'issuedAt' | 'expiresAt'> = { nonce: newNonce(), ...validity(KILL_SECONDS) },
): SignedEnvelope {
  const order = { environment, model, reason, ...of };
  return signStatement('kill', { name: endpointId(model), sha256: sha256(canonicalBytes(order)) }, order, [key]);
}

export function orderRollback(
  { key, environment }: Pick<Signer, 'key' | 'environment'>,
  model: string,
  target: Digest | null,
  reason: string,
  seconds = ROLLBACK_SECONDS,
): SignedEnvelope {
  const order = { environment, model, nonce: newNonce(), target, reason, ...validity(seconds) };
  return signStatement('rollback', { name: endpointId(model), sha256: sha256(canonicalBytes(order)) }, order, [key]);
}

export function requestRestore(
  signer: Signer,
  model: string,
  { kills, revision }: { readonly kills: readonly Digest[]; readonly revision: number },
  seconds: number,
): SignedEnvelope {
  const about = { model, version: null, release: null };
  const action = { kind: 'restore', kills, revision } as const;
  return signRequest(signer, { workflowId: endpointId(model), about, action, seconds });
}
