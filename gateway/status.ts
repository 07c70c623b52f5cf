import type { Digest } from '../domain/digest.js';
import type { Retiring } from '../domain/ending-predicates.js';
import { CustodyError } from '../domain/errors.js';
import type { Policy } from '../domain/policy.js';
import type { StatusPredicate, Verified } from '../domain/statements.js';
import { isoTime, outsideValidity } from '../domain/time.js';
import type { Durable } from './state-file.js';

/** The newest status document that this gateway has taken: what is revoked, and for how long that can be relied on. */
export class HeldStatus {
  #held: Durable['status'] = null;
  #revoked: ReadonlySet<Digest>;
  #freshUntil = 0;

  /** Every release that any status document has revoked. */
  constructor(revoked: readonly Digest[]) {
    this.#revoked = new Set(revoked);
  }

  get version(): number | null {
    return this.#held?.predicate.version ?? null;
  }

  get revoked(): ReadonlySet<Digest> {
    return this.#revoked;
  }

  get retiring(): readonly Retiring[] {
    return this.#held?.predicate.retiring ?? [];
  }

  /** Whether a document is to be taken: `false` for the same one again. REPLAYED for an older one, STATUS_STALE out of its time. */
  isNews({ digest, predicate }: Verified<StatusPredicate>): boolean {
    const held = this.#held;
    if (held?.digest === digest) return false;
    if (held !== null && predicate.version <= held.predicate.version)
      throw new CustodyError('REPLAYED', `the gateway has the status document ${held.predicate.version} already`);
    const outside = outsideValidity(predicate, isoTime(Date.now()));
    if (outside !== null) throw new CustodyError('STATUS_STALE', `the status document is ${outside}`);
    return true;
  }

  take({ digest, predicate }: NonNullable<Durable['status']>, { freshness }: Policy): void {
    const { issuedAt, expiresAt, revoked } = predicate;
    this.#held = { digest, predicate };
    // No newer document of control takes a revocation back.
    this.#revoked = new Set([...this.#revoked, ...revoked]);
    // However long control says it lives, the policy bounds how long a gateway that was cut off may rely on it.
    this.#freshUntil = Math.min(Date.parse(expiresAt), Date.parse(issuedAt) + freshness.lifetimeSeconds * 1000);
  }

  isFresh(now: number): boolean {
    return now <= this.#freshUntil;
  }

  /** `false` before the first one has come, too. */
  mayServe(now: number, policy: () => Policy): boolean {
    if (this.#held === null) return false;
    return this.isFresh(now) || policy().freshness.whenStale === 'serve';
  }

  durable(): Pick<Durable, 'status' | 'revoked'> {
    return { status: this.#held, revoked: [...this.#revoked] };
  }
}
