import { randomBytes } from 'node:crypto';
import type { Digest } from '../domain/digest.js';
import type { Admission, Ingested, OpenGate } from '../domain/lifecycle.js';
import { lifecycleId, type ReleaseName } from '../domain/names.js';
import type { Quorum } from '../domain/policy.js';
import type { RequestAction, RequestPredicate, SignedEnvelope } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { newNonce } from '../formats/requests.js';
import { signStatement } from '../formats/statements.js';
import type { Desk } from './control.js';

interface Asking {
  /** The record that says the gate is open: a second one is never opened. */
  readonly part: 'gate' | 'overrideGate' | 'reviewGate';
  readonly of: { readonly admission: Admission; readonly ingested: Ingested };
  readonly action: RequestAction;
  readonly evidence: RequestPredicate['evidence'];
  readonly policy: Digest;
  readonly quorum: Quorum;
  readonly issuedAt: string;
  readonly expiresAt: string;
  /** What speaks against asking: thrown before anybody hears of it. */
  readonly check?: (request: SignedEnvelope) => Promise<void>;
}

/** Asks people about a release: the request is in WORM and in the log before anyone hears of it. */
export async function openGate(
  { records, journal, key, id }: Desk,
  name: ReleaseName,
  { part, of: { admission, ingested }, action, evidence, policy, quorum, issuedAt, expiresAt, check }: Asking,
): Promise<OpenGate> {
  const predicate: RequestPredicate = {
    requestId: `${action.kind}-${name.model}-${name.version}-${randomBytes(4).toString('hex')}`,
    nonce: newNonce(),
    environment: records.environment,
    workflowId: lifecycleId(name),
    ...name,
    release: ingested.release,
    action,
    evidence,
    policy,
    requester: admission.requester,
    producer: ingested.producer,
    issuedAt,
    expiresAt,
  };
  const subject = { name: lifecycleId(name), sha256: ingested.release };
  const envelope = signStatement('request', subject, predicate, [key]);
  await check?.(envelope);
  const { digest: request } = (await records.verify('request', envelope)).verified;
  await records.keep(envelope, storeKeys.request(request));
  const { role, count } = quorum;
  const gate: OpenGate = { request, requestId: predicate.requestId, role, count, expiresAt, envelope };
  const opened = await records.recordOnce(storeKeys.record(name, part), gate);
  await journal.note({
    change: 'gate.opened',
    key: action.kind,
    actor: { id, statement: opened.request },
    subject: { ...name, release: ingested.release },
    after: opened.request,
    policy,
    reason: `${count} × ${role} must decide on ${opened.requestId} before ${opened.expiresAt}`,
  });
  return opened;
}
