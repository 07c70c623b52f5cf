import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { StoreAdmin } from '../../adapters/object-store/admin.js';
import { provenanceBeside } from '../../client/provenance.js';
import type { Authority, Policy } from '../../domain/policy.js';
import { replaceFile } from '../../client/files.js';
import { lifecycleStatus, outcomeOf } from '../../client/messages.js';
import { signEnvelope } from '../../formats/dsse.js';
import { PAYLOAD_TYPE } from '../../formats/in-toto.js';
import { Bench, FIRST, MODEL } from './harness.js';

/** Production is started last, since its policy names keys of test. */
let dev: Bench;
let testing: Bench;
let prod: Bench;
const benches: Bench[] = [];

const workload = (id: string, role: 'verifier' | 'producer', pem: string): Authority => ({
  ...{ id, kind: 'workload', roles: [role] },
  keys: [{ pem }],
});

/** Releases come from test alone, whose producer they bear the signature of. */
const promoting = (policy: Policy): Policy => ({
  ...policy,
  promotion: { from: 'test', maxAgeSeconds: 3600 },
  authorities: [
    ...policy.authorities,
    workload('test-signer', 'verifier', testing.key('release-signer').pem),
    workload('test-trainer', 'producer', testing.key('trainer').pem),
  ],
});

async function start(environment: string, edit?: (policy: Policy) => Policy): Promise<Bench> {
  const bench = await Bench.start(edit, { environment });
  benches.push(bench);
  return bench;
}

beforeAll(async () => {
  dev = await start('dev');
  // What its vault is opened by, for the matrix. Then it is left alone: three stacks share the processors.
  await dev.putFirstInService();
  await dev.load.stop();
  testing = await start('test');
  prod = await start('prod', promoting);
}, 600_000);
afterAll(async () => {
  for (const bench of benches) await bench.stop();
}, 120_000);

interface Cell {
  readonly of: string;
  readonly on: string;
  readonly service: string;
  readonly credential: string;
  readonly state: string;
  readonly how: string;
  readonly caveat?: string;
}

async function matrix(): Promise<{ code: number; cells: readonly Cell[]; bad: readonly Cell[] }> {
  const ended = await prod.cli('--json', 'doctor', '--isolation', '--with', testing.state, dev.state);
  const { cells } = JSON.parse(ended.stdout) as { cells: readonly Cell[] };
  if (!Array.isArray(cells)) throw new Error(`${ended.stdout} ${ended.stderr}`);
  return { code: ended.code, cells, bad: cells.filter(({ state }) => state !== 'refused') };
}

const bundle = (): string => join(testing.folder, 'promotion');
const promoted = (summary = join(bundle(), 'summary.intoto.jsonl')): readonly string[] => [
  ...['release', join(bundle(), 'release'), '--bundle', join(bundle(), 'release.sig.json')],
  ...['--promotion', summary, '--key', 'ci'],
];

