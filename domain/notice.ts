import type { Criticality } from './consumers.js';
import type { Digest } from './digest.js';
import type { AcknowledgementPredicate, Noticed, NoticePredicate, WaiverPredicate } from './ending-predicates.js';
import type { ReleaseName } from './names.js';
import { denied, isToCome, signedInRole, type Permission, type Rules } from './permission.js';
import type { PersonRole } from './policy.js';
import type { RequestPredicate, Verified } from './statements.js';
import { plusSeconds } from './time.js';

/** How a release comes to its end. */
export interface RetirementRule {
  /** Between the notice and the end, at least. */
  readonly noticeSeconds: number;
  /** How critical a consumer is that must acknowledge its notice. By default those that are `critical`. */
  readonly acknowledge?: readonly Criticality[];
  /** Who may stand in for a consumer that does not. Without it nobody may. */
  readonly waiver?: PersonRole;
  /** How long before the end those who have not answered are written to again. */
  readonly remindSeconds?: readonly number[];
  /** A release that has callers only retires where another one takes them over. Without it, they may be left with nothing. */
  readonly fallback?: 'required';
}

/** Characters of a reason, or of what to use instead, that callers are told. */
export const MAX_TOLD = 300;
export const ACKNOWLEDGING: readonly Criticality[] = ['critical'];
/** Whom no way reached is tried again after half of the time that has passed, but not sooner or later than this. */
const FIRST_RETRY_SECONDS = 300;
const LATEST_RETRY_SECONDS = 86_400;

/** The retirement that a consumer is told of, and what has been answered. */
export interface Answered {
  readonly release: Digest;
  readonly name: ReleaseName;
  readonly request: Verified<RequestPredicate>;
  readonly notices: readonly Verified<NoticePredicate>[];
  readonly acknowledgements: readonly Verified<AcknowledgementPredicate>[];
  readonly waivers: readonly Verified<WaiverPredicate>[];
}

type About = Pick<Answered, 'release' | 'name' | 'request' | 'notices'>;
/** `request`: what the notices rest on, a request to retire or in an emergency a vulnerability notice. */
type Told = Pick<Answered, 'release' | 'notices'> & { readonly request: Pick<Verified<unknown>, 'digest'> };
type NoticeRules = Pick<Rules, 'environment' | 'gate' | 'newest' | 'now'>;

/** Whoever must acknowledge: by its criticality when it was told, or because nobody knows whether it has heard of it. */
function mustAcknowledge({ gate }: Pick<Rules, 'gate'>, { criticality, how }: Noticed): boolean {
  const { acknowledge = ACKNOWLEDGING } = gate.retirement;
  if (how === 'failed') return true;
  return criticality !== null && acknowledge.includes(criticality);
}

/** Whether a consumer's owner has acknowledged this very retirement. */
export function acknowledges(about: About, said: Verified<AcknowledgementPredicate>, rules: NoticeRules): Permission {
  const noticed = toldOf(about, said, rules);
  if ('code' in noticed) return denied(noticed.code, noticed.reason);
  if (noticed.owner === null || !said.signers.includes(noticed.owner))
    return denied(
      'NOT_AUTHORISED',
      `${said.signers.join(', ')} may not answer for ${noticed.id}: its owner ${noticed.owner ?? 'is not declared'}`,
    );
  return { allowed: true, approvers: [noticed.owner] };
}

/** Whether somebody who may stands in for a consumer, and did not ask for the retirement. */
export function waives(about: About, said: Verified<WaiverPredicate>, rules: NoticeRules): Permission {
  const noticed = toldOf(about, said, rules);
  if ('code' in noticed) return denied(noticed.code, noticed.reason);
  const { waiver } = rules.gate.retirement;
  if (waiver === undefined) return denied('POLICY_REFUSED', 'the policy lets nobody waive an acknowledgement');
  if (!signedInRole(rules, said, waiver))
    return denied('NOT_AUTHORISED', `${said.signers.join(', ')} may not waive: it takes the role ${waiver}`);
  const { requester } = about.request.predicate;
  if (said.signers.includes(requester))
    return denied(
      'NOT_AUTHORISED',
      `${requester} has asked for the retirement, and cannot waive what stands in its way`,
    );
  return { allowed: true, approvers: said.signers };
}

/** Who must still answer before the release may end, each once. */
export function unanswered(answered: Answered, rules: NoticeRules): readonly string[] {
  const must = new Set(
    toldIn(answered, rules)
      .filter((each) => mustAcknowledge(rules, each))
      .map(({ id }) => id),
  );
  return silentIn(answered, rules).filter((id) => must.has(id));
}

