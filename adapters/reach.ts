import { isDigest, type Digest } from '../domain/digest.js';
import type { HeldRelease } from '../domain/hold.js';
import { PREDICATES } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import type { Bucket } from './object-store/port.js';

/**
 * The keys of everything that a release's records lead to: its manifest, its records, and every statement and document that
 * they name, also through others. Ciphertext is not among them: only the vault knows which it is.
 */
export async function reachOf(bucket: Bucket, { release, ...name }: HeldRelease): Promise<ReadonlySet<string>> {
  const keys = new Set<string>([storeKeys.version(name), storeKeys.manifest(release)]);
  const seen = new Set<Digest>([release]);
  const waiting: Digest[] = [];
  const follow = (value: unknown): void => {
    for (const digest of digestsIn(value)) {
      if (seen.has(digest)) continue;
      seen.add(digest);
      waiting.push(digest);
    }
  };
  const take = async (key: string): Promise<boolean> => {
    const stored = await bucket.read(key);
    if (stored === null) return false;
    keys.add(key);
    follow(whatItSays(stored.body));
    return true;
  };
  const takeAll = async (prefix: string): Promise<void> => {
    for await (const key of bucket.list(prefix)) await take(key);
  };

  await takeAll(`records/${name.model}/${name.version}/`);
  await takeAll(storeKeys.holdsOf(release));
  await takeAll(`lifts/${release}/`);
  await take(storeKeys.revocation(release));
  await takeAll(`${storeKeys.notices}${name.model}/${release}/`);
  for (let digest = waiting.pop(); digest !== undefined; digest = waiting.pop()) {
    if (await take(storeKeys.statement(digest))) continue;
    if (await take(storeKeys.request(digest))) await takeAll(`overrides/${digest}/`);
    else await take(storeKeys.facts(digest));
  }
  return keys;
}

/** What a record says, or the statement in an envelope: other documents are kept, and lead nowhere. */
function whatItSays(body: Buffer): unknown {
  const said = parsed(body.toString('utf8'));
  if (typeof said !== 'object' || said === null || !('payload' in said)) return said;
  const statement =
    typeof said.payload === 'string' ? parsed(Buffer.from(said.payload, 'base64').toString('utf8')) : null;
  // What a build took in lies elsewhere, and may be very much.
  const isOrigin =
    typeof statement === 'object' &&
    statement !== null &&
    'predicateType' in statement &&
    statement.predicateType === PREDICATES.provenance;
  return isOrigin ? null : statement;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // Bytes of anybody's: they name nothing.
  }
}

/** However deep: what is read here was not always read with a limit. */
function* digestsIn(value: unknown): Generator<Digest> {
  const open = [value];
  while (open.length > 0) {
    const next = open.pop();
    if (isDigest(next)) yield next;
    else if (typeof next === 'object' && next !== null) for (const each of Object.values(next)) open.push(each);
  }
}
