import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { CustodyError, exitCodeOf } from '../domain/errors.js';
import { listenAdmin } from './admin.js';
import { loadConfig } from './config.js';
import { Gateway } from './gateway.js';
import { createMetrics } from './metrics.js';
import { createDataPlane, LIMITS } from './proxy.js';
import { Upstreams } from './upstreams.js';

/** Answers that have begun may end; longer than this the supervisor does not wait. */
const GRACE_MS = 5_000;

const log = pino({ name: 'gateway' }, pino.destination({ dest: 2, sync: true }));

async function main(): Promise<void> {
  const { environment, root, state, listen, admin, relays = null } = loadConfig(process.argv[2]);
  const report = (error: unknown, what: string): void =>
    log.warn(error instanceof Error ? { err: error } : { error }, what);
  const upstreams = new Upstreams(relays);
  const gateway = new Gateway({ environment, root, state, report, reaches: (host) => upstreams.reaches(host) });
  const dataPlane = createDataPlane(gateway, LIMITS, upstreams);
  const control = await listenAdmin(gateway, createMetrics(gateway), admin, report);
  await new Promise<void>((resolve, reject) => {
    dataPlane.server.once('error', reject);
    dataPlane.server.listen(listen.port, listen.host, resolve);
  });
  const { port } = dataPlane.server.address() as AddressInfo;
  process.stdout.write(`${JSON.stringify({ ready: true, port, admin: control.port })}\n`);

  await new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
    // The supervisor holds stdin open: where it ends, nobody is left to stop this process.
    process.stdin.resume().once('end', resolve).once('error', resolve);
  });
  const overdue = setTimeout(() => dataPlane.server.closeAllConnections(), GRACE_MS);
  await Promise.all([dataPlane.close(), control.close()]);
  clearTimeout(overdue);
  await gateway.close();
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    const isBusy = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
    const code = error instanceof CustodyError ? error.code : isBusy ? 'PORT_IN_USE' : 'INTERNAL';
    log.fatal({ err: error, code }, error instanceof Error ? error.message : 'the gateway failed');
    process.exit(exitCodeOf(code));
  },
);