/** Who has been told and has not answered, whether it must or not. */
export function silentIn({ acknowledgements, waivers, ...about }: Answered, rules: NoticeRules): readonly string[] {
  const answered = new Set([
    ...acknowledgements.filter((said) => acknowledges(about, said, rules).allowed).map(consumerOf),
    ...waivers.filter((said) => waives(about, said, rules).allowed).map(consumerOf),
  ]);
  return [...new Set(toldIn(about, rules).map(({ id }) => id))].filter((id) => !answered.has(id));
}

/** Everybody whom control has told of this very retirement, as it was told last. */
export function toldIn(about: Told, rules: NoticeRules): readonly Noticed[] {
  const told = new Map<string, Noticed>();
  for (const { predicate } of noticesOf(about, rules)) for (const each of predicate.consumers) told.set(each.id, each);
  return [...told.values()];
}

/** When the period ends of everybody who was told. */
export function endOf(about: About, rules: NoticeRules): string {
  const ends = noticesOf(about, rules).map(({ predicate }) => predicate.retiresAt);
  return ends.reduce((last, each) => (each > last ? each : last), '');
}

/** How long everybody has, in seconds, by the request that people agreed to. */
export function periodOf({ predicate: { action } }: Verified<RequestPredicate>, { gate }: Pick<Rules, 'gate'>): number {
  return action.kind === 'retire' ? action.noticeSeconds : gate.retirement.noticeSeconds;
}

/** The notices that count, oldest first. */
function noticesOf({ release, request, notices }: Told, rules: NoticeRules): readonly Verified<NoticePredicate>[] {
  return notices
    .filter((notice) => {
      const { environment, request: about } = notice.predicate;
      const isOfThis = notice.subject === release && environment === rules.environment && about === request.digest;
      return isOfThis && signedInRole(rules, notice, 'control');
    })
    .sort((a, b) => Date.parse(a.predicate.issuedAt) - Date.parse(b.predicate.issuedAt));
}

const consumerOf = ({ predicate }: Verified<AcknowledgementPredicate>): string => predicate.consumer;

/** Whom an answer is for, as it was told; or why it is no answer to this. */
function toldOf(
  about: About,
  { subject, predicate: said }: Verified<AcknowledgementPredicate>,
  rules: NoticeRules,
): Noticed | Extract<Permission, { allowed: false }> {
  const { release, name, request } = about;
  const { environment, now } = rules;
  const no = (reason: string): Extract<Permission, { allowed: false }> => ({
    allowed: false,
    code: 'REPLAYED',
    reason,
  });
  if (said.environment !== environment) return no(`it is for environment ${said.environment}`);
  if (subject !== release || said.model !== name.model || said.version !== name.version)
    return no(`it is about ${said.model} ${said.version}`);
  if (said.request !== request.digest) return no('it is about another retirement of this release');
  if (isToCome(said.issuedAt, now))
    return { allowed: false, code: 'EXPIRED', reason: `it says it was made at ${said.issuedAt}, which is to come` };
  const found = toldIn(about, rules).find(({ id }) => id === said.consumer);
  return found ?? no(`${said.consumer} was not told of it, and has nothing to answer`);
}

/** When the last reminder since the notice that is due by now was due; `null`: none is. */
export function reminderDue(about: About, rules: NoticeRules): string | null {
  const since = noticesOf(about, rules)[0]?.predicate.issuedAt ?? rules.now;
  return remindersOf(about, rules).findLast((at) => at > since && at <= rules.now) ?? null;
}

/** When there is something to do next: whoever was missed is tried again, a reminder, or the end; `null` once that has come. */
export function nextLook(about: About, rules: NoticeRules): string | null {
  const since = noticesOf(about, rules)[0]?.predicate.issuedAt ?? rules.now;
  const isMissing = toldIn(about, rules).some(({ how }) => how === 'failed');
  const passed = (Date.parse(rules.now) - Date.parse(since)) / 1000;
  const again = plusSeconds(rules.now, Math.min(LATEST_RETRY_SECONDS, Math.max(FIRST_RETRY_SECONDS, passed / 2)));
  const times = [...(isMissing ? [again] : []), ...remindersOf(about, rules), endOf(about, rules)];
  return times.filter((at) => at > rules.now).sort()[0] ?? null;
}

function remindersOf(about: About, rules: NoticeRules): readonly string[] {
  const { remindSeconds = [] } = rules.gate.retirement;
  return remindSeconds.map((seconds) => plusSeconds(endOf(about, rules), -seconds)).sort();
}
