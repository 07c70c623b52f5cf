import { once } from 'node:events';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What happens to one request on its way; `pass` hands it on unchanged and answers what came back. */
export type Fault = (request: IncomingMessage, pass: () => Promise<Answer>) => Promise<Answer | 'cut'>;
export interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: Buffer;
}

export async function bytesOf(stream: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

export interface Proxy {
  readonly endpoint: string;
  set(fault: Fault): void;
  stop(): void;
}

/** A network between a client and a real store in which things go wrong; at a port of its own, or at this one. */
export async function startProxy(target: string, at = 0): Promise<Proxy> {
  const { hostname, port } = new URL(target);
  const honest: Fault = (_, pass) => pass();
  let fault = honest;
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await bytesOf(request);
    const pass = async (): Promise<Answer> => {
      const { method, url: path, headers } = request;
      const out = http.request({ hostname, port, method, path, headers });
      out.end(body);
      const [answer] = (await once(out, 'response')) as [IncomingMessage];
      return { status: answer.statusCode ?? 0, headers: answer.headers, body: await bytesOf(answer) };
    };
    const answer = await fault(request, pass);
    if (answer === 'cut') request.socket.destroy();
    else response.writeHead(answer.status, answer.headers).end(answer.body);
  };
  const server = http.createServer((request, response) => {
    handle(request, response).catch(() => request.socket.destroy());
  });
  server.listen(at, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    set: (next) => {
      fault = next;
    },
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
