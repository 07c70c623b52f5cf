import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CustodyError } from '../../../domain/errors.js';
import { sha256 } from '../../../formats/sha256.js';
import { operationsOf } from '../../../vault/requests.js';
import { openVault } from '../../../vault/vault.js';
import { ALERT_TOKEN, BODY, startRig as startApi, type Rig as Api } from '../api/rig.js';
import { Cleanup, startRig, type Rig } from '../gateway/rig.js';
import { logVerifier } from '../../support/log-key.js';
import { createWorld } from '../../support/world.js';

const RUNS = { numRuns: 60, seed: 1 };
const cleanup = new Cleanup();
afterAll(() => cleanup.run());

type Path = readonly string[];

function pathsIn(value: unknown, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, each]) => pathsIn(each, [...path, key]))];
}

/** The same with something else in one place, or with nothing there. */
function changed(value: unknown, [key, ...rest]: Path, to: unknown): unknown {
  if (key === undefined) return to;
  const entries = Object.entries(value as object).map(([name, each]) => [
    name,
    name === key ? changed(each, rest, to) : each,
  ]);
  return Array.isArray(value) ? entries.map(([, each]) => each as unknown) : Object.fromEntries(entries);
}

const NASTY = fc.oneof(
  fc.constantFrom<unknown>(
    undefined,
    null,
    '',
    {},
    [],
    -1,
    1e400,
    'x'.repeat(10_000),
    JSON.parse('{"__proto__":{"a":1}}'),
  ),
  fc.jsonValue({ maxDepth: 3 }),
  fc.string({ unit: 'binary' }),
);

/** Whatever anybody sends instead of what is good, as text. */
function insteadOf(good: unknown): fc.Arbitrary<string> {
  const paths = pathsIn(good);
  const near = fc
    .tuple(fc.constantFrom(...paths), NASTY)
    .map(([path, to]) => JSON.stringify(changed(good, path, to)) ?? '');
  return fc.oneof(
    { weight: 4, arbitrary: near },
    { weight: 1, arbitrary: fc.json() },
    { weight: 1, arbitrary: fc.string() },
  );
}

const world = createWorld();
const release = world.release();
const digest = sha256('x');
const blob = 'a'.repeat(32);
const { policyEnvelope } = world;
const policies = [policyEnvelope];
const { manifest, bundle, admission, provenance } = release.evidence;
const { envelope: signed } = world.status();

describe('the vault', () => {
  let operations: ReturnType<typeof operationsOf>;
  beforeAll(async () => {
    const state = mkdtempSync(join(tmpdir(), 'custody-vault-'));
    cleanup.add(() => rmSync(state, { recursive: true, force: true }));
    operations = operationsOf(await openVault({ state, root: world.root, log: logVerifier }));
  });

  const retired = world.retirement(release).evidence;
  const GOOD = {
    'create/claim': { sha256: digest, size: 1, release: digest },
    'create/stored': { sha256: digest, blob, versionId: 'v', ciphertext: digest, ciphertextSize: 1 },
    'create/reopen': {
      sha256s: [digest],
      evidence: { base: release.evidence, manifest, bundle, admission, provenance },
    },
    'open/open': { sha256s: [digest], evidence: release.evidence },
    'recover/recover': {
      sha256s: [digest],
      evidence: { policies, manifest, question: signed, proof: 'c2sp.org/tlog-proof@v1\n' },
    },
    'destroy/destroy': { release: release.release, evidence: retired, revocation: signed },
    'destroy/probe': { blob },
    'destroy/holdings': { release: release.release, sha256s: [digest] },
    'destroy/hold': { evidence: { policies, manifest, hold: signed } },
    'destroy/lift': { evidence: { policies, manifest, request: signed, approvals: [signed] } },
  };

  it('has an operation for each of these bodies, and no other', () => {
    const all = Object.entries(operations).flatMap(([socket, each]) =>
      Object.keys(each).map((name) => `${socket}/${name}`),
    );
    expect(all.sort()).toEqual(Object.keys(GOOD).sort());
  });

  it.each(Object.entries(GOOD))('%s does what it is asked or refuses, whatever it is sent', async (path, good) => {
    const [socket = '', name = ''] = path.split('/');
    const operation = operations[socket as keyof typeof operations][name];
    await fc.assert(
      fc.asyncProperty(insteadOf(good), async (text) => {
        try {
          await operation?.answer(JSON.parse(text));
        } catch (error) {
          if (error instanceof SyntaxError) return; // No JSON: `listen` refuses it before.
          expect(error).toBeInstanceOf(CustodyError);
          expect((error as CustodyError).code).not.toBe('INTERNAL');
        }
      }),
      RUNS,
    );
  });
});

/** The status that is answered to a body over a socket. */
function statusOf(socketPath: string, method: string, path: string, body: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, method, path }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode ?? 0));
    });
    sent.on('error', reject).end(body);
  });
}

describe('the admin side of a gateway', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await startRig(world, cleanup);
    await rig.serve(release);
    await rig.inService(release);
  });

  const consumer = world.consumer().envelope;
  const GOOD: Readonly<Record<string, unknown>> = {
    '/policies': { policies },
    '/routes': world.inService(release).at(-1)?.delivery,
    '/kills': world.kill().envelope,
    '/status': signed,
    '/replicas': world.replica(release).envelope,
    '/consumers': { consumers: [consumer] },
    '/nothing': {},
    '/constructor': {},
  };

  it.each(Object.entries(GOOD))('POST %s does what it is asked or refuses, whatever it is sent', async (path, good) => {
    const socket = join(rig.folder, 'admin.sock');
    await fc.assert(
      fc.asyncProperty(insteadOf(good), async (text) => {
        expect(await statusOf(socket, 'POST', path, text)).toBeOneOf([200, 400, 403, 404, 409, 422, 503]);
      }),
      RUNS,
    );
    expect(rig.reports).toEqual([]);
    expect((await rig.model()).model).toBe('digits');
  });
});

describe('the api', () => {
  let api: Api;
  beforeAll(async () => {
    api = await startApi(null, { courier: async () => undefined });
    cleanup.add(() => api.stop());
  });
  const post = async (path: string, token: string, body: string): Promise<number> => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
    return (await fetch(`${api.url}${path}`, { method: 'POST', headers, body })).status;
  };
  const notification = {
    ...{ version: '4', groupKey: 'g', status: 'firing' },
    alerts: [
      {
        ...{ status: 'firing', labels: { alertname: 'Leak', model: 'digits', severity: 'warning' }, annotations: {} },
        ...{ startsAt: '2026-11-28T10:00:00.000Z', fingerprint: 'f' },
      },
    ],
  };

  it('POST /v1/alerts signs or refuses, whatever it is sent', async () => {
    await fc.assert(
      fc.asyncProperty(insteadOf(notification), async (text) => {
        expect(await post('/v1/alerts', ALERT_TOKEN, text)).toBeOneOf([200, 202, 400, 403, 409, 413, 429]);
      }),
      RUNS,
    );
  });

  it('POST /v1/requests/release refuses whatever is no token, whatever comes with it', async () => {
    const part = fc.oneof(
      fc.json().map((text) => Buffer.from(text).toString('base64url')),
      fc.constantFrom('e30', 'eyJhbGciOiJub25lIn0', '', 'A'),
    );
    const token = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('.'));
    await fc.assert(
      fc.asyncProperty(token, insteadOf(BODY), async (given, text) => {
        expect(await post('/v1/requests/release', given, text)).toBeOneOf([400, 401, 403]);
      }),
      RUNS,
    );
    expect(await api.metrics()).not.toMatch(/code="INTERNAL"/);
  });
});
