import { setImmediate } from 'node:timers/promises';
import type { Digest } from '../domain/digest.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import type { PredicateName, PredicateOf, SignedEnvelope, Verified } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime } from '../domain/time.js';
import { envelopeDigest, parseEnvelope } from '../formats/dsse.js';
import { canonicalBytes } from '../formats/jcs.js';
import { parseJson } from '../formats/json.js';
import { verifyPolicies, type Policies } from '../formats/evidence.js';
import { policyDigest, type PinnedRoot } from '../formats/policy.js';
import { sha256 } from '../formats/sha256.js';
import { envelopeOf, keyRing, verifyStatement } from '../formats/statements.js';
import type { Bucket, Lock } from './object-store/port.js';

const DAY_MS = 86_400_000;
const MAX_RECORD_BYTES = 8 * 1024 * 1024;

/** Every policy from the first on, verified from the pinned root. Decisions keep the rules they began with. */
export interface PolicyChain extends Policies {
  readonly newestDigest: Digest;
  readonly envelopes: readonly SignedEnvelope[];
}

export interface Found<P> {
  readonly envelope: SignedEnvelope;
  readonly verified: Verified<P>;
}

/**
 * The custody bucket as statements and records: create-once, locked, and believed only after their signatures were
 * checked against the policy chain from this process's own pinned root.
 */
export class Records {
  readonly bucket: Bucket;
  readonly root: PinnedRoot;
  private readonly clock: () => number;
  private asking: Promise<readonly string[]> | null = null;
  private chain: { readonly count: number; readonly value: PolicyChain } | null = null;

  /** `clock`: of another moment than now, for whoever looks at how things stood then. */
  constructor(bucket: Bucket, root: PinnedRoot, clock: () => number = Date.now) {
    this.bucket = bucket;
    this.root = root;
    this.clock = clock;
  }

  /** The moment by which what is read here is judged. */
  now(): string {
    return isoTime(this.clock());
  }

  get environment(): string {
    return this.root.environment;
  }

  async policies(): Promise<PolicyChain> {
    const keys = await this.policyKeys();
    if (this.chain?.count === keys.length) return this.chain.value;
    const envelopes: SignedEnvelope[] = [];
    for (const key of keys) envelopes.push(parseEnvelope((await this.mustRead(key)).toString('utf8')));
    if (envelopes.length === 0)
      throw new CustodyError('CONFIG_INVALID', 'no policy has been applied: run `custody init`');
    const policies = verifyPolicies(this.root, envelopes);
    const value: PolicyChain = { ...policies, newestDigest: policyDigest(policies.newest), envelopes };
    this.chain = { count: keys.length, value };
    return value;
  }

  /** Whoever checks many statements asks as often: all who ask in one turn of the event loop share a look that begins after it. */
  private policyKeys(): Promise<readonly string[]> {
    this.asking ??= this.listPolicies();
    return this.asking;
  }

  private async listPolicies(): Promise<readonly string[]> {
    await setImmediate();
    this.asking = null;
    const keys: string[] = [];
    for await (const key of this.bucket.list('policies/')) keys.push(key);
    return keys;
  }

  /** The policies this process has last read: enough to lower exposure with, also while the store does not answer. */
  async knownPolicies(): Promise<PolicyChain> {
    return this.chain?.value ?? this.policies();
  }

  /**
   * The policies in the store, or, while somebody's forgery there does not verify, those read before it: to go on lowering
   * exposure with. What raises it asks for `policies`.
   */
  async usablePolicies(): Promise<PolicyChain> {
    try {
      return await this.policies();
    } catch (error) {
      if (this.chain === null || !(error instanceof CustodyError) || !isPermanent(error.code)) throw error;
      return this.chain.value;
    }
  }

  /** Until when what is written now must stay: also a kill, while somebody's forgery keeps the policies from being read. */
  async lock(kind: 'releasesDays' | 'auditDays' | 'statusDays' = 'releasesDays'): Promise<Lock> {
    const { newest } = await this.knownPolicies();
    return { retainUntil: isoTime(Date.now() + newest.retention[kind] * DAY_MS) };
  }

  /** Checks a statement of this kind from anywhere. Keys revoked since then count for nothing. */
  async verify<K extends PredicateName>(
    name: K,
    envelope: unknown,
    policies?: PolicyChain,
    seenAt: string | null = null,
  ): Promise<Found<PredicateOf[K]>> {
    const { newest } = policies ?? (await this.policies());
    const verified = verifyStatement(envelope, name, keyRing(newest), seenAt);
    return { envelope: envelopeOf(name, envelope), verified };
  }

