import { randomInt } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { CustodyError } from '../../domain/errors.js';
import { ZONES, type Zone } from '../../domain/names.js';
import { parseJson } from '../../formats/json.js';
import type { GatewayAddress } from '../../formats/tls.js';
import { replaceFile } from '../files.js';

/** Above those of well-known services, below those that systems give to connections. */
const [LOWEST_PORT, HIGHEST_PORT] = [10_240, 32_768];

/** Where an embedded stack keeps what: everything under one folder. */
export class Layout {
  readonly state: string;

  constructor(state = process.env['CUSTODY_STATE'] ?? '.custody') {
    this.state = resolve(state);
  }

  path(...parts: readonly string[]): string {
    return join(this.state, ...parts);
  }
  /** Describes the running stack to the commands. */
  get description(): string {
    return this.path('stack.json');
  }
  get root(): string {
    return this.path('root.json');
  }
  policy(version: number): string {
    return this.path('policies', `${version}.json`);
  }
  /** A person's or workload's private key. */
  key(id: string): string {
    return this.path('keys', `${id}.pem`);
  }
  /** Every key of the audit log, where it has had more than one. */
  get logKeys(): string {
    return this.path('log.vkey');
  }
  /** The newest checkpoint of the audit log that was seen from here. */
  get seenCheckpoint(): string {
    return this.path('seen-checkpoint');
  }
  /** What the Alertmanager of a development environment shows to the api. */
  get alertToken(): string {
    return this.path('keys', 'alertmanager.token');
  }
  /** What `--key` names: a file, or an id of the development environment. */
  keyFile(given: string): string {
    const own = this.key(given);
    return !existsSync(given) && existsSync(own) ? own : given;
  }
  log(process: string): string {
    return this.path('logs', `${process}.log`);
  }
  folder(...parts: readonly string[]): string {
    const folder = this.path(...parts);
    mkdirSync(folder, { recursive: true });
    return folder;
  }
}

/** What a command needs to know of the running stack. No credential that writes is in it. */
export interface StackDescription {
  readonly pid: number;
  readonly environment: string;
  readonly temporal: { readonly address: string; readonly namespace: string; readonly ui: string };
  readonly store: {
    readonly endpoint: string;
    readonly region: string;
    readonly accessKey: string;
    readonly secretKey: string;
  };
  /** `others`: the admin sides of gateways on other hosts, which a direct kill reaches as well. */
  readonly gateway: { readonly url: string; readonly admin: string; readonly others: readonly GatewayAddress[] };
  readonly api: { readonly url: string };
  readonly desk: string;
  readonly audit: { readonly vkey: string };
  /** Where an auditor's files are asked for, by whoever may reach it. */
  readonly vault: { readonly recover: string };
  /** Where Prometheus reads the metrics of each zone and of the api. The gateway's are on its admin side. */
  readonly metrics: Readonly<Record<Zone | 'api', string>>;
  readonly processes: Readonly<Record<string, number>>;
}

export function readDescription(layout: Layout): StackDescription {
  if (!existsSync(layout.description))
    throw new CustodyError(
      'INPUT_MISSING',
      `no stack has been started in ${layout.state}: run \`custody dev\` or \`npm start\`, or name another folder with --state`,
    );
  return parseJson(readFileSync(layout.description, 'utf8'), layout.description) as StackDescription;
}

export function writeDescription(layout: Layout, description: StackDescription): void {
  // A credential of the store is in it: those of other environments on this host are not to read it.
  replaceFile(layout.description, `${JSON.stringify(description, null, 2)}\n`, { mode: 0o600 });
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

const metricsOf = <Z extends Zone>(zone: Z) => `${zone}-metrics` as const;
const PORTS = ['temporal', 'ui', 'store', 'desk', 'gateway', 'api', ...ZONES.map(metricsOf)] as const;
export type Ports = Readonly<Record<(typeof PORTS)[number], number>>;

/**
 * The same ports at every start of a stack, as long as they are free: bookmarks and signed store proofs stay good. A port
 * that was asked for and is taken is PORT_IN_USE.
 */
export async function choosePorts(layout: Layout, asked: Partial<Ports> = {}): Promise<Ports> {
  const file = layout.path('ports.json');
  const before = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Partial<Ports>) : {};
  const chosen: Record<string, number> = {};
  const isOurs = (port: number): boolean => Object.values(chosen).includes(port);
  for (const name of PORTS) {
    const wanted = asked[name];
    if (wanted === undefined) continue;
    if (isOurs(wanted) || !(await isFree(wanted)))
      throw new CustodyError(
        'PORT_IN_USE',
        `port ${wanted} for ${name} is in use: stop what uses it, or choose another`,
      );
    chosen[name] = wanted;
  }
  for (const name of PORTS) {
    const usual = before[name] ?? 0;
    chosen[name] ??= usual !== 0 && !isOurs(usual) && (await isFree(usual)) ? usual : await freePort(isOurs);
  }
  replaceFile(file, JSON.stringify(chosen));
  return chosen as Ports;
}

/** Not one of those that the system gives to connections: one of them could take it before it is listened on. */
export async function freePort(isTaken: (port: number) => boolean = () => false): Promise<number> {
  for (;;) {
    const port = randomInt(LOWEST_PORT, HIGHEST_PORT);
    if (!isTaken(port) && (await isFree(port))) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (['EADDRINUSE', 'EACCES'].includes(error.code ?? '')) done(false);
      else fail(error);
    });
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)));
  });
}
