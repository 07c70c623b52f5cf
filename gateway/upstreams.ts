import { Agent, request, type ClientRequest, type RequestOptions } from 'node:http';
import { Agent as TlsAgent, request as requestOverTls } from 'node:https';
import { checkServerIdentity } from 'node:tls';
import type { Digest } from '../domain/digest.js';
import { isLoopback, serverNameOf } from '../domain/replica.js';
import type { TlsFiles } from '../formats/tls.js';
import { mutualTls } from './mutual-tls.js';
import type { Replica } from './replicas.js';

/** Shorter than servers keep an idle connection, so that none is used that its server is just closing. */
const IDLE_MS = 4_000;
const KEPT = { keepAlive: true, timeout: IDLE_MS, maxSockets: 512, scheduling: 'lifo' } as const;

/** Connections to model servers: plain on loopback, and to other hosts only where both ends prove who they are. */
export class Upstreams {
  readonly #agent = new Agent(KEPT);
  readonly #tls: TlsAgent;
  readonly #hasRelays: boolean;

  constructor(files: TlsFiles | null) {
    this.#hasRelays = files !== null;
    // Without files there is no authority that anybody could have a certificate of.
    this.#tls = new TlsAgent({ ...KEPT, ...(files === null ? { ca: [] } : mutualTls(files)) });
  }

  /** Whether a replica there can be spoken with at all. */
  reaches(host: string): boolean {
    return isLoopback(host) || this.#hasRelays;
  }

  /** A request to this replica, which answers as this release or not at all. */
  request({ host, port }: Replica, release: Digest, options: RequestOptions): ClientRequest {
    if (isLoopback(host)) return request({ ...options, host, port, agent: this.#agent });
    return requestOverTls({
      ...options,
      host,
      port,
      agent: this.#tls,
      servername: serverNameOf(release),
      // The server name says which release; who answers must be the host that serving has named.
      checkServerIdentity: (_, certificate) => checkServerIdentity(host, certificate),
    });
  }

  close(): void {
    this.#agent.destroy();
    this.#tls.destroy();
  }
}
