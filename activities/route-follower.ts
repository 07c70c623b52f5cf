import type { Records } from '../adapters/records.js';
import type { Supervisor } from '../adapters/serving/supervisor.js';
import type { Digest } from '../domain/digest.js';
import { StoredRoutes } from './stored-routes.js';

/**
 * A host runs what the newest routing documents list, whoever was asked to start it: one that comes new or has lost its folder,
 * and each one of several. What a document has listed and the next one does not is stopped.
 */
export class RouteFollower {
  readonly #records: Pick<Records, 'usablePolicies'>;
  readonly #routes: StoredRoutes;
  readonly #supervisor: Pick<Supervisor, 'keepRunning' | 'stop'>;
  readonly #listed = new Map<string, ReadonlySet<Digest>>();

  constructor(records: Records, supervisor: Pick<Supervisor, 'keepRunning' | 'stop'>) {
    this.#records = records;
    // Control notes what others have put there.
    this.#routes = new StoredRoutes(records, () => undefined);
    this.#supervisor = supervisor;
  }

  /** One model that cannot be read keeps no other from being followed. */
  async follow(): Promise<void> {
    const models = await this.#routes.newestOfAll(await this.#records.usablePolicies());
    const ends = await Promise.allSettled(
      models.map(async ({ model, newest }) => this.#followOne(model, (await newest())?.document.releases ?? [])),
    );
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  async #followOne(
    model: string,
    releases: readonly { readonly release: Digest; readonly version: string }[],
  ): Promise<void> {
    const listed = new Set(releases.map(({ release }) => release));
    const gone = [...(this.#listed.get(model) ?? [])].filter((release) => !listed.has(release));
    this.#listed.set(model, listed);
    await Promise.all([
      ...releases.map(({ release, version }) => this.#supervisor.keepRunning({ model, version }, release)),
      ...gone.map((release) => this.#supervisor.stop(release)),
    ]);
  }
}
