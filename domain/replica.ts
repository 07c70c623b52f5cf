import { isDigest, type Digest } from './digest.js';

const DOMAIN = 'release.custody';
const HALF = 32;

/** Whether an address is this host's own, so that nobody else can listen in or answer there. */
export function isLoopback(host: string): boolean {
  return host === '127.0.0.1' || host === '::1';
}

/** The TLS server name by which a serving host is asked for one release: a label has at most 63 letters, a digest 64. */
export function serverNameOf(release: Digest): string {
  return `${release.slice(0, HALF)}.${release.slice(HALF)}.${DOMAIN}`;
}

/** The release that a server name asks for; `null` for any other name. */
export function releaseNamed(serverName: string): Digest | null {
  const [first = '', second = '', ...rest] = serverName.split('.');
  const release = `${first}${second}`;
  return first.length === HALF && rest.join('.') === DOMAIN && isDigest(release) ? release : null;
}
