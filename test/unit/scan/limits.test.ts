import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signScan } from '../../../activities/scan.js';
import { readScanners } from '../../../adapters/scan/known.js';
import { MAX_DOCUMENT_BYTES, readRelease } from '../../../adapters/source/folder.js';
import { packRelease } from '../../../adapters/source/pack.js';
import { finding, type ScannedFile } from '../../../domain/artifacts.js';
import { MAX_FILES } from '../../../domain/manifest.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { generateKey, importPrivateKey } from '../../../formats/keys.js';
import { sha256 } from '../../../formats/sha256.js';
import { HERE, inspectHere } from '../../support/scan.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'custody-limits-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const RULES = { maxFiles: MAX_FILES, maxFileBytes: 1024 ** 2 };

describe('a release of more findings than anybody reads', () => {
  it('attack: is told of each further file what it is refused for, once, and so takes no memory without end', async () => {
    const source = join(folder, 'release');
    await mkdir(source);
    const tags = Array.from({ length: 150 }, (_, at) => `k${at}: !t${at} x\n`).join('');
    const names = Array.from({ length: 60 }, (_, at) => `f${String(at).padStart(2, '0')}.yaml`);
    for (const name of names) await writeFile(join(source, name), tags);
    await packRelease(source, {
      ...{ model: 'digits', version: '1.0.0' },
      components: [{ name: 'config', kind: 'config', files: names }],
      serving: { protocol: 'open-inference-v2', command: ['node', 'serve.mjs'] },
    });
    const { files } = await inspectHere(await readRelease(source, RULES));
    const counts = files.map(({ findings }) => findings.length);
    expect([counts[0], counts.at(-1), files.length]).toEqual([101, 2, 60]);
    for (const { findings } of files)
      expect(new Set(findings.map(({ rule }) => rule))).toEqual(new Set(['unsafe-yaml', 'resource-limit']));
  });

  const key = importPrivateKey(generateKey('ed25519').privatePem);
  const name = { model: 'digits', version: '1.0.0' };
  const scanned = (rule: 'unsafe-yaml' | 'polyglot'): ScannedFile[] =>
    Array.from({ length: 3000 }, (_, at) => ({
      ...{ path: `${at}/${'n'.repeat(1000)}`, size: 1, sha256: sha256(String(at)), format: 'text' as const },
      findings: [1, 2, 3].map((offset) => finding('x', rule, offset, 'm'.repeat(1000))),
    }));
  const sign = (files: readonly ScannedFile[], rules: Parameters<typeof signScan>[4]) => {
    const means = { isolation: 'bubblewrap', reader: HERE, verdicts: [], takenFrom: null, reused: new Set<string>() };
    const prompts = { files: 0, from: null };
    return signScan(key, name, sha256('r'), { ...means, prompts, files } as never, rules);
  };

  it('attack: is refused all the same, with a report that the store takes and that the statement names', () => {
    const { predicate, report } = sign(scanned('polyglot'), RULES);
    expect(predicate).toMatchObject({ verdict: 'refused', more: 8900, report: sha256(report) });
    expect(report.length).toBeLessThanOrEqual(MAX_DOCUMENT_BYTES);
    expect((JSON.parse(report.toString()) as { refused: unknown[] }).refused).toHaveLength(3000);
  });

  it('attack: is not let in unseen where the policy bears with all of it', () => {
    expect(() => sign(scanned('unsafe-yaml'), { ...RULES, denied: [] })).toThrow(
      expect.objectContaining({ code: 'POLICY_REFUSED' }),
    );
  });
});

describe('the files that a release may have', () => {
  it('are so many that what is kept of each of them fits into one object of the store', () => {
    const path = 'p'.repeat(75);
    const size = 2 ** 40;
    const [digest, format, findings] = ['a'.repeat(64), 'safetensors', []];
    const each = [
      canonicalBytes({ path, size, sha256: digest }).length + path.length + 4,
      (canonicalBytes({ name: path, digest, algorithm: 'sha256' }).length * 4) / 3 + 2,
      canonicalBytes({ path, size, sha256: digest, format, findings, takenFrom: 'base' }).length,
    ];
    for (const bytes of each) expect(bytes * MAX_FILES).toBeLessThan(MAX_DOCUMENT_BYTES);
  });
});

describe('the scanners of a development stack', () => {
  const known = {
    command: ['/opt/x', '{file}'],
    limits: { wallSeconds: 1, memoryMb: 64 },
    answers: { kind: 'sarif' },
  };

  it('are read from a file as intake reads its configuration', async () => {
    const file = join(folder, 'scanners.json');
    await writeFile(file, JSON.stringify({ scanners: { x: known } }));
    expect(await readScanners(file)).toEqual({ x: known });
  });

  it.each([
    ['no {file}', { scanners: { x: { ...known, command: ['/opt/x'] } } }, 'CONFIG_INVALID'],
    ['another member', { scaners: {} }, 'CONFIG_INVALID'],
    ['no file at all', null, 'INPUT_MISSING'],
  ])('attack: with %s are refused before anything starts', async (_, content, code) => {
    const file = join(folder, 'wrong.json');
    if (content === null) await rm(file, { force: true });
    else await writeFile(file, JSON.stringify(content));
    await expect(readScanners(file)).rejects.toMatchObject({ code });
  });
});
