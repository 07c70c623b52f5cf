import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Check } from '../../domain/authorise.js';
import type { Digest } from '../../domain/digest.js';
import { CustodyError, isPermanent } from '../../domain/errors.js';
import type { ReleaseName } from '../../domain/names.js';
import { checksToLoad } from '../../formats/evidence.js';
import type { Confinement } from './confine.js';
import { sealOf, verifyCopy } from './copy.js';
import { absent } from '../durable.js';
import type { IncidentSpool } from './incidents.js';
import { materialise, type OnProgress } from '../materialise.js';
import { isRefusal } from '../probes.js';
import { authoriseLoad, discard, openKeys, type LoadableRelease } from './load.js';
import { startModelServer, STOP_WITHIN_MS, type ModelServer } from './model-server.js';
import type { ServingDeps } from './ports.js';
import type { StatusReader } from './status.js';

const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 30_000;
/** A server that lived this long has not failed to start. */
const STEADY_MS = 60_000;
const MISSED_CHECKS = 5;

/** What a replica needs of its host. */
export interface ReplicaHost {
  readonly deps: ServingDeps;
  /** Folder of the materialised copies. */
  readonly releases: string;
  readonly statuses: StatusReader;
  readonly incidents: Pick<IncidentSpool, 'loadRefused'>;
  readonly confinement: Confinement;
  readonly mark: Readonly<Record<string, string>>;
  /** A release that nobody has just asked for answers. */
  readonly onBack: () => void;
  /** The server of a release has ended by itself: nobody answers there any more. */
  readonly onGone: (name: ReleaseName, release: Digest, port: number) => void;
  /** What may never run here again is to be taken away. */
  readonly onForbidden: (release: Digest) => void;
}

/**
 * One release on this host: its verified copy and its model server. Every start, also the one after a crash, checks the
 * whole evidence with a fresh status document and hashes the whole copy before the server may read it.
 */
export class Replica {
  readonly name: ReleaseName;
  readonly release: Digest;
  readonly #host: ReplicaHost;
  readonly #stopping = new AbortController();
  #server: ModelServer | null = null;
  /** It is to stop, and finishes what it has. */
  #ending: ModelServer | null = null;
  #queue: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #retry: NodeJS.Timeout | null = null;
  #failures = 0;
  #missed = 0;
  #reported = '';

  constructor(host: ReplicaHost, name: ReleaseName, release: Digest) {
    this.#host = host;
    this.name = name;
    this.release = release;
  }

  /** Neither running nor about to. */
  get isIdle(): boolean {
    return this.#server === null && this.#waiting === 0 && this.#retry === null;
  }

  get port(): number | null {
    return this.#server?.port ?? null;
  }

  /** Its server verified and answering; otherwise the reason, and a refused release leaves no copy behind. */
  start(onProgress: OnProgress): Promise<void> {
    return this.#inTurn(() => this.#ensure(onProgress));
  }

