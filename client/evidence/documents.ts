import { newestStatus } from '../../adapters/dossier.js';
import { placeOf } from '../../adapters/evidence/folder.js';
import type { StoredObject } from '../../adapters/object-store/port.js';
import { reachOf } from '../../adapters/reach.js';
import type { PolicyChain, Records } from '../../adapters/records.js';
import type { Digest } from '../../domain/digest.js';
import { CustodyError, isPermanent } from '../../domain/errors.js';
import type { ReleaseName } from '../../domain/names.js';
import { PREDICATES, type PredicateName, type PredicateOf, type Verified } from '../../domain/statements.js';
import { storeKeys } from '../../domain/store-keys.js';
import { decodeBase64 } from '../../formats/base64.js';
import { envelopeDigest, parseEnvelope } from '../../formats/dsse.js';
import { parseJson } from '../../formats/json.js';
import { sha256 } from '../../formats/sha256.js';
import { keyRing, verifyStatement } from '../../formats/statements.js';
import type { EvidenceDocument } from './model.js';

/** A statement whose signature holds, and the policy by which it was found to. */
export type Stated = {
  [K in PredicateName]: { readonly kind: K; readonly verified: Verified<PredicateOf[K]>; readonly policy: number };
}[PredicateName];

/** What a dossier holds of the store, each by its digest, its signature checked. */
export class Documents {
  readonly #found = new Map<Digest, EvidenceDocument>();
  readonly #stated = new Map<Digest, Stated>();
  readonly #records: Records;
  readonly #policies: PolicyChain;

  constructor(records: Records, policies: PolicyChain) {
    this.#records = records;
    this.#policies = policies;
  }

  /** In the order of their paths. */
  get all(): readonly EvidenceDocument[] {
    return [...this.#found.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  has(digest: Digest | null): digest is Digest {
    return digest !== null && this.#found.has(digest);
  }

  /** Those that are in it, each once. */
  among(...digests: readonly (Digest | null | undefined)[]): Digest[] {
    return [...new Set(digests)].filter((digest): digest is Digest => digest !== undefined && this.has(digest ?? null));
  }

  of<K extends PredicateName>(kind: K): readonly (Stated & { readonly kind: K })[] {
    return [...this.#stated.values()].filter((each): each is Stated & { readonly kind: K } => each.kind === kind);
  }

  stated<K extends PredicateName>(kind: K, digest: Digest): Verified<PredicateOf[K]> | null {
    const found = this.#stated.get(digest);
    return found?.kind === kind ? (found.verified as Verified<PredicateOf[K]>) : null;
  }

  async addKey(key: string): Promise<boolean> {
    const stored = await this.#records.bucket.read(key);
    if (stored === null) return false;
    const found = this.#look(key, stored);
    this.#found.set(found.digest, found);
    return true;
  }

  /** Whatever the store has under this digest, of what may concern this model. */
  async addDigest(digest: Digest, model: string): Promise<void> {
    if (this.#found.has(digest)) return;
    for (const key of [storeKeys.statement(digest), storeKeys.request(digest), storeKeys.kill(model, digest)])
      if (await this.addKey(key)) return;
  }

  #look(key: string, stored: StoredObject): EvidenceDocument {
    const { body } = stored;
    const path = placeOf(key, body);
    const plain = { path, at: null, signers: [], policy: null, failure: null };
    if (!path.endsWith('.intoto.jsonl')) return { digest: sha256(body), ...plain, kind: kindOf(key, path, body) };
    const envelope = parseEnvelope(body);
    const digest = envelopeDigest(envelope);
    const kind = predicateIn(envelope.payload);
    if (kind === null) return { digest, ...plain, kind: 'statement', failure: 'its kind is not known here' };
    const stated = this.#verify(kind, body, stored.storedAt);
    if (stated instanceof CustodyError) return { digest, ...plain, kind, failure: stated.message };
    this.#stated.set(digest, stated);
    const { verified, policy } = stated;
    return { digest, ...plain, kind, at: madeAt(verified.predicate), signers: verified.signers, policy };
  }

  /** By the newest policy that has the keys: who may do what is judged elsewhere. */
  #verify(kind: PredicateName, body: Buffer, storedAt: string): Stated | CustodyError {
    let refused: CustodyError | null = null;
    for (const policy of [...this.#policies.chain].reverse()) {
      try {
        const verified = verifyStatement(body.toString('utf8'), kind, keyRing(policy), storedAt);
        return { kind, verified, policy: policy.version } as Stated;
      } catch (error) {
        if (!(error instanceof CustodyError) || !isPermanent(error.code)) throw error;
        refused ??= error;
      }
    }
    return refused ?? new CustodyError('SIGNATURE_INVALID', 'there is no policy');
  }
}

/** Everything that the records of a release lead to, with the policies and the status document that it is judged by. */
export async function gatherDocuments(
  records: Records,
  policies: PolicyChain,
  about: ReleaseName & { readonly release: Digest | null },
): Promise<Documents> {
  const documents = new Documents(records, policies);
  const { model, version, release } = about;
  // What was found out about its tensors may be very large, and no claim of a dossier rests on it.
  for (const key of await reachOf(records.bucket, { model, version, release: release ?? '' }))
    if (!key.startsWith(storeKeys.facts(''))) await documents.addKey(key);
  for (const policy of policies.chain) await documents.addKey(storeKeys.policy(policy.version));
  const status = await newestStatus(records);
  if (status !== null) {
    const { verified } = await records.verify('status', status, policies);
    await documents.addKey(storeKeys.status(verified.predicate.version));
  }
  for (const { verified } of documents.of('approval'))
    await documents.addKey(storeKeys.nonce(verified.predicate.nonce));
  return documents;
}

function predicateIn(payload: string): PredicateName | null {
  const statement = parseJson(decodeBase64(payload, 'the payload of the envelope'), 'the statement');
  const type =
    typeof statement === 'object' && statement !== null && 'predicateType' in statement
      ? statement.predicateType
      : null;
  const names = Object.keys(PREDICATES) as PredicateName[];
  return names.find((name) => PREDICATES[name] === type) ?? null;
}

function madeAt(predicate: object): string | null {
  if ('issuedAt' in predicate && typeof predicate.issuedAt === 'string') return predicate.issuedAt;
  return null;
}

const KINDS: readonly (readonly [prefix: string, kind: string])[] = [
  ['manifests/', 'release manifest'],
  ['versions/', 'claim of the version'],
  ['records/', 'record'],
  ['nonces/', 'use of a nonce'],
  ['lifts/', 'record'],
];

function kindOf(key: string, path: string, body: Buffer): string {
  const known = KINDS.find(([prefix]) => key.startsWith(prefix))?.[1];
  if (known !== undefined) return known;
  const isBundle = body.subarray(0, 4096).includes('dev.sigstore.bundle');
  return isBundle ? 'model signature' : path.endsWith('.json') ? 'document' : 'report';
}
