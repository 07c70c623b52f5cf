import { CustodyError } from '../../domain/errors.js';
import { TILE_WIDTH, bundlePath, decodeBundle } from '../../formats/tlog-tiles.js';
import { leafHash, rootOver } from '../../formats/tlog.js';
import { findBatch } from './batch.js';
import type { Chain, Readable } from './chain.js';
import { invalidFrom } from './invalid.js';

/** The entries of a full bundle of a checked chain: from the bundle, or from the batches where that is not right. */
export async function readBundle(audit: Readable, chain: Chain, index: number): Promise<readonly Buffer[]> {
  const root = chain.bundleRoots[index];
  if (root === undefined) throw new CustodyError('INTERNAL', `the log has no full bundle ${index}`);
  const isRight = (entries: readonly Buffer[]): boolean => rootOver(entries.map(leafHash)).equals(root);
  const stored = await audit.read(bundlePath(index));
  const bundled = stored === null ? [] : bundleOrNothing(stored.body, index);
  if (bundled.length === TILE_WIDTH && isRight(bundled)) return bundled;
  const entries: Buffer[] = [];
  while (entries.length < TILE_WIDTH) {
    const first = index * TILE_WIDTH + entries.length;
    const found = await findBatch(audit, first, () => undefined);
    if (found.kind !== 'batch') throw invalidFrom(first, 'the batch is gone or damaged');
    entries.push(...found.batch.entries);
  }
  if (!isRight(entries)) throw invalidFrom(index * TILE_WIDTH, 'the entries are not those that were signed');
  return entries;
}

function bundleOrNothing(bytes: Buffer, index: number): Buffer[] {
  try {
    return decodeBundle(bytes, bundlePath(index));
  } catch (error) {
    if (error instanceof CustodyError && error.code === 'MALFORMED') return [];
    throw error;
  }
}
