import { denied, type Permission, type Rules } from './authorise.js';
import type { AuditRecord } from './audit.js';
import type { HeldRelease } from './hold.js';
import { mayRead } from './policy.js';
import type { AuditQuestionPredicate, Verified } from './statements.js';
import { outsideValidity } from './time.js';

/** What stands behind a wish to have a release back, every signature and the proof checked. */
export interface VerifiedRecovery extends HeldRelease {
  readonly question: Verified<AuditQuestionPredicate>;
  /** What the audit log says of it. */
  readonly record: Pick<AuditRecord, 'change' | 'subject' | 'after'>;
}

/**
 * Before keys are opened for an auditor, also of a release that is revoked: by a question about this very release, while it is
 * valid, and only after the wish has come into the log.
 */
export function authoriseRecovery(
  { release, model, version, question, record }: VerifiedRecovery,
  rules: Rules,
): Permission {
  const { signers, predicate, subject, digest } = question;
  if (predicate.environment !== rules.environment)
    return denied('REPLAYED', `the question is for environment ${predicate.environment}`);
  if (predicate.question !== 'recover') return denied('REPLAYED', `the question is about the ${predicate.question}`);
  if (subject !== release || predicate.model !== model || predicate.version !== version)
    return denied(
      'REPLAYED',
      `the question is about ${predicate.model ?? ''} ${predicate.version ?? ''}, or other bytes of it`,
    );
  if (!signers.some((id) => mayRead(rules.newest, id, null)))
    return denied('NOT_AUTHORISED', `${signers.join(', ')} does not hold the role auditor`);
  const outside = outsideValidity(predicate, rules.now);
  if (outside !== null) return denied('EXPIRED', `the question is ${outside}`);
  if (record.change !== 'log.read' || record.after !== digest || record.subject.release !== release)
    return denied('REPLAYED', 'the proof is of another record: it does not show that the question is in the audit log');
  return { allowed: true, approvers: signers };
}
