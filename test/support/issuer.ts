import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK, type JWTPayload } from 'jose';
import Provider from 'oidc-provider';

export const AUDIENCE = 'custody';
export const SUBJECT = 'acme-digits-main';
const SECRET = 'a secret of this test alone';
const TOKEN_SECONDS = 300;

/** A real OpenID provider on loopback, which gives tokens to one client, and can change its keys. */
export class Issuer {
  readonly url: string;
  readonly #server: Server;
  /** Every address that was asked for. */
  readonly asked: string[] = [];
  #listener: RequestListener = () => undefined;
  #key: { readonly jwk: JWK; readonly sign: CryptoKey } | null = null;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('request', (incoming, outgoing) => {
      this.asked.push(incoming.url ?? '');
      this.#listener(incoming, outgoing);
    });
  }

  static async start(): Promise<Issuer> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const issuer = new Issuer(server);
    await issuer.rotate();
    return issuer;
  }

  /** From now on another key signs, and it alone is published. */
  async rotate(): Promise<void> {
    const { privateKey } = await generateKeyPair('RS256', { extractable: true });
    const jwk = {
      ...(await exportJWK(privateKey)),
      kid: `key-${Date.now()}-${Math.random()}`,
      alg: 'RS256',
      use: 'sig',
    };
    this.#key = { jwk, sign: privateKey };
    const answer = this.#provider(jwk).callback();
    this.#listener = (incoming, outgoing) => void answer(incoming, outgoing);
  }

  #provider(jwk: JWK): Provider {
    return new Provider(this.url, {
      jwks: { keys: [jwk] },
      clients: [
        {
          client_id: SUBJECT,
          client_secret: SECRET,
          grant_types: ['client_credentials'],
          redirect_uris: [],
          response_types: [],
        },
      ],
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => 'urn:custody',
          getResourceServerInfo: () => ({
            scope: '',
            audience: AUDIENCE,
            accessTokenTTL: TOKEN_SECONDS,
            accessTokenFormat: 'jwt',
            jwt: { sign: { alg: 'RS256' } },
          }),
        },
      },
      extraTokenClaims: () => ({ event_name: 'push' }),
    });
  }

  /** Answers everything differently from now on. */
  behave(listener: RequestListener): void {
    this.#listener = listener;
  }

  /** A token as the provider itself gives it. */
  async token(): Promise<string> {
    const answer = await fetch(`${this.url}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`${SUBJECT}:${encodeURIComponent(SECRET)}`).toString('base64')}` },
      body: new URLSearchParams({ grant_type: 'client_credentials' }),
    });
    const body = (await answer.json()) as { access_token?: string };
    if (body.access_token === undefined) throw new Error(`the provider gave no token: ${JSON.stringify(body)}`);
    return body.access_token;
  }

  get jwk(): JWK {
    return this.#held.jwk;
  }

  /** A token signed with the provider's own key, saying whatever a test wants. */
  async sign(claims: JWTPayload = {}, header: Readonly<Record<string, string>> = {}): Promise<string> {
    const { jwk, sign } = this.#held;
    const payload = { ...this.claims(), ...claims };
    return new SignJWT(payload).setProtectedHeader({ alg: 'RS256', kid: jwk.kid ?? '', ...header }).sign(sign);
  }

  /** What a good token says. */
  claims(): JWTPayload {
    const now = Math.floor(Date.now() / 1000);
    return { iss: this.url, aud: AUDIENCE, sub: SUBJECT, event_name: 'push', iat: now, exp: now + TOKEN_SECONDS };
  }

  get #held(): { readonly jwk: JWK; readonly sign: CryptoKey } {
    if (this.#key === null) throw new Error('the issuer has no key yet');
    return this.#key;
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }
}
