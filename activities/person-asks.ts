import type { Records } from '../adapters/records.js';
import { personAsks } from '../domain/authorise.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { ReleaseName } from '../domain/names.js';
import type { RequestAction, RequestPredicate, Verified } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime, outsideValidity } from '../domain/time.js';
import { demand, rulesFor } from '../formats/evidence.js';
import type { SigningKey } from '../formats/keys.js';
import { holderOf } from '../formats/statements.js';
import type { Desk } from './control.js';

/** What one person with the right to may ask of the signing zone. */
export interface AskedOfSigning {
  readonly kind: RequestAction['kind'] & ('resign' | 'promote');
  readonly workflowId: string;
  /** What the log says that somebody asks for. */
  readonly what: string;
}

/** Control's part: the request is verified, kept and spent, and in the log before anything follows from it. */
export function admitAsked(
  { records, journal }: Desk,
  name: ReleaseName,
  asked: AskedOfSigning,
  envelope: unknown,
): Promise<Digest> {
  return journal.refusing({ name: asked.kind, envelope, subject: { ...name, release: null } }, async () => {
    const { envelope: request, verified } = await records.receive('request', envelope);
    await demandAsked(records, asked, verified);
    await records.keep(request, storeKeys.request(verified.digest));
    const { nonce, requester, release, policy } = verified.predicate;
    await records.spend(nonce, { statement: verified.digest, request: verified.digest });
    await journal.note({
      change: 'decision.accepted',
      key: verified.digest,
      actor: { id: requester, statement: verified.digest },
      subject: { ...name, release },
      after: verified.digest,
      policy,
      reason: `${requester} asks for ${asked.what}`,
    });
    return verified.digest;
  });
}

/** Whether a person asks for this, rightly and now: whoever acts on it looks for itself. */
export async function demandAsked(
  records: Records,
  { kind, workflowId }: AskedOfSigning,
  request: Verified<RequestPredicate>,
): Promise<void> {
  const now = isoTime(Date.now());
  demand(personAsks(rulesFor(await records.policies(), request, now), request, kind, workflowId));
  const outside = outsideValidity(request.predicate, now);
  if (outside !== null) throw new CustodyError('EXPIRED', `the request is ${outside}`);
}

/** NOT_AUTHORISED: what this key would sign counts for nothing. */
export async function demandSigner(records: Records, key: SigningKey): Promise<void> {
  const { newest } = await records.policies();
  if (holderOf(newest, 'release-signer', key) !== undefined) return;
  throw new CustodyError(
    'NOT_AUTHORISED',
    'the key of this signing zone is no release signer in the policy: apply one that lists it first',
  );
}
