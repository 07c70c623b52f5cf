import { isDigest, type Digest } from './digest.js';

/** One connection that a run had to a listed destination, as the proxy has recorded it. */
export interface Connection {
  readonly host: string;
  readonly port: number;
  /** Where the proxy connected to; `null`: nowhere, since the name led nowhere. */
  readonly address: string | null;
  readonly openedOn: string;
  /** Bytes that left, and that came. */
  readonly up: number;
  readonly down: number;
  /** Of plain HTTP; what is inside of a tunnel is not seen. */
  readonly http?: {
    readonly method: string;
    /** Of path and query: what stands there may be a secret. */
    readonly path: Digest;
    /** Of an answer that came whole. */
    readonly status?: number;
    readonly body?: Digest;
  };
  /** Why it did not end well. */
  readonly problem?: string;
}

/** What a run was allowed to reach, and what it did reach. */
export interface Traffic {
  readonly destinations: readonly string[];
  readonly connections: readonly Connection[];
}

/** One line a connection, for people. */
export function sayConnection({ host, port, address, up, down, http, problem }: Connection): string {
  const what = http === undefined ? 'a tunnel to' : `${http.method}`;
  const body = http?.body === undefined ? '' : `, ${http.status ?? '?'}, body sha256 ${http.body}`;
  const end = problem === undefined ? '' : `, ${problem}`;
  return `${what} ${host}:${port} at ${address ?? 'no address'}: ${up} bytes out, ${down} in${body}${end}`;
}

/** How much, for people. */
export function sayTraffic({ destinations, connections }: Traffic): string {
  const sum = (of: (each: Connection) => number): number => connections.reduce((total, each) => total + of(each), 0);
  const bytes = `${sum(({ up }) => up)} bytes out, ${sum(({ down }) => down)} in`;
  return `through a proxy that let it reach ${destinations.join(', ')}: ${connections.length} connections, ${bytes}`;
}

/** The same, behind what else is said of a run; nothing of one that had no network. */
export function andTraffic(
  destinations: Traffic['destinations'] | undefined,
  connections: Traffic['connections'],
): string {
  return destinations === undefined ? '' : `; it had a network ${sayTraffic({ destinations, connections })}`;
}

/** What a provenance says of it; `null` where it says nothing of that form. */
export function trafficIn(parameters: Readonly<Record<string, unknown>> | undefined): Traffic | null {
  const said = parameters?.['network'];
  if (typeof said !== 'object' || said === null || !('destinations' in said) || !('connections' in said)) return null;
  const { destinations, connections } = said;
  if (!Array.isArray(destinations) || !destinations.every((each): each is string => typeof each === 'string'))
    return null;
  return Array.isArray(connections) && connections.every(isConnection) ? { destinations, connections } : null;
}

type Loose<T> = Partial<Record<keyof T, unknown>>;

function isConnection(value: unknown): value is Connection {
  if (typeof value !== 'object' || value === null) return false;
  const { host, port, address, openedOn, up, down, http, problem } = value as Loose<Connection>;
  const texts = [host, openedOn, address ?? '', problem ?? ''].every((each) => typeof each === 'string');
  return texts && [port, up, down].every(Number.isSafeInteger) && (http === undefined || isHttp(http));
}

function isHttp(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { method, path, status, body } = value as Loose<NonNullable<Connection['http']>>;
  const isKnown = (digest: unknown): boolean => typeof digest === 'string' && isDigest(digest);
  return (
    typeof method === 'string' &&
    isKnown(path) &&
    (status === undefined || Number.isSafeInteger(status)) &&
    (body === undefined || isKnown(body))
  );
}
