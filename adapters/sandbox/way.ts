import { connect, type Socket } from 'node:net';
import type { Destination } from '../../domain/destinations.js';
import { isoTime } from '../../domain/time.js';
import type { Connection } from '../../domain/traffic.js';

type Http = NonNullable<Connection['http']>;

/** One connection outside, and what is written down of it. */
export class Way {
  readonly #destination: Destination;
  readonly #address: string | null;
  readonly #idleMs: number;
  readonly #onBytes: () => void;
  readonly #openedOn = isoTime(Date.now());
  #socket: Socket | null = null;
  #http: Http | undefined;
  #problem: string | undefined;
  #isOpen = false;
  #isCut = false;
  #taken = { up: 0, down: 0 };

  /** `onBytes` is told when there are more of them. */
  constructor(destination: Destination, address: string | null, idleMs: number, onBytes: () => void) {
    this.#destination = destination;
    this.#address = address;
    this.#idleMs = idleMs;
    this.#onBytes = onBytes;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get record(): Connection {
    const { host, port } = this.#destination;
    const [http, problem] = [this.#http, this.#problem];
    return {
      ...{ host, port, address: this.#address, openedOn: this.#openedOn },
      ...this.#bytes,
      ...(http === undefined ? {} : { http }),
      ...(problem === undefined ? {} : { problem }),
    };
  }

  get #bytes(): { readonly up: number; readonly down: number } {
    const socket = this.#isOpen ? this.#socket : null;
    return { up: socket?.bytesWritten ?? 0, down: socket?.bytesRead ?? 0 };
  }

  /** How many more there are than when this was asked before. */
  takeBytes(): { readonly up: number; readonly down: number } {
    const [before, { up, down }] = [this.#taken, this.#bytes];
    this.#taken = { up, down };
    return { up: up - before.up, down: down - before.down };
  }

  /** By the address, never by the name: that might lead elsewhere by now. `null`: it leads nowhere. */
  open(client: NodeJS.ReadableStream): Socket | null {
    if (this.#address === null) {
      this.note('its name leads nowhere');
      return null;
    }
    const socket = connect({ host: this.#address, port: this.#destination.port });
    this.#socket = socket;
    // What came in has gone out once all who listen have had it.
    const count = (): void => queueMicrotask(() => this.#isCut || this.#onBytes());
    socket.once('connect', () => ((this.#isOpen = true), count()));
    socket.on('error', ({ code }: NodeJS.ErrnoException) => this.note(code ?? 'an error'));
    socket.setTimeout(this.#idleMs, () => this.cut('nothing came or went for too long'));
    socket.on('data', count);
    socket.once('close', count);
    client.on('data', count);
    return socket;
  }

  /** Of plain HTTP, as far as it is known. */
  tell(http: Http): void {
    this.#http = http;
  }

  /** The first that went wrong. */
  note(problem: string): void {
    this.#problem ??= problem;
  }

  cut(problem: string): void {
    this.note(problem);
    this.#isCut = true;
    this.end();
  }

  end(): void {
    this.#socket?.destroy();
  }
}
