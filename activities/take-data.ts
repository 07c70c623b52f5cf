import { keepFiles, keptSource } from '../adapters/data-sources.js';
import type { Records } from '../adapters/records.js';
import { listData } from '../adapters/source/data.js';
import { localPath, readSmall } from '../adapters/source/file.js';
import { MAX_DOCUMENT_BYTES } from '../adapters/source/folder.js';
import { join } from 'node:path';
import { CustodyError } from '../domain/errors.js';
import { CROISSANT_FILE, flawInCroissant, readCroissant } from '../formats/croissant.js';
import { fileListDigest, type ListedFile } from '../formats/file-list.js';
import { sha256 } from '../formats/sha256.js';
import type { DataIntake } from './data-contract.js';
import { withHeartbeat } from './heartbeat.js';

/** Compares the data in a folder with what was signed for, byte by byte. Nothing is uploaded but the list of their files. */
export function createDataIntake({ records }: { readonly records: Records }): DataIntake {
  return {
    takeData: (source, { statement }, reference) =>
      withHeartbeat(
        () => ({ source }),
        async (signal) => {
          const { statement: said } = await keptSource(records, statement);
          const folder = localPath(reference);
          const { files, bytes } = await listData(folder);
          const found = fileListDigest(files);
          if (found !== said.subject || files.length !== said.predicate.files)
            throw new CustodyError(
              'DIGEST_MISMATCH',
              `the data in ${folder} are not those that were signed for: their list has the SHA-256 ${found}`,
              { details: { expected: said.subject, found } },
            );
          await demandDescription(folder, files, said.predicate.croissant);
          await keepFiles(records, files, signal);
          return { files: files.length, bytes };
        },
      ),
  };
}

/** What describes the data must be there as it was signed for, and must fit them. */
async function demandDescription(
  folder: string,
  files: readonly ListedFile[],
  croissant: string | null,
): Promise<void> {
  const described = files.find(({ path }) => path === CROISSANT_FILE);
  if ((described?.sha256 ?? null) !== croissant)
    throw new CustodyError('CUSTODY_BROKEN', `the ${CROISSANT_FILE} of the data is not the one that was signed for`);
  if (described === undefined) return;
  const bytes = await readSmall(join(folder, CROISSANT_FILE), MAX_DOCUMENT_BYTES);
  if (sha256(bytes) !== described.sha256)
    throw new CustodyError('DIGEST_MISMATCH', `${CROISSANT_FILE} has changed while the data were compared`);
  const flaw = flawInCroissant(readCroissant(bytes), files);
  if (flaw !== null) throw new CustodyError('CUSTODY_BROKEN', `${CROISSANT_FILE} does not fit the data: ${flaw}`);
}
