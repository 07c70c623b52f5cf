import { readFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { CloudEvent, HTTP } from 'cloudevents';
import type { AuditRecord } from '../../domain/audit.js';
import type { TlsFiles } from '../../formats/tls.js';

export interface Received {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Answers the n-th request, from 0 on. */
export type Answers = (response: ServerResponse, n: number, received: Received) => unknown;

const taken: Answers = (response) => response.writeHead(204).end();

/** Somebody's webhook, on loopback: keeps what was posted, and answers as it is told. */
export class Receiver {
  readonly received: Received[] = [];
  readonly url: string;
  readonly #close: () => void;

  private constructor(url: string, close: () => void) {
    this.url = url;
    this.#close = close;
  }

  static async start(answers: Answers = taken, tls?: TlsFiles): Promise<Receiver> {
    const server =
      tls === undefined
        ? createServer()
        : createTlsServer({ cert: readFileSync(tls.certificate), key: readFileSync(tls.key) });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const { port } = server.address() as AddressInfo;
    const receiver = new Receiver(`http${tls === undefined ? '' : 's'}://127.0.0.1:${port}/events`, () => {
      server.close();
      server.closeAllConnections();
    });
    server.on('request', (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { method = '', url: path = '', headers } = request;
        const received = { method, path, headers, body: Buffer.concat(chunks).toString('utf8') };
        answers(response, receiver.received.push(received) - 1, received);
      });
    });
    return receiver;
  }

  /** As the package of CloudEvents reads them, strictly. */
  events(): CloudEvent<AuditRecord>[] {
    return this.received.map((each) => strictEvent<AuditRecord>(each));
  }

  close(): void {
    this.#close();
  }
}

export function strictEvent<T>({ headers, body }: Pick<Received, 'headers' | 'body'>): CloudEvent<T> {
  const event = HTTP.toEvent<T>({ headers, body });
  if (Array.isArray(event)) throw new Error('one event is expected, not a batch');
  return new CloudEvent<T>({ ...event }, true);
}
