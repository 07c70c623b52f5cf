import { chmodSync, rmSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { dirname } from 'node:path';
import { z } from 'zod';
import { CustodyError, type ErrorCode } from '../domain/errors.js';
import type { RouteDelivery } from '../domain/evidence.js';
import {
  approvalsSchema as approvals,
  envelopeSchema as envelope,
  provisionalSchema,
} from '../formats/evidence-schema.js';
import { checkShape, parseJson } from '../formats/json.js';
import { closeGently } from './closing.js';
import type { GatewayConfig } from './config.js';
import type { Gateway } from './gateway.js';
import { listening } from './listening.js';
import type { Metrics } from './metrics.js';
import { mutualTls } from './tls.js';

const MAX_BODY_BYTES = 16 * 1024 * 1024;
const REQUEST_MS = 10_000;

const policies = z.array(envelope).min(1).max(10_000);
const deliverySchema: z.ZodType<RouteDelivery> = z.strictObject({
  policies,
  document: envelope,
  request: envelope.nullable(),
  approvals,
  proceed: z.strictObject({ request: envelope, approvals }).nullable(),
  provisional: provisionalSchema,
  isNewest: z.boolean(),
});
const policiesSchema = z.strictObject({ policies });
const consumersSchema = z.strictObject({ consumers: z.array(z.unknown()).max(10_000) });

/**
 * What control, serving and watch say to this gateway: over a socket of its user's own, or from other hosts over TLS, by which
 * they prove to be of this environment. Every statement is verified all the same.
 */
export async function listenAdmin(
  gateway: Gateway,
  metrics: Metrics,
  at: GatewayConfig['admin'],
  report: (error: unknown, what: string) => void,
): Promise<{ readonly port: number | null; close(): Promise<void> }> {
  const acts: Readonly<Record<string, (body: unknown) => unknown>> = {
    'POST /policies': (body) => gateway.admitPolicies(checkShape(policiesSchema, body, 'the delivery').policies),
    'POST /routes': (body) => gateway.admitRoute(checkShape(deliverySchema, body, 'the delivery')),
    'POST /kills': (body) => gateway.latchKill(body),
    'POST /status': (body) => gateway.admitStatus(body),
    'POST /replicas': (body) => gateway.admitReplica(body),
    'POST /consumers': (body) => gateway.callers.admit(checkShape(consumersSchema, body, 'the delivery').consumers),
    'GET /callers': () => gateway.callers.report(),
    'GET /kills': () => gateway.stoppedBy(),
    'GET /state': () => gateway.state(),
    'GET /metrics': () => metrics.text(),
    'GET /healthz': () => ({ ok: true }),
    'GET /readyz': () => {
      const why = gateway.unready();
      if (why !== null) throw new CustodyError('PENDING', why);
      return { ready: true };
    },
  };
  const answer = async (incoming: IncomingMessage): Promise<unknown> => {
    const { method = '', url = '' } = incoming;
    const act = acts[`${method} ${url}`];
    if (act === undefined) throw new CustodyError('USAGE', `there is no ${method} ${url.slice(0, 200)} here`);
    const body = await read(incoming);
    return act(method === 'GET' ? null : parseJson(body, url, { maxBytes: MAX_BODY_BYTES }));
  };
  const listener = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    answer(incoming).then(
      (value) => send(outgoing, 200, value),
      (error: unknown) => {
        const known = error instanceof CustodyError ? error : null;
        if (known === null) report(error, `${incoming.method} ${incoming.url} failed`);
        const code = known?.code ?? 'INTERNAL';
        const message = known?.message ?? 'the gateway failed: its log says why';
        send(outgoing, STATUS[code] ?? 422, { ...known?.details, code, message });
      },
    );
  };
  const limits = { requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS };
  if ('socket' in at) {
    const server = createServer(limits, listener);
    await listenOnSocket(server, at.socket);
    return { port: null, close: () => closeGently(server) };
  }
  const server = createTlsServer({ ...limits, ...mutualTls(at.tls) }, listener);
  await listening(server, at.listen);
  return { port: (server.address() as AddressInfo).port, close: () => closeGently(server) };
}

async function listenOnSocket(server: Server, socket: string): Promise<void> {
  // Left by a process that was killed. Two gateways never share a state folder, and so no socket.
  rmSync(socket, { force: true });
  const before = process.umask(0o177);
  try {
    await listening(server, { path: socket });
  } finally {
    process.umask(before);
  }
  // Where others cannot get into its folder, the folder's group says which zones may knock.
  const isClosed = (statSync(dirname(socket)).mode & 0o007) === 0;
  if (isClosed) chmodSync(socket, 0o660);
}

const STATUS: Partial<Record<ErrorCode, number>> = {
  MALFORMED: 400,
  SIGNATURE_INVALID: 403,
  NOT_AUTHORISED: 403,
  USAGE: 404,
  REPLAYED: 409,
  INTERNAL: 500,
  PENDING: 503,
};

async function read(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new CustodyError('MALFORMED', `at most ${MAX_BODY_BYTES} bytes are read`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function send(outgoing: ServerResponse, status: number, value: unknown): void {
  const isText = typeof value === 'string';
  const body = isText ? value : JSON.stringify(value);
  const type = isText ? 'text/plain; version=0.0.4; charset=utf-8' : 'application/json';
  outgoing.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  outgoing.end(body);
}
