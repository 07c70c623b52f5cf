import type { Records } from '../adapters/records.js';
import { authoriseRoute } from '../domain/authorise-route.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import { storeKeys } from '../domain/store-keys.js';
import { demand } from '../formats/evidence.js';
import { killsDrilled } from './drilled.js';
import type { StoredRoutes } from './stored-routes.js';

/**
 * Which kill orders a quorum has lifted. An order stays lifted when no document lists it any more, because it could no longer
 * be replayed. The store only says where to look: the document that lifted it says so, with the request and the approvals
 * that it rests on, under the policy of then. People who have left since have lifted it all the same.
 */
export class LiftedOrders {
  readonly #records: Records;
  readonly #routes: StoredRoutes;
  readonly #onJunk: (key: string, error: CustodyError) => void;
  readonly #proved = new Set<Digest>();
  readonly #junk = new Set<string>();

  constructor(records: Records, routes: StoredRoutes, onJunk: (key: string, error: CustodyError) => void) {
    this.#records = records;
    this.#routes = routes;
    this.#onJunk = onJunk;
  }

  async keep(model: string, order: Digest, revision: number): Promise<void> {
    await this.#records.recordOnce(storeKeys.lifted(model, order, revision), { revision });
  }

  /** Whether it has been proved to be lifted before: no look at the store is needed. */
  isKnown(order: string): boolean {
    return this.#proved.has(order);
  }

  async has(model: string, order: Digest): Promise<boolean> {
    if (this.isKnown(order)) return true;
    const prefix = storeKeys.liftedOf(model, order);
    for await (const key of this.#records.bucket.list(prefix)) {
      if (this.#junk.has(key)) continue;
      try {
        await this.#prove(model, order, Number(key.slice(prefix.length)));
        this.#proved.add(order);
        return true;
      } catch (error) {
        if (!(error instanceof CustodyError) || !isPermanent(error.code)) throw error;
        this.#junk.add(key);
        this.#onJunk(key, error);
      }
    }
    return false;
  }

  async #prove(model: string, order: Digest, revision: number): Promise<void> {
    if (!Number.isSafeInteger(revision) || revision < 2)
      throw new CustodyError('MALFORMED', `no revision of ${model} has lifted the order ${order}`);
    const current = await this.#routes.mustHave(model, revision - 1);
    const { envelope, document, digest } = await this.#routes.mustHave(model, revision);
    if (document.restore === null || !document.lifted.some((lifted) => lifted.order === order))
      throw new CustodyError('NOT_AUTHORISED', `revision ${revision} of ${model} does not lift the order ${order}`);
    const policies = await this.#records.usablePolicies();
    const gate = policies.byDigest(document.policy);
    const then = { ...policies, newest: gate };
    const { verified: next } = await this.#records.verify('route', envelope, then);
    const { verified: request } = await this.#records.get('request', document.restore, then);
    const grounds = (await this.#records.record(storeKeys.grounds(digest))) as readonly Digest[] | null;
    const found = await Promise.all((grounds ?? []).map((each) => this.#records.get('approval', each, then)));
    const approvals = found.map(({ verified }) => verified);
    const rules = { environment: gate.environment, gate, newest: gate, now: document.issuedAt };
    const kills = (await killsDrilled(this.#records, request, then)).map(({ verified }) => verified);
    const rest = { proceed: null, override: null, emergency: null, kills, isNewest: true, baked: null };
    demand(authoriseRoute({ current, next, request, approvals, ...rest }, rules));
  }
}