  /** Starts it now and again after each failure, until it is stopped. */
  keepUp(): void {
    this.#retry = null;
    this.start(() => {}).then(
      () => this.#host.onBack(),
      (error: unknown) => {
        if (this.#stopping.signal.aborted) return;
        const { code } = error as Partial<CustodyError>;
        this.#host.deps.log.warn({ ...this.#about(), reason: String(error) }, 'the release could not be started again');
        if (code === 'REVOKED' || code === 'ERASED') this.#host.onForbidden(this.release);
        else this.#retryLater();
      },
    );
  }

  /** Ends a start under way, gives its server so long to end, and starts nothing any more. */
  async stop(withinMs: number): Promise<void> {
    this.#stopping.abort(stopping(this.name));
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
    // One that had more time until now.
    await this.#ending?.stop(withinMs);
    await this.#inTurn(async () => {
      this.#ending = this.#server;
      this.#server = null;
      await this.#ending?.stop(withinMs);
      this.#ending = null;
    });
  }

  /** The port of a server that answers now; `null` otherwise. One that has stopped answering is killed, and restarted. */
  async livePort(): Promise<number | null> {
    const server = this.#server;
    if (server === null) return null;
    const healthy = await server.healthy();
    if (this.#server !== server) return null;
    this.#missed = healthy ? 0 : this.#missed + 1;
    if (healthy) return server.port;
    if (this.#missed >= MISSED_CHECKS) {
      this.#host.deps.log.warn(this.#about(), 'the model server has stopped answering and is killed');
      server.kill();
    }
    return null;
  }

  async #ensure(onProgress: OnProgress): Promise<void> {
    this.#stopping.signal.throwIfAborted();
    if (this.#server !== null && (await this.#server.healthy())) return;
    const unwell = this.#server;
    this.#server = null;
    await unwell?.stop(STOP_WITHIN_MS);
    try {
      this.#server = await this.#begin(onProgress);
    } catch (error) {
      await this.#afterFailure(error);
      throw error;
    }
    this.#reported = '';
    this.#missed = 0;
    this.#follow(this.#server);
    this.#host.deps.log.info({ ...this.#about(), port: this.#server.port }, 'the model server is ready');
  }

  async #begin(onProgress: OnProgress): Promise<ModelServer> {
    const { releases, incidents } = this.#host;
    let loadable = await this.#authorise();
    if ((await lstat(this.#folder).catch(absent)) === null) {
      await this.#materialise(loadable, onProgress);
      // A large release takes long to load: what counts is whether it may run now.
      loadable = await this.#authorise();
    }
    try {
      return await this.#launch(loadable);
    } catch (error) {
      if (!(error instanceof CustodyError) || error.code !== 'DIGEST_MISMATCH') throw error;
      await incidents.loadRefused(this.name, this.release, `${error.code}: ${error.message}`);
      await discard(releases, this.release);
      await this.#materialise(loadable, onProgress);
      return this.#launch(await this.#authorise());
    }
  }

  #authorise(): Promise<LoadableRelease> {
    return authoriseLoad(this.#host.deps.records, this.#host.statuses, this.name, this.release);
  }

  #materialise({ manifest, evidence, release }: LoadableRelease, onProgress: OnProgress): Promise<void> {
    const { deps, releases } = this.#host;
    const copy = { manifest, text: evidence.manifest, release: release.release };
    return materialise(deps.records.bucket, copy, {
      ...{ releases, signal: this.#stopping.signal, onProgress },
      // Each time anew: a status document may grow old while a large release loads.
      open: (sha256s) => openKeys(deps.vault, sha256s, () => this.#authorise()),
    });
  }

  /** What was hashed is what was read: a file that changed before the server had read it ends the server. */
  async #launch(loadable: LoadableRelease): Promise<ModelServer> {
    const { manifest } = loadable;
    const { confinement, mark } = this.#host;
    const seal = await verifyCopy(this.#folder, this.release, manifest);
    const { command, protocol } = manifest.serving;
    const { signal } = this.#stopping;
    const server = await startModelServer({
      name: this.name,
      folder: this.#folder,
      command,
      protocol,
      confinement,
      mark,
      signal,
    });
    try {
      if ((await sealOf(this.#folder)) === seal) {
        this.#host.deps.log.info({ ...this.#about(), checks: startChecks(loadable) }, 'all checks before a start hold');
        return server;
      }
      throw new CustodyError('DIGEST_MISMATCH', 'the materialised copy was changed while the model server started');
    } catch (error) {
      server.kill();
      await server.ended;
      throw error;
    }
  }

  /** A refusal is reported once for as long as it stays the same, and leaves nothing behind that could be loaded. */
  async #afterFailure(error: unknown): Promise<void> {
    if (!(error instanceof CustodyError) || !isPermanent(error.code)) return;
    const refusal = `${error.code}: ${error.message}`;
    try {
      if (isRefusal(error) && this.#reported !== refusal)
        await this.#host.incidents.loadRefused(this.name, this.release, refusal);
      this.#reported = refusal;
    } finally {
      await discard(this.#host.releases, this.release);
    }
  }

  #follow(server: ModelServer): void {
    const since = Date.now();
    void server.ended.then((how) => {
      if (this.#server !== server) return;
      this.#server = null;
      this.#host.onGone(this.name, this.release, server.port);
      if (Date.now() - since >= STEADY_MS) this.#failures = 0;
      this.#host.deps.log.error({ ...this.#about(), reason: how }, 'the model server has ended by itself');
      this.#retryLater();
    });
  }

  #retryLater(): void {
    if (this.#stopping.signal.aborted || this.#retry !== null) return;
    const wait = Math.min(FIRST_RETRY_MS * 2 ** this.#failures, LAST_RETRY_MS);
    this.#failures = Math.min(this.#failures + 1, 16);
    this.#retry = setTimeout(() => this.keepUp(), wait);
  }

  /** One thing at a time, in the order asked for. */
  async #inTurn<T>(act: () => Promise<T>): Promise<T> {
    this.#waiting += 1;
    const turn = this.#queue.then(act);
    this.#queue = turn.catch(() => null);
    try {
      return await turn;
    } finally {
      this.#waiting -= 1;
    }
  }

  get #folder(): string {
    return join(this.#host.releases, this.release);
  }

  #about(): object {
    return { ...this.name, release: this.release };
  }
}

/** What has been checked by the time that a model server has read its copy: the evidence, and then every byte. */
function startChecks(loadable: LoadableRelease): readonly Check[] {
  const { files } = loadable.manifest;
  return [
    ...checksToLoad(loadable).map(({ name, ok, detail }) => ({ name, ok, detail })),
    { name: 'copy', ok: true, detail: `the manifest and ${files.length} files, every byte hashed, and nothing else` },
    { name: 'seal', ok: true, detail: 'nothing in the copy was touched while the model server started' },
  ];
}

/** Not a refusal: what comes after this may start it again. */
export function stopping({ model, version }: ReleaseName): CustodyError {
  return new CustodyError('MODEL_SERVER_FAILED', `${model} ${version} is being stopped on this host: try again`);
}
