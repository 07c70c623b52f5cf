import { mkdtempSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import {
  Agent,
  createServer,
  request,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { createGatewayClient, type GatewayClient } from '../../../adapters/gateway/client.js';
import { CustodyError } from '../../../domain/errors.js';
import type { ModelState } from '../../../domain/gateway.js';
import { isLoopback } from '../../../domain/replica.js';
import { listenAdmin } from '../../../gateway/admin.js';
import { Gateway } from '../../../gateway/gateway.js';
import { createMetrics } from '../../../gateway/metrics.js';
import { LIMITS, type Limits } from '../../../gateway/limits.js';
import { createDataPlane } from '../../../gateway/proxy.js';
import type { CallerTls } from '../../../gateway/tls.js';
import { Upstreams } from '../../../gateway/upstreams.js';
import type { Release, Route, World } from '../../support/world.js';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface AskOptions {
  readonly caller?: string;
  readonly method?: string;
  readonly path?: string;
  readonly body?: string | Buffer;
  readonly headers?: Record<string, string>;
}

const agent = new Agent({ keepAlive: true });

/** One request to a gateway, as callers make it. */
export function ask(port: number, options: AskOptions = {}): Promise<Answer> {
  const { caller, method = 'POST', path = '/v2/models/digits/infer', body = '{}', headers = {} } = options;
  const named = caller === undefined ? {} : { 'x-custody-caller': caller };
  return new Promise((resolve, reject) => {
    const sent = request(
      { host: '127.0.0.1', port, method, path, agent, headers: { ...named, ...headers } },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () =>
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(chunks).toString() }),
        );
      },
    );
    sent.on('error', reject);
    sent.end(method === 'GET' ? undefined : body);
  });
}

export interface ModelServer {
  readonly port: number;
  behave(listener: RequestListener): void;
  readonly requests: { url: string; headers: IncomingHttpHeaders; bytes: number }[];
  stop(): Promise<void>;
}

/** A real model server that answers with its version, until it is told to behave otherwise. */
export async function startModelServer(version: string): Promise<ModelServer> {
  const requests: ModelServer['requests'] = [];
  const answer: RequestListener = (incoming, outgoing) => {
    const seen = { url: incoming.url ?? '', headers: incoming.headers, bytes: 0 };
    requests.push(seen);
    incoming.on('data', (chunk: Buffer) => (seen.bytes += chunk.length));
    incoming.on('end', () => {
      outgoing.writeHead(200, { 'content-type': 'application/json' });
      outgoing.end(JSON.stringify({ model_version: version }));
    });
  };
  let listener = answer;
  const server = createServer((incoming, outgoing) => listener(incoming, outgoing));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    behave: (next) => (listener = next),
    requests,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Things started by a test, ended in the reverse order. */
export class Cleanup {
  readonly #ends: (() => unknown)[] = [];

  add(end: () => unknown): void {
    this.#ends.push(end);
  }

  async run(): Promise<void> {
    for (const end of this.#ends.splice(0).reverse()) await end();
  }
}

export function temporaryFolder(cleanup: Cleanup): string {
  const folder = mkdtempSync(join(tmpdir(), 'custody-gateway-'));
  cleanup.add(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface Rig {
  readonly world: World;
  readonly port: number;
  readonly client: GatewayClient;
  readonly folder: string;
  readonly reports: string[];
  /** Starts a model server for a release and tells the gateway. */
  serve(release: Release, secondsAlive?: number): Promise<ModelServer>;
  deliver(...routes: readonly Route[]): Promise<void>;
  /** Gives the release all callers, and the gateway a fresh status document. */
  inService(release: Release): Promise<Route>;
  model(): Promise<ModelState>;
  /** What the admin side answers to a GET: status and JSON. */
  probe(path: string): Promise<readonly [number, unknown]>;
  drain(): void;
  /** Ends the data plane as a process that stops does. */
  closePlane(): Promise<void>;
  stop(): Promise<void>;
}

/** A gateway with its data plane and its admin socket, in this process. */
export async function startRig(
  world: World,
  cleanup: Cleanup,
  options: { readonly folder?: string; readonly limits?: Partial<Limits>; readonly tls?: CallerTls } = {},
): Promise<Rig> {
  const folder = options.folder ?? temporaryFolder(cleanup);
  const reports: string[] = [];
  const report = (error: unknown, what: string): void => void reports.push(`${what}: ${String(error)}`);
  const { environment, root } = world;
  const gateway = new Gateway({ environment, root, state: folder, report, reaches: isLoopback });
  const limits = { ...LIMITS, ...options.limits };
  const upstreams = new Upstreams(null, limits.maxHeaderBytes);
  const plane = createDataPlane(gateway, { limits, tls: options.tls, upstreams, report });
  const socket = join(folder, 'admin.sock');
  const admin = await listenAdmin(gateway, createMetrics(gateway), { socket }, report);
  await new Promise<void>((resolve) => plane.server.listen(0, '127.0.0.1', resolve));
  let stopped = false;
  const stop = async (): Promise<void> => {
    if (stopped) return;
    stopped = true;
    plane.server.closeAllConnections();
    await Promise.all([plane.close(), admin.close()]);
    await gateway.close();
  };
  cleanup.add(stop);
  const client = createGatewayClient(socket);
  const rig: Rig = {
    world,
    port: (plane.server.address() as AddressInfo).port,
    client,
    folder,
    reports,
    serve: async (release, secondsAlive = 60) => {
      const server = await startModelServer(release.name.version);
      cleanup.add(() => server.stop());
      await client.deliverPolicies([world.policyEnvelope]);
      const expiresAt = new Date(Date.now() + secondsAlive * 1000).toISOString();
      await client.deliverReplica(world.replica(release, { port: server.port, expiresAt }).envelope);
      return server;
    },
    deliver: async (...routes) => {
      for (const { delivery } of routes) await onceBaked(() => client.deliverRoute(delivery));
    },
    inService: async (release) => {
      const chain = world.inService(release);
      await rig.deliver(...chain);
      await client.deliverStatus(world.status().envelope);
      return chain.at(-1)!;
    },
    model: async () => {
      const found = (await client.state()).models.find(({ model }) => model === 'digits');
      if (found === undefined) throw new Error('the gateway does not know the model');
      return found;
    },
    probe: async (path) => {
      const sent = request({ socketPath: socket, path }).end();
      const [answer] = (await once(sent, 'response')) as [IncomingMessage];
      let body = '';
      for await (const chunk of answer as AsyncIterable<Buffer>) body += chunk.toString();
      return [answer.statusCode ?? 0, JSON.parse(body)];
    },
    drain: () => gateway.drain(),
    closePlane: () => plane.close(),
    stop,
  };
  return rig;
}

/** As control does: what comes before the step in force has been watched for its time is delivered again. */
export async function onceBaked<T>(deliver: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await deliver();
    } catch (error) {
      if (!(error instanceof CustodyError) || !error.message.includes('is to be watched here until')) throw error;
      await setTimeout(20);
    }
  }
}

/** The versions that answered so many callers, each with a name of its own. */
export async function versions(port: number, callers: number): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const names = Array.from({ length: callers }, (_, at) => `caller-${at}`);
  for (let at = 0; at < callers; at += 50) {
    const answers = await Promise.all(names.slice(at, at + 50).map((caller) => ask(port, { caller })));
    for (const { status, headers } of answers) {
      const name = status === 200 ? String(headers['x-custody-release-version']) : String(status);
      counts[name] = (counts[name] ?? 0) + 1;
    }
  }
  return counts;
}
