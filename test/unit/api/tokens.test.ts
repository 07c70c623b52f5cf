import { createHmac, randomBytes } from 'node:crypto';
import {
  exportJWK,
  exportSPKI,
  generateKeyPair,
  importJWK,
  importPKCS8,
  SignJWT,
  UnsecuredJWT,
  type CryptoKey,
} from 'jose';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Policy } from '../../../domain/policy.js';
import type { SignedEnvelope } from '../../../domain/statements.js';
import { policyDigest } from '../../../formats/policy.js';
import { sha256 } from '../../../formats/sha256.js';
import { keyRing, verifyStatement } from '../../../formats/statements.js';
import { importPublicKey } from '../../../formats/keys.js';
import { AUDIENCE, Issuer, SUBJECT } from '../../support/issuer.js';
import { BODY, pinned, startRig, type Rig } from './rig.js';

let issuer: Issuer;
let rig: Rig;

beforeAll(async () => {
  issuer = await Issuer.start();
});
afterAll(() => issuer.stop());
beforeEach(async () => {
  rig = await startRig(issuer);
});
afterEach(() => rig.stop());

/** Asked with the token: how it was refused, having left nothing of the token anywhere. */
async function refused(token: string): Promise<{ status: number; code: string | undefined; message: string }> {
  const { status, body } = await rig.ask(token);
  expect(rig.log() + (await rig.metrics()) + JSON.stringify(body)).not.toContain(token.split('.')[1]);
  return { status, code: body.code, message: body.message ?? '' };
}

const now = (): number => Math.floor(Date.now() / 1000);

describe('a token that the provider itself has given', () => {
  test('gets a request signed by the api, in the name of the workload, that says what the token said', async () => {
    const token = await issuer.token();
    const { status, body } = await rig.ask(token);
    expect(status, JSON.stringify(body)).toBe(201);
    const request = body['request'] as SignedEnvelope;
    expect(body).toMatchObject({ workflowId: 'lifecycle/digits/1.0.0', input: { request } });
    const { policy, environment } = rig.world;
    const { signers, predicate } = verifyStatement(request, 'request', keyRing(policy));
    expect(signers).toEqual(['api']);
    expect(predicate).toMatchObject({
      requester: 'pipeline',
      environment,
      policy: policyDigest(policy),
      workflowId: 'lifecycle/digits/1.0.0',
      action: { kind: 'release', source: BODY.source, bundle: BODY.bundle, provenance: BODY.provenance },
      identity: {
        issuer: issuer.url,
        subject: SUBJECT,
        audience: AUDIENCE,
        claims: { sub: SUBJECT, event_name: 'push' },
        token: sha256(token),
      },
    });
    expect(Date.parse(predicate.expiresAt) - Date.parse(predicate.issuedAt)).toBe(3_600_000);
  });

  test('may ask again, for a call that was cut off: each request has a nonce of its own and names the token', async () => {
    const token = await issuer.token();
    const answers = await Promise.all([rig.ask(token), rig.ask(token)]);
    const said = answers.map(
      ({ body }) => verifyStatement(body['request'], 'request', keyRing(rig.world.policy)).predicate,
    );
    expect(said[0]?.nonce).not.toBe(said[1]?.nonce);
    expect(said[0]?.identity?.token).toBe(said[1]?.identity?.token);
  });

  test('leaves nothing of itself in the answer, the log or the metrics', async () => {
    const token = await issuer.token();
    const { body } = await rig.ask(token);
    const envelope = body['request'] as SignedEnvelope;
    const payload = Buffer.from(envelope.payload, 'base64').toString('utf8');
    const everything = [JSON.stringify(body), payload, rig.log(), await rig.metrics()].join('\n');
    for (const part of token.split('.')) expect(everything).not.toContain(part);
    expect(rig.log()).toContain(sha256(token));
  });
});

