import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ConsumerPredicate } from '../../../domain/consumers.js';
import type { SeenCaller } from '../../../domain/gateway.js';
import type { Policy } from '../../../domain/policy.js';
import { isoTime } from '../../../domain/time.js';
import { Callers } from '../../../gateway/callers.js';
import { holderOf } from '../../../formats/consumers.js';
import { verifyPolicies } from '../../../formats/evidence.js';
import { sha256 } from '../../../formats/sha256.js';
import { createWorld, type Release, type Signers, type World } from '../../support/world.js';
import { ask, Cleanup, startRig, temporaryFolder, type AskOptions, type ModelServer, type Rig } from './rig.js';

const TOKEN = 'a-token-that-nobody-else-has-0123456789';
const OTHERS = 'the-token-of-another-consumer-987654321';
const token = (text: string) => ({ kind: 'token', sha256: sha256(text) }) as const;
const bearer = (text: string): AskOptions => ({ headers: { authorization: `Bearer ${text}` } });

const cleanup = new Cleanup();
let world: World;
let rig: Rig;
let stable: Release;
let server: ModelServer;

async function start(unknownCallers: 'record' | 'refuse'): Promise<void> {
  world = createWorld({ policy: (policy) => ({ ...policy, inventory: { unknownCallers } }) });
  rig = await startRig(world, cleanup);
  stable = world.release({ version: '1.0.0' });
  server = await rig.serve(stable);
  await rig.inService(stable);
}
afterEach(() => cleanup.run());

const tell = async (overrides: Partial<ConsumerPredicate> = {}, by: Signers = 'oscar'): Promise<string> => {
  const { refused } = await rig.client.deliverConsumers([world.consumer(overrides, by).envelope]);
  return refused[0]?.code ?? 'admitted';
};
const statusOf = async (options: AskOptions = {}): Promise<number> => (await ask(rig.port, options)).status;
async function seen(): Promise<Record<string, Pick<SeenCaller, 'requests' | 'refused'>>> {
  const [model] = (await rig.client.callers()).models;
  const told = (model?.callers ?? []).map(({ kind, id, requests, refused }) => [
    `${kind} ${id}`,
    { requests, refused },
  ]);
  return Object.fromEntries(told) as Record<string, Pick<SeenCaller, 'requests' | 'refused'>>;
}

