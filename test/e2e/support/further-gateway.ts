import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GatewayAddress, TlsFiles } from '../../../formats/tls.js';
import type { Bench } from '../harness.js';
import { compiled } from './product.js';
import { until } from './until.js';

interface FurtherGateway {
  readonly name: string;
  readonly listen: { readonly host: string; readonly port: number; readonly tls?: TlsFiles };
  readonly admin:
    | { readonly listen: { readonly host: string; readonly port: number }; readonly tls: TlsFiles }
    | { readonly socket: string };
  readonly relays?: TlsFiles;
  /** Put before its command. */
  readonly prefix?: readonly string[];
}

/** One more gateway of a stack, as a process of its own. Zones have to be told of it. */
export async function startGateway(bench: Bench, { name, prefix = [], ...config }: FurtherGateway): Promise<void> {
  const folder = join(bench.folder, name);
  mkdirSync(folder);
  const { environment } = bench.custody.description;
  const whole = {
    environment,
    root: bench.stack.layout.root,
    state: join(folder, 'state'),
    accessLog: false,
    ...config,
  };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(whole));
  const [command = process.execPath, ...rest] = [...prefix, process.execPath];
  await bench.stack.supervisor.start({
    name,
    command: [command, ...rest, compiled('gateway/main.js'), join(folder, 'config.json')],
    env: { PATH: process.env['PATH'] ?? '', NODE_ENV: 'production' },
    logFile: join(folder, 'log'),
  });
}

interface ZoneConfig {
  readonly gateways: readonly GatewayAddress[];
  readonly drills?: { readonly callers: readonly string[] };
}

/**
 * As an operator does: the gateway goes into the zone's configuration, with where callers reach it where that is said, and
 * the zone starts again.
 */
export async function tellOfGateway(
  bench: Bench,
  zone: string,
  { admin, url }: { readonly admin: GatewayAddress; readonly url: string },
  further: object = {},
): Promise<void> {
  const file = join(bench.state, 'zones', zone, 'config.json');
  const config = JSON.parse(readFileSync(file, 'utf8')) as ZoneConfig;
  const { drills } = config;
  const { mode } = statSync(file);
  chmodSync(file, 0o600);
  const gateways = [...config.gateways, admin];
  const drilled = drills === undefined ? {} : { drills: { ...drills, callers: [...drills.callers, url] } };
  writeFileSync(file, JSON.stringify({ ...config, gateways, ...drilled, ...further }));
  chmodSync(file, mode);
  const before = bench.stack.supervisor.pids()[zone];
  bench.signalProcess(zone, 'SIGTERM');
  await until(`${zone} to come back`, 60, async () => (bench.stack.supervisor.pids()[zone] === before ? null : true));
}