describe('a forged token', () => {
  const signedBy = async (alg: string, claims = issuer.claims()): Promise<string> => {
    const { privateKey } = await generateKeyPair(alg, { extractable: true });
    return new SignJWT(claims).setProtectedHeader({ alg, kid: issuer.jwk.kid ?? '' }).sign(privateKey);
  };

  test.each(['RS256', 'PS256', 'ES256', 'EdDSA'])('attack: signed by another key (%s) is refused', async (alg) => {
    expect(await refused(await signedBy(alg))).toMatchObject({ status: 401, code: 'SIGNATURE_INVALID' });
  });

  test('attack: with the algorithm none is refused', async () => {
    const token = new UnsecuredJWT(issuer.claims()).encode();
    expect(await refused(token)).toMatchObject({ status: 401, message: expect.stringContaining('algorithm') });
  });

  test.each(['None', 'nOnE', 'HS256', 'HS512', 'RS1', ''])('attack: with the algorithm %s is refused', async (alg) => {
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const token = `${part({ alg, kid: issuer.jwk.kid })}.${part(issuer.claims())}.${randomBytes(32).toString('base64url')}`;
    expect(await refused(token)).toMatchObject({ status: 401, message: expect.stringContaining('algorithm') });
  });

  test("attack: made with the issuer's public key as the secret of HS256 is refused", async () => {
    const { e, n, kty } = issuer.jwk;
    const pem = importPem(await importJWK({ e: e ?? '', n: n ?? '', kty: kty ?? '' }, 'RS256'));
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const message = `${part({ alg: 'HS256', kid: issuer.jwk.kid })}.${part(issuer.claims())}`;
    for (const secret of [await pem, JSON.stringify(issuer.jwk)]) {
      const token = `${message}.${createHmac('sha256', secret).update(message).digest('base64url')}`;
      expect(await refused(token)).toMatchObject({ status: 401, message: expect.stringContaining('algorithm') });
    }
  });

  test('attack: with a key of its own in its header is refused', async () => {
    const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
    const jwk = await exportJWK(publicKey);
    const header = { alg: 'ES256', jwk, jku: 'http://127.0.0.1:9/keys', kid: issuer.jwk.kid ?? '' };
    const token = await new SignJWT(issuer.claims()).setProtectedHeader(header).sign(privateKey);
    expect(await refused(token)).toMatchObject({ status: 401, code: 'SIGNATURE_INVALID' });
  });

  const CLAIMS: [string, () => Record<string, unknown>, number, RegExp][] = [
    ['that has expired', () => ({ iat: now() - 400, exp: now() - 31 }), 401, /expired/],
    ['that is not yet valid', () => ({ nbf: now() + 31 }), 401, /nbf/],
    ['that is issued in the future', () => ({ iat: now() + 60 }), 401, /iat/],
    ['that never expires', () => ({ exp: undefined }), 401, /exp/],
    ['that does not say when it was issued', () => ({ iat: undefined }), 401, /iat/],
    ['that was issued more than an hour ago', () => ({ iat: now() - 3700, exp: now() + 300 }), 401, /expired/],
    ['for another audience', () => ({ aud: 'sts.amazonaws.com' }), 401, /aud/],
    ['for no audience', () => ({ aud: undefined }), 401, /aud/],
    ['of nobody', () => ({ sub: undefined }), 401, /sub/],
    ['of another issuer', () => ({ iss: 'https://evil.example' }), 401, /does not name its issuer/],
    ['of no issuer', () => ({ iss: undefined }), 401, /does not name its issuer/],
    ['of an issuer that differs in one slash', () => ({ iss: `${issuer.url}/` }), 401, /does not name its issuer/],
    ['of another subject', () => ({ sub: 'acme-digits-pull-request' }), 403, /claims are not those/],
    ['whose pinned claim says something else', () => ({ event_name: 'pull_request' }), 403, /claims are not those/],
    ['whose pinned claim is missing', () => ({ event_name: undefined }), 403, /claims are not those/],
    ['whose pinned claim is a list with the value', () => ({ event_name: ['push'] }), 403, /claims are not those/],
    ['whose pinned claim differs in case', () => ({ event_name: 'Push' }), 403, /claims are not those/],
  ];
  test.each(CLAIMS)('attack: %s is refused, though the issuer signed it', async (_, claims, status, message) => {
    const asked = issuer.asked.length;
    expect(await refused(await issuer.sign(claims()))).toMatchObject({
      status,
      message: expect.stringMatching(message),
    });
    expect(issuer.asked.slice(asked).filter((path) => !/jwks|well-known/.test(path))).toEqual([]);
  });

  test('clocks may differ by seconds', async () => {
    const token = await issuer.sign({ nbf: now() + 15, iat: now() + 15, exp: now() - 15 + 60 });
    expect((await rig.ask(token)).status).toBe(201);
  });

  test('attack: cut, extended, huge or no token at all is refused', async () => {
    const token = await issuer.token();
    const [header = '', payload = ''] = token.split('.');
    for (const bad of [`${header}.${payload}`, `${header}.${payload}.`, `${token}.${payload}`, 'x', `${token}AAAA`])
      expect(await refused(bad), bad).toMatchObject({ status: 401 });
    const claims = { ...issuer.claims(), pad: 'x'.repeat(9000) };
    expect(await rig.ask(await issuer.sign(claims))).toMatchObject({ status: 401 });
    expect((await rig.ask(null)).headers.get('www-authenticate')).toBe('Bearer');
    const basic = await rig.ask(null, BODY, { headers: { authorization: `Basic ${token}` } });
    expect(basic.status).toBe(401);
    expect(rig.log()).not.toContain(payload);
  });

  test('attack: a policy cannot be got around by whoever holds the role of requester without tokens', async () => {
    expect(await refused(await issuer.sign({ sub: 'rita' }))).toMatchObject({ status: 403 });
  });
});

