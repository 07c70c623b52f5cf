import type { Server } from 'node:http';
import { pino } from 'pino';
import { CustodyError, exitCodeOf } from '../domain/errors.js';
import { VAULT_OPERATIONS, type VaultSocket } from '../domain/vault.js';
import { loadConfig } from './config.js';
import { listen } from './listen.js';
import { operationsOf } from './requests.js';
import { openVault } from './vault.js';

const log = pino({ base: { process: 'vault' }, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination(2));

try {
  process.umask(0o077);
  const config = loadConfig(process.argv[2]);
  const operations = operationsOf(await openVault(config));
  const servers: Server[] = [];
  const stop = (): void => {
    for (const server of servers) server.close();
    process.stdin.destroy();
  };
  for (const socket of Object.keys(VAULT_OPERATIONS) as VaultSocket[])
    servers.push(await listen(config.sockets[socket], operations[socket], log.child({ socket })));
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  // Whoever supervises us holds our stdin open: nothing outlives a killed supervisor.
  process.stdin.on('end', stop).resume();
  process.stdout.write(`${JSON.stringify({ ready: true, process: 'vault', pid: process.pid })}\n`);
} catch (error) {
  const code = error instanceof CustodyError ? error.code : 'INTERNAL';
  log.fatal({ code }, error instanceof Error ? error.message : String(error));
  process.exit(exitCodeOf(code));
}
