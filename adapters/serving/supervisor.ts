import { chmod, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isDigest, type Digest } from '../../domain/digest.js';
import type { Probe } from '../../domain/ending-predicates.js';
import { CustodyError } from '../../domain/errors.js';
import { assertModelName, assertVersion, type ReleaseName } from '../../domain/names.js';
import { confinementFor } from './confine.js';
import { DesiredState } from './desired.js';
import { shredTree } from '../durable.js';
import { IncidentSpool } from './incidents.js';
import { PARTIAL, type OnProgress } from '../materialise.js';
import { discard } from './load.js';
import { killOrphans, MARK } from './orphans.js';
import { DRAIN_WITHIN_MS, STOP_WITHIN_MS } from './model-server.js';
import type { ServingDeps } from './ports.js';
import { findCopy, neverApproved, tryLoader, tryPort, tryVault } from './probing.js';
import { Replica, stopping, type ReplicaHost } from './replica.js';
import { StatusReader } from './status.js';

export interface LiveReplica extends ReleaseName {
  readonly release: Digest;
  readonly port: number;
}

/** All releases of this host, side by side: each with a process, a folder and a port of its own. */
export class Supervisor {
  readonly incidents: IncidentSpool;
  readonly #deps: ServingDeps;
  readonly #desired: DesiredState;
  readonly #statuses: StatusReader;
  readonly #host: ReplicaHost;
  readonly #replicas = new Map<Digest, Replica>();
  readonly #removals = new Map<Digest, Promise<void>>();
  /** Where those answered that were taken away since this process began. */
  readonly #former = new Map<Digest, number>();
  #closed = false;

  private constructor(
    host: Omit<ReplicaHost, 'onForbidden' | 'incidents'> & Pick<Supervisor, 'incidents'>,
    desired: DesiredState,
  ) {
    this.#deps = host.deps;
    this.#desired = desired;
    this.#statuses = host.statuses;
    this.incidents = host.incidents;
    this.#host = { ...host, onForbidden: (release) => this.#forbid(release) };
  }

  /**
   * Clears away what an earlier run left unfinished, and starts again, in the background, what is to run here. `onBack`:
   * such a release, or one whose server had ended, answers again.
   */
  static async open(
    deps: ServingDeps,
    { onBack, onGone }: Pick<ReplicaHost, 'onBack' | 'onGone'>,
  ): Promise<Supervisor> {
    const { state, modelUser, log } = deps;
    const releases = join(state, 'releases');
    await mkdir(releases, { recursive: true });
    // The model user may come through, and see nothing on its way.
    for (const folder of [state, releases]) await chmod(folder, modelUser === null ? 0o700 : 0o711);
    const desired = await DesiredState.open(join(state, 'replicas.json'));
    const killed = await killOrphans(desired.mark);
    if (killed.length > 0) log.warn({ pids: killed }, 'processes of an earlier run were killed');
    for (const name of await readdir(releases)) {
      if (name.startsWith(PARTIAL)) await shredTree(join(releases, name));
      else if (isDigest(name) && !desired.has(name)) await discard(releases, name);
    }
    const supervisor = new Supervisor(
      {
        deps,
        onBack,
        onGone,
        releases,
        statuses: await StatusReader.open(deps.records, join(state, 'status-seen.json')),
        incidents: await IncidentSpool.open(deps, join(state, 'incidents')),
        confinement: await confinementFor(modelUser, releases, log),
        mark: { [MARK]: desired.mark },
      },
      desired,
    );
    for (const { model, version, release } of desired.replicas)
      supervisor.#replica({ model, version }, release).keepUp();
    return supervisor;
  }