describe('the policy', () => {
  test('attack: a token counts no more once the newest policy has removed its workload', async () => {
    const token = await issuer.token();
    expect((await rig.ask(token)).status).toBe(201);
    const { world } = rig;
    const next = world.nextPolicy((p) => ({ ...p, authorities: p.authorities.filter(({ id }) => id !== 'pipeline') }));
    await rig.policies.deliver([world.policyEnvelope, next.envelope]);
    expect(await rig.ask(token)).toMatchObject({ status: 401, body: { message: expect.stringContaining('issuer') } });
  });

  test('attack: an older chain brings it back neither now nor after a restart', async () => {
    const { world } = rig;
    const next = world.nextPolicy((p) => ({ ...p, authorities: p.authorities.filter(({ id }) => id !== 'pipeline') }));
    await rig.policies.deliver([world.policyEnvelope, next.envelope]);
    await rig.policies.deliver([world.policyEnvelope]);
    expect((await rig.ask(await issuer.token())).status).toBe(401);
    const { DeliveredPolicies } = await import('../../../api/policies.js');
    const again = new DeliveredPolicies(world.root, rig.folder);
    await again.deliver([world.policyEnvelope]);
    expect(again.version).toBe(2);
  });

  test('attack: a policy that the pinned root has not signed is refused', async () => {
    const { keys, nextPolicy, policy, policyEnvelope } = rig.world;
    const forged = nextPolicy((p) => p, policy, [keys.control]);
    await expect(rig.policies.deliver([policyEnvelope, forged.envelope])).rejects.toMatchObject({
      code: 'SIGNATURE_INVALID',
    });
  });

  const CANNOT: [string, (p: Policy) => Policy, number, string][] = [
    ['has expired', (p) => ({ ...p, expires: new Date(Date.now() - 1000).toISOString() }), 403, 'POLICY_EXPIRED'],
    [
      'gives the role api to another key',
      (p) => ({
        ...p,
        authorities: p.authorities.map((held) =>
          held.id === 'api' ? { ...held, keys: [{ pem: rig.world.pems.mallory.publicPem }] } : held,
        ),
      }),
      403,
      'NOT_AUTHORISED',
    ],
  ];
  test.each(CANNOT)(
    'nothing is signed once it %s, and the listener says that it is not ready',
    async (_, edit, status, code) => {
      const { world } = rig;
      await rig.policies.deliver([world.policyEnvelope, world.nextPolicy(edit).envelope]);
      expect(await rig.ask(await issuer.token())).toMatchObject({ status, body: { code } });
      const ready = await fetch(`${rig.url}/readyz`);
      expect(ready.status).toBe(status);
    },
  );

  test('before the first one nothing is signed', async () => {
    const empty = await startRig(issuer, { deliver: [] });
    try {
      expect(await empty.ask(await issuer.token())).toMatchObject({ status: 503, body: { code: 'PENDING' } });
      expect((await fetch(`${empty.url}/readyz`)).status).toBe(503);
      expect((await fetch(`${empty.url}/healthz`)).status).toBe(200);
    } finally {
      await empty.stop();
    }
  });
});

