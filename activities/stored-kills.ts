import type { Found, PolicyChain, Records } from '../adapters/records.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { KillPredicate } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { parseEnvelope } from '../formats/dsse.js';
import { readKillOrder } from '../formats/kill-order.js';
import type { LiftedOrders } from './lifted.js';
import { keysByModel, type Route, type StoredRoutes } from './stored-routes.js';

type Order = Found<KillPredicate>;

/** The kill orders in the store, among whatever else lies there. */
export class StoredKills {
  readonly #records: Records;
  readonly #routes: StoredRoutes;
  readonly #lifted: LiftedOrders;
  /** Those read before, and the policy that they verified under: by another one they are asked again. */
  readonly #read = new Map<string, { readonly order: Order; readonly under: Digest }>();

  constructor(records: Records, routes: StoredRoutes, lifted: LiftedOrders) {
    this.#records = records;
    this.#routes = routes;
    this.#lifted = lifted;
  }

  /** Orders that no document in force has lifted. */
  async active(model: string, current: Route | null): Promise<readonly Order[]> {
    const keys: string[] = [];
    for await (const key of this.#records.bucket.list(`kills/${model}/`)) keys.push(key);
    if (keys.length === 0) return [];
    const active: Order[] = [];
    for (const order of await this.#standing(model, keys, current, await this.#records.usablePolicies()))
      if (!(await this.#lifted.has(model, order.verified.digest))) active.push(order);
    return active;
  }

  /**
   * By one look at all that is there: a function that answers for a model. What it answers may still name orders whose lifting
   * has not been proved since this process began.
   */
  async standingOfAll(
    policies: PolicyChain,
  ): Promise<(model: string, current: Route | null) => Promise<readonly Order[]>> {
    const keys = await keysByModel(this.#records, 'kills/');
    return (model, current) => this.#standing(model, keys.get(model) ?? [], current, policies);
  }

  /** An order that was kept. WORM_VIOLATED when it is there no more. */
  async order(model: string, digest: Digest): Promise<KillPredicate> {
    const found = await this.#at(model, storeKeys.kill(model, digest), await this.#records.usablePolicies());
    if (found === null) throw new CustodyError('WORM_VIOLATED', `the store has lost the order ${digest}`);
    return found.verified.predicate;
  }

  /** Those that neither the document lists as lifted nor a quorum is known to have. */
  async #standing(
    model: string,
    keys: readonly string[],
    current: Route | null,
    policies: PolicyChain,
  ): Promise<readonly Order[]> {
    const listed = new Set(current?.document.lifted.map(({ order }) => order) ?? []);
    const under = policies.newestDigest;
    const standing: Order[] = [];
    for (const key of keys) {
      const digest = key.split('/').at(-1) ?? '';
      if (listed.has(digest) || this.#lifted.isKnown(digest)) continue;
      const read = this.#read.get(key);
      const order = read?.under === under ? read.order : await this.#at(model, key, policies);
      if (order === null) continue;
      this.#read.set(key, { order, under });
      standing.push(order);
    }
    return standing;
  }

  /** A gateway that took an order in time holds it, whenever the store got it: so its date there says nothing. */
  #at(model: string, key: string, policies: PolicyChain): Promise<Order | null> {
    const read = async (text: string): Promise<Order> => {
      const order = { envelope: parseEnvelope(text), verified: this.#admitted(text, policies) };
      const { digest, predicate } = order.verified;
      if (predicate.model !== model || key !== storeKeys.kill(model, digest))
        throw new CustodyError('REPLAYED', `${key} holds an order for ${predicate.model}`);
      return order;
    };
    return this.#routes.statement(key, read, policies);
  }

  /** An order stands until it is lifted, whatever has become of who gave it: a policy without them must lift nothing. */
  #admitted(text: string, { chain }: PolicyChain): Order['verified'] {
    let refused: unknown = null;
    for (const policy of [...chain].reverse())
      try {
        return readKillOrder(text, policy, this.#records.environment);
      } catch (error) {
        refused ??= error;
      }
    throw refused;
  }
}
