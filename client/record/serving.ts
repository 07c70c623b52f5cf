import { checkRelease, newestStatus } from '../../adapters/dossier.js';
import type { Records } from '../../adapters/records.js';
import { authoriseLoading, type Check, type FoundCheck, type VerifiedRelease } from '../../domain/authorise.js';
import type { Digest } from '../../domain/digest.js';
import { CustodyError } from '../../domain/errors.js';
import type { ReleaseName } from '../../domain/names.js';
import { holdsRole } from '../../domain/policy.js';
import type { StatusPredicate, Verified } from '../../domain/statements.js';
import { storeKeys } from '../../domain/store-keys.js';
import { checksToLoad } from '../../formats/evidence.js';
import type { Examination } from './examination.js';

const LABEL_WIDTH = 17;

/** One check in a line, for people. */
export function checkLine({ name: what, ok, detail }: Check): string {
  return `${ok ? '✔' : '✘'} ${what.padEnd(LABEL_WIDTH)} ${detail}`;
}

/** Everything behind a release, checked as the vault and a serving host check it. Throws what speaks against it. */
export async function mayServe(
  records: Records,
  name: ReleaseName,
  digest: Digest,
): Promise<{
  readonly release: VerifiedRelease;
  readonly approvers: readonly string[];
  readonly status: Verified<StatusPredicate> | null;
  readonly checks: readonly FoundCheck[];
}> {
  const checked = await checkRelease(records, name, digest, await newestStatus(records));
  const { release, rules, status } = checked;
  const checks = checksToLoad(checked);
  const permission = authoriseLoading(release, rules, status);
  if (!permission.allowed)
    throw new CustodyError(permission.code, permission.reason, { details: { checks: checks.map(checkLine) } });
  return { release, status, approvers: permission.approvers, checks };
}

/** Whether it may serve now: everything else once more, as one, and that it is not revoked. */
export async function serving(exam: Examination): Promise<void> {
  const { records, name, progress, policies } = exam;
  const { ingested, signed } = progress;
  if (ingested === undefined || signed === undefined) return exam.absent('serving');
  const checked = 'everything above as one, and a fresh status document that does not list it as revoked';
  await exam.check('serving', checked, async () => {
    const revoked = await records.find('revocation', storeKeys.revocation(ingested.release));
    if (revoked === null) {
      const { status, checks } = await mayServe(records, name, ingested.release);
      const names = checks.map(({ name: each }) => each).join(', ');
      const says = `may serve: the status document of ${status?.predicate.issuedAt ?? ''} does not revoke it; ${names}: all hold`;
      return { value: null, says, by: status?.signers ?? [], ...(status === null ? {} : { statement: status.digest }) };
    }
    const { subject, predicate, signers, digest } = revoked.verified;
    const { newest } = policies;
    if (subject !== ingested.release || !signers.some((id) => holdsRole(newest, newest, id, 'release-signer')))
      throw new CustodyError('NOT_AUTHORISED', 'its revocation is not by a release-signer, about this release');
    const says = `must not serve: revoked at ${predicate.issuedAt}: ${predicate.reason}`;
    return { value: null, says, state: 'fact', by: signers, statement: digest };
  });
}
