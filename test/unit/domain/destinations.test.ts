import { expect, test } from 'vitest';
import { isPublic, sparingly } from '../../../adapters/sandbox/addresses.js';
import { limitsAfter } from '../../../adapters/sandbox/proxy.js';
import { observedTogether } from '../../../domain/observed.js';
import { readDestination, unlisted } from '../../../domain/destinations.js';
import { sayConnection, sayTraffic, trafficIn, type Connection } from '../../../domain/traffic.js';

test.each([
  ['mirror.example.org:443', 'mirror.example.org', 443],
  ['localhost:80', 'localhost', 80],
  ['192.0.2.7:65535', '192.0.2.7', 65535],
  ['[2001:db8::7]:443', '[2001:db8::7]', 443],
])('%s is a destination', (text, host, port) => {
  expect(readDestination(text)).toEqual({ host, port });
});

test.each([
  ...['', 'mirror.example.org', 'mirror.example.org:', 'a:0', 'a:65536', 'a:080', 'a:443 ', 'http://a:443', 'a:443/x'],
  ...['*.example.org:443', '*:443', 'A.example:443', 'a.example.:443', '.a:443', 'a..b:443', '-a:443', 'a_b:443'],
  ...['2130706433:80', '0x7f000001:80', '0x7f.1:80', '0177.0.0.1:80', '127.1:80', '1.2.3.4.5:80', 'a.1:80'],
  ...[
    '[::ffff:127.0.0.1]:80',
    '[2001:DB8::7]:80',
    '[2001:db8:0::7]:80',
    '2001:db8::7:80',
    '[fe80::1%eth0]:80',
    '[]:80',
  ],
  ...['a@b:80', 'bücher.example:80', `${'a'.repeat(64)}:80`],
])('attack: %j is none', (text) => {
  expect(readDestination(text)).toBeNull();
});

test('what is not listed to the letter is not', () => {
  expect(unlisted(['a:1', 'b:1'], ['b:1', 'a:1', 'c:1'])).toBeNull();
  expect(unlisted(['a:1', 'a:2'], ['a:1'])).toBe('a:2');
  expect(unlisted(['a:1'])).toBe('a:1');
});

test.each(['8.8.8.8', '192.0.2.7', '2600::1', '2a00:1450::1', '2001:4860::8888'])('%s is public', (address) => {
  expect(isPublic(address)).toBe(true);
});

test.each([
  ...['0.0.0.0', '10.1.2.3', '100.64.0.1', '127.0.0.1', '127.255.255.255', '169.254.169.254', '172.16.0.1'],
  ...['172.31.255.255', '192.0.0.1', '192.168.0.1', '198.18.0.1', '224.0.0.1', '239.1.1.1', '255.255.255.255'],
  ...['::', '::1', '::ffff:8.8.8.8', '::ffff:127.0.0.1', '::7f00:1', '64:ff9b::7f00:1', '2002:7f00:1::', '2001::1'],
  ...['fc00::1', 'fd12::1', 'fe80::1', 'fe80::1%lo', 'ff02::1', '2600::1%lo', '', 'localhost', '2130706433'],
])('attack: %j is not', (address) => {
  expect(isPublic(address)).toBe(false);
});

test('attack: one who asks for a name again and again has one lookup, and all together few at once', async () => {
  const open = new Map<string, (address: string) => void>();
  const asked: string[] = [];
  const look = sparingly((host) => {
    asked.push(host);
    return new Promise<string>((resolve) => open.set(host, resolve));
  }, 2);
  const all = ['a', 'a', 'b', 'c', 'a', 'd', 'c'].map((host) => look(host));
  expect(asked).toEqual(['a', 'b']);
  for (const host of ['b', 'a', 'c', 'd']) {
    open.get(host)?.(host);
    await all[['a', 'a', 'b', 'c', 'a', 'd', 'c'].indexOf(host)];
  }
  expect(await Promise.all(all)).toEqual(['a', 'a', 'b', 'c', 'a', 'd', 'c']);
  expect(asked).toEqual(['a', 'b', 'c', 'd']);
  // An answer is not kept, nor is a failure.
  const failing = sparingly((host) => Promise.reject(new Error(`${host} ${asked.push(host)}`)), 1);
  await expect(failing('e')).rejects.toThrow('e 5');
  await expect(failing('e')).rejects.toThrow('e 6');
});

const digest = 'a'.repeat(64);
const way = { host: 'a.example', address: '192.0.2.7', openedOn: '2026-01-01T00:00:00.000Z', up: 10, down: 20 };
const http = { method: 'GET', path: digest, status: 200, body: digest };
const fetched: Connection = { ...way, port: 80, http };
const tunnel: Connection = { ...way, port: 443, problem: 'ECONNRESET' };

test('what went through is told for people, and read from a provenance', () => {
  expect(sayConnection(fetched)).toBe(`GET a.example:80 at 192.0.2.7: 10 bytes out, 20 in, 200, body sha256 ${digest}`);
  expect(sayConnection(tunnel)).toBe('a tunnel to a.example:443 at 192.0.2.7: 10 bytes out, 20 in, ECONNRESET');
  const network = { destinations: ['a.example:80', 'a.example:443'], connections: [fetched, tunnel] };
  expect(sayTraffic(network)).toBe(
    'through a proxy that let it reach a.example:80, a.example:443: 2 connections, 20 bytes out, 40 in',
  );
  expect(trafficIn({ network })).toEqual(network);
  expect(trafficIn(JSON.parse(JSON.stringify({ network })) as Record<string, unknown>)).toEqual(network);
});

test('of several runs as of one, what is known of each, and no limit anew for any', () => {
  const seen = (kind: 'output' | 'limit', count: number) => [{ kind, count, detail: `${count}` }];
  const first = { watched: ['limit', 'output'], seen: seen('output', 1) } as const;
  const second = { watched: ['network', 'output'], seen: [...seen('limit', 5), ...seen('output', 2)] } as const;
  expect(observedTogether([first, second])).toEqual({
    watched: ['output'],
    seen: [...seen('limit', 5), { kind: 'output', count: 3, detail: '1; 2' }],
  });
  expect(limitsAfter([])).toEqual({ connections: 500, upBytes: 2 ** 26, downBytes: 2 ** 36 });
  expect(limitsAfter([fetched, tunnel])).toEqual({ connections: 498, upBytes: 2 ** 26 - 20, downBytes: 2 ** 36 - 40 });
  expect(limitsAfter([{ ...fetched, up: 2 ** 27 }])).toMatchObject({ upBytes: 0 });
});

test.each([
  undefined,
  {},
  { network: null },
  { network: { destinations: 'all', connections: [] } },
  { network: { destinations: ['a:1'], connections: [{}] } },
  { network: { destinations: ['a:1'], connections: [{ ...fetched, up: '10' }] } },
  { network: { destinations: ['a:1'], connections: [{ ...fetched, http: { method: 'GET', path: '/secret' } }] } },
])('attack: %j is no account of a network', (parameters) => {
  expect(trafficIn(parameters)).toBeNull();
});
