import { createGatewayClient } from '../../adapters/gateway/client.js';
import { CustodyError, type ErrorCode } from '../../domain/errors.js';
import { findAuthority, type Role } from '../../domain/policy.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { pinnedRing } from '../../formats/policy.js';
import { sha256 } from '../../formats/sha256.js';
import { keyRing, signStatement } from '../../formats/statements.js';
import { startResign } from '../../workflows/messages.js';
import { ask } from '../audit.js';
import { connect } from '../connect.js';
import { runToEnd } from '../messages.js';
import { askAuditor, requestResign } from '../requests.js';
import { refused, type Cell } from './cell.js';
import { keyOf, type Environment } from './environment.js';
import { killOrder, longAgo, NOWHERE } from './probes.js';

type Tried = Omit<Cell, 'of' | 'on'>;
type Found = Pick<Cell, 'state' | 'how'>;

/** The signature is no key's that counts here. */
const UNKNOWN: readonly ErrorCode[] = ['SIGNATURE_INVALID'];

/** Every key of `from` on what believes signatures in `to`; each message says that it is for `to`, as an attacker's would. */
export async function trySignatures(from: Environment, to: Environment): Promise<readonly Tried[]> {
  const cells: Tried[] = [];
  for (const [id, key] of from.keys) {
    cells.push({ service: 'policy', credential: `key ${id}`, ...enrolled(to, key.keyId, from.name) });
    cells.push({ service: 'root', credential: `key ${id}`, ...pinned(to, key.keyId) });
    cells.push({ service: 'gateway', credential: `kill by ${id}`, ...(await tryKill(from, to, id)) });
  }
  cells.push({ service: 'gateway', credential: 'status document by control', ...(await tryStatus(from, to)) });
  cells.push({ service: 'temporal', credential: 'request by oscar', ...(await tryRequest(from, to)) });
  cells.push({ service: 'audit desk', credential: 'question by ada', ...(await tryQuestion(from, to)) });
  return cells;
}

/** What a key of the environment before may be: its releases bear its producer's signature, and its verifier's word. */
const PROMOTING: readonly Role[] = ['verifier', 'producer'];

/** Whose key it is there, if anybody's. */
function enrolled({ policy, name }: Environment, keyId: string, from: string): Found {
  const owner = keyRing(policy).find(({ key }) => key.keyId === keyId)?.owner;
  if (owner === undefined) return { state: 'refused', how: `the policy of ${name} lists no such key` };
  const roles = findAuthority(policy, owner)?.roles ?? [];
  const isPromoting = policy.promotion?.from === from && roles.every((role) => PROMOTING.includes(role));
  return isPromoting
    ? {
        state: 'refused',
        how: `${name} knows it as ${owner}, ${roles.join(', ')} of ${from}, and lets it do nothing itself`,
      }
    : { state: 'accepted', how: `it is ${owner}'s in ${name}, with the roles ${roles.join(', ')}` };
}

/** Its processes believe what leads back to these, whatever the newest policy says. */
function pinned({ root, name }: Environment, keyId: string): Found {
  return pinnedRing(root).some(({ key }) => key.keyId === keyId)
    ? { state: 'accepted', how: `its first policy may be signed by it: the root of ${name} pins it` }
    : { state: 'refused', how: `the root of ${name} does not pin it` };
}

function tryKill(from: Environment, to: Environment, id: string): Promise<Found> | Found {
  const key = keyOf(from, id);
  const times = longAgo(to.policy, key.keyId, Date.now());
  if (times === null) return tooNew(to, id);
  const envelope = killOrder(to.name, times, key);
  // NOT_AUTHORISED: known there, and without the right to. Whose it is stands in the row of the policy.
  return refused([...UNKNOWN, 'NOT_AUTHORISED'], async () => {
    await createGatewayClient(to.reading.description.gateway.admin).deliverKill(envelope);
    return 'the gateway has taken it';
  });
}

function tryStatus(from: Environment, to: Environment): Promise<Found> | Found {
  const key = keyOf(from, 'control');
  const times = longAgo(to.policy, key.keyId, Date.now());
  if (times === null) return tooNew(to, 'control');
  const status = { environment: to.name, version: 1, ...times, revoked: [], kills: [] };
  const envelope = signStatement('status', { name: 'status', sha256: sha256(canonicalBytes(status)) }, status, [key]);
  return refused(UNKNOWN, async () => {
    await createGatewayClient(to.reading.description.gateway.admin).deliverStatus(envelope);
    return 'the gateway has taken it';
  });
}

async function tryRequest(from: Environment, to: Environment): Promise<Found> {
  const { newestDigest } = await to.reading.records.policies();
  const signer = { key: keyOf(from, 'oscar'), id: 'oscar', environment: to.name, policy: newestDigest };
  return refused(UNKNOWN, async () => {
    const custody = await connect(to.reading.layout);
    try {
      const request = requestResign(signer, NOWHERE, sha256('no release'));
      await runToEnd(custody, 'resign', startResign(NOWHERE), { request });
      return 'control and signing have carried it out';
    } finally {
      await custody.close();
    }
  });
}

function tryQuestion(from: Environment, to: Environment): Promise<Found> {
  const signer = { key: keyOf(from, 'ada'), id: 'ada', environment: to.name, policy: '' };
  return refused(UNKNOWN, async () => {
    await ask(to.reading, askAuditor(signer, { question: 'log' }));
    return 'the desk lets it read the whole log';
  });
}

/**
 * What says of itself that it is of `from`, by a key that signs there: refused by `to` whoever has signed it. It had expired, too: a
 * gateway asks for the environment before, and one that did not would answer EXPIRED, and keep nothing.
 */
export async function tryGenuine(from: Environment, to: Environment): Promise<Tried> {
  const service = { service: 'gateway', credential: 'genuine kill' };
  const key = keyOf(from, 'oscar');
  const times = longAgo(to.policy, key.keyId, Date.now());
  if (times === null) return { ...service, ...tooNew(to, 'oscar') };
  const envelope = killOrder(from.name, times, key);
  const found = await refused([...UNKNOWN, 'NOT_AUTHORISED', 'REPLAYED'], async () => {
    await createGatewayClient(to.reading.description.gateway.admin).deliverKill(envelope);
    return 'the gateway has taken an order of another environment';
  });
  return { ...service, ...found };
}

function tooNew({ name }: Environment, id: string): Found {
  return {
    state: 'unknown',
    how: `${name} has only begun to believe the key of ${id}: nothing that it signs has expired yet. Run this again later`,
  };
}

/** An empty notification: whoever is let in has told nothing. */
export async function tryAlerts(from: Environment, to: Environment): Promise<Tried> {
  const service = { service: 'api', credential: "Alertmanager's token" };
  const { alertToken } = from;
  if (alertToken === null) return { ...service, state: 'unknown', how: `${from.name} has no such token` };
  const found = await refused(['NOT_AUTHORISED'], async () => {
    const answer = await fetch(new URL('/v1/alerts', to.reading.description.api.url), {
      method: 'POST',
      headers: { authorization: `Bearer ${alertToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ version: '4', groupKey: 'isolation', status: 'resolved', alerts: [] }),
    }).catch((cause: unknown) => {
      throw new CustodyError('API_UNAVAILABLE', 'the api does not answer', { cause });
    });
    if (answer.ok) return 'the api takes alerts by it';
    throw new CustodyError(answer.status === 401 ? 'NOT_AUTHORISED' : 'API_UNAVAILABLE', await answer.text());
  });
  return { ...service, ...found };
}
