import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { createApi } from '../../../api/api.js';
import { createListener } from '../../../api/http.js';
import { Issuers } from '../../../api/issuers.js';
import { BoundedLog } from '../../../api/log.js';
import { createMetrics } from '../../../api/metrics.js';
import { DeliveredPolicies } from '../../../api/policies.js';
import type { AlertCourier } from '../../../api/temporal.js';
import type { OidcIdentity, Policy } from '../../../domain/policy.js';
import type { SignedEnvelope } from '../../../domain/statements.js';
import { sha256 } from '../../../formats/sha256.js';
import { AUDIENCE, SUBJECT, type Issuer } from '../../support/issuer.js';
import { createWorld, type World } from '../../support/world.js';

export const BODY = {
  model: 'digits',
  version: '1.0.0',
  source: 'file:///releases/1',
  bundle: 'file:///releases/1.sig',
  provenance: 'file:///releases/1.provenance',
};

/** Alertmanager's. */
export const ALERT_TOKEN = 'a-token-of-alertmanager-with-32-characters';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: { readonly code?: string; readonly message?: string } & Record<string, unknown>;
}

export interface Rig {
  readonly world: World;
  readonly url: string;
  readonly folder: string;
  readonly policies: DeliveredPolicies;
  /** What was logged, as text. */
  log(): string;
  metrics(): Promise<string>;
  /** Lets time pass for the cache of the issuer's keys. */
  pass(ms: number): void;
  ask(
    token: string | null,
    body?: unknown,
    init?: { headers?: Record<string, string>; query?: string },
  ): Promise<Answer>;
  stop(): Promise<void>;
}

/** Pins the provider's tokens for `pipeline`. */
export function pinned(issuer: string, overrides: Partial<OidcIdentity> = {}): (policy: Policy) => Policy {
  const oidc = { issuer, audience: AUDIENCE, claims: { sub: SUBJECT, event_name: 'push' }, ...overrides };
  return (policy) => ({
    ...policy,
    authorities: policy.authorities.map((held) => (held.id === 'pipeline' ? { ...held, oidc } : held)),
  });
}

/** The listener in this process, with the policies of a world that knows the issuer. */
export async function startRig(
  issuer: Issuer | null,
  options: {
    readonly policy?: (policy: Policy) => Policy;
    readonly deliver?: readonly SignedEnvelope[];
    /** Where alerts go; without it none are expected. */
    readonly courier?: AlertCourier;
    /** Whose key signs them. */
    readonly monitor?: 'siem' | 'api';
  } = {},
): Promise<Rig> {
  const world = createWorld({ policy: options.policy ?? (issuer === null ? (policy) => policy : pinned(issuer.url)) });
  const folder = mkdtempSync(join(tmpdir(), 'custody-api-'));
  const policies = new DeliveredPolicies(world.root, folder);
  const delivered = options.deliver ?? [world.policyEnvelope];
  if (delivered.length > 0) await policies.deliver(delivered);
  const lines: string[] = [];
  const log = new BoundedLog(pino({ level: 'trace' }, { write: (line) => void lines.push(line) }));
  const metrics = createMetrics(() => policies.version);
  let passed = 0;
  const now = (): number => Date.now() + passed;
  const issuers = new Issuers({ now, onFetch: (outcome) => metrics.askedIssuer(outcome) });
  const { environment, keys } = world;
  const { courier, monitor = 'siem' } = options;
  const alerts =
    courier === undefined ? null : { id: monitor, key: keys[monitor], token: sha256(ALERT_TOKEN), courier, now };
  const server = createListener(
    createApi({ environment, id: 'api', key: keys.api, policies, metrics, log, issuers, alerts }),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    world,
    url,
    folder,
    policies,
    log: () => lines.join(''),
    metrics: () => metrics.text(),
    pass: (ms) => void (passed += ms),
    ask: async (token, body = BODY, { headers = {}, query = '' } = {}) => {
      const answer = await fetch(`${url}/v1/requests/release${query}`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...headers,
        },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      });
      return { status: answer.status, headers: answer.headers, body: (await answer.json()) as Answer['body'] };
    },
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
