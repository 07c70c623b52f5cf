import { join } from 'node:path';
import type { DossierFile, DossierPredicate } from '../../domain/dossier.js';
import { CustodyError } from '../../domain/errors.js';
import { PREDICATES, type SignedEnvelope } from '../../domain/statements.js';
import { decodeBase64 } from '../../formats/base64.js';
import { parseEnvelope } from '../../formats/dsse.js';
import { parseStatement, PAYLOAD_TYPE } from '../../formats/in-toto.js';
import { parseJson } from '../../formats/json.js';
import { predicateSchema } from '../../formats/predicates.js';
import { sha256 } from '../../formats/sha256.js';
import { compareKeys } from '../object-store/rules.js';
import type { StoredObject } from '../object-store/port.js';
import { readSmall } from '../source/file.js';
import { MAX_DOCUMENT_BYTES, NO_LIMITS, walkFolder } from '../source/folder.js';
import { ReadOnlyBucket } from './read-only.js';

/** The statement of whoever made it, over every other file. */
export const DOSSIER_MANIFEST = 'manifest.intoto.jsonl';
const MAX_DOSSIER_BYTES = 512 * 1024 * 1024;

/** A folder with exactly the files that its manifest lists, each with its hash. Whose the manifest is has not been checked. */
export interface OpenedDossier {
  readonly envelope: SignedEnvelope;
  readonly claimed: DossierPredicate;
  readonly files: ReadonlyMap<string, Buffer>;
}

/** DIGEST_MISMATCH names, in `details.file`, the first file that is missing, too many, or not what the manifest says. */
export async function openDossier(folder: string): Promise<OpenedDossier> {
  const found = walkFolder(folder, NO_LIMITS);
  if (!found.some(({ path }) => path === DOSSIER_MANIFEST)) throw differs(DOSSIER_MANIFEST, 'is not there');
  const text = await readSmall(join(folder, DOSSIER_MANIFEST), MAX_DOCUMENT_BYTES);
  const envelope = parseEnvelope(text);
  const payload = decodeBase64(envelope.payload, 'the payload of the envelope');
  const { predicate: claimed } = parseStatement(payload, PREDICATES.dossier, predicateSchema('dossier'));
  const listed = new Set(claimed.files.map(({ path }) => path));
  for (const { path } of found)
    if (path !== DOSSIER_MANIFEST && !listed.has(path))
      throw differs(path, 'is none of the files that were signed for');
  if (listed.size !== claimed.files.length || listed.has(DOSSIER_MANIFEST))
    throw differs(DOSSIER_MANIFEST, 'lists a file twice, or itself');
  const sizes = new Map(found.map(({ path, size }) => [path, size]));
  if (found.reduce((sum, { size }) => sum + size, 0) > MAX_DOSSIER_BYTES)
    throw new CustodyError('INPUT_UNSAFE', `the folder holds more than ${MAX_DOSSIER_BYTES} bytes: no dossier does`);
  const files = new Map<string, Buffer>();
  for (const { path, size, sha256: expected } of claimed.files) {
    const there = sizes.get(path);
    if (there === undefined) throw differs(path, 'is not there');
    if (there !== size) throw differs(path, `has ${there} bytes, and ${size} were signed for`);
    const bytes = await readSmall(join(folder, path), MAX_DOCUMENT_BYTES);
    if (sha256(bytes) !== expected) throw differs(path, 'is not the file that was signed for');
    files.set(path, bytes);
  }
  return { envelope, claimed, files };
}

export function differs(file: string, how: string): CustodyError {
  return new CustodyError('DIGEST_MISMATCH', `${file} ${how}`, { details: { file } });
}

/** Where an object of the store lies in a dossier, by its key and by what it is: people's tools go by the ending. */
export function placeOf(key: string, body: Buffer): string {
  return `store/${key}${endingOf(body)}`;
}

function endingOf(body: Buffer): string {
  const start = body.subarray(0, 64).toString('latin1').toLowerCase();
  if (start.startsWith('<!doctype html')) return '.html';
  if (start.startsWith('<?xml')) return '.xml';
  try {
    const value = parseJson(body, 'the object', { maxBytes: MAX_DOCUMENT_BYTES });
    const isEnvelope = typeof value === 'object' && value !== null && 'payloadType' in value;
    return isEnvelope && value.payloadType === PAYLOAD_TYPE ? '.intoto.jsonl' : '.json';
  } catch (error) {
    if (error instanceof CustodyError && error.code === 'MALFORMED') return '.bin';
    throw error;
  }
}

/** The objects of a dossier as the bucket that they were taken from: what is not in it is not there. */
export class DossierBucket extends ReadOnlyBucket {
  readonly #objects: ReadonlyMap<string, StoredObject>;
  readonly #read = new Set<string>();

  private constructor(objects: ReadonlyMap<string, StoredObject>) {
    super('the dossier');
    this.#objects = objects;
  }

  /** DIGEST_MISMATCH names an object that lies elsewhere than its key says. */
  static of({ claimed, files }: Pick<OpenedDossier, 'claimed' | 'files'>): DossierBucket {
    const objects = new Map<string, StoredObject>();
    for (const { path, stored } of claimed.files) {
      if (stored === null) continue;
      const body = files.get(path) ?? Buffer.alloc(0);
      if (placeOf(stored.key, body) !== path || objects.has(stored.key))
        throw differs(path, `is not where the object ${stored.key} lies in a dossier`);
      objects.set(stored.key, { body, versionId: null, etag: '', storedAt: stored.at });
    }
    return new DossierBucket(objects);
  }

  async read(key: string): Promise<StoredObject | null> {
    this.#read.add(key);
    return this.#objects.get(key) ?? null;
  }

  async *list(prefix: string, { startAfter, limit = Infinity }: { startAfter?: string; limit?: number } = {}) {
    yield* [...this.#objects.keys()]
      .filter((key) => key.startsWith(prefix) && (startAfter === undefined || compareKeys(key, startAfter) > 0))
      .sort(compareKeys)
      .slice(0, limit);
  }

  /** The keys of the objects that nobody has asked for. */
  unread(): readonly string[] {
    return [...this.#objects.keys()].filter((key) => !this.#read.has(key)).sort(compareKeys);
  }
}

/** As the manifest lists them. */
export function dossierFiles(
  files: ReadonlyMap<string, { readonly bytes: Buffer; readonly stored: DossierFile['stored'] }>,
): DossierFile[] {
  return [...files]
    .map(([path, { bytes, stored }]) => ({ path, size: bytes.length, sha256: sha256(bytes), stored }))
    .sort((a, b) => compareKeys(a.path, b.path));
}
