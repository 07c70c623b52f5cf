import type { Found, PolicyChain, Records } from '../adapters/records.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import { holdsRole } from '../domain/policy.js';
import type { RoutingDocument } from '../domain/routing.js';
import type { PredicateOf, SignedEnvelope } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';

export interface Route {
  readonly digest: Digest;
  readonly envelope: SignedEnvelope;
  readonly document: RoutingDocument;
}

/** The routing documents in the store, among whatever else lies there. */
export class StoredRoutes {
  readonly #records: Records;
  readonly #onJunk: (key: string, error: CustodyError) => void;
  /** The newest key seen of each model: nothing older can become the newest again. */
  readonly #newest = new Map<string, string>();
  /** Whoever can write to the store can put anything there: it is passed over, or the endpoint could never change again. */
  readonly #junk = new Set<string>();

  constructor(records: Records, onJunk: (key: string, error: CustodyError) => void) {
    this.#records = records;
    this.#onJunk = onJunk;
  }

  /** The newest routing document of a model; `null` before the first. Objects of others are passed over. */
  async newest(model: string): Promise<Route | null> {
    const known = this.#newest.get(model);
    const after = known === undefined ? {} : { startAfter: known };
    const keys: string[] = [];
    for await (const key of this.#records.bucket.list(`routes/${model}/`, after)) keys.push(key);
    for (const key of keys.reverse()) {
      const route = await this.#genuine(model, key);
      if (route === null) continue;
      this.#newest.set(model, key);
      return route;
    }
    return known === undefined ? null : this.#read(known);
  }

  /** In the first place that no other document has: so revisions never fork, whatever lies in the places before. */
  async keep(model: string, revision: number, envelope: SignedEnvelope): Promise<void> {
    for (let beside = 0; ; beside += 1) {
      const key = storeKeys.route(model, revision, beside);
      try {
        await this.#records.keep(envelope, key);
        return;
      } catch (error) {
        if (!(error instanceof CustodyError) || error.code !== 'STORE_CONFLICT') throw error;
        if ((await this.#genuine(model, key)) !== null) throw error;
      }
    }
  }

  async revision(model: string, revision: number): Promise<Route | null> {
    for await (const key of this.#records.bucket.list(storeKeys.route(model, revision))) {
      const route = await this.#genuine(model, key);
      if (route !== null) return route;
    }
    return null;
  }

  async mustHave(model: string, revision: number): Promise<Route> {
    const route = await this.revision(model, revision);
    if (route === null) throw new CustodyError('WORM_VIOLATED', `the store has lost revision ${revision} of ${model}`);
    return route;
  }

  /** `null` for what control has not signed, or not for this place. */
  async #genuine(model: string, key: string): Promise<Route | null> {
    const found = await this.statement('route', key, ({ verified: { predicate, signers } }, { newest }) => {
      const { environment, model: of, revision } = predicate;
      const place = storeKeys.route(model, revision);
      if (!signers.some((id) => holdsRole(newest, newest, id, 'control')))
        throw new CustodyError('NOT_AUTHORISED', `${signers.join(', ')} does not hold the role control`);
      if (environment !== this.#records.environment || of !== model || (key !== place && !key.startsWith(`${place}-`)))
        throw new CustodyError('REPLAYED', `${key} holds revision ${revision} of ${of} in ${environment}`);
    });
    return found === null ? null : routeOf(found);
  }

  /**
   * The statement under a key that is what it should be, as `check` throws otherwise. `null` for what is not, and never will
   * be while the policy stays; a store that cannot be read, or refuses just now, says nothing about what it holds.
   */
  async statement<K extends 'route' | 'kill'>(
    name: K,
    key: string,
    check: (found: Found<PredicateOf[K]>, policies: PolicyChain) => void,
  ): Promise<Found<PredicateOf[K]> | null> {
    const policies = await this.#records.usablePolicies();
    const place = `${key} under ${policies.newestDigest}`;
    if (this.#junk.has(place)) return null;
    const stored = await this.#records.bucket.read(key);
    if (stored === null) return null;
    try {
      const found = await this.#records.verify(name, stored.body.toString('utf8'), policies);
      check(found, policies);
      return found;
    } catch (error) {
      if (!(error instanceof CustodyError) || !isPermanent(error.code)) throw error;
      this.#junk.add(place);
      this.#onJunk(key, error);
      return null;
    }
  }

  async #read(key: string): Promise<Route> {
    const stored = await this.#records.bucket.read(key);
    if (stored === null) throw new CustodyError('WORM_VIOLATED', `the store has lost ${key}`);
    const policies = await this.#records.usablePolicies();
    return routeOf(await this.#records.verify('route', stored.body.toString('utf8'), policies));
  }
}

function routeOf({ verified, envelope }: Found<RoutingDocument>): Route {
  return { digest: verified.digest, envelope, document: verified.predicate };
}
