import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { NO_LIMITS, walkFolder } from '../../adapters/source/folder.js';
import { hashFiles } from '../../adapters/source/hashing.js';
import { CustodyError } from '../../domain/errors.js';
import { importPublicKey } from '../../formats/keys.js';
import { readOms } from '../../formats/oms.js';
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
  const found = walkFolder(resolve(folder), NO_LIMITS);
  const readSignature = async (): Promise<ReturnType<typeof readOms>> => {
    const keys = publicKey.map((file) => importPublicKey(readFileSync(file, 'utf8')));
    return readOms(readFileSync(bundle), keys);
  };
  const [files, { keyId, demandFiles }] = await Promise.all([hashFiles(resolve(folder), found), readSignature()]);
  demandFiles(files.map(({ path, sha256 }) => ({ name: path, sha256 })));
  answer(session, { folder, files: files.length, keyId }, [
    good(`the key ${keyId} has signed exactly these ${files.length} files`),
  ]);
}
