import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CustodyError } from '../domain/errors.js';
import { ensureFolder, readIfThere, shred, sweep, writeDurably } from './files.js';
import { KEY_BYTES, type KeyStore } from './keys.js';

/** A folder of files, one a key: the keys themselves here, wrapped ones beside a token. */
export async function openKeyFolder(state: string): Promise<string> {
  const folder = join(state, 'keys');
  await ensureFolder(folder);
  await sweep(folder);
  return folder;
}

/** What says that a folder's keys are wrapped, and which token's they are. */
export function tokenMarker(state: string): string {
  return join(state, 'token.json');
}

/** The keys as they are, in a folder that only the vault's user may enter. */
export async function openFileKeys(state: string): Promise<KeyStore> {
  if ((await readIfThere(tokenMarker(state))) !== null)
    throw new CustodyError(
      'CONFIG_INVALID',
      `the keys of ${state} are wrapped by a token: name it in "keys", as it was named when the folder was made`,
    );
  const folder = await openKeyFolder(state);
  const path = (blob: string): string => join(folder, blob);
  const read = (blob: string): Promise<Buffer | null> => readIfThere(path(blob));
  return {
    read,
    async make(blob) {
      const found = await read(blob);
      if (found !== null) return found;
      const key = randomBytes(KEY_BYTES);
      await writeDurably(path(blob), key);
      return key;
    },
    destroy: (blob) => shred(path(blob)),
    holds: async (blob) => (await read(blob)) !== null,
    blobs: () => readdir(folder),
  };
}
