import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DefaultLogger } from '@temporalio/worker';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createValidateActivities, type ValidateDependencies } from '../../activities/validate.js';
import type { Isolation } from '../../adapters/model-server/isolated.js';
import { detectSandbox } from '../../adapters/sandbox/sandbox.js';
import { packRelease, type PackedRelease } from '../../adapters/source/pack.js';
import type { Digest } from '../../domain/digest.js';
import type { Validated } from '../../domain/lifecycle.js';
import type { ReleaseName } from '../../domain/names.js';
import type { Policy } from '../../domain/policy.js';
import { sha256 } from '../../formats/sha256.js';
import { trainAndPack } from '../../examples/digits/ship.js';
import { createIntake, type Intake } from '../unit/ingest/intake.js';

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

/** An intake whose policy fixes the digits suite; `custody init` would have put suite and data into WORM. */
async function withSuite(rules: Partial<Policy['validation']> = {}): Promise<Intake> {
  const intake = await createIntake((policy) => ({
    ...policy,
    validation: { suite: sha256(suiteBytes), minimumCases: 20, minimumAccuracy: 0.88, timeoutSeconds: 60, ...rules },
  }));
  await intake.records.keepBytes(suiteBytes);
  await intake.records.keepBytes(heldOut);
  return intake;
}

async function validate(
  { world, records, admit }: Intake,
  packed: Pick<PackedRelease, 'folder' | 'manifest'> & { release: Digest },
  options: Partial<ValidateDependencies> = {},
): Promise<Validated> {
  const name: ReleaseName = { model: packed.manifest.model, version: packed.manifest.version };
  const { validate: act } = createValidateActivities({
    records,
    validatorKey: world.keys.intake,
    work: await mkdtemp(join(folder, 'w-')),
    ...options,
  });
  const admission = await admit(name, packed.folder, join(folder, 'unused'));
  const ingested = {
    ...{ release: packed.release, producer: 'trainer', files: 0, bytes: 0 },
    ...{ bundle: 'b'.repeat(64), provenance: 'c'.repeat(64), scan: 'e'.repeat(64), change: 'd'.repeat(64) },
  };
  const environment = new MockActivityEnvironment(undefined, { logger: new DefaultLogger('ERROR') });
  return environment.run(act, name, admission, ingested);
}

/** The trained 1.0.0 with some files replaced, packed anew. */
async function changed(version: string, files: Record<string, string>): Promise<PackedRelease> {
  const source = await mkdtemp(join(folder, 'changed-'));
  const { manifest, folder: from } = release('1.0.0');
  for (const { path } of manifest.files)
    await writeFile(join(source, path), files[path] ?? (await readFile(join(from, path))));
  return packRelease(source, { ...manifest, version });
}

it('finds a sandbox on the machine that runs these tests', () => {
  expect(sandbox).not.toBeNull();
});

const isolations = [...new Set<Isolation>([sandbox ?? 'none', 'none'])];

