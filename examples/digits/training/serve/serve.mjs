// Serves the release in this file's own folder over HTTP on 127.0.0.1 or a unix socket:
//   node serve.mjs --name digits --version 1.0.0 (--port 8080 | --socket path) [--request-timeout-ms 2000]
// Prints one JSON line on stdout when it is ready. SIGTERM and SIGINT let running requests finish.
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { loadModel } from './model.mjs';
import { MAX_BODY_BYTES, RequestError, inferResponse, modelMetadata, parseInfer } from './protocol.mjs';

const HOST = '127.0.0.1';
const LINGER_BYTES = 8 * 1024 * 1024;
const LINGER_MS = 1000;
const MODEL_PATH = /^\/v2\/models\/([^/]+)(?:\/versions\/([^/]+))?(?:\/(ready|infer))?$/;

const options = readOptions();
const model = loadModel(new URL('./', import.meta.url));
const server = createServer(
  {
    requestTimeout: options.requestTimeoutMs,
    headersTimeout: options.requestTimeoutMs,
    connectionsCheckingInterval: Math.min(500, options.requestTimeoutMs),
    keepAliveTimeout: 65_000,
    maxHeaderSize: 16 * 1024,
  },
  (request, response) => {
    answer(request).then(
      (body) => send(response, 200, body),
      (error) => refuse(request, response, error),
    );
  },
);
server.maxConnections = 512;
server.on('clientError', (error, socket) => {
  if (socket.destroyed || !socket.writable) return;
  const [status, message] =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? ['408 Request Timeout', 'too slow'] : ['400 Bad Request', 'not HTTP'];
  const body = JSON.stringify({ error: `the request was ${message}` });
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
});
server.on('error', (error) => {
  process.stderr.write(`${JSON.stringify({ error: error.message })}\n`);
  process.exitCode = 1;
});
server.listen(options.socket === undefined ? { host: HOST, port: options.port } : { path: options.socket }, () => {
  const where = options.socket === undefined ? { port: server.address().port } : { socket: options.socket };
  process.stdout.write(`${JSON.stringify({ ready: true, ...where })}\n`);
});
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, () => {
    server.close();
    server.closeIdleConnections();
  });
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      name: { type: 'string' },
      version: { type: 'string' },
      port: { type: 'string' },
      socket: { type: 'string' },
      'request-timeout-ms': { type: 'string', default: '2000' },
    },
  });
  const { name, version, socket } = values;
  if (!name || !version) throw new Error('--name and --version are needed');
  if ((values.port === undefined) === (socket === undefined)) throw new Error('give either --port or --socket');
  const port = wholeNumber('--port', values.port ?? '0', 0, 65_535);
  return {
    name,
    version,
    socket,
    port,
    requestTimeoutMs: wholeNumber('--request-timeout-ms', values['request-timeout-ms'], 50, 600_000),
  };
}

function wholeNumber(option, text, min, max) {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max) {
    throw new Error(`${option} is ${text}, expected a whole number from ${min} to ${max}`);
  }
  return value;
}

async function answer(request) {
  const { pathname } = new URL(request.url, 'http://model');
  if (pathname === '/v2/health/live') return expectMethod(request, 'GET', { live: true });
  if (pathname === '/v2/health/ready') return expectMethod(request, 'GET', { ready: true });
  if (pathname === '/v2') {
    return expectMethod(request, 'GET', { name: 'custody-digits', version: options.version, extensions: [] });
  }
  const [, name, version, verb] = MODEL_PATH.exec(pathname) ?? [];
  if (name === undefined) throw new RequestError(404, 'there is nothing at this path');
  if (name !== options.name || (version !== undefined && version !== options.version)) {
    throw new RequestError(404, 'this server has no such model or version');
  }
  if (verb === undefined) return expectMethod(request, 'GET', modelMetadata(model, options.name, options.version));
  if (verb === 'ready') return expectMethod(request, 'GET', { name: options.name, ready: true });
  expectMethod(request, 'POST');
  const infer = parseInfer(await readBody(request), model);
  return inferResponse(infer, model.predict(infer.images, infer.count), model, options.name, options.version);
}

function expectMethod(request, method, body) {
  if (request.method !== method) throw new RequestError(405, `this path takes ${method}`);
  return body;
}

async function readBody(request) {
  if (
    request.headers['content-encoding'] !== undefined ||
    request.headers['inference-header-content-length'] !== undefined
  ) {
    throw new RequestError(400, 'only plain JSON bodies are read');
  }
  const tooLarge = new RequestError(400, `the body is larger than ${MAX_BODY_BYTES} bytes`);
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) throw tooLarge;
  const chunks = [];
  let size = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw tooLarge;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function send(response, status, body) {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': bytes.length }).end(bytes);
}

/** A bad request is the caller's; anything else is a fault of this server, told on stderr and not to the caller. */
function refuse(request, response, error) {
  if (response.destroyed) return;
  const isCallers = error instanceof RequestError;
  if (!isCallers) process.stderr.write(`${JSON.stringify({ path: request.url, error: error.stack })}\n`);
  const status = isCallers ? error.status : 500;
  const body = { error: isCallers ? error.message : 'the model server failed' };
  if (request.complete) send(response, status, body);
  else answerEarly(request, response, status, body);
}

/**
 * Answers a caller who is still sending, and closes only when that ends or becomes too much: a connection that is closed
 * over unread bytes is reset, and the answer lost (RFC 9112, section 9.6).
 */
function answerEarly(request, response, status, body) {
  const bytes = Buffer.from(JSON.stringify(body));
  const headers = { 'content-type': 'application/json', 'content-length': bytes.length, connection: 'close' };
  response.writeHead(status, headers).write(bytes);
  let left = LINGER_BYTES;
  const close = () => {
    clearTimeout(timer);
    response.once('finish', () => request.destroy());
    response.end();
  };
  const timer = setTimeout(close, LINGER_MS);
  request.on('data', (chunk) => {
    left -= chunk.length;
    if (left < 0) close();
  });
  for (const event of ['end', 'close', 'error']) request.once(event, close);
}
