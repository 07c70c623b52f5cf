import { gatherRelease, progressOf, signaturesOf } from '../adapters/dossier.js';
import type { Records } from '../adapters/records.js';
import { signedAndApproved } from '../domain/authorise.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import type { ReleaseName } from '../domain/names.js';
import type { Policy } from '../domain/policy.js';
import { isoTime } from '../domain/time.js';
import { demand, verifyReleaseUnder, type Policies } from '../formats/evidence.js';
import type { Custody } from './connect.js';
import { livingReleases } from './resigning.js';

/** A living release that could be loaded today, and could not under another policy. */
export interface LeftBehind extends ReleaseName {
  readonly why: string;
}

/** What a policy would do to the releases that live, judged as serving hosts will: by all their evidence. */
export async function leftBehind({ records }: Pick<Custody, 'records'>, next: Policy): Promise<readonly LeftBehind[]> {
  const today = await records.policies();
  const then: Policies = { newest: next, chain: [...today.chain, next], byDigest: (digest) => today.byDigest(digest) };
  const left: LeftBehind[] = [];
  for (const name of await livingReleases({ records })) {
    const signed = await signaturesOf(records, name, (await progressOf(records, name)).signed ?? null);
    const why = await flaw(records, name, signed, then);
    if (why !== null && (await flaw(records, name, signed, today)) === null) left.push({ ...name, why });
  }
  return left;
}

/** Why none of the signatures lets the release be loaded; `null` when one does. */
async function flaw(
  records: Records,
  name: ReleaseName,
  signed: readonly Digest[],
  policies: Policies,
): Promise<string | null> {
  let first: string | null = null;
  for (const digest of signed)
    try {
      const signature = (await records.getBytes(digest)).toString('utf8');
      const evidence = { ...(await gatherRelease(records, name, null)), signature };
      const { release, rules } = verifyReleaseUnder(policies, evidence, isoTime(Date.now()));
      demand(signedAndApproved(release, rules));
      return null;
    } catch (error) {
      if (!(error instanceof CustodyError) || !(isPermanent(error.code) || error.code === 'PENDING')) throw error;
      first ??= `${error.code}: ${error.message}`;
    }
  return first ?? 'it was never signed';
}
