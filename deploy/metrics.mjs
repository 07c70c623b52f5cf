// `node deploy/metrics.mjs <gateway admin socket> <port>`: hands `GET /metrics`, and nothing else of the socket, on to TCP, where
// Prometheus can read it. 502 while the gateway is down.
import { createServer, request } from 'node:http';

const [socketPath, port] = process.argv.slice(2);
if (port === undefined) {
  process.stderr.write('usage: metrics.mjs <gateway admin socket> <port>\n');
  process.exit(2);
}
const ANSWER_MS = 5_000;

const server = createServer((incoming, outgoing) => {
  if (incoming.method !== 'GET' || incoming.url !== '/metrics') return outgoing.writeHead(404).end();
  const asked = request({ socketPath, path: '/metrics', timeout: ANSWER_MS }, (answer) => {
    outgoing.writeHead(answer.statusCode, { 'content-type': answer.headers['content-type'] ?? 'text/plain' });
    answer.pipe(outgoing);
    answer.on('error', () => outgoing.destroy());
  });
  asked.on('timeout', () => asked.destroy(new Error('the gateway does not answer')));
  asked.on('error', (error) => {
    if (!outgoing.headersSent) outgoing.writeHead(502).end(`${error.message}\n`);
  });
  asked.end();
});
server.listen(Number(port), () => {
  process.stdout.write(`${JSON.stringify({ ready: true, port: server.address().port })}\n`);
});
for (const signal of ['SIGTERM', 'SIGINT'])
  process.once(signal, () => {
    server.close();
    server.closeAllConnections();
  });
