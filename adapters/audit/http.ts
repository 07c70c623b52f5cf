import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { CustodyError } from '../../domain/errors.js';
import { TILE_WIDTH, bundlePath, decodeBundle, encodeBundle, parseTilePath } from '../../formats/tlog-tiles.js';
import { leafHash } from '../../formats/tlog.js';
import type { Bucket } from '../object-store/port.js';
import { findBatch } from './batch.js';
import { CHECKPOINT } from './checkpoints.js';
import type { TileSource } from './published.js';

interface Buckets {
  readonly audit: Bucket;
  readonly log: Bucket;
}

const IMMUTABLE = 'public, max-age=31536000, immutable';

/**
 * Serves a log as C2SP tlog-tiles: `/checkpoint`, `/tile/<L>/<N>[.p/<W>]` and `/tile/entries/<N>[.p/<W>]`. What is not stored
 * is derived from the batches. It vouches for nothing: readers check everything against the signed checkpoint. 404 for
 * what the log does not have (yet), 503 when the store does not answer.
 */
export function serveLog(source: Buckets): RequestListener {
  const read = tilesOf(source);
  return (request, response) => {
    respond(read, request, response).catch((error: unknown) => {
      const isDown = error instanceof CustodyError && error.code === 'STORE_UNAVAILABLE';
      response.writeHead(isDown ? 503 : 500).end();
    });
  };
}

/** The same paths, straight from the buckets. */
export function tilesOf({ audit, log }: Buckets): TileSource {
  return async (path) =>
    path === CHECKPOINT ? ((await log.read(CHECKPOINT))?.body ?? null) : await readPath(audit, path);
}

async function respond(read: TileSource, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, { allow: 'GET, HEAD' }).end();
    return;
  }
  const path = (request.url ?? '').slice(1);
  const isCheckpoint = path === CHECKPOINT;
  const body = await read(path);
  if (body === null) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, {
    'content-type': isCheckpoint ? 'text/plain; charset=utf-8' : 'application/octet-stream',
    'content-length': body.length,
    'cache-control': isCheckpoint ? 'no-cache' : IMMUTABLE,
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

async function readPath(audit: Bucket, path: string): Promise<Buffer | null> {
  const asked = parseTilePath(path);
  if (asked === null) return null;
  const { level, index, width } = asked;
  if (width === TILE_WIDTH || (level !== 'entries' && level > 0)) {
    const stored = await audit.read(path);
    if (stored !== null) return stored.body;
  }
  if (level !== 'entries' && level > 0) return null;
  const entries = await readEntries(audit, index, width);
  if (entries === null) return null;
  return level === 'entries' ? encodeBundle(entries) : Buffer.concat(entries.map(leafHash));
}

/** The first `width` entries of a bundle; `null` when there are fewer. */
async function readEntries(audit: Bucket, index: number, width: number): Promise<Buffer[] | null> {
  const bundle = await audit.read(bundlePath(index));
  if (bundle !== null) return decodeBundle(bundle.body, bundlePath(index)).slice(0, width);
  const entries: Buffer[] = [];
  while (entries.length < width) {
    const found = await findBatch(audit, index * TILE_WIDTH + entries.length, () => undefined);
    if (found.kind !== 'batch') return null;
    entries.push(...found.batch.entries);
  }
  return entries.slice(0, width);
}
