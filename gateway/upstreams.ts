import { Pool } from 'undici';

/** Shorter than servers keep an idle connection, so that none is used that its server is just closing. */
const IDLE_MS = 4_000;
const CONNECT_MS = 5_000;
const MAX_CONNECTIONS = 512;

/** The connections to replicas, kept alive between requests. */
export class Upstreams {
  readonly #pools = new Map<string, Pool>();
  readonly #maxHeaderBytes: number;

  constructor(maxHeaderBytes: number) {
    this.#maxHeaderBytes = maxHeaderBytes;
  }

  to(origin: string): Pool {
    return this.#pools.get(origin) ?? this.#open(origin);
  }

  async close(): Promise<void> {
    const pools = [...this.#pools.values()];
    this.#pools.clear();
    await Promise.all(pools.map((pool) => pool.destroy()));
  }

  #open(origin: string): Pool {
    const pool = new Pool(origin, {
      connections: MAX_CONNECTIONS,
      pipelining: 1,
      keepAliveTimeout: IDLE_MS,
      keepAliveMaxTimeout: IDLE_MS,
      connectTimeout: CONNECT_MS,
      maxHeaderSize: this.#maxHeaderBytes,
    });
    this.#pools.set(origin, pool);
    // Replicas come and go: where nothing is open any more, and nobody waits, nothing is kept.
    pool.on('disconnect', () => {
      const { connected, size } = pool.stats;
      if (connected === 0 && size === 0 && this.#pools.get(origin) === pool) this.#pools.delete(origin);
    });
    return pool;
  }
}
