import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { z } from 'zod';
import { CustodyError } from '../domain/errors.js';
import { checkShape, parseJson } from '../formats/json.js';
import { isTrustworthyUrl } from '../formats/policy-oidc.js';

/** Keys are asked for again after so long: a key that the issuer has withdrawn counts no longer. */
const MAX_AGE_MS = 600_000;
/** A token with a key nobody knows makes us ask the issuer, but no more often than this. */
const COOL_DOWN_MS = 30_000;
/** Nor is an issuer that has just failed asked for every token. */
const RETRY_MS = 5_000;
const ANSWER_MS = 5_000;
const MAX_ANSWER_BYTES = 256 * 1024;
const MAX_KEYS = 100;

const discoverySchema = z.object({ issuer: z.string(), jwks_uri: z.string() });
const keysSchema = z.object({ keys: z.array(z.record(z.string(), z.unknown())).max(MAX_KEYS) });

export interface IssuersDeps {
  readonly now?: () => number;
  /** Told of each time that an issuer was asked for its keys. */
  readonly onFetch?: (outcome: 'ok' | 'failed') => void;
}

/** The public keys of the issuers that the policy names, as they publish them. */
export class Issuers {
  readonly #deps: Required<IssuersDeps>;
  readonly #known = new Map<string, Issuer>();

  constructor({ now = Date.now, onFetch = () => undefined }: IssuersDeps = {}) {
    this.#deps = { now, onFetch };
  }

  /** Forgets every issuer but these, the ones of the newest policy. */
  keepOnly(issuers: ReadonlySet<string>): void {
    for (const issuer of this.#known.keys()) if (!issuers.has(issuer)) this.#known.delete(issuer);
  }

  /** ISSUER_UNAVAILABLE: it does not answer, or its discovery document is not its own. */
  keysOf(issuer: string): JWTVerifyGetKey {
    const known = this.#known.get(issuer) ?? new Issuer(issuer, this.#deps);
    this.#known.set(issuer, known);
    return known.keys;
  }
}

interface Held {
  readonly find: JWTVerifyGetKey;
  readonly at: number;
}

class Issuer {
  readonly #issuer: string;
  readonly #deps: Required<IssuersDeps>;
  #held: Held | null = null;
  #failed: { readonly error: unknown; readonly at: number } | null = null;
  #asking: Promise<Held> | null = null;

  constructor(issuer: string, deps: Required<IssuersDeps>) {
    this.#issuer = issuer;
    this.#deps = deps;
  }

  readonly keys: JWTVerifyGetKey = async (header, token) => {
    const held = this.#isFresh(MAX_AGE_MS) ?? (await this.#ask());
    try {
      return await held.find(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || this.#isFresh(COOL_DOWN_MS) !== null) throw error;
      return (await this.#ask()).find(header, token);
    }
  };

  #isFresh(age: number): Held | null {
    return this.#held !== null && this.#deps.now() - this.#held.at < age ? this.#held : null;
  }

  /** Everybody who waits for this issuer waits for one and the same answer. */
  async #ask(): Promise<Held> {
    if (this.#failed !== null && this.#deps.now() - this.#failed.at < RETRY_MS) throw this.#failed.error;
    this.#asking ??= this.#fetch().finally(() => (this.#asking = null));
    return this.#asking;
  }

  async #fetch(): Promise<Held> {
    const { now, onFetch } = this.#deps;
    try {
      const keys = await fetchKeys(this.#issuer);
      this.#held = { find: createLocalJWKSet(keys), at: now() };
      this.#failed = null;
      onFetch('ok');
      return this.#held;
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      const error = new CustodyError('ISSUER_UNAVAILABLE', `the keys of ${this.#issuer} cannot be had: ${why}`);
      this.#failed = { error, at: now() };
      onFetch('failed');
      throw error;
    }
  }
}

/** OpenID Connect Discovery 1.0, section 4: the document lies under the issuer, and names it to the letter. */
async function fetchKeys(issuer: string): Promise<JSONWebKeySet> {
  const where = new URL(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`);
  const found = checkShape(discoverySchema, await fetchJson(where), 'its discovery document');
  if (found.issuer !== issuer) throw new CustodyError('MALFORMED', 'its discovery document names another issuer');
  const uri = URL.canParse(found.jwks_uri) ? new URL(found.jwks_uri) : null;
  if (uri === null || !isTrustworthyUrl(uri) || (uri.protocol === 'http:' && where.protocol === 'https:'))
    throw new CustodyError('MALFORMED', 'its discovery document names an address for keys that is not https');
  const { keys } = checkShape(keysSchema, await fetchJson(uri), 'its key set');
  // Secrets that an issuer publishes by mistake are nobody's proof.
  const isPublic = (key: Record<string, unknown>): boolean => key['kty'] !== 'oct' && !Object.hasOwn(key, 'd');
  return { keys: keys.filter(isPublic) };
}

async function fetchJson(url: URL): Promise<unknown> {
  const headers = { accept: 'application/json' };
  const answer = await fetch(url, { headers, redirect: 'error', signal: AbortSignal.timeout(ANSWER_MS) });
  if (!answer.ok || answer.body === null) {
    await answer.body?.cancel();
    throw new CustodyError('MALFORMED', `${url.pathname} answers ${answer.status}`);
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) throw new CustodyError('MALFORMED', `${url.pathname} answers too much`);
    chunks.push(chunk);
  }
  return parseJson(Buffer.concat(chunks), url.pathname);
}
