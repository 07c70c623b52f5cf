import { connect, type AddressInfo, type Socket } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import { readFileSync } from 'node:fs';
import type { Digest } from '../../domain/digest.js';
import { releaseNamed } from '../../domain/replica.js';
import type { TlsFiles } from '../../formats/tls.js';
import { HOST } from './model-server.js';

export interface RelayAddress {
  readonly host: string;
  /** 0: one that is free. */
  readonly port: number;
}

export interface Relay {
  readonly address: RelayAddress;
  close(): Promise<void>;
}

/** Silence on a connection that never said what it wants, or that both ends have forgotten. */
const IDLE_MS = 120_000;

/**
 * Where gateways on other hosts reach this host's model servers: one address, both ends prove who they are, and the server
 * name says which release is meant. A connection reaches that release or nothing.
 */
export async function openRelay(
  { host, port }: RelayAddress,
  { certificate, key, authorities }: TlsFiles,
  portOf: (release: Digest) => number | null,
): Promise<Relay> {
  const open = new Set<Socket>();
  const server = createServer(
    {
      cert: readFileSync(certificate),
      key: readFileSync(key),
      ca: readFileSync(authorities),
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3',
    },
    (caller) => {
      const release = typeof caller.servername === 'string' ? releaseNamed(caller.servername) : null;
      const at = release === null ? null : portOf(release);
      if (at === null) caller.destroy();
      else join(caller, connect(at, HOST));
    },
  );
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return {
    address: { host, port: (server.address() as AddressInfo).port },
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

/** What one end says the other hears; where one breaks off, the other is broken off too. */
function join(caller: TLSSocket, server: Socket): void {
  const end = (): void => {
    caller.destroy();
    server.destroy();
  };
  for (const socket of [caller, server]) {
    socket.setTimeout(IDLE_MS, end);
    socket.once('error', end);
    socket.once('close', end);
  }
  caller.pipe(server);
  server.pipe(caller);
}
