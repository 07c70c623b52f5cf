import { condemnationOf, nameOf } from '../adapters/dossier.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import { lifecycleId, type ReleaseName } from '../domain/names.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime } from '../domain/time.js';
import { condemns, sayVulnerability } from '../domain/vulnerability.js';
import { demand } from '../formats/evidence.js';
import { signStatement } from '../formats/statements.js';
import type { EmergencySigning } from './emergency-contract.js';
import type { SigningDeps } from './sign.js';

/** Revokes at a security authority's word, which it has checked for itself. */
export function createRevoking({ records, key }: Pick<SigningDeps, 'records' | 'key'>): EmergencySigning {
  return {
    revokeCondemned: async (name, release) => {
      const kept = await records.find('revocation', storeKeys.revocation(release));
      if (kept !== null) return kept.verified.digest;
      const notice = await condemnationOf(records, name);
      const { environment } = records;
      const { newest } = await records.policies();
      const now = isoTime(Date.now());
      const about = { ...(await nameOf(records, release)), release };
      if (about.model !== name.model || about.version !== name.version)
        throw new CustodyError('DIGEST_MISMATCH', `${name.model} ${name.version} is not the release ${release}`);
      demand(condemns(notice.verified, about, { environment, gate: newest, newest, now }));
      const reason = sayVulnerability(notice.verified.predicate).slice(0, 2000);
      return keepRevocation({ records, key }, { name, release, reason, ground: notice.verified.digest });
    },
  };
}

/** Signs that a release is revoked, and why; answers the digest of the statement, which serving hosts and gateways obey. */
export function keepRevocation(
  { records, key }: Pick<SigningDeps, 'records' | 'key'>,
  of: { readonly name: ReleaseName; readonly release: Digest; readonly reason: string; readonly ground: Digest },
): Promise<Digest> {
  const { name, release, reason, ground: request } = of;
  const predicate = { environment: records.environment, ...name, reason, request, issuedAt: isoTime(Date.now()) };
  const subject = { name: lifecycleId(name), sha256: release };
  return records.keep(signStatement('revocation', subject, predicate, [key]), storeKeys.revocation(release));
}
