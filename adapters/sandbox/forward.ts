import { createHash } from 'node:crypto';
import { request as ask, type IncomingMessage, type ServerResponse } from 'node:http';
import { sha256 } from '../../formats/sha256.js';
import type { Way } from './way.js';

/** What is said from one station to the next, and goes no further (RFC 9110, 7.6.1). */
const HOP_BY_HOP = ['connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'http2-settings'];

interface Target {
  readonly method: string;
  readonly path: string;
  /** Host and port, as the URL says them: whatever else is said of the host does not count. */
  readonly authority: string;
}

/** Asks anew outside, in its own framing, and hands back the answer while it writes down what that holds. */
export function forward(request: IncomingMessage, response: ServerResponse, way: Way, target: Target): void {
  const { method, path, authority } = target;
  const told = { method, path: sha256(path) };
  way.tell(told);
  const socket = way.open(request);
  const fail = (): void => {
    if (response.headersSent) response.destroy();
    else response.writeHead(502, { connection: 'close' }).end();
  };
  if (socket === null) return fail();
  const headers = { ...endToEnd(request), ...framingOf(request), host: authority };
  const remote = ask({ createConnection: () => socket, method, path, headers, setHost: false });
  remote.on('error', ({ message }) => (way.note(message), fail()));
  remote.once('close', fail);
  request.once('error', () => remote.destroy());
  remote.once('response', (answer) => {
    const { statusCode: status = 0 } = answer;
    if (status < 200) return void remote.destroy(new Error('an answer without a status'));
    const hash = createHash('sha256');
    answer.on('data', (bytes: Buffer) => hash.update(bytes));
    answer.once('end', () => way.tell({ ...told, status, body: hash.digest('hex') }));
    answer.once('error', ({ message }) => (way.note(message), response.destroy()));
    remote.off('close', fail);
    response.writeHead(status, { ...endToEnd(answer), connection: 'close' });
    answer.pipe(response);
  });
  request.pipe(remote);
}

/** What a body was taken in by goes out with it, whatever `Connection` says: unframed it would be the next request. */
function framingOf({ headers }: IncomingMessage): Record<string, string> {
  const length = headers['content-length'];
  if (headers['transfer-encoding'] !== undefined) return { 'transfer-encoding': 'chunked' };
  return length === undefined ? {} : { 'content-length': length };
}

function endToEnd({ headersDistinct }: IncomingMessage): Record<string, string[]> {
  const named = (headersDistinct['connection'] ?? []).flatMap((text) => text.toLowerCase().split(/\s*,\s*/));
  const kept = Object.entries(headersDistinct).filter(
    ([name]) => !HOP_BY_HOP.includes(name) && !named.includes(name) && !name.startsWith('proxy-'),
  );
  return Object.fromEntries(kept.map(([name, values]) => [name, values ?? []]));
}
