import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';

/**
 * Between two neighbours only (RFC 9110, section 7.6.1), and what this hop says for itself; and what proves a caller to the
 * gateway, which a release could use in its name.
 */
const HOP_BY_HOP = new Set([
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
]);

/** The headers that go on to the next neighbour: none that are for this one only, and none that this process sets. */
export function endToEnd(headers: IncomingHttpHeaders, own: OutgoingHttpHeaders): OutgoingHttpHeaders {
  const named = (headers.connection ?? '').toLowerCase().split(/[\s,]+/);
  const passed: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined && !HOP_BY_HOP.has(name) && !named.includes(name)) passed[name] = value;
  return { ...passed, ...own };
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
