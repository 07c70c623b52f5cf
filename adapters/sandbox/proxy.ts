import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from 'node:http';
import { setImmediate } from 'node:timers/promises';
import type { Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { readDestination } from '../../domain/destinations.js';
import type { Connection } from '../../domain/traffic.js';
import { addressesOf, inDestination, isOwn, isPublic } from './addresses.js';
import { forward } from './forward.js';
import type { SandboxNetwork } from './port.js';
import { Way } from './way.js';

/** What one run may have through its proxy. Whoever wants more has failed, as whoever wants to go elsewhere has. */
export const PROXY_LIMITS = {
  connections: 500,
  atOnce: 64,
  upBytes: 64 * 1024 * 1024,
  downBytes: 64 * 1024 * 1024 * 1024,
  /** Without a byte, either way. */
  idleMs: 120_000,
};
export type ProxyLimits = typeof PROXY_LIMITS;

/** What a run has left of that after these. */
export function limitsAfter(connections: readonly Connection[]): Partial<ProxyLimits> {
  const left = (limit: number, of: (each: Connection) => number): number =>
    Math.max(0, limit - connections.reduce((total, each) => total + of(each), 0));
  return {
    connections: left(PROXY_LIMITS.connections, () => 1),
    upBytes: left(PROXY_LIMITS.upBytes, ({ up }) => up),
    downBytes: left(PROXY_LIMITS.downBytes, ({ down }) => down),
  };
}

const DRAIN_MS = 2000;
const ABSOLUTE = /^http:\/\/([\x21-\x22\x24-\x2e\x30-\x3e\x41-\x5b\x5d-\x7e]+)(\/[\x21-\x22\x24-\x7e]*)?$/i;

/**
 * The only way out of a sandbox: takes connections from a socket that listens inside, and makes those outside that are listed,
 * to the very address that it has judged. It runs out here, so nothing inside can change what it allows or writes down.
 */
export class RecordingProxy {
  readonly #listed: ReadonlySet<string>;
  readonly #lookup: (host: string) => Promise<readonly string[]>;
  readonly #limits: ProxyLimits;
  readonly #attempt: (what: string) => void;
  readonly #http: HttpServer;
  readonly #clients = new Set<Socket>();
  readonly #asked = new WeakSet<Duplex>();
  readonly #ways: Way[] = [];
  readonly #bytes = { up: 0, down: 0 };
  #accepted = 0;
  #listener: Server | null = null;
  #isClosed = false;

  /** `attempt` is told whatever is refused. */
  constructor({ destinations, lookup, limits }: SandboxNetwork, attempt: (what: string) => void) {
    this.#listed = new Set(destinations);
    this.#lookup = lookup ?? addressesOf;
    this.#limits = { ...PROXY_LIMITS, ...limits };
    this.#attempt = attempt;
    this.#http = createServer({ requireHostHeader: false, maxHeaderSize: 32 * 1024 });
    // Beyond a count, Node goes by headers that it does not hand out.
    this.#http.maxHeadersCount = 0;
    const plain = (request: IncomingMessage, response: ServerResponse): void =>
      this.#guard(this.#plain(request, response), request.socket);
    this.#http.on('request', plain);
    // Node would answer these itself.
    this.#http.on('checkExpectation', plain);
    this.#http.on('connect', (request, socket: Socket, head: Buffer) =>
      this.#guard(this.#tunnel(request, socket, head), socket),
    );
    this.#http.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      if (error.code?.startsWith('HPE_') === true && error.code !== 'HPE_INVALID_EOF_STATE') this.#attempt('no HTTP');
      socket.destroy();
    });
  }

  /** What went out, in order. */
  get connections(): readonly Connection[] {
    return this.#ways.map((way) => way.record);
  }

  /** Takes whatever comes in here; `broken` once it cannot any more. */
  serve(listener: Server, broken: () => void): void {
    this.#listener = listener;
    listener.on('connection', (socket) => this.#accept(socket));
    const fail = (): void => {
      if (this.#isClosed) return;
      this.#attempt('the proxy has broken down');
      broken();
    };
    listener.once('error', fail);
    listener.once('close', fail);
  }

  /** Once everything inside has ended: what that had still sent is judged, and every connection is cut. */
  async close(): Promise<void> {
    // Each turn of the loop takes in at least one of those who wait at the door; the last one, what they say.
    for (let before = -1; before !== this.#accepted; await setImmediate()) {
      before = this.#accepted;
      await setImmediate();
    }
    const ended = Promise.all([...this.#clients].map(endOf));
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, DRAIN_MS);
      void ended.then(() => (clearTimeout(timer), resolve()));
    });
    this.destroy();
  }

  destroy(): void {
    this.#isClosed = true;
    this.#listener?.close();
    for (const client of this.#clients) client.destroy();
    for (const way of this.#ways) way.end();
  }

  #accept(socket: Socket): void {
    const { connections, atOnce, idleMs } = this.#limits;
    socket.on('error', () => socket.destroy());
    this.#accepted += 1;
    if (this.#accepted > connections) return this.#tooMuch(socket, `${connections} connections`);
    if (this.#clients.size >= atOnce) return this.#tooMuch(socket, `${atOnce} connections at once`);
    this.#clients.add(socket);
    socket.once('close', () => this.#clients.delete(socket));
    socket.setTimeout(idleMs, () => socket.destroy());
    this.#http.emit('connection', socket);
  }

  #tooMuch(socket: Duplex, what: string): void {
    this.#attempt(`more than ${what}`);
    socket.destroy();
  }

  async #tunnel({ url = '' }: IncomingMessage, client: Socket, head: Buffer): Promise<void> {
    const answer = (status: string): void => void client.end(`HTTP/1.1 ${status}\r\nconnection: close\r\n\r\n`);
    if (!this.#isFirst(client, url)) return answer('403 Forbidden');
    const way = await this.#wayTo(url, client);
    if (way === null) return answer('403 Forbidden');
    client.pause();
    const remote = way.open(client);
    if (remote === null) return answer('502 Bad Gateway');
    remote.once('connect', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      remote.write(head);
      client.pipe(remote);
      remote.pipe(client);
    });
    remote.once('close', () => (way.isOpen ? client.destroySoon() : answer('502 Bad Gateway')));
    client.once('close', () => way.end());
  }

  async #plain(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { url = '', method = '', socket } = request;
    const answer = (status: number): void => {
      response.writeHead(status, { connection: 'close' }).end();
    };
    if (!this.#isFirst(socket, url)) return answer(403);
    const [, authority = '', path = '/'] = ABSOLUTE.exec(url) ?? [];
    const host = /:\d+$/.test(authority) ? authority : `${authority}:80`;
    const way = await this.#wayTo(authority === '' ? url : host, socket);
    if (way === null) return answer(403);
    response.once('close', () => way.end());
    response.once('error', () => way.end());
    forward(request, response, way, { method, path, authority });
  }

  /** One request a connection, so that none can be taken for a part of another. */
  #isFirst(socket: Duplex, url: string): boolean {
    const isFirst = !this.#asked.has(socket);
    this.#asked.add(socket);
    if (!isFirst) this.#attempt(`a second request on a connection: ${url}`);
    return isFirst;
  }

  /** `null`: it is not allowed, or nobody waits for it any more. Names are looked up only where they are listed. */
  async #wayTo(target: string, client: Duplex): Promise<Way | null> {
    const wanted = target.toLowerCase();
    const destination = this.#listed.has(wanted) ? readDestination(wanted) : null;
    if (destination === null) return this.#refuse(target);
    const { host, port } = destination;
    const found = await this.#lookup(host);
    if (this.#isClosed || client.destroyed) return null;
    const isInner = (each: string): boolean => !isPublic(each) || isOwn(each);
    const inner = found.find((each) => isInner(each) && !this.#listed.has(inDestination(each, port)));
    if (inner !== undefined) return this.#refuse(`${wanted}, which is ${inner}`);
    const way: Way = new Way(destination, found[0] ?? null, this.#limits.idleMs, () => this.#measure(way));
    this.#ways.push(way);
    return way;
  }

  /** Nothing of a request may end the process that runs this. */
  #guard(handled: Promise<void>, client: Duplex): void {
    handled.catch((error: unknown) => this.#tooMuch(client, `the proxy can take (${String(error)})`));
  }

  #refuse(what: string): null {
    this.#attempt(what);
    return null;
  }

  #measure(way: Way): void {
    const { upBytes, downBytes } = this.#limits;
    const { up, down } = way.takeBytes();
    this.#bytes.up += up;
    this.#bytes.down += down;
    if (this.#bytes.up > upBytes) this.#cut(way, `more than ${upBytes} bytes out`);
    else if (this.#bytes.down > downBytes) this.#cut(way, `more than ${downBytes} bytes in`);
  }

  #cut(way: Way, why: string): void {
    this.#attempt(why);
    way.cut(why);
  }
}

/** Nothing more is said. */
function endOf(client: Socket): Promise<void> {
  if (client.readableEnded || client.destroyed) return Promise.resolve();
  return new Promise((resolve) => client.once('end', resolve).once('close', () => resolve()));
}
