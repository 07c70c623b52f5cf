import { recordOf } from '../adapters/object-store/rules.js';
import type { PolicyChain, Records } from '../adapters/records.js';
import type { AuditRecord } from '../domain/audit.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import { isoTime } from '../domain/time.js';
import { canonicalBytes } from '../formats/jcs.js';
import { sha256 } from '../formats/sha256.js';
import type { Audit } from './journal.js';

const CHANGE = 'store.tampered';

/**
 * What lies on top of a policy in the store, another version or a delete marker, changes nothing: the oldest version is the
 * record. But nobody has a reason to put it there, so it is in the log, once.
 */
export async function noteCoveredPolicies({ bucket }: Records, audit: Audit): Promise<void> {
  const found: AuditRecord[] = [];
  for await (const key of bucket.list('policies/')) {
    const versions = await bucket.versions(key);
    const record = recordOf(versions);
    for (const { versionId, isDeleteMarker } of versions.filter((version) => version !== record))
      found.push(
        incident(
          [key, versionId],
          `${key} has ${isDeleteMarker ? 'a delete marker' : 'another version'} on top, ${versionId ?? ''}: somebody else than control writes to the store`,
        ),
      );
  }
  if (found.length > 0) await audit.append(found);
}

/**
 * The chain in the store. What does not verify is in the log as somebody's doing, and stops whatever raises exposure; here
 * the chain that was read before it serves on, so that no gateway misses a kill.
 */
export async function policiesOrNote(records: Records, audit: Audit): Promise<PolicyChain> {
  try {
    return await records.policies();
  } catch (error) {
    if (error instanceof CustodyError && isPermanent(error.code))
      await audit.append([
        incident([error.code, error.message], `the policies in the store: ${error.code}: ${error.message}`),
      ]);
    return records.usablePolicies();
  }
}

function incident(key: readonly unknown[], reason: string): AuditRecord {
  return {
    id: sha256(canonicalBytes([CHANGE, ...key])),
    time: isoTime(Date.now()),
    actor: { id: 'unverified', statement: null },
    change: CHANGE,
    subject: { model: '', version: null, release: null },
    before: null,
    after: null,
    policy: null,
    workflow: null,
    reason,
  };
}