describe('the keys of an issuer', () => {
  const fetches = (): number => issuer.asked.filter((path) => path.startsWith('/jwks')).length;

  test('are asked for once, whoever asks at the same time', async () => {
    const token = await issuer.token();
    const before = fetches();
    const answers = await Promise.all(Array.from({ length: 20 }, () => rig.ask(token)));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 201));
    expect(fetches() - before).toBe(1);
  });

  test('a new one is accepted once it is published, and the old one no longer', async () => {
    const old = await issuer.token();
    expect((await rig.ask(old)).status).toBe(201);
    await issuer.rotate();
    const token = await issuer.token();
    expect((await rig.ask(token)).status).toBe(401);
    rig.pass(30_000);
    expect((await rig.ask(token)).status).toBe(201);
    expect((await rig.ask(old)).status).toBe(401);
  });

  test('a withdrawn one counts no longer than ten minutes', async () => {
    const old = await issuer.token();
    expect((await rig.ask(old)).status).toBe(201);
    await issuer.rotate();
    expect((await rig.ask(old)).status).toBe(201);
    rig.pass(600_000);
    expect((await rig.ask(old)).status).toBe(401);
  });

  test('attack: tokens that name keys nobody knows make nobody ask more than once in thirty seconds', async () => {
    await rig.ask(await issuer.token());
    const before = fetches();
    const forged = await Promise.all(Array.from({ length: 50 }, (_, at) => issuer.sign({}, { kid: `unknown-${at}` })));
    for (const token of forged) expect((await rig.ask(token)).status).toBe(401);
    expect(fetches() - before).toBe(0);
    rig.pass(30_000);
    for (const token of forged) expect((await rig.ask(token)).status).toBe(401);
    expect(fetches() - before).toBe(1);
  });

  const MISBEHAVING: [string, (path: string) => { status: number; body: string; headers?: Record<string, string> }][] =
    [
      ['names another issuer', () => json({ issuer: 'https://evil.example', jwks_uri: `${issuer.url}/jwks` })],
      ['names itself with a slash more', () => json({ issuer: `${issuer.url}/`, jwks_uri: `${issuer.url}/jwks` })],
      ['has its keys elsewhere without TLS', () => json({ issuer: issuer.url, jwks_uri: 'http://keys.example/jwks' })],
      ['is no JSON', () => ({ status: 200, body: '<html>sign in</html>' })],
      ['redirects', () => ({ status: 302, body: '', headers: { location: `${issuer.url}/else` } })],
      ['fails', () => ({ status: 500, body: '{}' })],
      ['is endless', () => ({ status: 200, body: `{"pad":"${'x'.repeat(300_000)}"}` })],
    ];
  const json = (value: unknown) => ({ status: 200, body: JSON.stringify(value) });
  test.each(MISBEHAVING)('attack: are not taken from a discovery document that %s', async (_, answer) => {
    const other = await Issuer.start();
    try {
      const token = await other.token();
      const own = await startRig(other);
      other.behave((incoming, outgoing) => {
        const { status, body, headers = {} } = answer(incoming.url ?? '');
        outgoing.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
      });
      try {
        const before = other.asked.length;
        expect(await own.ask(token)).toMatchObject({ status: 503, body: { code: 'ISSUER_UNAVAILABLE' } });
        // One that has failed is not asked again for each token.
        for (let again = 0; again < 5; again += 1) expect((await own.ask(token)).status).toBe(503);
        expect(other.asked.length - before).toBe(1);
        await other.rotate();
        own.pass(5_000);
        expect((await own.ask(await other.token())).status).toBe(201);
      } finally {
        await own.stop();
      }
    } finally {
      await other.stop();
    }
  });

  test('attack: a secret in the key set makes no key', async () => {
    const secret = randomBytes(32);
    const other = await Issuer.start();
    const own = await startRig(other, { policy: (p) => pinned(other.url)(p) });
    try {
      const k = secret.toString('base64url');
      other.behave((incoming, outgoing) => {
        const isKeys = incoming.url === '/jwks';
        const body = isKeys
          ? { keys: [{ kty: 'oct', k, kid: 'shared', alg: 'HS256' }] }
          : { issuer: other.url, jwks_uri: `${other.url}/jwks` };
        outgoing.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      });
      const token = await new SignJWT(other.claims()).setProtectedHeader({ alg: 'HS256', kid: 'shared' }).sign(secret);
      expect((await own.ask(token)).status).toBe(401);
      expect((await own.ask(await other.sign({}, { kid: 'shared' }))).status).toBe(401);
    } finally {
      await own.stop();
      await other.stop();
    }
  });
});

async function importPem(key: CryptoKey | Uint8Array): Promise<string> {
  if (key instanceof Uint8Array) throw new Error('not a public key');
  return exportSPKI(key);
}

test('attack: the api has no key by which tokens could be made: its own is of another kind than theirs', async () => {
  const { algorithm } = importPublicKey(rig.world.pems.api.publicPem);
  expect(algorithm).toBe('ed25519');
  const own = await importPKCS8(rig.world.pems.api.privatePem, 'EdDSA');
  const token = await new SignJWT(issuer.claims()).setProtectedHeader({ alg: 'EdDSA' }).sign(own);
  expect(await refused(token)).toMatchObject({ status: 401 });
});
