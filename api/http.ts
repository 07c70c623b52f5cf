import { randomUUID } from 'node:crypto';
import { createServer, STATUS_CODES, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { CustodyError, type ErrorCode } from '../domain/errors.js';
import { parseJson } from '../formats/json.js';

const MAX_HEADER_BYTES = 16 * 1024;
const HEADERS_MS = 5_000;
const REQUEST_MS = 10_000;
const MAX_CONNECTIONS = 512;

/** A refusal that HTTP has a status of its own for. */
export class HttpRefusal extends CustodyError {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: ErrorCode, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(code, message);
    this.name = 'HttpRefusal';
    this.status = status;
    this.headers = headers;
  }
}

const STATUS: Partial<Record<ErrorCode, number>> = {
  MALFORMED: 400,
  USAGE: 400,
  VERSION_INVALID: 400,
  SIGNATURE_INVALID: 401,
  NOT_AUTHORISED: 403,
  INPUT_MISSING: 404,
  POLICY_EXPIRED: 403,
  POLICY_REFUSED: 409,
  INTERNAL: 500,
  PENDING: 503,
  ISSUER_UNAVAILABLE: 503,
  TEMPORAL_UNAVAILABLE: 503,
};

export interface Reply {
  readonly status: number;
  /** Text goes out as Prometheus text, everything else as JSON. */
  readonly body: unknown;
}

/** One call: what it says of itself, and its body once it is wanted. */
export interface Call {
  /** Under which it is in the log, and which its answer names. */
  readonly id: string;
  readonly authorization: string | undefined;
  /** The JSON body. MALFORMED, or an HttpRefusal: of another type, or too large. */
  json(maxBytes?: number): Promise<unknown>;
}

export interface Listener {
  /** Answers each `<METHOD> <path>`; a query string is none of it. */
  readonly handlers: Readonly<Record<string, (call: Call) => Promise<Reply> | Reply>>;
  /** Told of each answer; `route` is one of the handlers' or `other`. `callId` is `null` for what was no call at all. */
  readonly onAnswer: (route: string, status: number, error: unknown, callId: string | null) => void;
  readonly maxBodyBytes: number;
}

/** An HTTP server with bounds on everything that a caller chooses: sizes, times, connections. */
export function createListener({ handlers, onAnswer, maxBodyBytes }: Listener): Server {
  const options = {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_MS,
    requestTimeout: REQUEST_MS,
    connectionsCheckingInterval: 500,
  };
  const server = createServer(options, (incoming, outgoing) => {
    const route = `${incoming.method} ${incoming.url}`;
    const id = randomUUID();
    outgoing.setHeader('x-request-id', id);
    const name = Object.hasOwn(handlers, route) ? route : 'other';
    const handle = async (): Promise<Reply> => {
      const handler = name === 'other' ? undefined : handlers[name];
      if (handler === undefined) throw unknownRoute(incoming, Object.keys(handlers));
      return handler({
        id,
        authorization: authorizationOf(incoming),
        json: (maxBytes = maxBodyBytes) => readJson(incoming, maxBytes),
      });
    };
    handle().then(
      ({ status, body }) => {
        send(outgoing, status, body);
        onAnswer(name, status, null, id);
      },
      (error: unknown) => {
        const { status, headers, body } = failure(error);
        // What is left of a body that was not read is nobody's: the connection ends.
        send(outgoing, status, body, incoming.complete ? headers : { ...headers, connection: 'close' });
        onAnswer(name, status, error, id);
      },
    );
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const status = CLIENT_ERRORS[error.code ?? ''] ?? 400;
    onAnswer('other', status, null, null);
    refuse(socket, status);
  });
  return server;
}

const CLIENT_ERRORS: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

function refuse(socket: Duplex, status: number): void {
  if (!socket.writable) return void socket.destroy();
  const body = JSON.stringify({ code: 'MALFORMED', message: `${STATUS_CODES[status]}` });
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

function unknownRoute({ method, url = '' }: IncomingMessage, routes: readonly string[]): CustodyError {
  const [path = '', query] = url.split('?', 2);
  const allowed = routes.flatMap((route) => (route.endsWith(` ${path}`) ? [route.split(' ')[0] ?? ''] : []));
  if (query !== undefined && allowed.length > 0)
    return new HttpRefusal(400, 'USAGE', 'nothing is taken from the query string: a token goes into the header');
  if (allowed.length > 0)
    return new HttpRefusal(405, 'USAGE', `${method} is not answered here`, { allow: allowed.join(', ') });
  return new HttpRefusal(404, 'USAGE', 'there is nothing here: GET /openapi.json says what there is');
}

function authorizationOf({ headersDistinct }: IncomingMessage): string | undefined {
  const [value, ...others] = headersDistinct['authorization'] ?? [];
  if (others.length > 0) throw new HttpRefusal(400, 'MALFORMED', 'there are two Authorization headers: give one');
  return value;
}

async function readJson(incoming: IncomingMessage, maxBytes: number): Promise<unknown> {
  const { 'content-type': type = '', 'content-encoding': encoding } = incoming.headers;
  if (!/^application\/json(?:; *charset="?utf-8"?)?$/i.test(type) || encoding !== undefined)
    throw new HttpRefusal(415, 'MALFORMED', 'the body must be application/json, as it is');
  const tooLarge = new HttpRefusal(413, 'MALFORMED', `the body is too large: at most ${maxBytes} bytes are read`);
  if (Number(incoming.headers['content-length'] ?? 0) > maxBytes) throw tooLarge;
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge;
    chunks.push(chunk);
  }
  return parseJson(Buffer.concat(chunks), 'the body', { maxBytes });
}

function failure(error: unknown): { status: number; headers: Readonly<Record<string, string>>; body: object } {
  if (!(error instanceof CustodyError))
    return { status: 500, headers: {}, body: { code: 'INTERNAL', message: 'the api failed: its log says why' } };
  const { code, message } = error;
  const status = error instanceof HttpRefusal ? error.status : (STATUS[code] ?? 500);
  const challenge = status === 401 ? { 'www-authenticate': 'Bearer error="invalid_token"' } : {};
  return {
    status,
    headers: { ...challenge, ...(error instanceof HttpRefusal ? error.headers : {}) },
    body: { code, message },
  };
}

function send(
  outgoing: ServerResponse,
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  const isText = typeof value === 'string';
  const body = isText ? value : JSON.stringify(value);
  outgoing.writeHead(status, {
    'content-type': isText ? 'text/plain; version=0.0.4; charset=utf-8' : 'application/json',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
  });
  outgoing.end(body);
}
