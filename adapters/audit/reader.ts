import type { AuditRecord } from '../../domain/audit.js';
import { CustodyError } from '../../domain/errors.js';
import { parseVerifierKeys, type LogVerifier } from '../../formats/signed-note.js';
import { TILE_WIDTH } from '../../formats/tlog-tiles.js';
import type { Bucket } from '../object-store/port.js';
import { readBundle } from './bundle.js';
import { restoreChain, type Chain } from './chain.js';
import { readPublished } from './checkpoints.js';
import { decodeRecord } from './record.js';
import { verifyLog, type LogState } from './verify.js';

export type { LogState };

export interface LogReader {
  /** Recomputes everything from the batches. LOG_INVALID names the first bad index in `details.index`. */
  verifyLog(): Promise<LogState>;
  /** Records in log order from an index on, up to the checkpoint, each checked against it. An id may come twice. */
  records(from?: number): AsyncIterable<{ readonly index: number; readonly record: AuditRecord }>;
}

/** Reads a log by its two buckets, believing only what the key `vkey` (C2SP signed note) has signed. */
export function readLog(source: { readonly audit: Bucket; readonly log: Bucket; readonly vkey: string }): LogReader {
  const verifier = parseVerifierKeys(source.vkey);
  const { audit, log } = source;
  return {
    verifyLog: () => verifyLog(audit, log, verifier),
    records: (from = 0) => readRecords(audit, log, verifier, from),
  };
}

/** `null`: the log is empty. */
async function open(audit: Bucket, log: Bucket, verifier: LogVerifier): Promise<Chain | null> {
  const { checkpoint } = await readPublished(log, verifier);
  if (checkpoint === null) {
    await verifyLog(audit, log, verifier);
    return null;
  }
  try {
    return await restoreChain(audit, checkpoint);
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
  const chain = await open(audit, log, verifier);
  if (chain === null) return;
  const bundles = chain.bundleRoots.length;
  for (let bundle = Math.floor(from / TILE_WIDTH); bundle <= bundles; bundle += 1) {
    const first = bundle * TILE_WIDTH;
    const entries = bundle < bundles ? await readBundle(audit, chain, bundle) : chain.tail;
    for (const [at, entry] of entries.entries())
      if (first + at >= from) yield { index: first + at, record: decodeRecord(entry, first + at) };
  }
}
