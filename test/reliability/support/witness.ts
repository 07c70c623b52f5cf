import { StoredRoutes } from '../../../activities/stored-routes.js';
import { checkRelease, newestStatus } from '../../../adapters/dossier.js';
import { authoriseLoading } from '../../../domain/authorise.js';
import type { Digest } from '../../../domain/digest.js';
import { demand } from '../../../formats/evidence.js';
import { parseEnvelope } from '../../../formats/dsse.js';
import { ask } from '../../unit/gateway/rig.js';
import type { Town } from './town.js';

const CALL_EVERY_MS = 120;

/** Whoever watches a town all the time, from outside: what its gateways serve, and what its callers are answered. */
export class Witness {
  /** What was not as it must be, in words. */
  readonly broken: string[] = [];
  /** Orders that have been accepted and that nobody has been asked to lift, by gateway. */
  private readonly stopped: readonly Set<Digest>[];
  /** How often callers were answered, by status. */
  readonly answers: Record<number, number> = {};
  /** What callers send. */
  body = '{}';
  private readonly town: Town;
  private readonly proved = new Set<string>();
  private readonly versions = new Set<string>();
  private readonly routed = new Set<string>();
  private timer: NodeJS.Timeout | null = null;
  private calling: Promise<unknown> = Promise.resolve();
  private hasEnded = false;

  constructor(town: Town) {
    this.town = town;
    this.stopped = town.gateways.map(() => new Set<Digest>());
  }

  /** From now on every gateway that can be reached is stopped by it, and any other once it is. */
  isStopped(order: Digest): void {
    for (const [at, { isDown }] of this.town.gateways.entries()) if (!isDown) this.stopped[at]?.add(order);
  }

  /** Nobody knows how long it still counts. */
  isToBeLifted(order: Digest): void {
    for (const orders of this.stopped) orders.delete(order);
  }

  /** Whatever a gateway routes has a chain in the store that verifies, and what was killed stays so. */
  async look(after: string): Promise<void> {
    for (const [at, { gateway }] of this.town.gateways.entries()) {
      const state = gateway.state().models.find(({ model }) => model === this.town.model);
      if (state === undefined) continue;
      for (const order of this.stopped[at] ?? [])
        if (!state.killedBy.some((held) => held.order === order))
          this.broken.push(`after ${after}: gateway ${at + 1} no longer holds the kill ${order.slice(0, 12)}`);
      const key = `${state.revision}`;
      if (state.revision === 0 || this.proved.has(key)) continue;
      this.proved.add(key);
      try {
        await this.prove(state.revision, state.serving);
      } catch (error) {
        this.broken.push(`after ${after}: revision ${state.revision} is routed, and not proved: ${String(error)}`);
      }
    }
  }

  private async prove(
    revision: number,
    serving: readonly { readonly release: Digest; readonly version: string; readonly weight: number }[],
  ): Promise<void> {
    const { model } = this.town;
    const records = this.town.fresh();
    const route = await new StoredRoutes(records, () => undefined).mustHave(model, revision);
    const status = await newestStatus(records);
    const listed = JSON.stringify(route.document.releases.map(({ release, weight }) => [release, weight]));
    if (JSON.stringify(serving.map(({ release, weight }) => [release, weight])) !== listed)
      throw new Error('the store has another document');
    for (const { release, version, weight } of serving) {
      if (weight === 0) continue;
      const checked = await checkRelease(records, { model, version }, release, status && parseEnvelope(status));
      demand(authoriseLoading(checked.release, checked.rules, checked.status));
      this.routed.add(version);
    }
  }

  /** Callers, from now on. */
  call(): void {
    const round = async (): Promise<void> => {
      await Promise.all(this.town.gateways.map(({ port }, at) => this.caller(port, this.stopped[at])));
      if (!this.hasEnded) this.timer = setTimeout(() => void (this.calling = round()), CALL_EVERY_MS);
    };
    this.calling = round();
  }

  private async caller(port: number, stopped: ReadonlySet<Digest> = new Set()): Promise<void> {
    const before = [...stopped];
    const path = `/v2/models/${this.town.model}/infer`;
    const { status, headers } = await ask(port, { path, body: this.body }).catch(() => ({ status: 0, headers: {} }));
    this.answers[status] = (this.answers[status] ?? 0) + 1;
    const version = (headers as Record<string, unknown>)['x-custody-release-version'];
    if (status !== 200) return;
    if (before.some((order) => stopped.has(order)))
      this.broken.push(`a caller was served by ${String(version)} after the kill`);
    this.versions.add(String(version));
  }

  async end(): Promise<void> {
    this.hasEnded = true;
    if (this.timer !== null) clearTimeout(this.timer);
    await this.calling;
    await this.look('the end');
    for (const version of this.versions)
      if (!this.routed.has(version))
        this.broken.push(`callers were served by ${version}, which no proved document lists`);
  }
}
