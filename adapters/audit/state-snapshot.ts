import { z } from 'zod';
import { CHANGES } from '../../domain/audit.js';
import type { Digest } from '../../domain/digest.js';
import { CustodyError } from '../../domain/errors.js';
import type { StateEvent, StateIndex, StateSource } from '../../domain/state.js';
import { decodeBase64, encodeBase64 } from '../../formats/base64.js';
import { digestSchema } from '../../formats/in-toto.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { checkShape, parseJson } from '../../formats/json.js';
import type { PublicKey, SigningKey } from '../../formats/keys.js';
import { sha256 } from '../../formats/sha256.js';

/**
 * What a log's records come to, up to a size: one line of JSON, then each model's events, then the ids, hashed and in order. A
 * model's events are parsed when somebody asks for them.
 */
export interface Snapshot extends StateSource {
  /** The root of the log of that size. */
  readonly root: Digest;
  readonly ids: Buffer;
}

/** Another one is made anew: what it says depends on how states follow from records. */
const FORMAT = 'custody state snapshot v1';
const ID_BYTES = 16;
const MAX_HEADER_BYTES = 64 * 1024 * 1024;
const NEWLINE = 0x0a;

const headerSchema = z.strictObject({
  format: z.literal(FORMAT),
  size: z.int().min(0),
  root: digestSchema,
  /** Each with the bytes of its events, in this order. */
  models: z.array(z.tuple([z.string(), z.int().min(0)])),
  payload: digestSchema,
  signature: z.string(),
});
type Header = z.infer<typeof headerSchema>;

/** Signed like nothing else that this key signs: a checkpoint's first line has no space. */
function signedBytes(header: Omit<Header, 'signature'>): Buffer {
  return Buffer.concat([Buffer.from(`${FORMAT}\n`), canonicalBytes(header)]);
}

/** `earlier`: the ids of the snapshot that the index goes on from. */
export function encodeSnapshot(index: StateIndex, earlier: Buffer, root: Digest, key: SigningKey): Buffer {
  const models = [...index.models].map((model) => [model, encodeEvents(index.eventsOf(model))] as const);
  const payload = Buffer.concat([...models.map(([, bytes]) => bytes), mergeIds(earlier, index.ids)]);
  const header: Omit<Header, 'signature'> = {
    format: FORMAT,
    size: index.size,
    root,
    models: models.map(([model, bytes]) => [model, bytes.length]),
    payload: sha256(payload),
  };
  const signature = encodeBase64(key.sign(signedBytes(header)));
  return Buffer.concat([canonicalBytes({ ...header, signature }), Buffer.of(NEWLINE), payload]);
}

/** MALFORMED, SIGNATURE_INVALID or DIGEST_MISMATCH unless `key` has signed all of it. */
export function openSnapshot(bytes: Buffer, key: PublicKey): Snapshot {
  const end = bytes.indexOf(NEWLINE);
  const text = bytes.subarray(0, Math.max(0, end));
  const what = 'the snapshot of states';
  const { signature, ...header } = checkShape(
    headerSchema,
    parseJson(text, what, { maxBytes: MAX_HEADER_BYTES }),
    what,
  );
  if (!key.verify(signedBytes(header), decodeBase64(signature, 'its signature')))
    throw new CustodyError('SIGNATURE_INVALID', `${what} is not signed by the log's key`);
  const payload = bytes.subarray(end + 1);
  if (sha256(payload) !== header.payload)
    throw new CustodyError('DIGEST_MISMATCH', `${what} is not the one that was signed`);
  const places = new Map<string, Buffer>();
  let from = 0;
  for (const [model, length] of header.models) {
    places.set(model, payload.subarray(from, from + length));
    from += length;
  }
  const ids = payload.subarray(from);
  return {
    size: header.size,
    root: header.root,
    models: places.keys(),
    eventsOf: (model) => decodeEvents(model, places.get(model)),
    has: (id) => hasId(ids, hashOfId(id)),
    ids,
  };
}

type Row = readonly [number, number, number, string | null, Digest | null, Digest | null, Digest | null];

function encodeEvents(events: readonly StateEvent[]): Buffer {
  const rows = events.map(({ index, time, change, version, release, before, after }): Row => {
    return [index, time, CHANGES.indexOf(change), version, release, before, after];
  });
  return Buffer.from(JSON.stringify(rows));
}

function decodeEvents(model: string, bytes: Buffer = Buffer.from('[]')): StateEvent[] {
  const rows = JSON.parse(bytes.toString('utf8')) as readonly Row[];
  return rows.map(([index, time, kind, version, release, before, after]) => {
    const change = CHANGES[kind];
    if (change === undefined) throw new CustodyError('MALFORMED', `a snapshot of states knows a change ${kind}`);
    return { model, index, time, change, version, release, before, after };
  });
}

function hashOfId(id: string): Buffer {
  return Buffer.from(sha256(id), 'hex').subarray(0, ID_BYTES);
}

function mergeIds(earlier: Buffer, ids: ReadonlySet<string>): Buffer {
  const hashes = [...ids].map(hashOfId);
  for (let at = 0; at < earlier.length; at += ID_BYTES) hashes.push(earlier.subarray(at, at + ID_BYTES));
  return Buffer.concat(hashes.sort((a, b) => a.compare(b)));
}

function hasId(ids: Buffer, id: Buffer): boolean {
  let [from, to] = [0, ids.length / ID_BYTES];
  while (from < to) {
    const middle = (from + to) >>> 1;
    const order = ids.compare(id, 0, ID_BYTES, middle * ID_BYTES, (middle + 1) * ID_BYTES);
    if (order === 0) return true;
    if (order < 0) from = middle + 1;
    else to = middle;
  }
  return false;
}
