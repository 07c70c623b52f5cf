import type { Records } from '../adapters/records.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import { holdsRole } from '../domain/policy.js';
import type { RoutingDocument } from '../domain/routing.js';
import type { SignedEnvelope } from '../domain/statements.js';
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
    return this.passing(key, async () => {
      const records = this.#records;
      const found = await records.find('route', key);
      if (found === null) return null;
      const { verified, envelope } = found;
      const { newest } = await records.policies();
      const { environment, model: of, revision } = verified.predicate;
      const place = storeKeys.route(model, revision);
      if (!verified.signers.some((id) => holdsRole(newest, newest, id, 'control')))
        throw new CustodyError('NOT_AUTHORISED', `${verified.signers.join(', ')} does not hold the role control`);
      if (environment !== records.environment || of !== model || (key !== place && !key.startsWith(`${place}-`)))
        throw new CustodyError('REPLAYED', `${key} holds revision ${revision} of ${of} in ${environment}`);
      return { digest: verified.digest, envelope, document: verified.predicate };
    });
  }

  /** `null` for what can never be what it should be. */
  async passing<T>(key: string, read: () => Promise<T | null>): Promise<T | null> {
    if (this.#junk.has(key)) return null;
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof CustodyError) || !isPermanent(error.code) || error.code === 'WORM_VIOLATED') throw error;
      this.#junk.add(key);
      this.#onJunk(key, error);
      return null;
    }
  }

  async #read(key: string): Promise<Route> {
    const found = await this.#records.find('route', key);
    if (found === null) throw new CustodyError('WORM_VIOLATED', `the store has lost ${key}`);
    return { digest: found.verified.digest, envelope: found.envelope, document: found.verified.predicate };
  }
}
