import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { connectTemporal } from '../../../adapters/temporal.js';
import { freePort } from '../../../client/stack/layout.js';
import { Supervisor } from '../../../client/stack/supervisor.js';
import { SEARCH_ATTRIBUTES } from '../../../workflows/messages.js';
import { environment } from '../../e2e/harness.js';
import { until } from '../../e2e/support/until.js';

const PATIENCE_SECONDS = 180;
const USER = 'temporal';
const [STORE, VISIBILITY] = ['temporal', 'temporal_visibility'];
const SHARDS = 4;
type Service = 'frontend' | 'history' | 'matching' | 'worker';
/** Not one of the system's users within: the database refuses root, and needs none. */
const AS_NOBODY = ['unshare', '--user', '--map-user=1000', '--map-group=1000', '--'];

interface Node {
  readonly name: string;
  readonly ports: Readonly<Record<Service, { readonly grpc: number; readonly membership: number }>>;
}

/**
 * Temporal as it runs in production: PostgreSQL, and two servers of each of its services, which share the shards of the history between
 * them. One address leads to the frontends of both, in turn.
 */
export class TemporalCluster {
  readonly supervisor = new Supervisor();
  readonly #folder: string;
  readonly #database: number;
  readonly #nodes: readonly Node[];
  #front: Server | null = null;
  readonly #open = new Set<Socket>();

  private constructor(folder: string, database: number, nodes: readonly Node[]) {
    this.#folder = folder;
    this.#database = database;
    this.#nodes = nodes;
  }

