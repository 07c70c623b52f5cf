import type { AuditRecord } from '../domain/audit.js';
import type { Rules } from '../domain/authorise.js';
import type { RecoveryEvidence } from '../domain/evidence.js';
import type { VerifiedRecovery } from '../domain/recovery.js';
import type { LogVerifier } from './signed-note.js';
import { releaseIn, verifyPolicies } from './evidence.js';
import { parseJson } from './json.js';
import type { PinnedRoot } from './policy.js';
import { keyRing, verifyStatement } from './statements.js';
import { decodeProof, verifyProof } from './tlog-proof.js';

/** An auditor's wish under the rules of now, and what the log whose key is `log` says of it. */
export function verifyRecovery(
  evidence: RecoveryEvidence,
  root: PinnedRoot,
  log: LogVerifier,
  now: string,
): { readonly recovery: VerifiedRecovery; readonly rules: Rules } {
  const { newest } = verifyPolicies(root, evidence.policies);
  const question = verifyStatement(evidence.question, 'auditQuestion', keyRing(newest), now);
  const proof = decodeProof(Buffer.from(evidence.proof));
  verifyProof(proof, log);
  // What the log's key has signed has the shape that control checked before it was appended.
  const record = parseJson(proof.entry, 'the record') as AuditRecord;
  return {
    recovery: { ...releaseIn(evidence.manifest), question, record },
    rules: { environment: newest.environment, gate: newest, newest, now },
  };
}
