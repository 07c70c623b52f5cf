import { personAsks, policyInForce, type Rules } from '../domain/authorise.js';
import { CustodyError } from '../domain/errors.js';
import { lifecycleId } from '../domain/names.js';
import { findAuthority, type Policy } from '../domain/policy.js';
import { isoTime } from '../domain/time.js';
import { demand } from '../formats/evidence.js';
import { checkShape } from '../formats/json.js';
import type { SigningKey } from '../formats/keys.js';
import { policyDigest } from '../formats/policy.js';
import { signRequest } from '../formats/requests.js';
import { keyRing, verifyStatement } from '../formats/statements.js';
import type { LifecycleInput } from '../workflows/messages.js';
import { AlertWebhook, type AlertsDeps } from './alerts.js';
import { HttpRefusal, type Call, type Listener, type Reply } from './http.js';
import { Issuers } from './issuers.js';
import type { BoundedLog } from './log.js';
import type { ApiMetrics } from './metrics.js';
import { openApiDocument } from './openapi.js';
import type { DeliveredPolicies } from './policies.js';
import { releaseBody } from './shapes.js';
import { whoseToken } from './tokens.js';

/** CI starts the workflow at once; whoever copies the request has no longer than this. */
const REQUEST_SECONDS = 3600;
const MAX_BODY_BYTES = 64 * 1024;
const BEARER = /^Bearer ([A-Za-z0-9_.~+/=-]+)$/i;

export interface ApiDeps {
  readonly environment: string;
  /** The authority that the key belongs to. */
  readonly id: string;
  readonly key: SigningKey;
  readonly policies: DeliveredPolicies;
  readonly metrics: ApiMetrics;
  readonly log: BoundedLog;
  readonly issuers?: Issuers;
  /** `null`: no Alertmanager posts here. */
  readonly alerts: AlertsDeps | null;
}

/** What the listener answers. It signs requests for workloads known by their tokens, and Alertmanager's alerts; nothing else. */
export function createApi(deps: ApiDeps): Listener {
  const { metrics, log } = deps;
  const issuers = deps.issuers ?? new Issuers({ onFetch: (outcome) => metrics.askedIssuer(outcome) });
  const webhook = webhookOf(deps);
  const document = openApiDocument();
  return {
    maxBodyBytes: MAX_BODY_BYTES,
    handlers: {
      'POST /v1/requests/release': (call) => requestRelease(deps, issuers, call),
      'POST /v1/alerts': (call) => {
        if (webhook === null) throw new HttpRefusal(404, 'USAGE', 'this api is set up for no Alertmanager');
        return webhook.receive(tokenOf(call), call);
      },
      'GET /healthz': () => ({ status: 200, body: { ok: true } }),
      'GET /readyz': () => {
        const { version } = rulesOf(deps).newest;
        return { status: 200, body: { ready: true, policyVersion: version } };
      },
      'GET /metrics': async () => ({ status: 200, body: await metrics.text() }),
      'GET /openapi.json': () => ({ status: 200, body: document }),
    },
    onAnswer: (route, status, error, callId) => {
      metrics.answered(route, status);
      if (error === null) return;
      const code = error instanceof CustodyError ? error.code : 'INTERNAL';
      metrics.refused(code);
      // What is malformed is the caller's own text, in which a token could be: it is not repeated.
      const why = code === 'MALFORMED' || !(error instanceof Error) ? {} : { why: error.message };
      log.write(
        'warn',
        { callId, route, status, code, ...why, ...(code === 'INTERNAL' ? { err: error } : {}) },
        'refused',
      );
    },
  };
}

function webhookOf({ alerts, environment, policies, metrics, log }: ApiDeps): AlertWebhook | null {
  if (alerts === null) return null;
  return new AlertWebhook(alerts, {
    environment,
    policy: () => policies.current.newest,
    signed: ({ model, version, release, severity, nonce }) => {
      metrics.signedAlert(severity);
      log.write('info', { model, version, release, severity, nonce }, 'signed an alert');
    },
  });
}

async function requestRelease(deps: ApiDeps, issuers: Issuers, call: Call): Promise<Reply> {
  const { environment, id, key, metrics, log } = deps;
  const rules = rulesOf(deps);
  const { requester, identity } = await whoseToken(tokenOf(call), rules.newest, issuers);
  const { model, version, ...places } = checkShape(releaseBody, await call.json(), 'the body');
  const workflowId = lifecycleId({ model, version });
  const request = signRequest(
    { key, id, environment, policy: policyDigest(rules.newest) },
    {
      workflowId,
      about: { model, version, release: null },
      action: { kind: 'release', ...places },
      seconds: REQUEST_SECONDS,
      vouched: { requester, identity },
    },
  );
  // Nothing leaves that would be refused where it arrives.
  const signed = verifyStatement(request, 'request', keyRing(rules.newest));
  demand(personAsks({ ...rules, now: isoTime(Date.now()) }, signed, 'release', workflowId));
  metrics.issued(requester);
  const { requestId } = signed.predicate;
  log.write('info', { callId: call.id, requester, requestId, workflowId, token: identity.token }, 'signed a request');
  const input: LifecycleInput = { request };
  return { status: 201, body: { request, workflowId, input } };
}

/** The policy as it is in force now, once this process may sign under it. */
function rulesOf({ environment, id, key, policies }: ApiDeps): Rules {
  const { newest } = policies.current;
  const rules = { environment, gate: newest, newest, now: isoTime(Date.now()) };
  demand(policyInForce(rules));
  if (!isOwnRole(newest, id, key))
    throw new CustodyError('NOT_AUTHORISED', `the policy does not give the role api to the key of ${id}`);
  return rules;
}

function isOwnRole(policy: Policy, id: string, key: SigningKey): boolean {
  const isOwn = keyRing(policy).some((held) => held.owner === id && held.key.keyId === key.keyId);
  return isOwn && findAuthority(policy, id)?.roles.includes('api') === true;
}

function tokenOf({ authorization }: Call): string {
  const token = authorization === undefined ? undefined : BEARER.exec(authorization)?.[1];
  if (token !== undefined) return token;
  const challenge = { 'www-authenticate': 'Bearer' };
  throw new HttpRefusal(401, 'NOT_AUTHORISED', 'give a token: Authorization: Bearer <token>', challenge);
}