  /** The same of what arrives now: whatever it says of its time, a key that has ended signs nothing any more. */
  receive<K extends PredicateName>(name: K, envelope: unknown, policies?: PolicyChain): Promise<Found<PredicateOf[K]>> {
    return this.verify(name, envelope, policies, isoTime(Date.now()));
  }

  /**
   * What arrives now, or was kept before. By a key that has ended only if it was kept: whatever it says of its time, such a key
   * signs nothing any more.
   */
  async meet<K extends PredicateName>(
    name: K,
    envelope: unknown,
    policies?: PolicyChain,
  ): Promise<Found<PredicateOf[K]>> {
    const digest = envelopeDigest(envelopeOf(name, envelope));
    const kept = await this.findGenuine(name, storeKeys.statement(digest), policies);
    return kept?.verified.digest === digest ? kept : this.receive(name, envelope, policies);
  }

  /** Keeps a statement under `key` (by default `statements/<digest>`); answers the digest of its envelope. */
  async keep(envelope: SignedEnvelope, key?: string): Promise<Digest> {
    const digest = envelopeDigest(envelope);
    await this.bucket.createOnce(key ?? storeKeys.statement(digest), canonicalBytes(envelope), await this.lock());
    return digest;
  }

  /**
   * The verified statement under `key`; `null` where there is none. By a key that has ended it counts only if the store had it
   * before: the store's clock is nobody's to set back.
   */
  async find<K extends PredicateName>(
    name: K,
    key: string,
    policies?: PolicyChain,
  ): Promise<Found<PredicateOf[K]> | null> {
    const stored = await this.bucket.read(key);
    return stored === null ? null : this.verify(name, stored.body.toString('utf8'), policies, stored.storedAt);
  }

  /** As `find`, where whoever can write to the store may have left anything: what does not verify counts for nothing. */
  async findGenuine<K extends PredicateName>(
    name: K,
    key: string,
    policies?: PolicyChain,
  ): Promise<Found<PredicateOf[K]> | null> {
    try {
      return await this.find(name, key, policies);
    } catch (error) {
      if (error instanceof CustodyError && isPermanent(error.code)) return null;
      throw error;
    }
  }

  /** The verified statement whose envelope has this digest, from `statements/` or `requests/`. */
  async get<K extends PredicateName>(name: K, digest: Digest, policies?: PolicyChain): Promise<Found<PredicateOf[K]>> {
    const key = name === 'request' ? storeKeys.request(digest) : storeKeys.statement(digest);
    const found = await this.find(name, key, policies);
    if (found === null) throw new CustodyError('PENDING', `no ${name} is stored as ${key}`);
    if (found.verified.digest !== digest)
      throw new CustodyError('DIGEST_MISMATCH', `${key} holds a statement with the digest ${found.verified.digest}`);
    return found;
  }

  /** Bytes kept under their own digest. */
  async keepBytes(bytes: Buffer, key: (digest: Digest) => string = storeKeys.statement): Promise<Digest> {
    const digest = sha256(bytes);
    await this.bucket.createOnce(key(digest), bytes, await this.lock());
    return digest;
  }

  async getBytes(digest: Digest, key: (digest: Digest) => string = storeKeys.statement): Promise<Buffer> {
    const bytes = await this.mustRead(key(digest));
    const found = sha256(bytes);
    if (found !== digest)
      throw new CustodyError('DIGEST_MISMATCH', `${key(digest)}: expected sha256 ${digest}, found ${found}`);
    return bytes;
  }

  /** Makes a record that nobody can make again; answers the one that counts, which may be an earlier one. */
  async recordOnce<T>(key: string, value: T): Promise<T> {
    try {
      await this.bucket.createOnce(key, canonicalBytes(value), await this.lock());
      return value;
    } catch (error) {
      if (!(error instanceof CustodyError) || error.code !== 'STORE_CONFLICT') throw error;
      return JSON.parse((await this.mustRead(key)).toString('utf8')) as T;
    }
  }

  async record(key: string): Promise<unknown> {
    const stored = await this.bucket.read(key);
    return stored === null ? null : parseJson(stored.body, key, { maxBytes: MAX_RECORD_BYTES });
  }

  /** Spends a nonce on one act. The same act again is the same answer; another is `REPLAYED`. */
  async spend(nonce: string, act: { readonly statement: Digest; readonly request: Digest }): Promise<void> {
    const kept = await this.recordOnce(storeKeys.nonce(nonce), act);
    if (kept.statement !== act.statement || kept.request !== act.request)
      throw new CustodyError('REPLAYED', `the nonce ${nonce.slice(0, 16)}… has been used for something else`);
  }

  private async mustRead(key: string): Promise<Buffer> {
    const stored = await this.bucket.read(key);
    if (stored === null) throw new CustodyError('PENDING', `${this.bucket.name} holds no ${key}`);
    return stored.body;
  }
}
