import type { Refusal } from '../domain/approvals.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { ApprovalPredicate, PredicateOf, RequestPredicate, Verified } from '../domain/statements.js';
import { isoTime, outsideValidity } from '../domain/time.js';
import type { Desk } from './control.js';
import type { Decision, DecisionVerdict } from './contract.js';
import { refusals, verdictOn, type Entry } from './journal.js';

/** What kind of statement counts for a request, and by which rules. */
export interface Ballot<K extends 'approval' | 'override'> {
  readonly kind: K;
  readonly check: (said: Verified<PredicateOf[K]>, message: string) => { readonly approver: string } | Refusal;
  /** Where one that counts is kept; by default in `statements/`. */
  readonly key?: (statement: Digest) => string;
  readonly describe: (predicate: PredicateOf[K]) => string;
  /** Of one that lowers exposure: it, and what is refused beside it, waits for no log. */
  readonly lowers?: (predicate: PredicateOf[K]) => boolean;
}

/** Verifies what people say to one request, in the order it came; keeps and audits what counts, audits what does not. */
export async function judgeAll<K extends 'approval' | 'override'>(
  desk: Desk,
  request: Verified<RequestPredicate>,
  decisions: readonly Decision[],
  ballot: Ballot<K>,
): Promise<readonly DecisionVerdict[]> {
  const verdicts: DecisionVerdict[] = [];
  for (const decision of decisions) verdicts.push(await judge(desk, decision, request, ballot));
  const { model, version, release } = request.predicate;
  const subject = { model, version, release };
  if (ballot.lowers !== undefined) return desk.journal.noteRefused(decisions, verdicts, subject);
  await desk.journal.note(...refusals(decisions, verdicts, subject));
  return verdicts;
}

/** One person's statement, in the order of the checks: shape, signature and kind, what it is about, time, role, once. */
async function judge<K extends 'approval' | 'override'>(
  { records, journal }: Desk,
  { message, envelope }: Decision,
  request: Verified<RequestPredicate>,
  { kind, check, key, describe, lowers }: Ballot<K>,
): Promise<DecisionVerdict> {
  return verdictOn(async () => {
    const { envelope: kept, verified: said } = await records.receive(kind, envelope);
    const checked = check(said, message);
    if ('code' in checked) throw new CustodyError(checked.code, checked.reason);
    const outside = outsideValidity(said.predicate, isoTime(Date.now()));
    if (outside !== null) throw new CustodyError('EXPIRED', `the decision is ${outside}`);
    await records.spend(said.predicate.nonce, { statement: said.digest, request: request.digest });
    await records.keep(kept, key?.(said.digest));
    const entry = accepted(request, said.digest, checked.approver, describe(said.predicate));
    if (lowers?.(said.predicate) !== true) await journal.note(entry);
    else if (!(await journal.noteSoon(entry))) return { ...answer(said.digest, checked.approver), unnoted: true };
    return answer(said.digest, checked.approver);
  });
}

const answer = (statement: Digest, by: string) => ({ by, statement });

/** A decision that counts. */
export function accepted(
  { digest, predicate: { model, version, release, policy } }: Verified<RequestPredicate>,
  statement: Digest,
  by: string,
  reason: string,
): Entry {
  return {
    change: 'decision.accepted',
    key: statement,
    actor: { id: by, statement },
    subject: { model, version, release },
    before: digest,
    after: statement,
    policy,
    reason,
  };
}

export function described({ decision, requestId, reason }: ApprovalPredicate): string {
  return `${decision} ${requestId}: ${reason}`;
}
