import type { Found, PolicyChain, Records } from '../adapters/records.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import { isModelName } from '../domain/names.js';
import { holdsRole } from '../domain/policy.js';
import type { RoutingDocument } from '../domain/routing.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';

export interface Route {
  readonly digest: Digest;
  readonly envelope: SignedEnvelope;
  readonly document: RoutingDocument;
}

interface Newest {
  readonly key: string;
  readonly route: Route;
  /** Digest of the policy that it verified under. */
  readonly under: Digest;
}

/** Reads a statement as the store has it; throws what is wrong with it where it lies. */
type Read<P> = (text: string) => Promise<Found<P>>;

/** The routing documents in the store, among whatever else lies there. */
export class StoredRoutes {
  readonly #records: Records;
  readonly #onJunk: (key: string, error: CustodyError) => void;
  /** The newest seen of each model, nothing older than which can become the newest again; as it verified under one policy. */
  readonly #newest = new Map<string, Newest>();
  /** Whoever can write to the store can put anything there: it is passed over, or the endpoint could never change again. */
  readonly #junk = new Set<string>();

  constructor(records: Records, onJunk: (key: string, error: CustodyError) => void) {
    this.#records = records;
    this.#onJunk = onJunk;
  }

  /** The newest routing document of a model; `null` before the first. Objects of others are passed over. */
  async newest(model: string): Promise<Route | null> {
    const known = this.#newest.get(model);
    // From just before the one that is known, which must still be there.
    const after = known === undefined ? {} : { startAfter: known.key.slice(0, -1) };
    const keys: string[] = [];
    for await (const key of this.#records.bucket.list(`routes/${model}/`, after)) keys.push(key);
    return this.#newestOf(model, keys, known, await this.#records.usablePolicies());
  }

  /** The same of every model, by one look at all that is there. `newest` fails where it would fail for that model. */
  async newestOfAll(
    policies: PolicyChain,
  ): Promise<readonly { readonly model: string; readonly newest: () => Promise<Route | null> }[]> {
    const known = new Map(this.#newest);
    const keys = await keysByModel(this.#records, 'routes/');
    return [...keys].map(([model, of]) => ({
      model,
      newest: () => this.#newestOf(model, of, known.get(model), policies),
    }));
  }

  async #newestOf(
    model: string,
    keys: readonly string[],
    known: Newest | undefined,
    policies: PolicyChain,
  ): Promise<Route | null> {
    if (known !== undefined && !keys.includes(known.key)) throw lost(known.key);
    const under = policies.newestDigest;
    for (const key of keys.slice(known === undefined ? 0 : keys.indexOf(known.key) + 1).reverse()) {
      const route = await this.#genuine(model, key, policies);
      if (route === null) continue;
      this.#know(model, { key, route, under });
      return route;
    }
    if (known === undefined || known.under === under) return known?.route ?? null;
    // Another policy may have taken the right to sign it away.
    const route = await this.#read(known.key, policies);
    this.#know(model, { key: known.key, route, under });
    return route;
  }

  #know(model: string, found: Newest): void {
    const known = this.#newest.get(model);
    if (known === undefined || known.key <= found.key) this.#newest.set(model, found);
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
        if ((await this.#genuine(model, key, await this.#records.usablePolicies())) !== null) throw error;
      }
    }
  }

  async revision(model: string, revision: number): Promise<Route | null> {
    for await (const key of this.#records.bucket.list(storeKeys.route(model, revision))) {
      const route = await this.#genuine(model, key, await this.#records.usablePolicies());
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
  async #genuine(model: string, key: string, policies: PolicyChain): Promise<Route | null> {
    const read: Read<RoutingDocument> = async (text) => {
      const { newest } = policies;
      const found = await this.#records.verify('route', text, policies);
      const { predicate, signers } = found.verified;
      const { environment, model: of, revision } = predicate;
      const place = storeKeys.route(model, revision);
      if (!signers.some((id) => holdsRole(newest, newest, id, 'control')))
        throw new CustodyError('NOT_AUTHORISED', `${signers.join(', ')} does not hold the role control`);
      if (environment !== this.#records.environment || of !== model || (key !== place && !key.startsWith(`${place}-`)))
        throw new CustodyError('REPLAYED', `${key} holds revision ${revision} of ${of} in ${environment}`);
      return found;
    };
    const found = await this.statement(key, read, policies);
    return found === null ? null : routeOf(found);
  }

  /**
   * The statement under a key that is what it should be, as `read` throws otherwise. `null` for what is not, and never will
   * be while the policy stays; a store that cannot be read, or refuses just now, says nothing about what it holds.
   */
  async statement<P>(key: string, read: Read<P>, policies: PolicyChain): Promise<Found<P> | null> {
    const place = `${key} under ${policies.newestDigest}`;
    if (this.#junk.has(place)) return null;
    const stored = await this.#records.bucket.read(key);
    if (stored === null) return null;
    try {
      return await read(stored.body.toString('utf8'));
    } catch (error) {
      if (!(error instanceof CustodyError) || !isPermanent(error.code)) throw error;
      this.#junk.add(place);
      this.#onJunk(key, error);
      return null;
    }
  }

  async #read(key: string, policies: PolicyChain): Promise<Route> {
    const stored = await this.#records.bucket.read(key);
    if (stored === null) throw lost(key);
    return routeOf(await this.#records.verify('route', stored.body.toString('utf8'), policies));
  }
}

function routeOf({ verified, envelope }: Found<RoutingDocument>): Route {
  return { digest: verified.digest, envelope, document: verified.predicate };
}

function lost(key: string): CustodyError {
  return new CustodyError('WORM_VIOLATED', `the store has lost ${key}`);
}

/** All keys under `<prefix><model>/`, in order, by one look at all of them. */
export async function keysByModel(
  { bucket }: Records,
  prefix: string,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, string[]>();
  for await (const key of bucket.list(prefix)) {
    const model = key.slice(prefix.length).split('/')[0] ?? '';
    if (!isModelName(model)) continue;
    const keys = found.get(model);
    if (keys === undefined) found.set(model, [key]);
    else keys.push(key);
  }
  return found;
}
