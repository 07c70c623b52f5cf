import { createServer, type ClientRequest, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream';
import { peerOf } from './callers.js';
import { closeGently } from './closing.js';
import type { Choice, Endpoint, Flight, Refusal } from './endpoint.js';
import type { Gateway } from './gateway.js';
import { endToEnd, pointOf } from './headers.js';
import { Upstreams } from './upstreams.js';

export interface Limits {
  readonly maxHeaderBytes: number;
  readonly maxBodyBytes: number;
  /** A caller must have sent its headers, and its whole request, by then. */
  readonly headersMs: number;
  readonly requestMs: number;
  /** A replica, and a caller who takes an answer, may be silent for this long. */
  readonly silenceMs: number;
}

export const LIMITS: Limits = {
  maxHeaderBytes: 16 * 1024,
  maxBodyBytes: 8 * 1024 * 1024,
  headersMs: 10_000,
  requestMs: 60_000,
  silenceMs: 60_000,
};

const MODEL_PATH = /^\/v2\/models\/([a-z0-9][a-z0-9-]{0,62})(?=[/?]|$)/;
const CHALLENGE = { 'www-authenticate': 'Bearer realm="custody"' };
const MAX_CONNECTIONS = 10_000;

/** The data plane: every request goes whole to one replica of one release, streaming both ways. */
export function createDataPlane(
  gateway: Gateway,
  limits: Limits = LIMITS,
  upstreams: Upstreams = new Upstreams(null),
): { readonly server: Server; close(): Promise<void> } {
  const server = createServer(
    {
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      connectionsCheckingInterval: Math.min(1000, limits.headersMs),
      keepAliveTimeout: 65_000,
    },
    (incoming, outgoing) => {
      const model = MODEL_PATH.exec(incoming.url ?? '')?.[1];
      const now = Date.now();
      const caller = gateway.callers.identify(incoming.headers, peerOf(incoming.socket));
      const refusal = gateway.callers.judge(caller, model ?? '', now);
      if (refusal !== null) return refuse(outgoing, refusal, refusal.status === 401 ? CHALLENGE : {});
      const named = incoming.headers['x-custody-caller'] ?? caller.id;
      const point = named === '' ? Math.floor(Math.random() * 100) : pointOf(String(named), model ?? '');
      const choice: ReturnType<Gateway['choose']> =
        model === undefined
          ? { status: 404, code: 'UNKNOWN_MODEL', reason: 'expected a path like /v2/models/<model>/infer' }
          : gateway.choose(model, point, now);
      if ('status' in choice) return refuse(outgoing, choice);
      new Exchange(incoming, outgoing, choice, upstreams, limits).start();
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  return {
    server,
    close: async () => {
      await closeGently(server);
      upstreams.close();
    },
  };
}

export function refuse(
  outgoing: ServerResponse,
  { status, code, reason }: Refusal,
  headers: Record<string, string> = {},
): void {
  const body = JSON.stringify({ error: reason, code, reason });
  outgoing.writeHead(status, {
    ...headers,
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  });
  outgoing.end(body);
}

/** One request on its way to one replica, and the answer on its way back. */
class Exchange implements Flight {
  readonly #incoming: IncomingMessage;
  readonly #outgoing: ServerResponse;
  readonly #choice: Choice & { readonly endpoint: Endpoint };
  readonly #limits: Limits;
  readonly #upstream: ClientRequest;
  readonly #names: Record<string, string>;
  /** The clock runs from the last byte that the caller has sent: a slow caller is no fault of the release. */
  #sentAt = performance.now();
  #received = 0;
  #answered: IncomingMessage | null = null;
  #failed = false;
  #ended = false;

  constructor(
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    choice: Choice & { readonly endpoint: Endpoint },
    upstreams: Upstreams,
    limits: Limits,
  ) {
    const { entry, replica } = choice;
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    this.#choice = choice;
    this.#limits = limits;
    this.#names = { 'x-custody-release': entry.release, 'x-custody-release-version': entry.version };
    this.#upstream = upstreams.request(replica, entry.release, {
      method: incoming.method,
      path: incoming.url,
      headers: endToEnd(incoming.headers, { host: `${replica.host}:${replica.port}` }),
      timeout: limits.silenceMs,
      maxHeaderSize: limits.maxHeaderBytes,
    });
  }

  start(): void {
    const { endpoint } = this.#choice;
    endpoint.flights.add(this);
    this.#outgoing.on('close', () => {
      endpoint.flights.delete(this);
      if (!this.#outgoing.writableFinished) this.#callerLeft();
    });
    this.#upstream.on('response', (answer) => this.#answer(answer));
    this.#upstream.on('error', (error) => this.#noAnswer(error));
    this.#upstream.on('timeout', () => this.#silent());
    this.#incoming.on('error', () => this.#callerLeft());
    if (Number(this.#incoming.headers['content-length'] ?? 0) > this.#limits.maxBodyBytes) this.#tooLarge();
    else this.#send();
  }

  abort(refusal: Refusal): void {
    this.#end();
    if (this.#outgoing.headersSent) this.#outgoing.destroy();
    else refuse(this.#outgoing, refusal);
  }

  #send(): void {
    this.#incoming.on('data', (chunk: Buffer) => {
      if (this.#ended) return;
      this.#received += chunk.length;
      if (this.#received > this.#limits.maxBodyBytes) return this.#tooLarge();
      this.#sentAt = performance.now();
      if (this.#upstream.write(chunk)) return;
      this.#incoming.pause();
      this.#upstream.once('drain', () => this.#incoming.resume());
    });
    this.#incoming.on('end', () => {
      if (!this.#ended) this.#upstream.end();
    });
  }

  #answer(answer: IncomingMessage): void {
    if (this.#ended) return void answer.resume();
    const { endpoint, entry } = this.#choice;
    const status = answer.statusCode ?? 502;
    this.#answered = answer;
    this.#failed = status >= 500;
    endpoint.count(entry, performance.now() - this.#sentAt, this.#failed);
    this.#outgoing.writeHead(status, endToEnd(answer.headers, this.#names));
    answer.on('error', () => {
      // What broke off on the replica's side was no answer; what a caller or a kill ended says nothing.
      if (!this.#ended && !this.#failed) endpoint.brokeOff(entry);
    });
    pipeline(answer, this.#outgoing, () => this.#end());
  }

  #noAnswer(error: Error): void {
    if (this.#ended || this.#outgoing.headersSent) return;
    const { endpoint, entry } = this.#choice;
    endpoint.count(entry, performance.now() - this.#sentAt, true);
    this.#end();
    const reason = `release ${entry.version} gave no answer: ${error.message}`;
    refuse(this.#outgoing, { status: 502, code: 'UPSTREAM_FAILED', reason }, this.#names);
  }

  #silent(): void {
    if (this.#outgoing.writableNeedDrain) {
      this.#callerLeft();
      this.#outgoing.destroy();
    } else this.#upstream.destroy(new Error(`silent for ${this.#limits.silenceMs} ms`));
  }

  /** Somebody who gave up waiting counts only where the wait was longer than the release may take. */
  #callerLeft(): void {
    if (this.#ended) return;
    const { endpoint, entry } = this.#choice;
    const waited = performance.now() - this.#sentAt;
    if (!this.#outgoing.headersSent && waited > entry.counters.limitMs) endpoint.count(entry, waited, false);
    this.#end();
  }

  #tooLarge(): void {
    this.#end();
    if (this.#outgoing.headersSent) return void this.#outgoing.destroy();
    const reason = `the request is larger than ${this.#limits.maxBodyBytes} bytes`;
    refuse(this.#outgoing, { status: 413, code: 'TOO_LARGE', reason });
  }

  #end(): void {
    this.#ended = true;
    this.#choice.endpoint.flights.delete(this);
    // After a whole exchange the connection goes back to the agent; before, it ends here.
    if (this.#answered?.complete !== true || !this.#upstream.writableEnded) this.#upstream.destroy();
    this.#incoming.resume();
  }
}
