import type { IncomingHttpHeaders } from 'node:http';

/**
 * Between two neighbours only (RFC 9110, section 7.6.1), and what this hop says for itself; and what proves a caller to the
 * gateway, which a release could use in its name.
 */
const HOP_BY_HOP = [
  'authorization',
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
];

/** By their length, so that the names of most headers are not even looked at. */
type Names = readonly (readonly string[] | undefined)[];

function byLength(names: readonly string[]): Names {
  const found: string[][] = [];
  for (const name of names) (found[name.length] ??= []).push(name);
  return found;
}

/** The gateway says itself to whom it speaks and how long the body is. */
const NOT_TO_REPLICAS = byLength([...HOP_BY_HOP, 'host', 'content-length']);
/** Only the gateway says which release has answered, and when it is going to end. */
const OWN = ['x-custody-release', 'x-custody-release-version', 'deprecation', 'sunset'];
const NOT_TO_CALLERS = byLength([...HOP_BY_HOP, ...OWN]);

/** What goes on to a replica, of headers as they came: names and values in turn. */
export function toReplica(raw: readonly string[]): string[] {
  const passed: string[] = [];
  let named: readonly string[] = [];
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at] ?? '';
    const value = raw[at + 1] ?? '';
    if (!isOneOf(NOT_TO_REPLICAS, name)) passed.push(name, value);
    else if (name.length === 10 && name.toLowerCase() === 'connection') named = [...named, ...namesIn(value)];
  }
  return named.length === 0 ? passed : without(passed, named);
}

/** What goes on to a caller, of a replica's headers, after what the gateway says itself. */
export function toCaller(headers: IncomingHttpHeaders, own: readonly string[]): string[] {
  const passed: string[] = [];
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined || isOneOf(NOT_TO_CALLERS, name)) continue;
    if (typeof value === 'string') passed.push(name, value);
    else for (const one of value) passed.push(name, one);
  }
  const named = namesIn([headers.connection].flat().join());
  // What the release calls a matter of this hop takes nothing away of what the gateway says of it.
  return [...own, ...(named.length === 0 ? passed : without(passed, named))];
}

function isOneOf(names: Names, name: string): boolean {
  const candidates = names[name.length];
  return candidates?.includes(name.toLowerCase()) ?? false;
}

/** Headers that `connection` says are for this hop, too. */
function namesIn(connection: string): readonly string[] {
  if (connection === '' || connection === 'keep-alive' || connection === 'close') return [];
  return connection.toLowerCase().split(/[\s,]+/);
}

function without(headers: readonly string[], names: readonly string[]): string[] {
  return headers.filter((_, at) => !names.includes((headers[at - (at % 2)] ?? '').toLowerCase()));
}

/** A place among 100 for a caller of a model: the same one every time, spread evenly. FNV-1a, then MurmurHash3's mixer. */
export function pointOf(caller: string, model: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < caller.length; at += 1) hash = Math.imul(hash ^ caller.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ 0x2f, 0x01000193);
  for (let at = 0; at < model.length; at += 1) hash = Math.imul(hash ^ model.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) % 100;
}
