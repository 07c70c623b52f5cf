import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
  type X509Certificate,
} from '@peculiar/x509';
import type { TlsFiles } from '../../formats/tls.js';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const HOUR_MS = 3_600_000;

/** An authority of its own, with the files of those it vouches for in `folder`. */
export class Authority {
  readonly #folder: string;
  readonly #keys: webcrypto.CryptoKeyPair;
  readonly #certificate: X509Certificate;

  private constructor(folder: string, keys: webcrypto.CryptoKeyPair, certificate: X509Certificate) {
    this.#folder = folder;
    this.#keys = keys;
    this.#certificate = certificate;
  }

  static async create(folder: string): Promise<Authority> {
    mkdirSync(folder, { recursive: true });
    const keys = await newKeys();
    const certificate = await X509CertificateGenerator.createSelfSigned({
      name: 'CN=authority',
      keys,
      ...validity(HOUR_MS),
      signingAlgorithm: ALGORITHM,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      ],
    });
    writeFileSync(join(folder, 'authority.pem'), certificate.toString('pem'));
    return new Authority(folder, keys, certificate);
  }

  /** A host at these addresses; with `lifetimeMs` below 0 its certificate has expired. */
  async host(name: string, addresses: readonly string[], lifetimeMs: number = HOUR_MS): Promise<TlsFiles> {
    const keys = await newKeys();
    const certificate = await X509CertificateGenerator.create({
      serialNumber: randomBytes(8).toString('hex'),
      subject: `CN=${name}`,
      issuer: this.#certificate.subject,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      ...validity(lifetimeMs),
      signingAlgorithm: ALGORITHM,
      extensions: [new SubjectAlternativeNameExtension(addresses.map((value) => ({ type: 'ip', value })))],
    });
    const file = (end: string): string => join(this.#folder, `${name}.${end}`);
    writeFileSync(file('pem'), certificate.toString('pem'));
    writeFileSync(file('key'), await privatePem(keys.privateKey), { mode: 0o600 });
    return { certificate: file('pem'), key: file('key'), authorities: join(this.#folder, 'authority.pem') };
  }
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

function validity(lifetimeMs: number): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return { notBefore: new Date(now - 2 * HOUR_MS), notAfter: new Date(now + lifetimeMs) };
}

async function privatePem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key)).toString('base64');
  return `-----BEGIN PRIVATE KEY-----\n${der.replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`;
}
