import { dossierFiles, DOSSIER_MANIFEST, placeOf } from '../../adapters/evidence/folder.js';
import { RecordingBucket } from '../../adapters/evidence/recording.js';
import type { PublishedLog } from '../../adapters/audit/published.js';
import { Records } from '../../adapters/records.js';
import type { DossierFile } from '../../domain/dossier.js';
import type { ReleaseName } from '../../domain/names.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { sha256 } from '../../formats/sha256.js';
import { signStatement } from '../../formats/statements.js';
import { encodeProof } from '../../formats/tlog-proof.js';
import { makeFolder, writeBelow } from '../files.js';
import type { Signer } from '../requests.js';
import { derivedFiles, EVIDENCE, LOG_CHECKPOINT } from './derived.js';
import { evidenceOf } from './gather.js';
import type { Evidence } from './model.js';
import { mayConcern, proofPath, type LogEntry } from './timeline.js';
import { verifyDossier } from './verify.js';

type Files = Map<string, { readonly bytes: Buffer; readonly stored: DossierFile['stored'] }>;

/**
 * Writes the dossier of a release into a folder that is not there yet: what was read to examine it, the proof of each record of
 * its life, what follows from them, and the auditor's signature over all of it. It is verified as anybody else would before it
 * gets its name.
 */
export async function makeDossier(
  { records: live, log, signer, vkey }: { records: Records; log: PublishedLog; signer: Signer; vkey: string },
  name: ReleaseName,
  folder: string,
): Promise<Evidence> {
  const at = Date.now();
  const bucket = new RecordingBucket(live.bucket);
  const records = new Records(bucket, live.root, () => at);
  const entries: LogEntry[] = [];
  for await (const entry of log.records()) if (mayConcern(entry.record, name.model)) entries.push(entry);
  const { checkpoint } = log;
  const gathered = await evidenceOf({ records, log: { ...checkpoint, entries }, by: signer.id }, name);
  const files: Files = new Map();
  for (const [path, bytes] of derivedFiles(gathered)) files.set(path, { bytes, stored: null });
  const wanted = new Set(gathered.evidence.documents.map(({ path }) => path));
  for (const [key, { body, storedAt }] of await bucket.taken()) {
    const path = placeOf(key, body);
    // What was looked through to find what concerns the release.
    if (/^(routes|facts)\//.test(key) && !wanted.has(path)) continue;
    files.set(path, { bytes: body, stored: { key, at: storedAt } });
  }
  files.set(LOG_CHECKPOINT, { bytes: log.note, stored: null });
  for (const { index } of gathered.entries)
    files.set(proofPath(index), { bytes: Buffer.from(encodeProof(await log.prove(index))), stored: null });

  const { evidence } = gathered;
  const { environment, model, version, release, madeAt } = evidence;
  const predicate = {
    ...{ environment, model, version, release, log: evidence.log, files: dossierFiles(files), issuedAt: madeAt },
  };
  const subject = { name: EVIDENCE, sha256: sha256(canonicalBytes(evidence)) };
  const envelope = signStatement('dossier', subject, predicate, [signer.key]);
  files.set(DOSSIER_MANIFEST, { bytes: Buffer.concat([canonicalBytes(envelope), Buffer.from('\n')]), stored: null });

  await makeFolder(folder, async (partial) => {
    for (const [path, { bytes }] of files) writeBelow(partial, path, bytes);
    await verifyDossier(partial, { root: live.root, vkey });
  });
  return evidence;
}
