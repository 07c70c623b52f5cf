import { join } from 'node:path';

export interface EmbeddedStore {
  readonly executable: string;
  /** Holds everything of the store; `objects`, `versions` and `accounts` in it must exist. */
  readonly folder: string;
  readonly port: number;
  readonly region: string;
  readonly accessKey: string;
  readonly secretKey: string;
}

export const EMBEDDED_FOLDERS = ['objects', 'versions', 'accounts'] as const;

/**
 * How to run versitygw on loopback, with versions, Object Lock and accounts. It never calls fsync: sound against
 * crashes of processes, not of power. The administrator's secret travels in the environment, which `ps` does not show.
 */
export function embeddedStoreCommand({ executable, folder, port, region, accessKey, secretKey }: EmbeddedStore): {
  command: string;
  args: string[];
  env: Record<string, string>;
} {
  return {
    command: executable,
    args: [
      ...['--port', `127.0.0.1:${port}`, '--region', region, '--iam-dir', join(folder, 'accounts')],
      ...['--keep-alive', '--quiet', '--health', '/health'],
      // Without it, every byte goes through MD5: 1.5 s per GiB.
      ...['posix', '--data-integrity-etag', '--versioning-dir', join(folder, 'versions'), join(folder, 'objects')],
    ],
    env: { ROOT_ACCESS_KEY: accessKey, ROOT_SECRET_KEY: secretKey },
  };
}
