/** One port of one host, which policy or trainer names: `example.org:443`, `192.0.2.7:80`, `[2001:db8::7]:443`. */
const DESTINATION =
  /^((?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?|\[[0-9a-f:]{2,39}\]):([1-9]\d{0,4})$/;
const LAST_PORT = 65_535;

export interface Destination {
  /** As it is written: lower case, IPv6 in brackets. */
  readonly host: string;
  readonly port: number;
}

/** `null`: not the one way to write a destination, so that what is compared letter by letter cannot be written otherwise. */
export function readDestination(text: string): Destination | null {
  const [, host = '', port = ''] = DESTINATION.exec(text) ?? [];
  if (host === '' || host.length > 253 || Number(port) > LAST_PORT || !isCanonical(host)) return null;
  return { host, port: Number(port) };
}

/** What a run would reach that it may not; `null`: nothing. */
export function unlisted(wanted: readonly string[], listed: readonly string[] = []): string | null {
  return wanted.find((each) => !listed.includes(each)) ?? null;
}

/** What URLs make of it is itself: so no `2130706433`, `0x7f.1` or `::ffff:127.0.0.1`, which are addresses, too. */
function isCanonical(host: string): boolean {
  try {
    return new URL(`http://${host}/`).hostname === host;
  } catch {
    return false;
  }
}
