import { nameOf, vulnerabilityOf } from '../adapters/dossier.js';
import type { Records } from '../adapters/records.js';
import { CustodyError } from '../domain/errors.js';
import { lifecycleId } from '../domain/names.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime } from '../domain/time.js';
import { condemns } from '../domain/vulnerability.js';
import { demand } from '../formats/evidence.js';
import type { SigningKey } from '../formats/keys.js';
import { signStatement } from '../formats/statements.js';
import type { EmergencySigning } from './emergency-contract.js';

/** Revokes at a security authority's word, which it has checked for itself. */
export function createRevoking({
  records,
  key,
}: {
  readonly records: Records;
  readonly key: SigningKey;
}): EmergencySigning {
  return {
    revokeCondemned: async (name, release) => {
      const kept = await records.find('revocation', storeKeys.revocation(release));
      if (kept !== null) return kept.verified.digest;
      const notice = await vulnerabilityOf(records, name);
      if (notice === null) throw new CustodyError('PENDING', `nobody has condemned ${name.model} ${name.version}`);
      const { environment } = records;
      const { newest } = await records.policies();
      const issuedAt = isoTime(Date.now());
      const about = { ...(await nameOf(records, release)), release };
      if (about.model !== name.model || about.version !== name.version)
        throw new CustodyError('DIGEST_MISMATCH', `${name.model} ${name.version} is not the release ${release}`);
      demand(condemns(notice.verified, about, { environment, gate: newest, newest, now: issuedAt }));
      const { vulnerability, reason } = notice.verified.predicate;
      const said = `${vulnerability}: ${reason}`.slice(0, 2000);
      const predicate = { environment, ...name, reason: said, request: notice.verified.digest, issuedAt };
      const subject = { name: lifecycleId(name), sha256: release };
      return records.keep(signStatement('revocation', subject, predicate, [key]), storeKeys.revocation(release));
    },
  };
}