  /** `namespace` is registered in it, with Custody's search attributes. */
  static async start(folder: string, namespace: string): Promise<TemporalCluster> {
    mkdirSync(folder);
    const cluster = new TemporalCluster(folder, await freePort(), [
      await nodeOf('temporal-1'),
      await nodeOf('temporal-2'),
    ]);
    try {
      await cluster.#bringUp(namespace);
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  /** From now on its frontends answer at this port, too. */
  async listen(port: number): Promise<void> {
    let turn = 0;
    const front = createServer((socket) => {
      const first = (turn += 1);
      const hand = (at: number): void => {
        const node = this.#nodes[(first + at) % this.#nodes.length];
        if (node === undefined || at >= this.#nodes.length) return void socket.destroy();
        const far = dial(node.ports.frontend.grpc, '127.0.0.1');
        far.once('connect', () => this.#join(socket, far));
        far.once('error', () => hand(at + 1));
      };
      socket.on('error', () => socket.destroy());
      hand(0);
    });
    await new Promise<void>((resolve) => front.listen(port, '127.0.0.1', resolve));
    this.#front = front;
  }

  async stop(): Promise<void> {
    this.#front?.close();
    for (const socket of this.#open) socket.destroy();
    await this.supervisor.stop();
  }

  #join(one: Socket, other: Socket): void {
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      this.#open.add(from);
      from.pipe(to);
      from.once('close', () => {
        this.#open.delete(from);
        to.destroy();
      });
      from.on('error', () => to.destroy());
    }
  }

  async #bringUp(namespace: string): Promise<void> {
    await this.#startDatabase();
    this.#makeTables();
    // One after the other: each of two that begin at once wants to be the one that writes down what cluster this is.
    for (const node of this.#nodes) await this.#startNode(node);
    const address = `127.0.0.1:${this.#nodes[0]?.ports.frontend.grpc ?? 0}`;
    const operator = (...args: string[]): void =>
      void execFileSync(environment('CUSTODY_TEMPORAL'), ['operator', ...args, '--address', address], {
        stdio: 'pipe',
      });
    operator('namespace', 'create', '--namespace', namespace, '--retention', '24h');
    const names = Object.values(SEARCH_ATTRIBUTES).flatMap(({ name }) => ['--name', name, '--type', 'Keyword']);
    // A namespace is known everywhere only once the caches have been filled anew.
    await until('the search attributes', PATIENCE_SECONDS, async () => {
      operator('search-attribute', 'create', '--namespace', namespace, ...names);
      return true;
    });
  }

  async #startDatabase(): Promise<void> {
    const bin = environment('CUSTODY_POSTGRESQL');
    const data = join(this.#folder, 'data');
    const [first = '', ...rest] = process.getuid?.() === 0 ? AS_NOBODY : ['env'];
    execFileSync(
      first,
      [...rest, join(bin, 'initdb'), '-D', data, '-U', USER, '--auth=trust', '--no-sync', '-E', 'UTF8', '--locale=C'],
      { stdio: 'pipe' },
    );
    const port = this.#database;
    const options = ['-p', `${port}`, '-h', '127.0.0.1', '-c', 'unix_socket_directories=', '-c', 'max_connections=200'];
    await this.supervisor.start({
      name: 'postgresql',
      command: [first, ...rest, join(bin, 'postgres'), '-D', data, ...options],
      env: { PATH: process.env['PATH'] ?? '' },
      logFile: join(this.#folder, 'postgresql.log'),
      ready: () =>
        until('PostgreSQL', PATIENCE_SECONDS, async () =>
          readFileSync(join(this.#folder, 'postgresql.log'), 'utf8').includes('ready to accept connections')
            ? true
            : null,
        ).then(() => undefined),
    });
  }

  #makeTables(): void {
    const tool = (database: string, ...args: string[]): void => {
      const at = ['--plugin', 'postgres12', '--endpoint', '127.0.0.1', '--port', `${this.#database}`, '--user', USER];
      execFileSync(environment('CUSTODY_TEMPORAL_SQL'), [...at, '--database', database, ...args], { stdio: 'pipe' });
    };
    for (const [database, schema] of [
      [STORE, 'postgresql/v12/temporal'],
      [VISIBILITY, 'postgresql/v12/visibility'],
    ] as const) {
      tool(database, 'create-database', '--defaultdb', 'postgres');
      tool(database, 'setup-schema', '--version', '0.0');
      tool(database, 'update-schema', '--schema-name', schema);
    }
  }

  async #startNode(node: Node): Promise<void> {
    const folder = join(this.#folder, node.name);
    mkdirSync(folder);
    const dynamic = join(folder, 'dynamic.yaml');
    writeFileSync(dynamic, readFileSync(join('deploy', 'temporal', 'dynamic.yaml')));
    // JSON is YAML.
    writeFileSync(join(folder, 'cluster.yaml'), JSON.stringify(this.#config(node, dynamic)));
    await this.supervisor.start({
      name: node.name,
      command: [
        environment('CUSTODY_TEMPORAL_SERVER'),
        '--root',
        folder,
        '--config',
        '.',
        '--env',
        'cluster',
        '--allow-no-auth',
        'start',
      ],
      env: { PATH: process.env['PATH'] ?? '', HOME: folder },
      logFile: join(folder, 'log'),
      ready: () =>
        until(node.name, PATIENCE_SECONDS, async () => {
          const connection = await connectTemporal(`127.0.0.1:${node.ports.frontend.grpc}`, 1_000);
          try {
            await connection.workflowService.describeNamespace({ namespace: 'temporal-system' });
            return true;
          } finally {
            await connection.close();
          }
        }).then(() => undefined),
    });
  }

  #config(node: Node, dynamic: string): object {
    const sql = (databaseName: string, connections: number) => ({
      sql: {
        ...{
          pluginName: 'postgres12',
          databaseName,
          connectAddr: `127.0.0.1:${this.#database}`,
          connectProtocol: 'tcp',
        },
        ...{ user: USER, password: 'unused', maxConns: connections, maxIdleConns: connections, maxConnLifetime: '1h' },
      },
    });
    const services = Object.entries(node.ports).map(([name, { grpc, membership }]) => [
      name,
      { rpc: { grpcPort: grpc, membershipPort: membership, bindOnLocalHost: true } },
    ]);
    const frontend = `127.0.0.1:${node.ports.frontend.grpc}`;
    return {
      log: { stdout: false, level: 'error', outputFile: join(this.#folder, node.name, 'server.log') },
      persistence: {
        ...{ defaultStore: 'store', visibilityStore: 'visibility', numHistoryShards: SHARDS },
        datastores: { store: sql(STORE, 20), visibility: sql(VISIBILITY, 10) },
      },
      global: { membership: { maxJoinDuration: '30s', broadcastAddress: '127.0.0.1' } },
      services: Object.fromEntries(services) as object,
      clusterMetadata: {
        ...{
          enableGlobalNamespace: false,
          failoverVersionIncrement: 10,
          masterClusterName: 'active',
          currentClusterName: 'active',
        },
        clusterInformation: {
          active: { enabled: true, initialFailoverVersion: 1, rpcName: 'frontend', rpcAddress: frontend },
        },
      },
      dcRedirectionPolicy: { policy: 'noop' },
      dynamicConfigClient: { filepath: dynamic, pollInterval: '10s' },
      publicClient: { hostPort: frontend },
    };
  }
}

async function nodeOf(name: string): Promise<Node> {
  const port = async (): Promise<{ grpc: number; membership: number }> => ({
    grpc: await freePort(),
    membership: await freePort(),
  });
  return {
    name,
    ports: { frontend: await port(), history: await port(), matching: await port(), worker: await port() },
  };
}
