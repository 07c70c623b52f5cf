import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { detectSandbox, hostIsolation } from '../../adapters/sandbox/sandbox.js';
import type { PackedRelease } from '../../adapters/source/pack.js';
import type { Isolation } from '../../domain/isolation.js';
import type { Policy, SuiteRule } from '../../domain/policy.js';
import { sha256 } from '../../formats/sha256.js';
import { trainAndPack } from '../../examples/digits/ship.js';
import type { Intake } from '../unit/ingest/intake.js';
import { changed, intakeWith, outcomeOf, ruleOf, validate } from './trial.js';

const DIGITS = 'examples/digits';
const sandbox = await detectSandbox();

let folder: string;
let suiteBytes: Buffer;
let heldOut: Buffer;
const trained = new Map<string, PackedRelease>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cv-'));
  suiteBytes = await readFile(`${DIGITS}/suite.yaml`);
  heldOut = await readFile(`${DIGITS}/data/held-out.json`);
  for (const version of ['1.0.0', '1.2.0']) trained.set(version, await trainAndPack(version, join(folder, version)));
});
afterAll(() => rm(folder, { recursive: true }));

const release = (version: string): PackedRelease => trained.get(version) as PackedRelease;

/** An intake whose policy fixes the digits suite. */
const fixingSuite = (rule: Partial<SuiteRule> = {}, validation: Partial<Policy['validation']> = {}): Promise<Intake> =>
  intakeWith(
    [ruleOf(suiteBytes, { minimumCases: 20, minimumAccuracy: 0.88, ...rule })],
    [suiteBytes, heldOut],
    validation,
  );

it('finds a sandbox on the machine that runs these tests', () => {
  expect(sandbox).not.toBeNull();
});

const isolations = [...new Set<Isolation>([sandbox ?? 'none', 'none'])];

describe.each(isolations)('validating in isolation: %s', (isolation) => {
  const isolate = async (): Promise<Isolation> => isolation;
  const withSuite = (rule: Partial<SuiteRule> = {}, validation: Partial<Policy['validation']> = {}): Promise<Intake> =>
    fixingSuite(rule, isolation === 'none' ? { ...validation, allowUnisolated: true } : validation);

  it.each([
    ['1.0.0', 0.9],
    ['1.2.0', 0.96],
  ])('passes the really trained %s, accuracy above %d, in a signed test result', async (version, floor) => {
    const intake = await withSuite();
    const validated = await validate(intake, release(version), { isolate });
    expect(validated.failed).toEqual([]);
    expect(validated.passed).toBeGreaterThanOrEqual(21);
    expect(validated.accuracy).toBeGreaterThan(floor);

    const { verified } = await intake.records.get('testResult', validated.testResult);
    expect(verified).toMatchObject({ subject: release(version).release, signers: ['intake'] });
    expect(verified.predicate.result).toBe('PASSED');
    expect(verified.predicate.passedTests).toContain('accuracy/digits>=0.88');
    const { named, report } = await outcomeOf(intake, validated);
    expect(named).toMatchObject({
      'suite digits 1.0.0': sha256(suiteBytes),
      'data of suite digits 1.0.0': sha256(heldOut),
    });
    expect(named[`isolation: ${isolation}`]).toMatch(/^[0-9a-f]{64}$/);
    expect(report).toMatchObject({ isolation, verdict: 'PASSED', accuracy: validated.accuracy, remedy: null });
    expect(report.suites[0]?.labelled?.rows).toBe(397);
  });

  it('attack: a candidate that dies in the middle has failed, whatever it answered before', async () => {
    const { folder: from } = release('1.0.0');
    const original = await readFile(join(from, 'protocol.mjs'), 'utf8');
    const dying = original.replace(
      'export function parseInfer(body, model) {',
      'let asked = 0;\nexport function parseInfer(body, model) {\n  if ((asked += 1) > 12) process.exit(3);',
    );
    expect(dying).not.toBe(original);
    const validated = await validate(
      await withSuite(),
      await changed(release('1.0.0'), '1.0.1', { 'protocol.mjs': dying }),
      { isolate },
    );
    expect(validated.failed).toContain('accuracy/digits>=0.88');
    expect(validated.failed.length).toBeGreaterThan(10);
    expect(validated.accuracy).toBe(0);
  });

  it('attack: a candidate that never starts has failed in every case', async () => {
    const packed = await changed(release('1.0.0'), '1.0.2', { 'serve.mjs': 'throw new Error("no")' });
    const validated = await validate(await withSuite(), packed, { isolate });
    expect(validated.passed).toBe(0);
  });

  it('attack: a candidate that hangs is ended at the policy’s time-out, and has failed', async () => {
    const packed = await changed(release('1.0.0'), '1.0.3', { 'serve.mjs': 'setInterval(() => {}, 1000)' });
    const validated = await validate(await withSuite({}, { timeoutSeconds: 2 }), packed, { isolate });
    expect(validated.passed).toBe(0);
  });
});

