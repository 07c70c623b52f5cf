import { gatherRetirement } from '../../adapters/dossier.js';
import { openHolds } from '../../adapters/holds.js';
import { authoriseRetirement } from '../../domain/authorise-retirement.js';
import { CustodyError } from '../../domain/errors.js';
import { lifecycleId } from '../../domain/names.js';
import { demand, verifyRetirement } from '../../formats/evidence.js';
import type { Examination } from './examination.js';

/** Who keeps it from being erased, where anybody does. */
export async function holds(exam: Examination): Promise<void> {
  const { ingested } = exam.progress;
  if (ingested === undefined) return;
  for (const { signers, predicate, digest } of await openHolds(exam.records, {
    ...exam.name,
    release: ingested.release,
  })) {
    const checked = 'the signature of a person who might hold releases, and that no quorum has lifted it';
    const says = `held since ${predicate.issuedAt}: ${predicate.reason}`;
    exam.lines.push({
      ...{ part: 'hold', state: 'fact', says, checked },
      ...{ by: signers, statement: digest, policy: null, failure: null },
    });
  }
}

/** Who agreed to its end, and that its keys are gone. */
export async function retirement(exam: Examination): Promise<void> {
  const { ingested, retirement: retired, outcome } = exam.progress;
  if (ingested === undefined || retired === undefined) return;
  const checked = 'the request to retire it, the quorum that agreed, and the notice that was given';
  await exam.check('retirement', checked, async () => {
    const evidence = await gatherRetirement(exam.records, { ...exam.name, release: ingested.release }, retired);
    const found = verifyRetirement(evidence, exam.records.root, exam.now);
    const approvers = demand(authoriseRetirement(found.retirement, found.rules));
    const { request, notice } = found.retirement;
    const reason = request.predicate.action.kind === 'retire' ? request.predicate.action.reason : '';
    const says = `${request.predicate.requester} asked: ${reason}; ${approvers.join(', ')} agreed; ends at ${notice?.predicate.retiresAt ?? ''}`;
    const by = [...request.signers, ...approvers];
    return { value: null, says, by, statement: request.digest, policy: found.rules.gate.version };
  });
  if (outcome?.kind !== 'retired') return;
  await exam.check('destruction', "the certificate's signature, and that it is about this release", async () => {
    const verified = await exam.statement('destruction', outcome.certificate);
    const { destroyed, kept, destroyedAt } = verified.predicate;
    if (verified.subject !== ingested.release)
      throw new CustodyError('REPLAYED', 'the certificate is about another release');
    const says = `${destroyed.length} keys destroyed, ${kept.length} kept for other releases, at ${destroyedAt}`;
    return { value: null, says, by: verified.signers, statement: verified.digest };
  });
}

/** How far it has come. What ended it stands in a record that nobody signs. */
export function outcome(exam: Examination): void {
  const { outcome: ended, rollout } = exam.progress;
  const checked = `records of ${lifecycleId(exam.name)}, which are locked and not signed`;
  if (rollout !== undefined)
    exam.fact('rollout', 'reason' in rollout ? `${rollout.kind}: ${rollout.reason}` : rollout.kind, checked);
  if (ended === undefined) return;
  const where = 'stage' in ended ? ` at ${ended.stage}` : '';
  const why = 'reason' in ended ? `: ${'code' in ended ? `${ended.code} ` : ''}${ended.reason}` : '';
  exam.fact('outcome', `${ended.kind}${where}${why}`, checked);
}

/** Under which rules all of it was judged. */
export function policy(exam: Examination): void {
  const { newest, chain, newestDigest } = exam.policies;
  const expired = Date.parse(exam.now) > Date.parse(newest.expires);
  exam.lines.push({
    part: 'policy',
    state: 'holds',
    says: `${newest.version} of ${newest.environment}, ${expired ? 'expired' : 'in force until'} ${newest.expires}`,
    checked: `every policy from the pinned root on: ${chain.length}`,
    by: [],
    statement: newestDigest,
    policy: newest.version,
    failure: null,
  });
}
