import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { CustodyError } from '../../domain/errors.js';
import { TILE_WIDTH, decodeBundle, encodeBundle, indexPath, parseIndexPath } from '../../formats/tlog-tiles.js';
import { HASH_SIZE } from '../../formats/tlog.js';
import type { Bucket } from '../object-store/port.js';

/** Entries that were claimed together: they begin at `first` and never cross a multiple of 256. */
export interface Batch {
  readonly first: number;
  /** Root of the tree before these entries: a batch fits on exactly one log. */
  readonly previousRoot: Buffer;
  readonly entries: readonly Buffer[];
}

const MAGIC = Buffer.from('CUSTLOG1');
const NONCE_SIZE = 16;
const ROOT_AT = MAGIC.length + 8 + NONCE_SIZE;
const HEADER_SIZE = ROOT_AT + HASH_SIZE;

export const BATCHES = 'batches/';

export function batchKey(first: number): string {
  const offset = String(first % TILE_WIDTH).padStart(3, '0');
  return `${BATCHES}${indexPath(Math.floor(first / TILE_WIDTH))}/${offset}`;
}

/** The index a batch key stands for; `null` when it stands for none. */
export function parseBatchKey(key: string): number | null {
  const bundle = parseIndexPath(key.slice(BATCHES.length, -4));
  const first = bundle === null ? NaN : bundle * TILE_WIDTH + Number(key.slice(-3));
  return Number.isSafeInteger(first) && batchKey(first) === key ? first : null;
}

/** A batch under a nonce of its own: the same entries claimed by somebody else have other bytes. */
export function encodeBatch({ first, previousRoot, entries }: Batch): Buffer {
  const index = Buffer.alloc(8);
  index.writeBigUInt64BE(BigInt(first));
  return Buffer.concat([MAGIC, index, randomBytes(NONCE_SIZE), previousRoot, encodeBundle(entries)]);
}

/** MALFORMED for what no writer makes at this index: nothing here says that the batch belongs on this log. */
export function decodeBatch(bytes: Buffer, first: number): Batch {
  const what = batchKey(first);
  if (bytes.length < HEADER_SIZE || !bytes.subarray(0, MAGIC.length).equals(MAGIC))
    throw new CustodyError('MALFORMED', `${what} is not a batch`);
  const found = bytes.readBigUInt64BE(MAGIC.length);
  if (found !== BigInt(first)) throw new CustodyError('MALFORMED', `${what} holds the batch of index ${found}`);
  const entries = decodeBundle(bytes.subarray(HEADER_SIZE), what);
  if (entries.length === 0 || (first % TILE_WIDTH) + entries.length > TILE_WIDTH)
    throw new CustodyError('MALFORMED', `${what} has ${entries.length} entries, which do not fit there`);
  return { first, previousRoot: bytes.subarray(ROOT_AT, HEADER_SIZE), entries };
}

/** What lies at an index: a batch that `fits`, none that does, or nothing. */
export type FoundBatch =
  | { readonly kind: 'batch'; readonly batch: Batch; readonly versionId: string | null }
  /** `etag` is that of the newest version: what a replacement must match. */
  | { readonly kind: 'unfit'; readonly etag: string; readonly why: unknown }
  | { readonly kind: 'absent' };

/**
 * The batch at an index: the first version that fits. A later version counts only where an earlier one is damaged, so
 * nobody can put another batch in the place of a good one. `fits` throws when a batch does not.
 */
export async function findBatch(
  audit: Pick<Bucket, 'read' | 'versions' | 'readStream'>,
  first: number,
  fits: (batch: Batch) => void,
): Promise<FoundBatch> {
  const key = batchKey(first);
  const attempt = (bytes: Buffer): Batch | { why: unknown } => {
    try {
      const batch = decodeBatch(bytes, first);
      fits(batch);
      return batch;
    } catch (why) {
      return { why };
    }
  };
  const oldest = await audit.read(key);
  if (oldest === null) return { kind: 'absent' };
  const tried = attempt(oldest.body);
  if (!('why' in tried)) return { kind: 'batch', batch: tried, versionId: oldest.versionId };
  const versions = (await audit.versions(key)).filter(({ isDeleteMarker }) => !isDeleteMarker);
  for (const { versionId } of versions) {
    if (versionId === oldest.versionId) continue;
    const later = attempt(await buffer(await audit.readStream(key, versionId)));
    if (!('why' in later)) return { kind: 'batch', batch: later, versionId };
  }
  return { kind: 'unfit', etag: versions.at(-1)?.etag ?? oldest.etag, why: tried.why };
}
