// Serves the release in this file's own folder over HTTP on 127.0.0.1 or a unix socket:
//   node serve.mjs --name lingo --version 1.0.0 (--port 8080 | --socket path)
// Prints one JSON line on stdout when it is ready. SIGTERM and SIGINT let running requests finish.
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { completion, events, parseChat, RequestError } from './chat.mjs';
import { loadGuard } from './guard.mjs';
import { languageOf, loadModel } from './model.mjs';

const HOST = '127.0.0.1';
const MAX_BODY_BYTES = 256 * 1024;
const REQUEST_TIMEOUT_MS = 2000;

const { values: options } = parseArgs({
  options: {
    name: { type: 'string' },
    version: { type: 'string' },
    port: { type: 'string' },
    socket: { type: 'string' },
  },
});
if (!options.name || !options.version) throw new Error('--name and --version are needed');
const folder = new URL('./', import.meta.url);
const model = loadModel(folder);
const guard = loadGuard(folder);

const server = createServer(
  { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS, connectionsCheckingInterval: 200 },
  (request, response) => {
    answer(request, response).catch((error) => refuse(request, response, error));
  },
);
server.on('clientError', (error, socket) => {
  if (socket.destroyed || !socket.writable) return;
  const status = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? '408 Request Timeout' : '400 Bad Request';
  socket.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
});
server.listen(
  options.socket === undefined ? { host: HOST, port: Number(options.port) } : { path: options.socket },
  () => {
    const where = options.socket === undefined ? { port: server.address().port } : { socket: options.socket };
    process.stdout.write(`${JSON.stringify({ ready: true, ...where })}\n`);
  },
);
for (const signal of ['SIGTERM', 'SIGINT'])
  process.once(signal, () => {
    server.close();
    server.closeIdleConnections();
  });

async function answer(request, response) {
  const { pathname } = new URL(request.url, 'http://model');
  if (pathname === '/v1/models') {
    if (request.method !== 'GET') throw new RequestError(405, 'this path takes GET');
    return send(response, 200, { object: 'list', data: [{ id: options.name, object: 'model', owned_by: 'custody' }] });
  }
  if (pathname !== '/v1/chat/completions') throw new RequestError(404, 'there is nothing at this path');
  if (request.method !== 'POST') throw new RequestError(405, 'this path takes POST');
  const { messages, stream } = parseChat(await readBody(request), options.name);
  const { text, refused } = reply(messages);
  if (!stream) return send(response, 200, completion(options.name, text, refused));
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  for (const event of events(options.name, text)) response.write(event);
  response.end();
}

/** What a caller says as `system` is what a caller says: it sets no rules here. */
function reply(messages) {
  if (messages.some(({ content }) => guard.refuses(content))) return { text: guard.refusal, refused: true };
  const asked = messages.at(-1).content;
  const language = languageOf(model, asked);
  const quoted = guard.quote(asked);
  const text = language === null ? 'I do not know that language.' : `The text “${quoted}” is in ${language}.`;
  return guard.leaks(text) ? { text: guard.refusal, refused: true } : { text, refused: false };
}

async function readBody(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new RequestError(413, `the body is larger than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  const bytes = Buffer.concat(chunks);
  const text = bytes.toString('utf8');
  if (!Buffer.from(text, 'utf8').equals(bytes)) throw new RequestError(400, 'the body must be UTF-8');
  return text;
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
  const message = isCallers ? error.message : 'the model server failed';
  const body = { error: { message, type: isCallers ? 'invalid_request_error' : 'server_error' } };
  response.setHeader('connection', 'close');
  send(response, isCallers ? error.status : 500, body);
  // A connection that is closed over unread bytes is reset, and the answer lost.
  request.resume();
}
