import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { CustodyError } from '../domain/errors.js';
import type { TokenConfig } from './config.js';
import { readIfThere, readJson, shred, writeDurably, writeJson } from './files.js';
import { openKeyFolder, tokenMarker } from './key-files.js';
import { KEY_BYTES, type KeyStore } from './keys.js';
import { blobSchema } from './ledger-schema.js';
import { loadModule, type Ulong } from './pkcs11.js';
import { Token } from './token.js';
import type { TokenSession } from './token-session.js';

/** The vault's name on the token: one key there bears it as its label, and stands for as long as the vault does. */
const markerSchema = z.strictObject({ vault: blobSchema });

/**
 * Keys that are on disk only wrapped: each blob has an AES key on a token, made there and never let out, and a file with its
 * data key encrypted by that one, the blob's id authenticated with it. When the token's key is destroyed, no copy of the
 * folder opens anything. AES-GCM, and not C_WrapKey, since the data key is then no object on the token: many tokens let
 * no key in or out that is not itself sensitive.
 */
export async function openTokenKeys(state: string, config: TokenConfig, load = loadModule): Promise<KeyStore> {
  const marker = await readJson(tokenMarker(state), markerSchema);
  const folder = await openKeyFolder(state);
  if (marker === null && (await readdir(folder)).length > 0)
    throw new CustodyError(
      'CONFIG_INVALID',
      `${state} has its keys in files: a token cannot take them over. Leave "keys" out, or start with an empty folder`,
    );
  const vault = marker?.vault ?? randomBytes(16).toString('hex');
  const token = await Token.open(config, vault, load);
  if (marker === null) {
    await token.use((session) => session.generate(vault));
    await writeJson(tokenMarker(state), { vault });
  }
  await token.use((session) => demandOurs(session, vault, config));
  return new TokenKeys(token, vault, folder);
}

async function demandOurs(session: TokenSession, vault: string, { token }: TokenConfig): Promise<void> {
  const [own] = await session.find(vault);
  if (own === undefined)
    throw new CustodyError('CONFIG_INVALID', `the token ${token} is not the one that has the keys of this vault`);
  await session.demandSafe(own);
}

class TokenKeys implements KeyStore {
  readonly #token: Token;
  readonly #vault: string;
  readonly #folder: string;

  constructor(token: Token, vault: string, folder: string) {
    this.#token = token;
    this.#vault = vault;
    this.#folder = folder;
  }

  async make(blob: string): Promise<Buffer> {
    if ((await readIfThere(this.#path(blob))) !== null) {
      const found = await this.read(blob);
      if (found !== null) return found;
      throw new CustodyError('INTERNAL', `the token no longer has the key that wraps the key of blob ${blob}`);
    }
    const key = randomBytes(KEY_BYTES);
    const wrapped = await this.#token.use(async (session) => {
      const [found] = await this.#find(session, blob);
      const wrapping = found ?? (await session.generate(blob));
      const sealed = await session.encrypt(wrapping, key, blob);
      if ((await session.decrypt(wrapping, sealed, blob)).equals(key)) return sealed;
      throw new CustodyError('INTERNAL', 'the token decrypts something else than it has encrypted');
    });
    await writeDurably(this.#path(blob), wrapped);
    return key;
  }

  async read(blob: string): Promise<Buffer | null> {
    const wrapped = await readIfThere(this.#path(blob));
    if (wrapped === null) return null;
    return this.#token.use(async (session) => {
      const [found] = await this.#find(session, blob);
      return found === undefined ? null : session.decrypt(found, wrapped, blob);
    });
  }

  async destroy(blob: string): Promise<void> {
    await this.#token.use(async (session) => {
      for (const found of await this.#find(session, blob)) await session.destroy(found);
    });
    await shred(this.#path(blob));
    // A token's word is not enough.
    if (await this.holds(blob))
      throw new CustodyError(
        'INTERNAL',
        `the token says that it has destroyed the key of blob ${blob}, and still has it`,
      );
  }

  async holds(blob: string): Promise<boolean> {
    if ((await readIfThere(this.#path(blob))) !== null) return true;
    return (await this.#token.use((session) => this.#find(session, blob))).length > 0;
  }

  async blobs(): Promise<readonly string[]> {
    const labels = await this.#token.use((session) => session.labels());
    return [...new Set([...labels.filter((label) => label !== this.#vault), ...(await readdir(this.#folder))])];
  }

  /** VAULT_UNAVAILABLE where nothing can be concluded from finding none: another token answers, or an empty one. */
  async #find(session: TokenSession, blob: string): Promise<readonly Ulong[]> {
    const found = await session.find(blob);
    if (found.length === 0 && (await session.find(this.#vault)).length === 0)
      throw new CustodyError('VAULT_UNAVAILABLE', 'the token that has the keys of this vault does not answer');
    return found;
  }

  #path(blob: string): string {
    return join(this.#folder, blob);
  }
}
