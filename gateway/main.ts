import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { CustodyError, exitCodeOf } from '../domain/errors.js';
import { createAccessLog } from './access-log.js';
import { listenAdmin } from './admin.js';
import { loadConfig } from './config.js';
import { Gateway } from './gateway.js';
import { listening } from './listening.js';
import { createMetrics } from './metrics.js';
import { createDataPlane } from './proxy.js';
import { Upstreams } from './upstreams.js';

const log = pino({ name: 'gateway' }, pino.destination({ dest: 2, sync: true }));

async function main(): Promise<void> {
  const config = loadConfig(process.argv[2]);
  const { environment, root, state, listen, admin, relays = null, limits } = config;
  const report = (error: unknown, what: string): void =>
    log.warn(error instanceof Error ? { err: error } : { error }, what);
  const upstreams = new Upstreams(relays, limits.maxHeaderBytes);
  const gateway = new Gateway({ environment, root, state, report, reaches: (host) => upstreams.reaches(host) });
  const access = config.accessLog ? createAccessLog(report) : null;
  const dataPlane = createDataPlane(gateway, { limits, tls: listen.tls, log: access, upstreams, report });
  const control = await listenAdmin(gateway, createMetrics(gateway), admin, report);
  await listening(dataPlane.server, listen);
  const { port } = dataPlane.server.address() as AddressInfo;
  process.stdout.write(`${JSON.stringify({ ready: true, port, admin: control.port })}\n`);

  await new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
    // The supervisor holds stdin open: where it ends, nobody is left to stop this process.
    process.stdin.resume().once('end', resolve).once('error', resolve);
  });
  gateway.drain();
  await dataPlane.close();
  // Until the last answer is out, a kill can still end it.
  await control.close();
  await gateway.close();
  await access?.close();
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    const code = error instanceof CustodyError ? error.code : 'INTERNAL';
    log.fatal({ err: error, code }, error instanceof Error ? error.message : 'the gateway failed');
    process.exit(exitCodeOf(code));
  },
);
