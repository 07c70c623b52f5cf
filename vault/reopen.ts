import { authoriseTakingOver } from '../domain/authorise-base.js';
import { takenOver } from '../domain/base.js';
import { CustodyError } from '../domain/errors.js';
import { isoTime } from '../domain/time.js';
import type { OpenAnswer, OpenedFile, ReopenRequest } from '../domain/vault.js';
import { demand, verifySuccessor } from '../formats/evidence.js';
import { sha256 as digestOf } from '../formats/sha256.js';
import { hold } from './create.js';
import { assertNotErased, demandLoadable, keyOf } from './open.js';
import type { Vault } from './vault.js';

/**
 * Makes a release to come a holder of what it takes over from its base, and hands out the keys. The base must be one that may
 * be loaded now and holds the bytes; its producer's signature over the new manifest says which bytes, and which base. Asked
 * again it answers the same, for as long as all of that holds.
 */
export async function reopen(vault: Vault, { sha256s, evidence }: ReopenRequest): Promise<OpenAnswer<string>> {
  const { ledger, seen, locks } = vault;
  const now = isoTime(Date.now());
  const [base, release] = [digestOf(evidence.base.manifest), digestOf(evidence.manifest)];
  assertNotErased(vault, base);
  assertNotErased(vault, release);
  const checked = await demandLoadable(vault, evidence.base, now);
  const { successor, manifest, rules } = verifySuccessor(evidence, checked.policies, now);
  demand(authoriseTakingOver(successor, checked.release, rules, checked.status));
  if (seen.isRevoked(release)) throw new CustodyError('REVOKED', `the release ${release} has been revoked`);
  const taken = new Map(takenOver(manifest, checked.manifest).map((file) => [file.sha256, file]));
  const foreign = sha256s.find((sha256) => !taken.has(sha256));
  if (foreign !== undefined)
    throw new CustodyError('NOT_AUTHORISED', `${foreign} is no file that ${release} has of its base ${base}`);
  // A destruction holds these locks while it decides: so it is seen here, or it comes after us and finds the new holder.
  const files = await locks.hold(sha256s, async () => {
    assertNotErased(vault, base);
    assertNotErased(vault, release);
    const found: OpenedFile<string>[] = [];
    for (const sha256 of sha256s) {
      const entry = await ledger.living(sha256);
      if (entry === null) throw new CustodyError('ERASED', `the key of ${sha256} has been destroyed`);
      if (!entry.holders.includes(base) || entry.size !== taken.get(sha256)?.size)
        throw new CustodyError('NOT_AUTHORISED', `the release ${base} does not hold ${sha256} in this vault`);
      found.push(await keyOf(vault, await hold(vault, entry, release)));
    }
    return found;
  });
  return { files };
}