describe.each(isolations)('validating in isolation: %s', (isolation) => {
  it.each([
    ['1.0.0', 0.9],
    ['1.2.0', 0.96],
  ])('passes the really trained %s, accuracy above %d, in a signed test result', async (version, floor) => {
    const intake = await withSuite();
    const validated = await validate(intake, release(version), { isolation });
    expect(validated.failed).toEqual([]);
    expect(validated.passed).toBeGreaterThanOrEqual(21);
    expect(validated.accuracy).toBeGreaterThan(floor);

    const { verified } = await intake.records.get('testResult', validated.testResult);
    expect(verified).toMatchObject({ subject: release(version).release, signers: ['intake'] });
    expect(verified.predicate.result).toBe('PASSED');
    expect(verified.predicate.passedTests).toContain('accuracy>=0.88');
    const configuration = Object.fromEntries(
      verified.predicate.configuration.map(({ name, digest }) => [name, digest.sha256]),
    );
    expect(configuration).toMatchObject({ suite: sha256(suiteBytes), dataset: sha256(heldOut) });
    expect(configuration[`isolation: ${isolation}`]).toMatch(/^[0-9a-f]{64}$/);
    const report = JSON.parse(
      (await intake.records.getBytes(configuration['report'] as string)).toString('utf8'),
    ) as Record<string, unknown>;
    expect(report).toMatchObject({ isolation, rows: 397, accuracy: validated.accuracy });
  });

  it('attack: a candidate that dies in the middle has failed, whatever it answered before', async () => {
    const { folder: from } = release('1.0.0');
    const original = await readFile(join(from, 'protocol.mjs'), 'utf8');
    const dying = original.replace(
      'export function parseInfer(body, model) {',
      'let asked = 0;\nexport function parseInfer(body, model) {\n  if ((asked += 1) > 12) process.exit(3);',
    );
    expect(dying).not.toBe(original);
    const validated = await validate(await withSuite(), await changed('1.0.1', { 'protocol.mjs': dying }), {
      isolation,
    });
    expect(validated.failed).toContain('accuracy>=0.88');
    expect(validated.failed.length).toBeGreaterThan(10);
    expect(validated.accuracy).toBe(0);
  });

  it('attack: a candidate that never starts has failed in every case', async () => {
    const packed = await changed('1.0.2', { 'serve.mjs': 'throw new Error("no")' });
    const validated = await validate(await withSuite(), packed, { isolation });
    expect(validated.passed).toBe(0);
  });

  it('attack: a candidate that hangs is ended at the policy’s time-out, and has failed', async () => {
    const packed = await changed('1.0.3', { 'serve.mjs': 'setInterval(() => {}, 1000)' });
    const validated = await validate(await withSuite({ timeoutSeconds: 2 }), packed, { isolation });
    expect(validated.passed).toBe(0);
  });
});

describe('the rules of a validation', () => {
  it('demand the policy’s accuracy where it is stricter than the suite’s', async () => {
    const intake = await withSuite({ minimumAccuracy: 0.95 });
    const validated = await validate(intake, release('1.0.0'));
    expect(validated.failed).toEqual(['accuracy>=0.95']);
    const { verified } = await intake.records.get('testResult', validated.testResult);
    expect(verified.predicate.result).toBe('FAILED');
  });

  it('attack: a suite with fewer cases than the policy demands is a failure', async () => {
    const validated = await validate(await withSuite({ minimumCases: 1000 }), release('1.0.0'));
    expect(validated.failed).toEqual(['cases>=1000']);
  });

  it('attack: another suite under the digest of the policy’s is refused', async () => {
    const intake = await createIntake((policy) => ({
      ...policy,
      validation: { ...policy.validation, suite: sha256('agreed') },
    }));
    await intake.bucket.createOnce(`statements/${sha256('agreed')}`, suiteBytes);
    await expect(validate(intake, release('1.0.0'))).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  it('attack: a source that changed since it was ingested is refused, manifest and all', async () => {
    const intake = await withSuite();
    const other = await changed('1.0.0', { 'README.md': 'another' });
    const swapped = { ...other, release: release('1.0.0').release };
    await expect(validate(intake, swapped)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    await writeFile(join(other.folder, 'README.md'), 'anothe!');
    await expect(validate(intake, other)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  it('give an equally valid result when they are applied again, and leave nothing behind', async () => {
    const intake = await withSuite();
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
    const source = await mkdtemp(join(folder, 'prying-'));
    const { manifest, folder: from } = release('1.0.0');
    for (const { path } of manifest.files) await writeFile(join(source, path), await readFile(join(from, path)));
    await writeFile(join(source, 'real.mjs'), await readFile(join(from, 'serve.mjs')));
    await writeFile(join(source, 'serve.mjs'), prying);
    const components = manifest.components.map((component) =>
      component.name === 'serving' ? { ...component, files: [...component.files, 'real.mjs'] } : component,
    );
    const packed = await packRelease(source, { ...manifest, components, version: '1.0.4' });
    const validated = await validate(await withSuite(), packed);
    expect(validated.failed).toEqual([]);
  });
});
