import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { callerOf } from './caller.js';
import { closeGently } from './closing.js';
import { Exchange, type Plane } from './exchange.js';
import type { Gateway } from './gateway.js';
import { pointOf } from './headers.js';
import { LIMITS, type Limits } from './limits.js';
import { refuse, type Refusal } from './refusal.js';
import { targetOf } from './target.js';
import { Upstreams } from './upstreams.js';

const NO_MODEL: Refusal = {
  status: 404,
  code: 'UNKNOWN_MODEL',
  reason: 'expected a path like /v2/models/<model>/infer or /<model>/v1/chat/completions',
};
/** Callers who take nothing more of an answer that is already whole are not waited for much longer than a replica is. */
const LATER_MS = 2_000;

/** The data plane: every request goes whole to one replica of one release, streaming both ways. */
export function createDataPlane(
  gateway: Gateway,
  limits: Limits = LIMITS,
): { readonly server: Server; close(): Promise<void> } {
  const upstreams = new Upstreams(limits.maxHeaderBytes);
  const plane: Plane = { gateway, upstreams, limits };
  const options = {
    maxHeaderSize: limits.maxHeaderBytes,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    connectionsCheckingInterval: Math.min(1000, limits.headersMs),
    keepAliveTimeout: 65_000,
  };
  const server = createServer(options, (incoming, outgoing) => serve(plane, incoming, outgoing));
  server.maxConnections = limits.maxConnections;
  server.maxRequestsPerSocket = limits.maxRequestsPerConnection;
  server.timeout = limits.silenceMs + LATER_MS;
  return {
    server,
    close: async () => {
      await closeGently(server);
      await upstreams.close();
    },
  };
}

function serve(plane: Plane, incoming: IncomingMessage, outgoing: ServerResponse): void {
  const target = targetOf(incoming.url ?? '');
  if (target === null) return refuse(outgoing, NO_MODEL);
  const caller = callerOf(incoming);
  const point = caller === null ? Math.floor(Math.random() * 100) : pointOf(caller, target.model);
  new Exchange(plane, incoming, outgoing, target, point, caller).start();
}
