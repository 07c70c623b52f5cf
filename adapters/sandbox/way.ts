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
    const [socket, http, problem] = [this.#isOpen ? this.#socket : null, this.#http, this.#problem];
    return {
      ...{ host, port, address: this.#address, openedOn: this.#openedOn },
      ...{ up: socket?.bytesWritten ?? 0, down: socket?.bytesRead ?? 0 },
      ...(http === undefined ? {} : { http }),
      ...(problem === undefined ? {} : { problem }),
    };
  }

  /** By the address, never by the name: that might lead elsewhere by now. `null`: it leads nowhere. */
  open(client: NodeJS.ReadableStream): Socket | null {
    if (this.#address === null) {
      this.note('its name leads nowhere');
      return null;
    }
    const socket = connect({ host: this.#address, port: this.#destination.port });
    this.#socket = socket;
    socket.once('connect', () => (this.#isOpen = true));
    socket.on('error', ({ code }: NodeJS.ErrnoException) => this.note(code ?? 'an error'));
    socket.setTimeout(this.#idleMs, () => this.cut('nothing came or went for too long'));
    socket.on('data', this.#onBytes);
    client.on('data', this.#onBytes);
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
    this.end();
  }

  end(): void {
    this.#socket?.destroy();
  }
}
