import { CustodyError } from '../../domain/errors.js';
import { openCheckpoint, type Checkpoint } from '../../formats/checkpoint.js';
import type { LogVerifier } from '../../formats/signed-note.js';
import type { Bucket } from '../object-store/port.js';
import { invalidFrom } from './invalid.js';

export const CHECKPOINT = 'checkpoint';
const LOCKED = 'checkpoints/';
const SIZE_DIGITS = 16;

export interface Published {
  /** `null`: there is none, or it is not this log's. */
  readonly checkpoint: Checkpoint | null;
  readonly note: Buffer;
  /** `null`: there is no object. */
  readonly etag: string | null;
}

/** Names in the order of the sizes that they are about. */
export function numbered(prefix: string, size: number): string {
  return `${prefix}${String(size).padStart(SIZE_DIGITS, '0')}`;
}

export function lockedKey(size: number): string {
  return numbered(LOCKED, size);
}

/** The checkpoint that counts now. One that does not verify counts as absent: the batches are the truth. */
export async function readPublished(log: Bucket, verifier: LogVerifier): Promise<Published> {
  const stored = await log.read(CHECKPOINT);
  if (stored === null) return { checkpoint: null, note: Buffer.alloc(0), etag: null };
  return { checkpoint: openOrNull(stored.body, verifier), note: stored.body, etag: stored.etag };
}

/** The locked copies of checkpoints larger than `above`, smallest first; LOG_INVALID for one that does not verify. */
export async function* lockedCheckpoints(audit: Bucket, verifier: LogVerifier, above = -1): AsyncGenerator<Checkpoint> {
  const options = above < 0 ? {} : { startAfter: lockedKey(above) };
  for await (const key of audit.list(LOCKED, options)) {
    const size = Number(key.slice(LOCKED.length));
    const stored = await audit.read(key);
    const checkpoint = stored === null ? null : openOrNull(stored.body, verifier);
    if (checkpoint === null || lockedKey(checkpoint.size) !== key)
      throw invalidFrom(Number.isSafeInteger(size) ? size : 0, `${key} does not hold a checkpoint of this log`);
    yield checkpoint;
  }
}

function openOrNull(note: Buffer, verifier: LogVerifier): Checkpoint | null {
  try {
    return openCheckpoint(note, verifier);
  } catch (error) {
    if (error instanceof CustodyError && (error.code === 'MALFORMED' || error.code === 'SIGNATURE_INVALID'))
      return null;
    throw error;
  }
}
