import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AccessLog } from './access-log.js';
import { peerOf } from './callers.js';
import { closeGently } from './closing.js';
import { Exchange, type Plane } from './exchange.js';
import type { Gateway } from './gateway.js';
import { pointOf } from './headers.js';
import { LIMITS, type Limits } from './limits.js';
import { refuse, type Refusal } from './refusal.js';
import { targetOf } from './target.js';
import { followTls, readTls, type CallerTls } from './tls.js';
import type { Upstreams } from './upstreams.js';

const NO_MODEL: Refusal = {
  status: 404,
  code: 'UNKNOWN_MODEL',
  reason: 'expected a path like /v2/models/<model>/infer or /<model>/v1/chat/completions',
};
const CHALLENGE = ['www-authenticate', 'Bearer realm="custody"'] as const;
/** Callers who take nothing more of an answer that is already whole are not waited for much longer than a replica is. */
const LATER_MS = 2_000;
/** So often it is looked for answers that are late. */
const LOOK_MS = 100;
const MAX_LOGGED_PATH = 512;

export interface DataPlaneOptions {
  readonly limits?: Limits;
  readonly tls?: CallerTls | undefined;
  readonly log?: AccessLog | null;
  readonly upstreams: Upstreams;
  readonly report: (error: unknown, what: string) => void;
}

export interface DataPlane {
  readonly server: Server;
  /** Takes no new connections and lets the answers under way end, for as long as the limits say; then it cuts them off. */
  close(): Promise<void>;
}

/** The data plane: every request goes whole to one replica of one release, streaming both ways. */
export function createDataPlane(
  gateway: Gateway,
  { limits = LIMITS, tls, log = null, upstreams, report }: DataPlaneOptions,
): DataPlane {
  const plane: Plane = { gateway, upstreams, limits };
  const options = {
    maxHeaderSize: limits.maxHeaderBytes,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    connectionsCheckingInterval: Math.min(1000, limits.headersMs),
    keepAliveTimeout: 65_000,
  };
  const listener: RequestListener = (incoming, outgoing) => serve(plane, log, incoming, outgoing);
  const { server, unfollow } = listening(options, tls, listener, report);
  server.maxConnections = limits.maxConnections;
  server.maxRequestsPerSocket = limits.maxRequestsPerConnection;
  server.timeout = limits.silenceMs + LATER_MS;
  const looking = setInterval(() => gateway.lookAtWaiting(), LOOK_MS).unref();
  return {
    server,
    close: async () => {
      const overdue = setTimeout(() => server.closeAllConnections(), limits.drainMs);
      await closeGently(server);
      clearTimeout(overdue);
      clearInterval(looking);
      unfollow();
      await upstreams.close();
    },
  };
}

function listening(
  options: object,
  tls: CallerTls | undefined,
  listener: RequestListener,
  report: DataPlaneOptions['report'],
): { readonly server: Server; readonly unfollow: () => void } {
  if (tls === undefined) return { server: createServer(options, listener), unfollow: () => undefined };
  const asksCallers = tls.authorities !== undefined;
  const whom = { requestCert: asksCallers, rejectUnauthorized: asksCallers };
  const server = createTlsServer({ ...options, ...readTls(tls), ...whom }, listener);
  const following = followTls(server, tls, report);
  return { server, unfollow: () => following.close() };
}

function serve(plane: Plane, log: AccessLog | null, incoming: IncomingMessage, outgoing: ServerResponse): void {
  const { url = '', method = '', headers } = incoming;
  const { callers, isDraining } = plane.gateway;
  const target = targetOf(url);
  const model = target?.model ?? '';
  const caller = callers.identify(headers, peerOf(incoming.socket));
  const now = Date.now();
  const refusal = callers.judge(caller, model, now);
  const asked = headers['x-custody-preview'];
  const preview = typeof asked === 'string' && callers.mayPreview(caller, model, now) ? asked : null;
  // A consumer may name whom it calls for: each of them stays with one release.
  const named = String(headers['x-custody-caller'] ?? caller.id);
  const point = named === '' ? Math.floor(Math.random() * 100) : pointOf(named, model);
  const place = { point, preview };
  const exchange = target === null || refusal !== null ? null : new Exchange(plane, incoming, outgoing, target, place);
  if (log !== null) {
    const startedAt = performance.now();
    outgoing.on('close', () => {
      const { statusCode: status, writableFinished: whole } = outgoing;
      const path = url.split('?', 1)[0]?.slice(0, MAX_LOGGED_PATH) ?? '';
      const ms = Math.round((performance.now() - startedAt) * 1000) / 1000;
      const who = caller.id === '' ? null : caller.id;
      const callId = callIdOf(headers);
      log.write({ callId, method, path, version: exchange?.version ?? null, status, ms, whole, caller: who });
    });
  }
  if (exchange !== null) return exchange.start();
  if (isDraining) outgoing.shouldKeepAlive = false;
  const why = refusal ?? NO_MODEL;
  refuse(outgoing, why, why.status === 401 ? CHALLENGE : []);
}

function callIdOf({ 'x-request-id': given }: IncomingHttpHeaders): string | null {
  return typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : null;
}
