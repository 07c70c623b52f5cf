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

export async function effectsOf(town: Town): Promise<Effects> {
  const found: Record<string, number> = {};
  const count = (what: string): void => void (found[what] = (found[what] ?? 0) + 1);
  const { bucket } = town.records;
  for await (const key of bucket.list('')) {
    // A status document says how things stand at a moment: it is made again whenever somebody wants to be sure.
    if (key.startsWith('status/')) continue;
    const kind = key.startsWith('statements/') ? ` ${kindOf((await bucket.read(key))?.body ?? Buffer.alloc(0))}` : '';
    count(`store: ${shapeOf(key, town.model)}${kind}`);
    if ((await bucket.versions(key)).length !== 1) count(`store: written over: ${key}`);
  }
  const records = await town.log();
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
