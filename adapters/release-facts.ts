import type { Digest } from '../domain/digest.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import type { Ingested } from '../domain/lifecycle.js';
import { isModelName, isVersion, type ReleaseName } from '../domain/names.js';
import { holdsRole } from '../domain/policy.js';
import type { ReleaseFacts } from '../domain/release-facts.js';
import { compareVersions, isPrerelease } from '../domain/semver.js';
import { storeKeys } from '../domain/store-keys.js';
import { signerOf } from '../formats/evidence.js';
import { parseManifest } from '../formats/manifest.js';
import { factsBytes, indexBytes, parseFacts, parseIndex } from '../formats/release-facts.js';
import { progressOf } from './dossier.js';
import type { Records } from './records.js';

const PART_BYTES = 4 * 1024 * 1024;
const KEPT_BYTES = 16 * 1024 * 1024;

/** The facts of a release in WORM; answers the digest that `readFacts` takes. */
export async function keepFacts(records: Records, facts: ReleaseFacts): Promise<Digest> {
  const bytes = factsBytes(facts);
  const parts: Digest[] = [];
  for (let at = 0; at < bytes.length; at += PART_BYTES)
    parts.push(await records.keepBytes(bytes.subarray(at, at + PART_BYTES), storeKeys.facts));
  return records.keepBytes(indexBytes(parts), storeKeys.facts);
}

export async function readFacts(records: Records, digest: Digest): Promise<ReleaseFacts> {
  const { facts: kept } = knowledgeOf(records);
  const known = kept.get(digest);
  if (known !== null) return known;
  const parts: Buffer[] = [];
  for (const part of parseIndex(await records.getBytes(digest, storeKeys.facts)))
    parts.push(await records.getBytes(part, storeKeys.facts));
  const bytes = Buffer.concat(parts);
  const facts = parseFacts(bytes);
  kept.keep(digest, facts, bytes.length);
  return facts;
}

/** Facts that were read before, the last ones used, up to so many bytes of what they were read from. */
class KeptFacts {
  readonly #kept = new Map<Digest, { readonly facts: ReleaseFacts; readonly bytes: number }>();
  #bytes = 0;

  get(digest: Digest): ReleaseFacts | null {
    const found = this.#kept.get(digest);
    if (found === undefined) return null;
    this.#kept.delete(digest);
    this.#kept.set(digest, found);
    return found.facts;
  }

  keep(digest: Digest, facts: ReleaseFacts, bytes: number): void {
    if (this.#kept.has(digest)) return;
    this.#kept.set(digest, { facts, bytes });
    this.#bytes += bytes;
    for (const [oldest, { bytes: freed }] of this.#kept) {
      if (this.#bytes <= KEPT_BYTES) break;
      this.#kept.delete(oldest);
      this.#bytes -= freed;
    }
  }
}

/** What a validator has stated of a release; `under`: the policy by which whoever signed it may. */
interface Stated {
  readonly release: Digest;
  readonly facts: Digest;
  readonly under: Digest;
}

/**
 * A new release is compared with all that were tried before it. What they were ingested as is a record that nobody can make
 * again, and everything it leads to lies under its digest: so it is read once, and again where the policy has changed.
 */
interface Knowledge {
  readonly facts: KeptFacts;
  readonly stated: Map<string, Stated>;
}

const knowledge = new WeakMap<Records, Knowledge>();

function knowledgeOf(records: Records): Knowledge {
  const known = knowledge.get(records) ?? { facts: new KeptFacts(), stated: new Map<string, Stated>() };
  knowledge.set(records, known);
  return known;
}

export interface KnownRelease {
  readonly release: Digest;
  readonly facts: ReleaseFacts;
}

/** What a validator has found out about a release when it was ingested. PENDING where it never was. */
export async function factsOf(records: Records, name: ReleaseName): Promise<KnownRelease> {
  const { stated } = knowledgeOf(records);
  const place = storeKeys.recordsOf(name);
  const known = stated.get(place);
  if (known?.under === (await records.policies()).newestDigest)
    return { release: known.release, facts: await readFacts(records, known.facts) };
  const ingested = (await records.record(storeKeys.record(name, 'ingested'))) as Ingested | null;
  if (ingested === null) throw new CustodyError('INPUT_MISSING', `there is no release ${name.model} ${name.version}`);
  const found = await stateOf(records, name, ingested);
  stated.set(place, found);
  return { release: found.release, facts: await readFacts(records, found.facts) };
}

/** The same, of a release whose ingestion ended so. */
export async function statedFacts(
  records: Records,
  name: ReleaseName,
  ingested: Pick<Ingested, 'release' | 'change'>,
): Promise<KnownRelease> {
  const { release, facts } = await stateOf(records, name, ingested);
  return { release, facts: await readFacts(records, facts) };
}

async function stateOf(
  records: Records,
  name: ReleaseName,
  ingested: Pick<Ingested, 'release' | 'change'>,
): Promise<Stated> {
  const policies = await records.policies();
  const { newest, newestDigest } = policies;
  const { verified } = await records.get('change', ingested.change, policies);
  if (!verified.signers.some((id) => holdsRole(newest, newest, id, 'validator')))
    throw new CustodyError('NOT_AUTHORISED', `${verified.signers.join(', ')} may not say what has changed`);
  if (verified.subject !== ingested.release || verified.predicate.version !== name.version)
    throw new CustodyError('REPLAYED', `the facts of ${name.model} ${name.version} are about another release`);
  return { release: verified.subject, facts: verified.predicate.facts, under: newestDigest };
}

/**
 * What a new release is compared with: the highest version below its own that bears a release signature. Pre-releases are
 * passed over: what they may change is judged against the release before them, and so is what follows them.
 */
export async function releaseBefore(records: Records, { model, version }: ReleaseName): Promise<KnownRelease | null> {
  const signed: string[] = [];
  for await (const key of records.bucket.list(storeKeys.records(model))) {
    const candidate = key.slice(storeKeys.records(model).length).split('/')[0] ?? '';
    if (!isVersion(candidate) || key !== storeKeys.record({ model, version: candidate }, 'signed')) continue;
    if (!isPrerelease(candidate) && compareVersions(candidate, version) < 0) signed.push(candidate);
  }
  for (const candidate of signed.sort((a, b) => compareVersions(b, a)))
    if (await isReleased(records, { model, version: candidate }))
      return factsOf(records, { model, version: candidate });
  return null;
}

/** Every release of any model that has a record of this stage. */
export async function* releasesWith(records: Records, part: 'admission' | 'validated'): AsyncGenerator<ReleaseName> {
  for await (const key of records.bucket.list(storeKeys.recordsOfAll)) {
    const [model = '', version = ''] = key.slice(storeKeys.recordsOfAll.length).split('/');
    const name = { model, version };
    if (isModelName(model) && isVersion(version) && key === storeKeys.record(name, part)) yield name;
  }
}

/** A record is only a reference, which anyone who may write can make: the signature is what counts. */
async function isReleased(records: Records, name: ReleaseName): Promise<boolean> {
  const { ingested, signed } = await progressOf(records, name);
  if (ingested === undefined || signed === undefined) return false;
  const { newest } = await records.policies();
  try {
    const [text, signature] = await Promise.all([
      records.getBytes(ingested.release, storeKeys.manifest),
      records.getBytes(signed.signature),
    ]);
    const manifest = parseManifest(text);
    signerOf(signature.toString('utf8'), 'release-signer', newest, manifest, text);
    return manifest.model === name.model && manifest.version === name.version;
  } catch (error) {
    if (error instanceof CustodyError && isPermanent(error.code)) return false;
    throw error;
  }
}
