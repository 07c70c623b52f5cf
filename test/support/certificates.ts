import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** Makes a certificate authority in a folder, and certificates of it, with the `openssl` of this host. */
export class CertificateAuthority {
  readonly #folder: string;
  readonly own: Certificate;

  constructor(folder: string, name: string) {
    this.#folder = folder;
    this.own = { cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
    this.#openssl(
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
      ...['-subj', `/CN=${name}`, '-keyout', this.own.key, '-out', this.own.cert],
    );
  }

  /** For a server at 127.0.0.1, or for a caller. */
  issue(name: string): Certificate {
    const at = (ending: string): string => join(this.#folder, `${name}.${ending}`);
    writeFileSync(at('ext'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
    this.#openssl(
      ...['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-subj', `/CN=${name}`, '-keyout', at('key'), '-out', at('csr')],
    );
    this.#openssl(
      ...['x509', '-req', '-in', at('csr'), '-CA', this.own.cert, '-CAkey', this.own.key, '-CAcreateserial'],
      ...['-days', '1', '-extfile', at('ext'), '-out', at('crt')],
    );
    return { cert: at('crt'), key: at('key') };
  }

  #openssl(...args: readonly string[]): void {
    execFileSync('openssl', args, { stdio: 'pipe' });
  }
}
