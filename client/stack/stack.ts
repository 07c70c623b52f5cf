import { chmodSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { sandboxNotice } from '../../adapters/sandbox/sandbox.js';
import { CustodyError } from '../../domain/errors.js';
import { ZONES, type Zone } from '../../domain/names.js';
import { initialise } from '../init.js';
import { unlessAborted } from '../interruption.js';
import {
  choosePorts,
  isAlive,
  Layout,
  readDescription,
  writeDescription,
  type Ports,
  type StackDescription,
} from './layout.js';
import { onPath } from './on-path.js';
import { EmbeddedStack } from './store.js';
import { Supervisor } from './supervisor.js';
import { keepHistories, temporalProcess } from './temporal.js';
import { Users } from './users.js';
import { auditKeyOf, learnLogKeys } from './log-keys.js';
import { ZoneProcesses, type ZoneSettings } from './zones.js';

export interface StackOptions {
  readonly state?: string;
  readonly environment?: string;
  readonly ports?: Partial<Ports>;
  readonly suite: string;
  /** Further files that the suite names by digest, such as its data set. */
  readonly documents: readonly string[];
  readonly trainers: ZoneSettings['trainers'];
  readonly repositories: ZoneSettings['repositories'];
  readonly scanners?: ZoneSettings['scanners'];
  readonly mail: ZoneSettings['mail'];
  readonly say: (line: string) => void;
  /** Aborted, it ends what has been started, and the start fails with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface Stack {
  readonly layout: Layout;
  readonly description: StackDescription;
  readonly supervisor: Supervisor;
  /** Why the processes share one user, where they do. */
  readonly shared: string | null;
  stop(): Promise<void>;
}

const DIST = fileURLToPath(new URL('../../', import.meta.url));

/** Brings up everything Custody needs on this host, on loopback, and keeps it up until it is stopped. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { environment = 'dev', say, signal = new AbortController().signal } = options;
  const layout = new Layout(options.state);
  claim(layout);
  const notice = await sandboxNotice();
  if (notice !== null) say(notice);
  for (const name of ['logs', 'zones', 'sockets']) layout.folder(name);
  // Their servers make files in them that others could read.
  for (const name of ['store', 'temporal']) chmodSync(layout.folder(name), 0o700);
  const { created } = initialise(layout, { environment, suite: options.suite });
  if (created) say('made development keys and a signed policy');
  const ports = await choosePorts(layout, options.ports);
  const users = new Users(layout.state);
  const store = new EmbeddedStack(layout, environment, ports.store);
  const temporal = {
    executable: executable('CUSTODY_TEMPORAL', 'temporal'),
    database: layout.path('temporal', 'temporal.db'),
    port: ports.temporal,
    uiPort: ports.ui,
    namespace: environment,
    logFile: layout.log('temporal'),
  };
  const zones = new ZoneProcesses({
    layout,
    environment,
    namespace: environment,
    ports,
    store,
    users,
    dist: DIST,
    trainers: options.trainers,
    tracer: find('CUSTODY_STRACE', 'strace'),
    repositories: options.repositories,
    scanners: options.scanners ?? {},
    mail: options.mail,
  });

  const supervisor = new Supervisor();
  const describe = (): StackDescription => ({
    pid: process.pid,
    environment,
    temporal: {
      address: `127.0.0.1:${ports.temporal}`,
      namespace: environment,
      ui: `http://127.0.0.1:${ports.ui}`,
    },
    store: store.credential('reader'),
    gateway: { url: `http://127.0.0.1:${ports.gateway}`, admin: zones.socket('gateway', 'gateway-admin'), others: [] },
    api: { url: `http://127.0.0.1:${ports.api}` },
    desk: `http://127.0.0.1:${ports.desk}`,
    audit: { vkey: auditKeyOf(layout, environment) },
    vault: { recover: zones.socket('vault', 'vault-recover') },
    metrics: metricsAt(ports),
    processes: supervisor.pids(),
  });
  const describeAgain = (): void => writeDescription(layout, describe());
  const stop = async (): Promise<void> => {
    // A stack that is no more is described by nothing.
    supervisor.off('restarted', describeAgain);
    // Callers are turned away before what serves them ends, or that would count as the failure of a release under rollout.
    await supervisor.end('gateway');
    await supervisor.stop();
    rmSync(layout.description, { force: true });
  };
  supervisor.on('restarted', describeAgain);

  const bringUp = async (): Promise<void> => {
    const storeProcess = store.process(executable('CUSTODY_VERSITYGW', 'versitygw'));
    const temporalSpec = temporalProcess(temporal);
    await Promise.all([
      supervisor.start({ ...storeProcess, command: users.command(null, storeProcess.command) }),
      supervisor.start({ ...temporalSpec, command: users.command(null, temporalSpec.command) }),
    ]);
    await keepHistories(temporal, signal);
    await store.prepare();
    const { checks } = await store.prove();
    say(`the store proved itself WORM: ${checks.map(({ check }) => check).join(', ')} were all refused`);
    await store.publish([options.suite, ...options.documents]);
    const before = [zones.vault(), zones.gateway(), zones.api()];
    await Promise.all(before.map((each) => supervisor.start(each)));
    await Promise.all(zones.zones().map((zone) => supervisor.start(zone)));
  };
  try {
    await unlessAborted(signal, bringUp());
    const { desk, audit } = describe();
    await learnLogKeys(layout, desk, audit.vkey);
    const description = describe();
    writeDescription(layout, description);
    return { layout, description, supervisor, shared: users.whyNot, stop };
  } catch (error) {
    await stop();
    throw signal.aborted ? signal.reason : error;
  }
}

function metricsAt(ports: Ports): StackDescription['metrics'] {
  const at = (port: number): string => `http://127.0.0.1:${port}/metrics`;
  const zones = ZONES.map((zone) => [zone, at(ports[`${zone}-metrics`])] as const);
  return { ...(Object.fromEntries(zones) as Record<Zone, string>), api: at(ports.api) };
}

/** One stack per folder: two would write the same database. */
function claim(layout: Layout): void {
  if (!existsSync(layout.description)) return;
  const { pid } = readDescription(layout);
  if (pid !== process.pid && isAlive(pid))
    throw new CustodyError('USAGE', `a stack is already running in ${layout.state} (process ${pid}): stop it first`);
  rmSync(layout.description);
}

/** What `npm run setup` has found or built: beside the compiled code. */
const SET_UP = new URL('../../servers.json', import.meta.url);

export function executable(variable: string, name: string): string {
  const found = find(variable, name);
  if (found !== null) return found;
  throw new CustodyError('TOOL_MISSING', `${name} was not found: run \`npm run setup\`, or name it in ${variable}`);
}

/** `null` where this host has none. */
function find(variable: string, name: string): string | null {
  const found = process.env[variable];
  if (found !== undefined && existsSync(found)) return found;
  const installed = onPath(name);
  if (installed !== null) return installed;
  if (existsSync(SET_UP)) {
    const built = (JSON.parse(readFileSync(SET_UP, 'utf8')) as Record<string, string | undefined>)[variable];
    if (built !== undefined && existsSync(built)) return built;
  }
  return null;
}