describe('where unknown callers are refused', () => {
  beforeEach(() => start('refuse'));

  test('a declared consumer is answered by its token; nobody, a name and an unknown token are not, and all are counted', async () => {
    expect(await tell({ identities: [token(TOKEN)] })).toBe('admitted');
    expect(await statusOf(bearer(TOKEN))).toBe(200);
    const answer = await ask(rig.port, {});
    expect([answer.status, answer.headers['www-authenticate']]).toEqual([401, 'Bearer realm="custody"']);
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'UNKNOWN_CALLER' });
    expect(await statusOf({ caller: 'checkout' })).toBe(401);
    expect(await statusOf(bearer(OTHERS))).toBe(401);
    expect(await seen()).toEqual({
      'declared checkout': { requests: 1, refused: 0 },
      'anonymous ': { requests: 1, refused: 1 },
      'unknown checkout': { requests: 1, refused: 1 },
      [`unknown token:${sha256(OTHERS).slice(0, 12)}`]: { requests: 1, refused: 1 },
    });
    expect(server.requests).toHaveLength(1);
    const text = await rig.client.metrics();
    expect(text).toContain('custody_gateway_callers_refused{model="digits",kind="unknown"} 2');
    expect(text).toContain('custody_gateway_callers{model="digits",kind="declared"} 1');
  });

  test('a consumer of another model is known, and not answered', async () => {
    await tell({ models: ['lingo'], identities: [token(TOKEN)] });
    const answer = await ask(rig.port, bearer(TOKEN));
    expect([answer.status, JSON.parse(answer.body)]).toMatchObject([403, { code: 'NOT_A_CONSUMER' }]);
    expect(await seen()).toEqual({ 'undeclared checkout': { requests: 1, refused: 1 } });
  });

  test('attack: the token of a consumer that was removed, and that of one whose time is over', async () => {
    await tell({ identities: [token(TOKEN)] });
    expect(await statusOf(bearer(TOKEN))).toBe(200);
    await tell({ sequence: 2, models: [] });
    expect(await statusOf(bearer(TOKEN))).toBe(401);
    expect(await tell({ identities: [token(TOKEN)] })).toBe('REPLAYED');
    expect(await statusOf(bearer(TOKEN))).toBe(401);

    const soon = isoTime(Date.now() + 1500);
    await tell({ consumer: 'billing', identities: [token(OTHERS)], expiresAt: soon });
    expect(await statusOf(bearer(OTHERS))).toBe(200);
    await expect.poll(() => statusOf(bearer(OTHERS))).toBe(401);
  });

  test('attack: statements that are forged, of another environment, to come, or by somebody who may not', async () => {
    const identities = [token(TOKEN)];
    expect(await tell({ identities }, 'mallory')).toBe('SIGNATURE_INVALID');
    expect(await tell({ identities }, 'control')).toBe('NOT_AUTHORISED');
    expect(await tell({ identities }, 'cesar')).toBe('NOT_AUTHORISED');
    expect(await tell({ identities, environment: 'prod' })).toBe('REPLAYED');
    expect(await tell({ identities, issuedAt: world.at(3600), expiresAt: world.at(7200) })).toBe('EXPIRED');
    const real = world.consumer({ identities }).envelope;
    const text = Buffer.from(real.payload, 'base64').toString().replace('"digits"', '"lingo"');
    const changed = { ...real, payload: Buffer.from(text).toString('base64') };
    expect((await rig.client.deliverConsumers([changed])).refused[0]?.code).toBe('SIGNATURE_INVALID');
    expect(await statusOf(bearer(TOKEN))).toBe(401);
  });

  test('attack: one refused statement keeps no other from counting', async () => {
    const { refused } = await rig.client.deliverConsumers([
      { payloadType: 'x', payload: '', signatures: [] },
      world.consumer({ identities: [token(TOKEN)] }).envelope,
    ]);
    expect(refused).toMatchObject([{ at: 0, code: 'MALFORMED' }]);
    expect(await statusOf(bearer(TOKEN))).toBe(200);
  });

  test('attack: a consumer that claims the token of another gets nothing, and the other keeps it', async () => {
    await tell({ identities: [token(TOKEN)] });
    expect(await tell({ consumer: 'billing', owner: 'cesar', identities: [token(TOKEN)] }, 'cesar')).toBe(
      'POLICY_REFUSED',
    );
    expect(await statusOf(bearer(TOKEN))).toBe(200);
    expect(await seen()).toEqual({ 'declared checkout': { requests: 1, refused: 0 } });
  });

  test('attack: after SIGKILL an older statement is still refused, and the newest one counts', async () => {
    await tell({ identities: [token(TOKEN)] });
    await tell({ sequence: 2, identities: [token(OTHERS)] });
    await rig.stop();
    rig = await startRig(world, cleanup, { folder: rig.folder });
    await rig.serve(stable);
    expect(await tell({ identities: [token(TOKEN)] })).toBe('REPLAYED');
    expect(await statusOf(bearer(TOKEN))).toBe(401);
    expect(await statusOf(bearer(OTHERS))).toBe(200);
  });

  test('who may sign for consumers no more, by a newer policy, has said nothing', async () => {
    await tell({ identities: [token(TOKEN)] });
    const next = world.nextPolicy((policy: Policy) => ({
      ...policy,
      authorities: policy.authorities.filter(({ id }) => id !== 'oscar'),
    }));
    await rig.client.deliverPolicies([world.policyEnvelope, next.envelope]);
    expect(await statusOf(bearer(TOKEN))).toBe(401);
    expect(await tell({ identities: [token(TOKEN)] }, 'carla')).toBe('REPLAYED');
    expect(await tell({ sequence: 2, identities: [token(TOKEN)] }, 'carla')).toBe('admitted');
    expect(await statusOf(bearer(TOKEN))).toBe(200);
  });
});

