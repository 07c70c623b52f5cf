import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { CustodyError, exitCodeOf } from '../domain/errors.js';
import { listenAdmin } from './admin.js';
import { createApi } from './api.js';
import { loadConfig } from './config.js';
import { createListener } from './http.js';
import { BoundedLog } from './log.js';
import { createMetrics } from './metrics.js';
import { DeliveredPolicies } from './policies.js';
import { createCourier } from './temporal.js';

/** Answers that have begun may end; longer than this the supervisor does not wait. */
const GRACE_MS = 5_000;

const log = pino({ name: 'api' }, pino.destination({ dest: 2, sync: true }));

async function main(): Promise<void> {
  const { environment, root, state, id, key, listen, admin, alerts: told } = loadConfig(process.argv[2]);
  const policies = new DeliveredPolicies(root, state);
  const metrics = createMetrics(() => policies.version);
  const control = await listenAdmin(policies, admin.socket, (err) => log.warn({ err }, 'a delivery was refused'));
  const alerts = told === null ? null : { ...told, courier: createCourier(told.temporal) };
  const api = createApi({ environment, id, key, policies, metrics, alerts, log: new BoundedLog(log) });
  const server = createListener(api);
  server.listen(listen.port, listen.host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  process.stdout.write(`${JSON.stringify({ ready: true, port })}\n`);

  await new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
    // The supervisor holds stdin open: where it ends, nobody is left to stop this process.
    process.stdin.resume().once('end', resolve).once('error', resolve);
  });
  const closed = [server, control].map((each) => new Promise<unknown>((resolve) => each.close(resolve)));
  for (const each of [server, control]) each.closeIdleConnections();
  const overdue = setTimeout(() => [server, control].forEach((each) => each.closeAllConnections()), GRACE_MS);
  await Promise.all(closed);
  clearTimeout(overdue);
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    const isBusy = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
    const code = error instanceof CustodyError ? error.code : isBusy ? 'PORT_IN_USE' : 'INTERNAL';
    log.fatal({ err: error, code }, error instanceof Error ? error.message : 'the api failed');
    process.exit(exitCodeOf(code));
  },
);
