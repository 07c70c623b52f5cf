import { sha256 } from '../../../formats/sha256.js';
import type { Town } from './town.js';

/** What has come of everything that was done in a town, counted: what two runs of one story must have in common. */
export type Effects = Readonly<Record<string, number>>;

const DIGEST = /^[0-9a-f]{64}$/;

/** A key without what differs from run to run. */
function shapeOf(key: string, model: string): string {
  return key
    .split('/')
    .map((part) => {
      if (DIGEST.test(part) || /^[0-9a-f]{32}$/.test(part)) return '#';
      if (/^\d{15}(-.*)?$/.test(part)) return 'time';
      return part.replace(/[0-9a-f]{64}/g, '#').replaceAll(model, 'model');
    })
    .join('/')
    .replace(/^nonces\/.*/, 'nonces/#')
    .replace(/^records\/drills\/orders\/[^/]+/, 'records/drills/orders/run');
}

/** What a statement is, by its predicate; bytes that are none are what they are. */
function kindOf(body: Buffer): string {
  try {
    const { payload } = JSON.parse(body.toString('utf8')) as { payload: string };
    const { predicateType } = JSON.parse(Buffer.from(payload, 'base64').toString('utf8')) as { predicateType: string };
    return predicateType.replace(/^.*(predicate:|\/attestation\/|slsa.dev\/|model_signing\/)/, '');
  } catch {
    return 'bytes';
  }
}

interface Stored {
  readonly key: string;
  readonly body: Buffer;
}

/** Digests that stand in an object, also in what it has signed. */
function namedIn(body: Buffer): ReadonlySet<string> {
  const text = body.toString('latin1');
  let signed = '';
  try {
    const { payload = '' } = JSON.parse(text) as { payload?: string };
    signed = Buffer.from(payload, 'base64').toString('latin1');
  } catch {
    // Bytes name nothing.
  }
  return new Set(`${text} ${signed}`.match(/[0-9a-f]{64}/g));
}

/**
 * What counts: everything but what an attempt has signed that came too late, and that nothing refers to. Of certificates there
 * is none such.
 */
function counting(stored: readonly Stored[], log: string): readonly Stored[] {
  const loose = new Map<string, Stored[]>();
  const due: Buffer[] = [Buffer.from(log)];
  const found: Stored[] = [];
  for (const each of stored) {
    const [folder = '', ...path] = each.key.split('/');
    const digest = path.at(-1) ?? '';
    // What a route rests on lies under its digest.
    const isOfRoute = folder === 'records' && ['routes', 'proceeds'].includes(path[0] ?? '');
    const isSigned = ['statements', 'requests', 'facts'].includes(folder) && kindOf(each.body) !== 'destruction:v1';
    const isLoose = isOfRoute || isSigned;
    if (isLoose) loose.set(digest, [...(loose.get(digest) ?? []), each]);
    else {
      found.push(each);
      due.push(each.body, Buffer.from(`${each.key} ${sha256(each.body)}`));
    }
  }
  for (let next = due.pop(); next !== undefined; next = due.pop())
    for (const digest of namedIn(next)) {
      const named = loose.get(digest) ?? [];
      loose.delete(digest);
      found.push(...named);
      due.push(...named.map(({ body }) => body));
    }
  return found;
}

export async function effectsOf(town: Town): Promise<Effects> {
  const found: Record<string, number> = {};
  const count = (what: string): void => void (found[what] = (found[what] ?? 0) + 1);
  const { bucket } = town.records;
  const stored: Stored[] = [];
  for await (const key of bucket.list('')) {
    // A status document says how things stand at a moment: it is made again whenever somebody wants to be sure.
    if (key.startsWith('status/')) continue;
    stored.push({ key, body: (await bucket.read(key))?.body ?? Buffer.alloc(0) });
    if ((await bucket.versions(key)).length !== 1) count(`store: written over: ${key}`);
  }
  const records = await town.log();
  for (const { key, body } of counting(stored, JSON.stringify(records))) {
    const kind = key.startsWith('statements/') ? ` ${kindOf(body)}` : '';
    count(`store: ${shapeOf(key, town.model)}${kind}`);
  }
  for (const { change, subject } of records) count(`log: ${change} ${subject.version ?? ''}`);
  count('log: verified');
  if (new Set(records.map(({ id }) => id)).size !== records.length) count('log: an id counts twice');
  for (const id of new Set(town.letters.map(({ messageId, consumer }) => `${consumer} ${messageId}`)))
    count(`letter to ${id.split(' ')[0] ?? ''}`);
  for (const [at, { gateway }] of town.gateways.entries())
    found[`gateway ${at + 1}: revision`] =
      gateway.state().models.find(({ model }) => model === town.model)?.revision ?? 0;
  return found;
}
