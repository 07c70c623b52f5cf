import { authoriseRecovery } from '../domain/recovery.js';
import { isoTime } from '../domain/time.js';
import type { OpenAnswer, RecoverRequest } from '../domain/vault.js';
import { demand } from '../formats/evidence.js';
import { parseManifest } from '../formats/manifest.js';
import { verifyRecovery } from '../formats/recovery.js';
import { assertNotErased, openListed } from './open.js';
import type { Vault } from './vault.js';

/**
 * Hands out keys of a release to whoever an auditor's question stands behind, which the audit log has. It may be revoked: what is
 * looked into then is most of all what should not have served.
 */
export async function recover(vault: Vault, { sha256s, evidence }: RecoverRequest): Promise<OpenAnswer<string>> {
  const { recovery, rules } = verifyRecovery(evidence, vault.root, vault.log, isoTime(Date.now()));
  await vault.seen.acceptPolicy(rules.newest);
  demand(authoriseRecovery(recovery, rules));
  assertNotErased(vault, recovery.release);
  return openListed(vault, recovery.release, parseManifest(Buffer.from(evidence.manifest, 'utf8')), sha256s);
}
