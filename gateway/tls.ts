import { readFileSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import type { Server as TlsServer, SecureContextOptions } from 'node:tls';
import { createSecureContext } from 'node:tls';
import { CustodyError } from '../domain/errors.js';

/** Files in PEM. With `clientCa`, only callers with a certificate of it get a connection. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly clientCa?: string | undefined;
}

/** Certificate and key may be replaced one after the other, in several steps each. */
const SETTLE_MS = 200;

/** CONFIG_INVALID where the files are missing or do not belong together. */
export function readTls({ cert, key, clientCa }: TlsFiles): SecureContextOptions {
  try {
    const ca = clientCa === undefined ? {} : { ca: readFileSync(clientCa) };
    const options = { cert: readFileSync(cert), key: readFileSync(key), ...ca };
    createSecureContext(options);
    return options;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CustodyError('CONFIG_INVALID', `the certificate ${cert} cannot be used: ${why}`, { cause });
  }
}

/**
 * New connections get the certificate of today; those that are open stay. Folders are watched, because files are replaced by
 * renaming. What cannot be used is reported, and the certificate before it stays.
 */
export function followTls(
  server: TlsServer,
  files: TlsFiles,
  report: (error: unknown, what: string) => void,
): { close(): void } {
  let settling: NodeJS.Timeout | null = null;
  const reload = (): void => {
    settling = null;
    try {
      server.setSecureContext(readTls(files));
      report(null, 'the certificate was read anew');
    } catch (error) {
      report(error, 'the certificate stays the one before');
    }
  };
  const folders = new Set(
    Object.values(files)
      .filter((file) => file !== undefined)
      .map(dirname),
  );
  const watchers = [...folders].map((folder) =>
    watch(folder, () => {
      settling ??= setTimeout(reload, SETTLE_MS).unref();
    }),
  );
  for (const watcher of watchers)
    watcher.on('error', (error) => report(error, 'the certificate is not followed any more'));
  return {
    close: () => {
      if (settling !== null) clearTimeout(settling);
      for (const watcher of watchers) watcher.close();
    },
  };
}
