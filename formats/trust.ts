import type { RouteCase } from '../domain/authorise-route.js';
import type { Rules } from '../domain/authorise.js';
import { CustodyError } from '../domain/errors.js';
import type { RouteDelivery } from '../domain/evidence.js';
import type { Policy } from '../domain/policy.js';
import type { PredicateName, PredicateOf, SignedEnvelope, Verified } from '../domain/statements.js';
import { parseEnvelope } from './dsse.js';
import { rulesFor, verifyPolicies, verifyProceed, verifyProvisional, type Policies } from './evidence.js';
import { canonicalBytes } from './jcs.js';
import type { PinnedRoot } from './policy.js';
import { keyRing, verifyStatement } from './statements.js';

/** The policies that control delivers to a process without a store, from that process's own pinned root: only ever newer ones. */
export class Trust {
  readonly #root: PinnedRoot;
  #envelopes: readonly SignedEnvelope[] = [];
  #policies: Policies | null = null;
  #since: string | null = null;

  /** `since`: when the newest of them was taken, where that is known. */
  constructor(root: PinnedRoot, envelopes: readonly SignedEnvelope[], since: string | null = null) {
    this.#root = root;
    if (envelopes.length > 0) this.offer(envelopes, since);
  }

  get envelopes(): readonly SignedEnvelope[] {
    return this.#envelopes;
  }

  /** When the newest policy was taken here; `null` where that is not known. */
  get since(): string | null {
    return this.#since;
  }

  get version(): number | null {
    return this.#policies?.newest.version ?? null;
  }

  /** PENDING before the first policy has been delivered: without one nobody may say anything. */
  get policies(): Policies {
    if (this.#policies === null)
      throw new CustodyError('PENDING', 'no policy has been delivered here yet: control does it within seconds');
    return this.#policies;
  }

  get newest(): Policy {
    return this.policies.newest;
  }

  /**
   * Takes a chain that is longer than the one it holds; answers whether it did. A chain that ends earlier is verified and
   * then passed over, so that an old policy never decides anything again. POLICY_REFUSED where two chains part.
   */
  offer(input: readonly unknown[], now: string | null = null): boolean {
    const envelopes = input.map(parseEnvelope);
    const shared = Math.min(envelopes.length, this.#envelopes.length);
    const parts = (at: number): boolean => !same(envelopes[at], this.#envelopes[at]);
    if (envelopes.length === this.#envelopes.length && !range(shared).some(parts)) return false;
    const policies = verifyPolicies(this.#root, envelopes);
    const parted = range(shared).find((at) => !samePayload(envelopes[at], this.#envelopes[at]));
    if (parted !== undefined)
      throw new CustodyError('POLICY_REFUSED', `policy ${parted + 1} is another one than has been delivered before`);
    if (envelopes.length <= this.#envelopes.length) return false;
    this.#envelopes = envelopes;
    this.#policies = policies;
    this.#since = now;
    return true;
  }

  /** A delivered document with everything it rests on, each signature checked, and the rules it is to be judged by. */
  routeCase(
    { request, approvals, proceed, provisional, kills, isNewest }: RouteDelivery,
    at: Pick<RouteCase, 'current' | 'next' | 'baked'>,
    now: string,
  ): { readonly routed: RouteCase; readonly rules: Rules } {
    const { policies, newest, since: newestSince } = this;
    const asked = request === null ? null : this.verify('request', request);
    const { environment } = this.#root;
    return {
      routed: {
        ...at,
        request: asked,
        approvals: approvals.map((approval) => this.verify('approval', approval)),
        proceed: verifyProceed(proceed, policies),
        ...verifyProvisional(provisional, policies),
        kills: kills.map((kill) => this.verify('kill', kill)),
        isNewest,
      },
      rules:
        asked === null
          ? { environment, gate: newest, newest, now }
          : { ...rulesFor(policies, asked, now), newestSince },
    };
  }

  verify<K extends PredicateName>(name: K, envelope: unknown): Verified<PredicateOf[K]> {
    return verifyStatement(envelope, name, keyRing(this.newest));
  }
}

function range(length: number): readonly number[] {
  return Array.from({ length }, (_, at) => at);
}

function same(a: SignedEnvelope | undefined, b: SignedEnvelope | undefined): boolean {
  return canonicalBytes(a ?? null).equals(canonicalBytes(b ?? null));
}

function samePayload(a: SignedEnvelope | undefined, b: SignedEnvelope | undefined): boolean {
  return a?.payload === b?.payload;
}
