import { checkServerIdentity } from 'node:tls';
import { Pool } from 'undici';
import type { Digest } from '../domain/digest.js';
import { isLoopback, serverNameOf } from '../domain/replica.js';
import type { TlsFiles } from '../formats/tls.js';
import { mutualTls } from './tls.js';
import type { Replica } from './replicas.js';

/** Shorter than servers keep an idle connection, so that none is used that its server is just closing. */
const IDLE_MS = 4_000;
const CONNECT_MS = 5_000;
const MAX_CONNECTIONS = 512;

/** Connections to model servers: plain on loopback, and to other hosts only where both ends prove who they are. */
export class Upstreams {
  readonly #pools = new Map<string, Pool>();
  readonly #maxHeaderBytes: number;
  readonly #tls: ReturnType<typeof mutualTls> | null;

  constructor(files: TlsFiles | null, maxHeaderBytes: number) {
    this.#maxHeaderBytes = maxHeaderBytes;
    this.#tls = files === null ? null : mutualTls(files);
  }

  /** Whether a replica there can be spoken with at all. */
  reaches(host: string): boolean {
    return isLoopback(host) || this.#tls !== null;
  }

  /** Kept-alive connections to this replica, which answers as this release or not at all. */
  to(replica: Replica, release: Digest): Pool {
    const name = isLoopback(replica.host) ? replica.origin : `${replica.origin} ${release}`;
    return this.#pools.get(name) ?? this.#open(name, replica, release);
  }

  async close(): Promise<void> {
    const pools = [...this.#pools.values()];
    this.#pools.clear();
    await Promise.all(pools.map((pool) => pool.destroy()));
  }

  #open(name: string, { host, origin }: Replica, release: Digest): Pool {
    const pool = new Pool(origin, {
      connections: MAX_CONNECTIONS,
      pipelining: 1,
      keepAliveTimeout: IDLE_MS,
      keepAliveMaxTimeout: IDLE_MS,
      maxHeaderSize: this.#maxHeaderBytes,
      connect: {
        timeout: CONNECT_MS,
        // Every connection proves anew who is at its end.
        maxCachedSessions: 0,
        // Without files there is no authority that anybody could have a certificate of.
        ...(this.#tls ?? { ca: [] }),
        servername: serverNameOf(release),
        // The server name says which release; who answers must be the host that serving has named.
        checkServerIdentity: (_, certificate) => checkServerIdentity(host, certificate),
      },
    });
    this.#pools.set(name, pool);
    // Replicas come and go: where nothing is open any more, and nobody waits, nothing is kept.
    pool.on('disconnect', () => {
      const { connected, size } = pool.stats;
      if (connected === 0 && size === 0 && this.#pools.get(name) === pool) this.#pools.delete(name);
    });
    return pool;
  }
}
