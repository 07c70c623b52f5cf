import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import os from 'node:os';

/** Whatever leads to this host, to its neighbours, to many at once, or to an address inside of another (RFC 6890, IANA). */
const INNER: readonly (readonly [string, number])[] = [
  ...([
    ['0.0.0.0', 8],
    ['10.0.0.0', 8],
    ['100.64.0.0', 10],
    ['127.0.0.0', 8],
    ['169.254.0.0', 16],
  ] as const),
  ...([
    ['172.16.0.0', 12],
    ['192.0.0.0', 24],
    ['192.88.99.0', 24],
    ['192.168.0.0', 16],
    ['198.18.0.0', 15],
  ] as const),
  ...([
    ['224.0.0.0', 4],
    ['240.0.0.0', 4],
  ] as const),
  // Of IPv6 what is not global unicast; of that, tunnels that name an IPv4 address.
  ...([
    ['::', 3],
    ['4000::', 2],
    ['8000::', 1],
    ['2001::', 23],
    ['2002::', 16],
  ] as const),
];

/** One for each family, since a list takes an IPv4 address for the IPv6 one that it is mapped to. */
const inner = { ipv4: new BlockList(), ipv6: new BlockList() };
for (const [net, prefix] of INNER) {
  const family = net.includes(':') ? 'ipv6' : 'ipv4';
  inner[family].addSubnet(net, prefix, family);
}

/** Whether an address is one of the Internet's, and no other form of one that is not. */
export function isPublic(address: string): boolean {
  const family = isIP(address);
  if (family === 0 || address.includes('%')) return false;
  const list = family === 4 ? 'ipv4' : 'ipv6';
  return !inner[list].check(address, list);
}

/** Whether an address is one that this host has, wherever it may be reached from. */
export function isOwn(address: string): boolean {
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
  const own = new BlockList();
  for (const each of Object.values(os.networkInterfaces()).flatMap((found) => found ?? []))
    own.addAddress(each.address, each.family === 'IPv6' ? 'ipv6' : 'ipv4');
  return own.check(address, family);
}

/**
 * Asks for one host once at a time, and for so many hosts: each lookup holds one of the few threads that all of the process's
 * work with files needs, for as long as its server likes.
 */
export function sparingly<T>(ask: (host: string) => Promise<T>, atOnce: number): (host: string) => Promise<T> {
  const asked = new Map<string, Promise<T>>();
  const waiting: (() => void)[] = [];
  let free = atOnce;
  const inTurn = async (host: string): Promise<T> => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await ask(host);
    } finally {
      const next = waiting.shift();
      if (next === undefined) free += 1;
      else next();
    }
  };
  return (host) => {
    const known = asked.get(host);
    if (known !== undefined) return known;
    const found = inTurn(host).finally(() => asked.delete(host));
    asked.set(host, found);
    return found;
  };
}

const lookupAll = sparingly((host) => lookup(host, { all: true }), 2);

/** Every address of a host, which is one itself in brackets or not; none where its name leads nowhere. */
export async function addressesOf(host: string): Promise<readonly string[]> {
  const literal = host.replace(/^\[(.*)\]$/, '$1');
  if (isIP(literal) !== 0) return [literal];
  try {
    return (await lookupAll(host)).map(({ address }) => address);
  } catch {
    return [];
  }
}

/** As it is written in a destination. */
export function inDestination(address: string, port: number): string {
  return isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}