describe('from test to production', () => {
  test('a release that serves in test is verified there, and its folder takes it into production', async () => {
    await testing.putFirstInService();
    const files = join(testing.folder, `release-${MODEL}-${FIRST.version}`);
    const made = await testing.cli(
      'promote',
      `${MODEL}@${FIRST.version}`,
      '--files',
      files,
      '--out',
      bundle(),
      '--key',
      'otto',
    );
    expect(made).toMatchObject({ code: 0 });
    const log = await testing.log();
    expect(log).toContainEqual(expect.objectContaining({ change: 'release.promoted' }));
  });

  test('attack: without its summary, and with a forged one, it is refused before a workflow begins', async () => {
    const bare = promoted().filter((_, at) => at !== 4 && at !== 5);
    const refused = await prod.cli(...bare);
    expect(refused).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/POLICY_REFUSED .*environment test/) as string,
    });
    const own = join(prod.folder, 'own.intoto.jsonl');
    const envelope = JSON.parse(readFileSync(join(bundle(), 'summary.intoto.jsonl'), 'utf8')) as { payload: string };
    const signed = signEnvelope(PAYLOAD_TYPE, Buffer.from(envelope.payload, 'base64'), [prod.key('release-signer')]);
    replaceFile(own, JSON.stringify(signed));
    const forged = await prod.cli(...promoted(own));
    expect(forged).toMatchObject({ code: 4, stderr: expect.stringMatching(/release-signer may not verify/) as string });
  });

  test('attack: intake refuses for itself what the command would not have sent: none, and that of another release', async () => {
    const key = testing.key('trainer');
    const summary = join(bundle(), 'summary.intoto.jsonl');
    const cases = [
      ['9.0.0', {}, /only with a verification summary/],
      ['9.0.1', { promotion: summary }, /another release/],
    ] as const;
    for (const [version, further, why] of cases) {
      await prod.start({ ...(await prod.source(version, { key })), ...further });
      const outcome = await outcomeOf(prod.custody, { model: MODEL, version });
      expect(outcome).toMatchObject({
        kind: 'rejected',
        stage: 'ingest',
        reason: expect.stringMatching(why) as string,
      });
    }
    expect(await prod.keys('blobs/')).toEqual([]);
  });

  test('with it, production looks at everything anew, asks its own people, and lists who verified it before', async () => {
    // Carried over by hand, as between hosts.
    cpSync(bundle(), join(prod.folder, 'promotion'), { recursive: true });
    expect(provenanceBeside(join(bundle(), 'release.sig.json'))).toBe(join(bundle(), 'release.provenance.json'));
    expect(await prod.cli(...promoted())).toMatchObject({ code: 0 });
    const waiting = await prod.openGate(FIRST.version);
    expect(await prod.tell(waiting.workflowId, 'approve', await prod.decision('alice', waiting))).toBe('accepted');
    await prod.reached(FIRST.version, 'in service');
    const { progress } = await lifecycleStatus(prod.custody, FIRST);
    expect(progress.ingested?.promotion).toMatch(/^[0-9a-f]{64}$/);
    const verified = await prod.cli('verify', MODEL, FIRST.version);
    expect(verified).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/promotion.*urn:custody:verifier:test verified it at .*, by test-signer/) as string,
    });
    const shown = await prod.cli('show', `${MODEL}@${FIRST.version}`);
    expect(shown).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(
        /✔ promotion +urn:custody:verifier:test verified it at .*\n.*by test-signer/,
      ) as string,
    });
  });
});

describe('custody doctor --isolation', () => {
  test('tries every credential of each environment on every service of the others: all are refused', async () => {
    const { code, cells, bad } = await matrix();
    expect(bad).toEqual([]);
    expect(code).toBe(0);
    const pairs = new Set(cells.map(({ of, on }) => `${of} ${on}`));
    expect([...pairs].sort()).toEqual(['dev prod', 'dev test', 'prod dev', 'prod test', 'test dev', 'test prod']);
    const services = new Set(cells.map(({ service }) => service));
    expect([...services].sort()).toEqual(
      ['api', 'audit desk', 'files and sockets', 'gateway', 'policy', 'root', 'store', 'temporal', 'vault'].sort(),
    );
    expect(
      cells.find(({ of, on, credential }) => of === 'test' && on === 'prod' && credential === 'key release-signer'),
    ).toMatchObject({ how: expect.stringMatching(/verifier of test, and lets it do nothing/) as string });
    const anybody = cells.filter(({ caveat }) => caveat !== undefined);
    expect(new Set(anybody.map(({ credential }) => credential))).toEqual(new Set(['user of serving']));
    const text = await prod.cli('doctor', '--isolation', '--with', testing.state, dev.state);
    expect(text.stdout).toContain('who may knock at Temporal is not controlled');
    expect(text.stdout).toContain('user of serving of prod: it may start processes as another user');
  });

  test('attack: an account of one store that has the same secret in another is found', async () => {
    const { store } = dev.custody.description;
    const secrets = (bench: Bench): Record<string, string> =>
      JSON.parse(readFileSync(join(bench.state, 'store-secrets.json'), 'utf8')) as Record<string, string>;
    const admin = new StoreAdmin({ ...store, accessKey: 'admin', secretKey: secrets(dev)['admin'] ?? '' });
    await admin.ensureAccount('training', secrets(prod)['training'] ?? '');
    try {
      const { code, bad } = await matrix();
      expect(code).toBe(3);
      expect(bad).toEqual([
        expect.objectContaining({
          ...{ of: 'prod', on: 'dev', service: 'store', credential: 'account training', state: 'accepted' },
          how: expect.stringMatching(/it lists dev-custody/) as string,
        }),
      ]);
    } finally {
      await admin.ensureAccount('training', secrets(dev)['training'] ?? '');
    }
    expect((await matrix()).code).toBe(0);
  });
});
