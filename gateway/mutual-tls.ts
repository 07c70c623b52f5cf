import { readFileSync } from 'node:fs';
import { CustodyError } from '../domain/errors.js';
import type { TlsFiles } from '../formats/tls.js';

interface MutualTls {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer;
  readonly requestCert: true;
  readonly rejectUnauthorized: true;
  readonly minVersion: 'TLSv1.3';
}

/** For a server, which then answers nobody without a certificate, and for a client. CONFIG_INVALID where a file cannot be read. */
export function mutualTls({ certificate, key, authorities }: TlsFiles): MutualTls {
  return {
    cert: read(certificate),
    key: read(key),
    ca: read(authorities),
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.3',
  };
}

function read(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new CustodyError('CONFIG_INVALID', `cannot read ${file}`, { details: { file }, cause });
  }
}