describe('where unknown callers are recorded', () => {
  beforeEach(() => start('record'));

  test('everybody is answered, and told apart by how sure it is who they are', async () => {
    await tell({ identities: [token(TOKEN)] });
    for (const options of [{}, { caller: 'checkout' }, bearer(OTHERS), { ...bearer(TOKEN), caller: 'user-7' }])
      expect(await statusOf(options)).toBe(200);
    expect(Object.keys(await seen()).sort()).toEqual(
      ['anonymous ', 'declared checkout', 'unknown checkout', `unknown token:${sha256(OTHERS).slice(0, 12)}`].sort(),
    );
  });

  test('attack: no release is handed the token, which it could use in the caller’s name', async () => {
    await tell({ identities: [token(TOKEN)] });
    await ask(rig.port, bearer(TOKEN));
    expect(server.requests[0]?.headers).not.toHaveProperty('authorization');
  });

  test('attack: no token is in the state, nor in what is reported', async () => {
    await tell({ identities: [token(TOKEN)] });
    for (const text of [TOKEN, OTHERS]) await ask(rig.port, bearer(text));
    await rig.stop();
    const written = ['state.json', 'callers.json'].map((name) => readFileSync(join(rig.folder, name), 'utf8')).join('');
    expect(written).toContain('checkout');
    for (const text of [TOKEN, OTHERS]) expect(written + rig.reports.join()).not.toContain(text);
  });

  test('attack: a flood of made-up names is bounded, and declared consumers are seen all the same', async () => {
    await tell({ identities: [token(TOKEN)] });
    for (let at = 0; at < 1100; at += 50)
      await Promise.all(Array.from({ length: 50 }, (_, each) => ask(rig.port, { caller: `made-up-${at + each}` })));
    await ask(rig.port, bearer(TOKEN));
    const [model] = (await rig.client.callers()).models;
    expect(model?.callers.filter(({ kind }) => kind === 'unknown')).toHaveLength(1000);
    expect(model?.overflow).toEqual({ requests: 100, refused: 0 });
    expect(model?.callers).toContainEqual(expect.objectContaining({ kind: 'declared', id: 'checkout' }));
  });

  test('callers of models that are not served here are not counted', async () => {
    await ask(rig.port, { path: '/v2/models/none/infer', caller: 'somebody' });
    await ask(rig.port, { path: '/nothing', caller: 'somebody' });
    expect((await rig.client.callers()).models).toEqual([]);
  });
});

describe('client certificates', () => {
  let callers: Callers;
  const make = (name: string): X509Certificate => {
    const folder = temporaryFolder(cleanup);
    const [key, out] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const subject = ['-subj', `/O=Acme/CN=${name}`, '-days', '1', '-nodes'];
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
    execFileSync('openssl', ['req', '-x509', ...curve, ...subject, '-keyout', key, '-out', out], { stdio: 'ignore' });
    return new X509Certificate(readFileSync(out));
  };
  const take = async (overrides: Partial<ConsumerPredicate>): Promise<void> => {
    const { refused } = await callers.admit([world.consumer(overrides).envelope]);
    expect(refused).toEqual([]);
  };
  beforeEach(() => {
    world = createWorld();
    const state = temporaryFolder(cleanup);
    callers = new Callers({ environment: 'test', state, isServed: () => true, report: () => undefined });
    cleanup.add(() => callers.close());
    callers.follow(verifyPolicies(world.root, [world.policyEnvelope]));
  });

  test('a consumer is known by its key, or by its subject, to the letter', async () => {
    const [own, other] = [holderOf(make('checkout')), holderOf(make('checkout'))];
    await take({ identities: [{ kind: 'certificate', spki: own.spki }] });
    await take({ consumer: 'billing', identities: [{ kind: 'subject', subject: 'O=Acme, CN=billing' }] });
    expect(callers.identify({}, own)).toEqual({ kind: 'declared', id: 'checkout' });
    expect(callers.identify({}, other)).toEqual({ kind: 'unknown', id: `certificate:${other.spki.slice(0, 12)}` });
    expect(callers.identify({}, holderOf(make('billing')))).toEqual({ kind: 'declared', id: 'billing' });
    expect(callers.identify({}, holderOf(make('Billing'))).kind).toBe('unknown');
  });

  test('attack: a name that holds a whole subject is not that subject', async () => {
    await take({ identities: [{ kind: 'subject', subject: 'O=Acme, CN=checkout' }] });
    const { subject } = holderOf(make('x, O=Acme, CN=checkout'));
    expect(subject).not.toContain('CN=x, O=Acme');
    expect(callers.identify({}, { spki: sha256('x'), subject }).kind).toBe('unknown');
  });

  test('attack: a token that comes with the certificate of another consumer proves neither', async () => {
    const own = holderOf(make('checkout'));
    await take({ identities: [{ kind: 'certificate', spki: own.spki }] });
    await take({ consumer: 'billing', identities: [token(OTHERS)] });
    const caller = callers.identify({ authorization: `Bearer ${OTHERS}` }, own);
    expect(caller).toEqual({ kind: 'unknown', id: 'token-of:billing/certificate-of:checkout' });
    expect(callers.identify({ authorization: 'Bearer something-else' }, own).id).toBe('checkout');
  });

  test.each(['Basic abc', 'Bearer', 'Bearer a b', `Bearer ${'x'.repeat(5000)}`, 'Bearer "quoted"'])(
    'a header that bears no token, %s, is nobody’s',
    (authorization) => expect(callers.identify({ authorization }, null).kind).toBe('anonymous'),
  );

  test('attack: a name with spaces, of nothing or too long is no name', () => {
    for (const name of ['a b', '', 'x'.repeat(201), 'ünknown'])
      expect(callers.identify({ 'x-custody-caller': name }, null)).toEqual({ kind: 'anonymous', id: '' });
  });
});
