import { once } from 'node:events';
import { chmod, chown, mkdir, stat, unlink } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import type { Logger } from 'pino';
import { CustodyError, exitCodeOf, type ErrorCode } from '../domain/errors.js';
import { parseJson } from '../formats/json.js';
import type { SocketConfig } from './config.js';
import type { Operations } from './requests.js';

/**
 * Serves operations as `POST /<name>` on a unix socket that only those it is for can connect to. A socket that a dead process has
 * left is replaced, one that answers is not: PORT_IN_USE.
 */
export async function listen(socket: SocketConfig, operations: Operations, log: Logger): Promise<Server> {
  const { path } = socket;
  await mkdir(dirname(path), { recursive: true, mode: 0o711 });
  await clear(path);
  const server = createServer((request, response) => void serve(operations, log, request, response));
  server.listen(path);
  await once(server, 'listening');
  await admit(socket);
  return server;
}

/** The process's umask has kept everybody else out until here. */
async function admit({ path, uid, gid }: SocketConfig): Promise<void> {
  if (uid !== undefined || gid !== undefined) await chown(path, uid ?? -1, gid ?? -1);
  const isClosed = ((await stat(dirname(path))).mode & 0o007) === 0;
  await chmod(path, gid !== undefined || (uid === undefined && isClosed) ? 0o660 : 0o600);
}

async function clear(path: string): Promise<void> {
  const probe = connect(path);
  try {
    await once(probe, 'connect');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return;
    if (code !== 'ECONNREFUSED') throw error;
    await unlink(path);
    return;
  } finally {
    probe.destroy();
  }
  throw new CustodyError('PORT_IN_USE', `another process listens on ${path}: stop it, or choose another path`);
}

async function serve(
  operations: Operations,
  log: Logger,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const name = (request.url ?? '').slice(1);
  const started = performance.now();
  const reply = (status: number, body: unknown): void => {
    const text = JSON.stringify(body);
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
    response.end(text);
  };
  try {
    const operation = Object.hasOwn(operations, name) ? operations[name] : undefined;
    if (operation === undefined || request.method !== 'POST')
      throw new CustodyError('NOT_AUTHORISED', `this socket serves only POST /${Object.keys(operations).join(', /')}`);
    const answer = await operation.answer(await read(request, name, operation.maxBytes));
    log.info({ operation: name, ms: Math.round(performance.now() - started) }, 'done');
    reply(200, answer);
  } catch (error) {
    const known = error instanceof CustodyError ? error : null;
    const code = known?.code ?? 'INTERNAL';
    const message = known?.message ?? 'the vault has failed: its log says why';
    if (exitCodeOf(code) === 1) log.error({ operation: name, code, err: error }, 'failed');
    else log.warn({ operation: name, code, reason: message }, 'refused');
    // Whatever else the caller is sending will not be read.
    if (!request.complete) response.setHeader('connection', 'close');
    reply(statusOf(code), { code, message });
  }
}

async function read(request: IncomingMessage, name: string, maxBytes: number): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes)
      throw new CustodyError('MALFORMED', `the request to ${name} is too large: at most ${maxBytes} bytes are read`);
    chunks.push(chunk);
  }
  return parseJson(Buffer.concat(chunks), `the request to ${name}`, { maxBytes });
}

function statusOf(code: ErrorCode): number {
  if (code === 'ERASED') return 410;
  switch (exitCodeOf(code)) {
    case 1:
      return 500;
    case 3:
    case 4:
      return code === 'MALFORMED' ? 400 : 403;
    case 5:
      return 409;
    case 7:
      return 503;
    default:
      return 422;
  }
}
