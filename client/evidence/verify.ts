import {
  differs,
  DossierBucket,
  DOSSIER_MANIFEST,
  openDossier,
  type OpenedDossier,
} from '../../adapters/evidence/folder.js';
import { decodeRecord } from '../../adapters/audit/record.js';
import { Records } from '../../adapters/records.js';
import { CustodyError } from '../../domain/errors.js';
import { holdsRole } from '../../domain/policy.js';
import { openCheckpoint } from '../../formats/checkpoint.js';
import { parseVerifierKeys } from '../../formats/signed-note.js';
import type { PinnedRoot } from '../../formats/policy.js';
import { sha256 } from '../../formats/sha256.js';
import { decodeProof, verifyProof } from '../../formats/tlog-proof.js';
import { derivedFiles, EVIDENCE, LOG_CHECKPOINT } from './derived.js';
import { assertCovers, evidenceOf } from './gather.js';
import type { Evidence } from './model.js';
import { proofPath, type LogExcerpt } from './timeline.js';

/** What a verifier brings, from wherever he trusts: nothing of it is secret, and nothing of it is in the dossier. */
export interface VerifierTrust {
  /** From which the policies are verified. */
  readonly root: PinnedRoot;
  /** The key of the audit log. */
  readonly vkey: string;
}

/**
 * Checks a dossier by itself: that it is whole and by an auditor, and then everything that it says, made again from the
 * statements and records in it. Errors name the file in `details.file`.
 */
export async function verifyDossier(folder: string, { root, vkey }: VerifierTrust): Promise<Evidence> {
  const dossier = await openDossier(folder);
  const { claimed } = dossier;
  const bucket = DossierBucket.of(dossier);
  const records = new Records(bucket, root, () => Date.parse(claimed.issuedAt));
  const by = await of(DOSSIER_MANIFEST, () => makerOf(dossier, records));
  const log = excerptOf(dossier, vkey);
  const gathered = await evidenceOf({ records, log, by }, { model: claimed.model, version: claimed.version });
  const { evidence, entries } = gathered;
  assertCovers(log, entries);
  for (const [path, bytes] of derivedFiles(gathered))
    if (dossier.files.get(path)?.equals(bytes) !== true)
      throw differs(path, 'does not say what follows from the statements and records in the dossier');
  for (const key of bucket.unread()) {
    const { path } = claimed.files.find(({ stored }) => stored?.key === key) ?? { path: key };
    throw differs(path, 'is nothing that the record of this release leads to');
  }
  const known = new Set([
    ...derivedFiles(gathered).keys(),
    LOG_CHECKPOINT,
    ...entries.map(({ index }) => proofPath(index)),
  ]);
  const stray = claimed.files.find(({ path, stored }) => stored === null && !known.has(path));
  if (stray !== undefined) throw differs(stray.path, 'is no part of a dossier');
  return evidence;
}

/** The auditor who has signed it. Who may audit is the policies' to say, which are in the dossier and lead back to the root. */
async function makerOf({ envelope, claimed, files }: OpenedDossier, records: Records): Promise<string> {
  const { verified } = await records.verify('dossier', envelope);
  const { newest } = await records.policies();
  const by = verified.signers.find((id) => holdsRole(newest, newest, id, 'auditor'));
  if (by === undefined)
    throw new CustodyError('NOT_AUTHORISED', `${verified.signers.join(', ')} does not hold the role auditor`);
  if (verified.predicate.environment !== records.environment)
    throw new CustodyError('REPLAYED', `it is of the environment ${claimed.environment}`);
  if (verified.subject !== sha256(files.get(EVIDENCE) ?? '')) throw differs(EVIDENCE, 'is not what was signed for');
  return by;
}

/** The records in it, each proved by the one checkpoint that the log's key has signed. */
function excerptOf({ claimed, files }: OpenedDossier, vkey: string): LogExcerpt {
  const verifier = parseVerifierKeys(vkey);
  const note = files.get(LOG_CHECKPOINT);
  if (note === undefined) throw differs(LOG_CHECKPOINT, 'is not there');
  const { origin, size, root } = named(LOG_CHECKPOINT, () => openCheckpoint(note, verifier));
  const paths = claimed.files.filter(({ path }) => path.startsWith('log/') && path !== LOG_CHECKPOINT);
  const entries = paths.map(({ path }) =>
    named(path, () => {
      const proof = decodeProof(files.get(path) ?? Buffer.alloc(0));
      verifyProof(proof, verifier);
      if (proofPath(proof.index) !== path || !proof.checkpoint.equals(note))
        throw differs(path, 'proves another record, or by another checkpoint');
      return { index: proof.index, record: decodeRecord(proof.entry, proof.index) };
    }),
  );
  return { origin, size, root, entries: entries.sort((a, b) => a.index - b.index) };
}

function named<T>(file: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw about(file, error);
  }
}

async function of<T>(file: string, check: () => Promise<T>): Promise<T> {
  try {
    return await check();
  } catch (error) {
    throw about(file, error);
  }
}

/** The same error, with the file that it is about. */
function about(file: string, error: unknown): unknown {
  if (!(error instanceof CustodyError) || 'file' in error.details) return error;
  return new CustodyError(error.code, `${file}: ${error.message}`, {
    details: { ...error.details, file },
    cause: error,
  });
}
