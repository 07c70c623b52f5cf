// `node http-proxy-3.mjs <port> <upstream>`: with connections to the upstream that are kept alive.
import { Agent, createServer } from 'node:http';
import { createProxyServer } from 'http-proxy-3';

const [port, target] = process.argv.slice(2);
const proxy = createProxyServer({ target, agent: new Agent({ keepAlive: true, maxSockets: 512 }) });
proxy.on('error', (_error, _request, response) => response.writeHead?.(502).end());
const server = createServer((request, response) => proxy.web(request, response));
server.listen(Number(port), '127.0.0.1', () => process.stdout.write('{"ready":true}\n'));
