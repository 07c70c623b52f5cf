import { readFileSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import type { Server as TlsServer, SecureContextOptions } from 'node:tls';
import { createSecureContext } from 'node:tls';
import type { z } from 'zod';
import { CustodyError } from '../domain/errors.js';
import { tlsFilesSchema, type TlsFiles } from '../formats/tls.js';

/** Files in PEM. With `authorities`, only callers with a certificate of one of them get a connection. */
export const callerTlsSchema = tlsFilesSchema.partial({ authorities: true });

export type CallerTls = z.infer<typeof callerTlsSchema>;

/** Certificate and key may be replaced one after the other, in several steps each. */
const SETTLE_MS = 200;

/** CONFIG_INVALID where the files are missing or do not belong together. */
export function readTls({ certificate, key, authorities }: CallerTls): SecureContextOptions {
  try {
    const ca = authorities === undefined ? {} : { ca: readFileSync(authorities) };
    const options = { cert: readFileSync(certificate), key: readFileSync(key), ...ca };
    createSecureContext(options);
    return options;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CustodyError('CONFIG_INVALID', `the certificate ${certificate} cannot be used: ${why}`, { cause });
  }
}

/** For a server, which then answers nobody without a certificate, and for a client. CONFIG_INVALID as above. */
export function mutualTls(files: TlsFiles): SecureContextOptions & { requestCert: true; rejectUnauthorized: true } {
  return { ...readTls(files), requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' };
}

/**
 * New connections get the certificate of today; those that are open stay. Folders are watched, because files are replaced by
 * renaming. What cannot be used is reported, and the certificate before it stays.
 */
export function followTls(
  server: TlsServer,
  files: CallerTls,
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
