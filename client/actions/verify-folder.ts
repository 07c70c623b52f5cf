import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { NO_LIMITS, walkFolder } from '../../adapters/source/folder.js';
import { hashFiles } from '../../adapters/source/hashing.js';
import { CustodyError } from '../../domain/errors.js';
import { importPublicKey } from '../../formats/keys.js';
import { verifyOms } from '../../formats/oms.js';
import { answer, good } from '../output.js';
import type { Session } from '../session.js';

export interface VerifyFolderOptions {
  readonly bundle?: string;
  readonly publicKey?: readonly string[];
}

/** An OpenSSF model signature over a folder on this host, with nothing but public keys: no stack and no policy is asked. */
export async function verifyFolder(session: Session, folder: string, options: VerifyFolderOptions): Promise<void> {
  const { bundle, publicKey = [] } = options;
  if (bundle === undefined || publicKey.length === 0)
    throw new CustodyError('USAGE', 'say what signs the folder: --bundle and --public-key, or name <model> <version>');
  const keys = publicKey.map((file) => importPublicKey(readFileSync(file, 'utf8')));
  const files = await hashFiles(resolve(folder), walkFolder(resolve(folder), NO_LIMITS));
  const resources = files.map(({ path, sha256 }) => ({ name: path, sha256 }));
  const { keyId } = verifyOms(readFileSync(bundle), keys, resources);
  answer(session, { folder, files: files.length, keyId }, [
    good(`the key ${keyId} has signed exactly these ${files.length} files`),
  ]);
}
