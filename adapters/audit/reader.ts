import type { AuditRecord } from '../../domain/audit.js';
import type { Digest } from '../../domain/digest.js';
import { CustodyError } from '../../domain/errors.js';
import { parseVerifierKey, type Checkpoint, type LogVerifier } from '../../formats/checkpoint.js';
import { TILE_WIDTH } from '../../formats/tlog-tiles.js';
import { leafHash, proveInclusion, rootOver } from '../../formats/tlog.js';
import type { Bucket } from '../object-store/port.js';
import { readBundle } from './bundle.js';
import { restoreChain, type Chain } from './chain.js';
import { readPublished } from './checkpoints.js';
import { decodeRecord } from './record.js';
import { verifyLog, type LogState } from './verify.js';

export type { LogState };

/** Shows without the log that it holds an entry: RFC 6962, section 2.1.1. */
export interface InclusionProof {
  readonly index: number;
  readonly size: number;
  readonly root: Digest;
  readonly leaf: Digest;
  readonly path: readonly Digest[];
  /** The signed note that commits to the root. */
  readonly checkpoint: string;
}

export interface LogReader {
  /** Recomputes everything from the batches. LOG_INVALID names the first bad index in `details.index`. */
  verifyLog(): Promise<LogState>;
  /** Records in log order from an index on, up to the checkpoint, each checked against it. An id may come twice. */
  records(from?: number): AsyncIterable<{ readonly index: number; readonly record: AuditRecord }>;
  /** USAGE when the checkpoint does not cover the index. */
  inclusionProof(index: number): Promise<InclusionProof>;
}

/** Reads a log by its two buckets, believing only what the key `vkey` (C2SP signed note) has signed. */
export function readLog(source: { readonly audit: Bucket; readonly log: Bucket; readonly vkey: string }): LogReader {
  const verifier = parseVerifierKey(source.vkey);
  const { audit, log } = source;
  return {
    verifyLog: () => verifyLog(audit, log, verifier),
    records: (from = 0) => readRecords(audit, log, verifier, from),
    inclusionProof: (index) => proveEntry(audit, log, verifier, index),
  };
}

interface Opened {
  readonly chain: Chain;
  readonly checkpoint: Checkpoint;
  readonly note: Buffer;
}

/** `null`: the log is empty. */
async function open(audit: Bucket, log: Bucket, verifier: LogVerifier): Promise<Opened | null> {
  const { checkpoint, note } = await readPublished(log, verifier);
  if (checkpoint === null) {
    await verifyLog(audit, log, verifier);
    return null;
  }
  try {
    return { chain: await restoreChain(audit, checkpoint), checkpoint, note };
  } catch (error) {
    // The full check names the index; where it finds nothing, what was found here still holds.
    if (error instanceof CustodyError && error.code === 'LOG_INVALID') await verifyLog(audit, log, verifier);
    throw error;
  }
}

async function* readRecords(
  audit: Bucket,
  log: Bucket,
  verifier: LogVerifier,
  from: number,
): AsyncGenerator<{ index: number; record: AuditRecord }> {
  const opened = await open(audit, log, verifier);
  if (opened === null) return;
  const bundles = opened.chain.bundleRoots.length;
  for (let bundle = Math.floor(from / TILE_WIDTH); bundle <= bundles; bundle += 1) {
    const first = bundle * TILE_WIDTH;
    const entries = bundle < bundles ? await readBundle(audit, opened.chain, bundle) : opened.chain.tail;
    for (const [at, entry] of entries.entries())
      if (first + at >= from) yield { index: first + at, record: decodeRecord(entry, first + at) };
  }
}

async function proveEntry(audit: Bucket, log: Bucket, verifier: LogVerifier, index: number): Promise<InclusionProof> {
  const opened = await open(audit, log, verifier);
  const size = opened?.checkpoint.size ?? 0;
  if (opened === null || !Number.isSafeInteger(index) || index < 0 || index >= size)
    throw new CustodyError('USAGE', `the audit log has ${size} entries, none with the index ${index}`);
  const { chain, checkpoint, note } = opened;
  const bundle = Math.floor(index / TILE_WIDTH);
  const leaves = new Map([[chain.bundleRoots.length, chain.tail.map(leafHash)]]);
  if (!leaves.has(bundle)) leaves.set(bundle, (await readBundle(audit, chain, bundle)).map(leafHash));
  // Every node of the path lies in the entry's own bundle, in the unfinished one, or above the bundles.
  const path = await proveInclusion(index, size, (height, at) => {
    const width = 2 ** height;
    if (width >= TILE_WIDTH) {
      const count = width / TILE_WIDTH;
      return rootOver(chain.bundleRoots.slice(at * count, (at + 1) * count));
    }
    const start = at * width;
    const within = leaves.get(Math.floor(start / TILE_WIDTH)) ?? [];
    return rootOver(within.slice(start % TILE_WIDTH, (start % TILE_WIDTH) + width));
  });
  return {
    index,
    size,
    root: checkpoint.root,
    leaf: (leaves.get(bundle)?.[index % TILE_WIDTH] ?? Buffer.alloc(0)).toString('hex'),
    path: path.map((hash) => hash.toString('hex')),
    checkpoint: note.toString('utf8'),
  };
}
