import { AnnouncedEnds, revokedReleases } from '../adapters/announced.js';
import type { PolicyChain, Records } from '../adapters/records.js';
import type { Digest } from '../domain/digest.js';
import type { Retiring } from '../domain/ending-predicates.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import type { StatusPredicate } from '../domain/statements.js';
import { isoTime, plusSeconds } from '../domain/time.js';
import { canonicalBytes } from '../formats/jcs.js';
import type { Router } from './router.js';
import { keysByModel, type Route } from './stored-routes.js';

/** Of a status document that can be read: in base64, with what is around it, it stays below the 1 MiB of an envelope. */
const MAX_BYTES = 700 * 1024;

export interface StatusDocumentsDeps {
  readonly records: Records;
  readonly router: Router;
  readonly onError: (error: unknown, doing: string) => void;
}

/** Status documents, by what the store has at the moment: what is revoked or killed, and what is going to end. */
export class StatusDocuments {
  readonly #deps: StatusDocumentsDeps;
  readonly #ends: AnnouncedEnds;

  constructor(deps: StatusDocumentsDeps) {
    this.#deps = deps;
    this.#ends = new AnnouncedEnds(deps.records);
  }

  async draw(now: number, policies: PolicyChain): Promise<StatusPredicate> {
    const issuedAt = isoTime(now);
    const revoked = await revokedReleases(this.#deps.records);
    const status: StatusPredicate = {
      environment: this.#deps.records.environment,
      version: now,
      issuedAt,
      expiresAt: plusSeconds(issuedAt, policies.newest.freshness.lifetimeSeconds),
      revoked: [...revoked],
      kills: await this.#kills(),
    };
    const retiring = fitting(await this.#retiring(revoked, policies), MAX_BYTES - canonicalBytes(status).length);
    return retiring.length === 0 ? status : { ...status, retiring };
  }

  async #kills(): Promise<StatusPredicate['kills']> {
    const { router } = this.#deps;
    const kills: StatusPredicate['kills'][number][] = [];
    for (const model of (await keysByModel(this.#deps.records, 'kills/')).keys()) {
      const active = await router.activeKills(model, await this.#routeOf(model));
      for (const { verified } of active) kills.push({ model, order: verified.digest });
    }
    return kills;
  }

  /** What is told out of courtesy keeps nobody from hearing what must not serve. */
  async #retiring(revoked: ReadonlySet<Digest>, policies: PolicyChain): Promise<readonly Retiring[]> {
    try {
      return await this.#ends.newest(revoked, policies);
    } catch (error) {
      this.#deps.onError(error, 'reading which ends were announced');
      return [];
    }
  }

  /** Where the store has lost it, the gateways still know what it has lifted: they are told of every order. */
  async #routeOf(model: string): Promise<Route | null> {
    try {
      return await this.#deps.router.current(model);
    } catch (error) {
      if (!(error instanceof CustodyError) || !isPermanent(error.code)) throw error;
      this.#deps.onError(error, `reading the route of ${model}`);
      return null;
    }
  }
}

/** The first of them that there is room for. */
function fitting(retiring: readonly Retiring[], bytes: number): readonly Retiring[] {
  let left = bytes;
  const end = retiring.findIndex((each) => (left -= canonicalBytes(each).length + 1) < 0);
  return end < 0 ? retiring : retiring.slice(0, end);
}