describe('a host without a sandbox', () => {
  const nothingWorks = { kinds: [] };
  /** A candidate that leaves a trace wherever it is started. */
  const traced = async (version: string): Promise<{ packed: PackedRelease; trace: string }> => {
    const trace = join(folder, `started-${version}`);
    const script = `import { writeFileSync } from 'node:fs';\nwriteFileSync(${JSON.stringify(trace)}, '');\n`;
    return { packed: await changed(release('1.0.0'), version, { 'serve.mjs': script }), trace };
  };

  it('attack: whose intake says nothing of it starts no candidate', async () => {
    const { packed, trace } = await traced('1.1.0');
    const isolate = () => hostIsolation(nothingWorks);
    await expect(validate(await fixingSuite(), packed, { isolate })).rejects.toMatchObject({
      code: 'SANDBOX_UNAVAILABLE',
    });
    await expect(validate(await fixingSuite({}, { allowUnisolated: true }), packed, { isolate })).rejects.toMatchObject(
      { code: 'SANDBOX_UNAVAILABLE' },
    );
    expect(existsSync(trace)).toBe(false);
  });

  it('attack: whose intake alone says that it may be so starts no candidate either: the policy must say it, too', async () => {
    const { packed, trace } = await traced('1.1.1');
    const isolate = () => hostIsolation({ ...nothingWorks, mayBeNone: true });
    await expect(validate(await fixingSuite(), packed, { isolate })).rejects.toMatchObject({
      code: 'SANDBOX_UNAVAILABLE',
      message: expect.stringMatching(/validation.allowUnisolated/) as string,
    });
    expect(existsSync(trace)).toBe(false);
    expect(await validate(await fixingSuite({}, { allowUnisolated: true }), packed, { isolate })).toMatchObject({
      passed: 0,
    });
    expect(existsSync(trace)).toBe(true);
  });

  it('attack: where neither bubblewrap nor unshare can be run has no scan', async () => {
    const script = `
      const { createIsolatedInspector } = await import(${JSON.stringify(resolve('dist/adapters/scan/isolated.js'))});
      const { readRelease } = await import(${JSON.stringify(resolve('dist/adapters/source/folder.js'))});
      const source = await readRelease(${JSON.stringify(release('1.0.0').folder)}, { maxFiles: 100, maxFileBytes: 1e9 });
      try { console.log((await createIsolatedInspector()(source)).isolation); } catch (error) { console.log(error.code); }
    `;
    const tools = ['bwrap', 'unshare'].flatMap((name) =>
      ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']
        .map((place) => join(place, name))
        .filter((path) => existsSync(path)),
    );
    const hidden = tools.map((path) => `mount --bind /dev/null ${path}`).join(' && ');
    const outside = process.getuid?.() === 0 ? ['--mount'] : ['--user', '--map-root-user', '--mount'];
    const without = ['sh', '-c', `${hidden} && exec "$0" --input-type=module -e "$1"`, process.execPath, script];
    const { stdout } = await execa('unshare', [...outside, ...without]);
    expect(stdout).toBe('SANDBOX_UNAVAILABLE');
  });
});

describe('the rules of a validation', () => {
  it('demand the policy’s accuracy where it is stricter than the suite’s', async () => {
    const intake = await fixingSuite({ minimumAccuracy: 0.95 });
    const validated = await validate(intake, release('1.0.0'));
    expect(validated.failed).toEqual(['accuracy/digits>=0.95']);
    const { verified } = await intake.records.get('testResult', validated.testResult);
    expect(verified.predicate.result).toBe('FAILED');
  });

  it('attack: a suite with fewer cases than the policy demands is a failure', async () => {
    const validated = await validate(await fixingSuite({ minimumCases: 1000 }), release('1.0.0'));
    expect(validated.failed).toEqual(['cases/digits>=1000']);
  });

  it('attack: another suite under the digest of the policy’s is refused', async () => {
    const intake = await fixingSuite({ sha256: sha256('agreed') });
    await intake.bucket.createOnce(`statements/${sha256('agreed')}`, suiteBytes);
    await expect(validate(intake, release('1.0.0'))).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  it('attack: a source that changed since it was ingested is refused, manifest and all', async () => {
    const intake = await fixingSuite();
    const other = await changed(release('1.0.0'), '1.0.0', { 'README.md': 'another' });
    const manifest = await readFile(join(release('1.0.0').folder, 'custody.json'));
    const swap = () => writeFile(join(other.folder, 'custody.json'), manifest);
    await expect(validate(intake, other, { meanwhile: swap })).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    const another = await changed(release('1.0.0'), '1.0.5', { 'README.md': 'another' });
    const edit = () => writeFile(join(another.folder, 'README.md'), 'anothe!');
    await expect(validate(intake, another, { meanwhile: edit })).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  it('give an equally valid result when they are applied again, and leave nothing behind', async () => {
    const intake = await fixingSuite();
    const work = join(folder, 'again');
    await mkdir(work);
    const first = await validate(intake, release('1.0.0'), { work });
    expect(await validate(intake, release('1.0.0'), { work })).toEqual(first);
    expect(await readdir(work)).toEqual([]);
  });
});

describe.runIf(sandbox !== null)('a candidate in the sandbox', () => {
  it('attack: sees neither the network, nor the host’s files, nor can it change its release', async () => {
    const prying = `
      import { existsSync, writeFileSync } from 'node:fs';
      import { networkInterfaces } from 'node:os';
      if (existsSync(${JSON.stringify(folder)})) throw new Error('sees the host');
      if (Object.keys(networkInterfaces()).some((name) => name !== 'lo')) throw new Error('has a network');
      try { writeFileSync('config.json', '{}'); } catch { await import('./real.mjs'); }
    `;
    const real = await readFile(join(release('1.0.0').folder, 'serve.mjs'));
    const packed = await changed(release('1.0.0'), '1.0.4', { 'serve.mjs': prying, 'real.mjs': real });
    const validated = await validate(await fixingSuite(), packed);
    expect(validated.failed).toEqual([]);
  });
});