  /** The release verified, running and answering; from then on it is kept running. Repeating it changes nothing. */
  async start(name: ReleaseName, release: Digest, onProgress: OnProgress): Promise<void> {
    assertModelName(name.model);
    assertVersion(name.version);
    if (!isDigest(release)) throw new CustodyError('USAGE', 'a release is named by its SHA-256 in lower-case hex');
    if (this.#closed || this.#removals.has(release)) throw stopping(name);
    const replica = this.#replica(name, release);
    if (replica.name.model !== name.model || replica.name.version !== name.version)
      throw new CustodyError('DIGEST_MISMATCH', `${name.model} ${name.version} is not the release ${release}`);
    try {
      await replica.start(onProgress);
      if (this.#replicas.get(release) !== replica || this.#removals.has(release)) throw stopping(name);
      await this.#desired.add({ model: name.model, version: name.version, release });
    } finally {
      if (replica.isIdle && !this.#desired.has(release)) this.#replicas.delete(release);
    }
  }

  /** The same in the background, for as long as it takes. */
  async keepRunning({ model, version }: ReleaseName, release: Digest): Promise<void> {
    if (this.#closed || this.#removals.has(release) || this.#desired.has(release)) return;
    if (this.#statuses.revoked.includes(release)) return;
    await this.#desired.add({ model, version, release });
    this.#replica({ model, version }, release).keepUp();
  }

  /**
   * Nothing of the release runs or lies on this host afterwards; until then it may finish what callers have begun. Repeating it
   * changes nothing.
   */
  stop(release: Digest): Promise<void> {
    if (!isDigest(release)) throw new CustodyError('USAGE', 'a release is named by its SHA-256 in lower-case hex');
    const removal = this.#removals.get(release) ?? this.#remove(release).finally(() => this.#removals.delete(release));
    this.#removals.set(release, removal);
    return removal;
  }

  /** Those whose server answers now; of all, or of one release. */
  async live(release: Digest | null = null): Promise<LiveReplica[]> {
    const asked = [...this.#replicas.values()].filter((replica) => release === null || replica.release === release);
    const found = await Promise.all(
      asked.map(async (replica) => {
        const port = await replica.livePort();
        return port === null ? null : { ...replica.name, release: replica.release, port };
      }),
    );
    return found.filter((replica) => replica !== null);
  }

  /** The port of loopback on which a release answers; `null`: it does not run here. */
  portOf(release: Digest): number | null {
    return this.#replicas.get(release)?.port ?? null;
  }

  /** What this host still has of a release that is gone, and what comes of starting it. */
  async probe(name: ReleaseName, release: Digest): Promise<readonly Probe[]> {
    await this.#removals.get(release);
    const former = this.#former.get(release) ?? null;
    const isAnothers = [...this.#replicas.values()].some(({ port }) => port !== null && port === former);
    const left = [
      await tryPort(this.#replicas.has(release), isAnothers ? null : former),
      await findCopy(this.#host.releases, release),
    ];
    // It is taken away as soon as this host has the status document: only then is there anything to be tried.
    const alive = left.find(({ refused }) => !refused);
    if (alive !== undefined) throw new CustodyError('PENDING', `${alive.kind} ${alive.path}: ${alive.answer}`);
    const never = await neverApproved(this.#deps.records, name);
    return [...left, ...(never ?? [await tryLoader(this.#host, name, release), await tryVault(this.#host, name)])];
  }

  /** Takes away what the newest status document, or any before it, revokes. */
  async enforceStatus(): Promise<void> {
    await this.#statuses.newest();
    const copies = (await readdir(this.#host.releases)).filter(isDigest);
    const here = new Set([...this.#replicas.keys(), ...copies]);
    const revoked = this.#statuses.revoked.filter((release) => here.has(release));
    await Promise.all(revoked.map((release) => this.#withdraw(release)));
  }

  /** Stops all servers; what is to run here stays so. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#replicas.values()].map((replica) => replica.stop(STOP_WITHIN_MS)));
    await Promise.all(this.#removals.values());
  }

  /** What is revoked finishes less than what has only left the routes, also where it has begun to. */
  async #withdraw(release: Digest): Promise<void> {
    this.#deps.log.warn({ release }, 'the release is revoked and is taken away from this host');
    await Promise.all([this.stop(release), this.#replicas.get(release)?.stop(STOP_WITHIN_MS)]);
  }

  #forbid(release: Digest): void {
    this.#withdraw(release).catch((error: unknown) => {
      this.#deps.log.error({ release, reason: String(error) }, 'the files of a revoked release could not be removed');
    });
  }

  async #remove(release: Digest): Promise<void> {
    await this.#desired.remove(release);
    const port = this.portOf(release);
    if (port !== null) this.#former.set(release, port);
    await this.#replicas.get(release)?.stop(DRAIN_WITHIN_MS);
    this.#replicas.delete(release);
    await discard(this.#host.releases, release);
  }

  #replica(name: ReleaseName, release: Digest): Replica {
    const replica = this.#replicas.get(release) ?? new Replica(this.#host, name, release);
    this.#replicas.set(release, replica);
    return replica;
  }
}
