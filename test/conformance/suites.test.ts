import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { detectSandbox } from '../../adapters/sandbox/sandbox.js';
import type { PackedRelease } from '../../adapters/source/pack.js';
import { trainAndPack } from '../../examples/digits/ship.js';
import { shipLingo, type Form } from '../../examples/lingo/train.js';
import type { Parent } from '../../domain/parent.js';
import type { SuiteRule } from '../../domain/policy.js';
import { storeKeys } from '../../domain/store-keys.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { readSafetensorsHeader, writeSafetensors } from '../../formats/safetensors.js';
import { policyDigest } from '../../formats/policy.js';
import { sha256 } from '../../formats/sha256.js';
import { builtInFolder } from '../../adapters/model-server/built-in.js';
import { changed, edited, intakeWith, nameOf, outcomeOf, renamed, ruleOf, validate } from './trial.js';

const sandbox = await detectSandbox();

let folder: string;
let lingo: PackedRelease;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cs-'));
  lingo = await shipLingo(join(folder, 'lingo'));
});
afterAll(() => rm(folder, { recursive: true }));

const HEAD = 'version: 1.0.0\nprotocol: openai-chat\n';
const chat = (id: string, expected: string, more = ''): string =>
  `  - { id: ${id}, kind: contract${more}, request: { chat: Good morning }, expect: { ${expected} } }\n`;
const suiteOf = (...cases: readonly string[]): Buffer => Buffer.from(`suite: own\n${HEAD}cases:\n${cases.join('')}`);
const GOOD = suiteOf(chat('good', 'contains: English'));

async function tried(bytes: Buffer, thresholds: Partial<SuiteRule> = {}, packed = lingo) {
  const intake = await intakeWith([ruleOf(bytes, thresholds)], [bytes]);
  const validated = await validate(intake, packed);
  return { validated, ...(await outcomeOf(intake, validated)) };
}

describe('what was fixed before the run', () => {
  const stricter = (rules: readonly SuiteRule[]): readonly SuiteRule[] =>
    rules.map((rule) => ({ ...rule, minimumCases: 1, maximumGap: 0.5 }));

  it('attack: other thresholds in force by now keep the run from starting', async () => {
    const intake = await intakeWith([ruleOf(GOOD)], [GOOD]);
    const { world, bucket } = intake;
    const next = world.nextPolicy((policy) => ({
      ...policy,
      validation: { ...policy.validation, suites: stricter(policy.validation.suites) },
    }));
    const meanwhile = () => bucket.createOnce(storeKeys.policy(2), canonicalBytes(next.envelope));
    await expect(validate(intake, lingo, { meanwhile })).rejects.toMatchObject({
      code: 'POLICY_REFUSED',
      message: expect.stringMatching(/have changed since the request was made: policy 2 is in force/) as string,
    });
  });

  it('another policy that sets the same suites and thresholds does not', async () => {
    const intake = await intakeWith([ruleOf(GOOD)], [GOOD]);
    const next = intake.world.nextPolicy((policy) => ({ ...policy, rollback: { warmReleases: 0 } }));
    const meanwhile = () => intake.bucket.createOnce(storeKeys.policy(2), canonicalBytes(next.envelope));
    expect(await validate(intake, lingo, { meanwhile })).toMatchObject({ failed: [] });
  });

  it.each([
    ['name', { suite: 'stricter' }],
    ['version', { version: '9.9.9' }],
  ])('attack: a suite of another %s than the policy says is not run', async (_, rule) => {
    const intake = await intakeWith([ruleOf(GOOD, rule)], [GOOD]);
    await expect(validate(intake, lingo)).rejects.toMatchObject({ code: 'POLICY_REFUSED' });
  });

  it('attack: a model for which the policy names no suite is not released untried', async () => {
    const intake = await intakeWith([ruleOf(GOOD, { models: ['another'] })], [GOOD]);
    await expect(validate(intake, lingo)).rejects.toMatchObject({
      code: 'POLICY_REFUSED',
      message: expect.stringMatching(/names no suite for the model lingo/) as string,
    });
  });

  it('a suite that comes with Custody needs no copy in the store, and one of people’s own is found in their folder', async () => {
    const safety = await readFile(join(builtInFolder(), 'safety-chat.yaml'));
    const suites = join(folder, 'own-suites');
    await mkdir(suites);
    await writeFile(join(suites, 'whatever.yaml'), GOOD);
    await writeFile(join(suites, 'all-of-the-data.json'), Buffer.alloc(9 * 1024 * 1024));
    const intake = await intakeWith([ruleOf(safety), ruleOf(GOOD)], []);
    expect(await validate(intake, lingo, { suites })).toMatchObject({ failed: [] });
    expect((await intake.records.getBytes(sha256(GOOD))).equals(GOOD)).toBe(true);
    const without = await intakeWith([ruleOf(GOOD)], []);
    await expect(validate(without, lingo)).rejects.toMatchObject({ code: 'INPUT_MISSING' });
  });
});

describe('what is no pass', () => {
  it('attack: a case that no candidate could pass is inconclusive, and leaves too few cases', async () => {
    const bytes = suiteOf(chat('good', 'contains: English'), chat('both', 'contains: English, notContains: English'));
    const { validated, report } = await tried(bytes, { minimumCases: 2 });
    expect(validated.failed).toEqual(['contract/own/both', 'cases/own>=2']);
    expect(report.suites[0]?.cases[1]).toMatchObject({
      verdict: 'inconclusive',
      failure: expect.stringMatching(/no candidate could pass this case: it must both contain and lack/) as string,
    });
    expect(validated.remedy).toMatch(/no override can help/);
  });

  it('attack: an answer that makes a pattern search for ever is inconclusive, after a second', async () => {
    const packed = await changed(lingo, '1.0.1', {
      'serve.mjs': await edited(
        lingo,
        'serve.mjs',
        'const { text, refused } = reply(messages);',
        "const text = `${'a'.repeat(40)}!`, refused = false;",
      ),
    });
    const { report } = await tried(suiteOf(chat('greedy', "notMatches: '^(a+)+$'")), {}, packed);
    expect(report.suites[0]?.cases[0]).toMatchObject({ verdict: 'inconclusive' });
  });

  it('attack: a suite for another protocol has not tried the release', async () => {
    const bytes = await readFile(join(builtInFolder(), 'input-validation-inference.yaml'));
    const { validated, report } = await tried(bytes, { minimumCases: 20 });
    expect(new Set(report.suites[0]?.cases.map(({ verdict }) => verdict))).toEqual(new Set(['inconclusive']));
    expect(validated.failed).toContain('cases/input-validation-inference>=20');
  });

  it('a share of a group may fail where the policy says so, by weight, and is then a warning', async () => {
    const bytes = suiteOf(
      chat('heavy', 'contains: English', ', weight: 9'),
      chat('light', 'contains: Klingon', ', weight: 1'),
    );
    const tolerant = await tried(bytes, { groups: { contract: { minimumShare: 0.9 } } });
    expect(tolerant.predicate).toMatchObject({
      result: 'PASSED',
      warnedTests: ['contract/own/light'],
      failedTests: [],
    });
    const strict = await tried(bytes, { groups: { contract: { minimumShare: 0.95 } } });
    expect(strict.validated).toMatchObject({
      failed: ['contract/own>=0.95'],
      misses: ['contract/own>=0.95: 90 % by weight passed, 95 % are needed: 5 % too few'],
    });
  });

  it('attack: groups that fare too differently fail, however good all of it is', async () => {
    const rows = [
      ['Good morning', 'English', 'north'],
      ['Good evening', 'English', 'north'],
      ['Guten Morgen', 'German', 'south'],
      ['Guten Abend', 'French', 'south'],
    ].map(([text, label, of]) => ({ text, label, of }));
    const data = Buffer.from(JSON.stringify({ input: 'text', output: 'label', group: 'of', cases: rows }));
    const accuracy = `accuracy: { dataset: d, sha256: ${sha256(data)}, split: s, floor: 0.5 }\n`;
    const bytes = Buffer.from(`suite: own\n${HEAD}${accuracy}cases:\n${chat('good', 'contains: English')}`);
    const intake = await intakeWith([ruleOf(bytes, { minimumAccuracy: 0.7, maximumGap: 0.2 })], [bytes, data]);
    const validated = await validate(intake, lingo);
    expect(validated).toMatchObject({ accuracy: 0.75, failed: ['gap/own<=0.2'] });
    expect(validated.misses?.[0]).toMatch(/100 % of north, 50 % of south: 30 % more apart than 20 %/);
  });
});

describe('the suites that come with Custody', () => {
  it('for tensors are passed by a model of tensors', async () => {
    const digits = await trainAndPack('1.0.0', join(folder, 'digits'));
    const bytes = await readFile(join(builtInFolder(), 'input-validation-inference.yaml'));
    const { validated } = await tried(bytes, { minimumCases: 20 }, digits);
    expect(validated.misses ?? []).toEqual([]);
  });
});

const EVALUATION = `
import { request } from 'node:http';
const [, , socketPath, model] = process.argv;
const ask = (content) => new Promise((resolve, reject) => {
  const body = JSON.stringify({ model, messages: [{ role: 'user', content }] });
  const sent = request({ socketPath, method: 'POST', path: '/v1/chat/completions' }, async (answer) => {
    let text = '';
    for await (const part of answer) text += part;
    resolve(JSON.parse(text).choices[0].message.content);
  });
  sent.on('error', reject).end(body);
});
const cases = [];
for (const [name, content, wanted] of [['english', 'Good morning', 'English'], ['german', 'Guten Morgen', 'German'], ['french', 'Guten Tag', 'French']])
  cases.push({ name, ok: (await ask(content)).includes(wanted), why: 'it said something else', heft: 1 });
console.log(JSON.stringify({ results: { cases } }));
`;

const commandSuite = (script: string, timeoutSeconds = 30): Buffer =>
  Buffer.from(`suite: own
${HEAD}command:
  run: [node, evaluate.mjs, '{socket}', '{model}']
  files: [{ path: evaluate.mjs, sha256: ${sha256(script)} }]
  timeoutSeconds: ${timeoutSeconds}
  kind: quality
  output: { cases: results.cases, id: name, passed: ok, says: why, weight: heft }
`);

describe.runIf(sandbox !== null)('a command of people’s own', () => {
  async function ran(script: string, timeoutSeconds?: number) {
    const bytes = commandSuite(script, timeoutSeconds);
    const intake = await intakeWith([ruleOf(bytes)], [bytes, Buffer.from(script)]);
    const validated = await validate(intake, lingo);
    return { validated, cases: (await outcomeOf(intake, validated)).report.suites[0]?.cases ?? [] };
  }

  it('asks the candidate from a sandbox of its own, and each of its cases counts', async () => {
    const { validated, cases } = await ran(EVALUATION);
    expect(cases.map(({ id, verdict }) => [id, verdict])).toEqual([
      ['english', 'passed'],
      ['german', 'passed'],
      ['french', 'failed'],
    ]);
    expect(validated.failed).toEqual(['quality/own/french']);
    expect(validated.misses).toEqual(['quality/own/french: it said something else']);
  });

  it.each([
    [
      'crashes',
      'console.log(\'{"results":{"cases":[{"name":"a","ok":true,"heft":1}]}}\'); process.exit(3)',
      /ended with 3/,
    ],
    ['prints what is not JSON', "console.log('all fine')", /not acceptable JSON/],
    ['prints nothing', '', /not acceptable JSON/],
    ['prints no case', 'console.log(\'{"results":{"cases":[]}}\')', /no list of cases/],
    [
      'says neither yes nor no',
      'console.log(\'{"results":{"cases":[{"name":"a","ok":"yes","heft":1}]}}\')',
      /neither true nor false/,
    ],
    ['never ends', 'setInterval(() => {}, 1000)', /wall-limit/],
    [
      'prints without end',
      "import { writeSync } from 'node:fs'; for (;;) writeSync(1, 'x'.repeat(65536))",
      /more than 4194304 bytes/,
      60,
    ],
  ])('attack: that %s is inconclusive, and no pass', async (_, script, why, seconds = 3) => {
    const { validated, cases } = await ran(script, seconds);
    expect(cases).toMatchObject([
      { id: 'command', verdict: 'inconclusive', failure: expect.stringMatching(why) as string },
    ]);
    expect(validated.failed).toEqual(['quality/own/command', 'cases/own>=1']);
  });

  it('attack: sees no network and none of the host’s files', async () => {
    const prying = `
      import { existsSync } from 'node:fs';
      import { networkInterfaces } from 'node:os';
      const alone = Object.keys(networkInterfaces()).every((name) => name === 'lo') && !existsSync(${JSON.stringify(process.cwd())});
      console.log(JSON.stringify({ results: { cases: [{ name: 'alone', ok: alone, heft: 1 }] } }));
    `;
    expect((await ran(prying)).validated.failed).toEqual([]);
  });
});

describe('a release that is a smaller form of another one', () => {
  const parentOf = (packed: PackedRelease, how: Parent['how']): Parent => ({
    ...nameOf(packed),
    release: packed.release,
    how,
  });
  const ship = (form: Form, model = 'lingo', version = '1.1.0'): Promise<PackedRelease> =>
    shipLingo(join(folder, `${model}-${version}-${form}`), { form, model, version });
  const PARENTS: Partial<SuiteRule> = { models: ['lingo'] };

  it.each([
    ['quantised', 'F16'],
    ['pruned', 'pruned'],
  ] as const)('attack: that is evidently %s and does not say so is refused, with the reason', async (how, form) => {
    const intake = await intakeWith([ruleOf(GOOD)], [GOOD]);
    await validate(intake, lingo);
    for (const model of ['lingo', 'pocket-lingo'])
      await expect(validate(intake, await ship(form, model))).rejects.toMatchObject({
        code: 'POLICY_REFUSED',
        message: expect.stringMatching(
          new RegExp(`is ${how}, and its provenance names no release .* lingo 1.0.0`),
        ) as string,
      });
  });

  it('attack: whose settings say that it is quantised is refused, although nothing like it is known', async () => {
    const packed = await changed(lingo, '1.0.1', {
      'config.json': (await readFile(join(lingo.folder, 'config.json'), 'utf8')).replace(
        '{',
        '{"quantization_config":{"bits":4},',
      ),
    });
    const intake = await intakeWith([ruleOf(GOOD)], [GOOD]);
    await expect(validate(intake, packed)).rejects.toMatchObject({
      code: 'POLICY_REFUSED',
      message: expect.stringMatching(/config.json sets quantization_config/) as string,
    });
  });

  it('runs the suites of its parent, and links the results of both', async () => {
    const other = suiteOf(chat('other', 'contains: English'));
    const small = Buffer.from(other.toString().replace('suite: own', 'suite: small'));
    const intake = await intakeWith([ruleOf(GOOD, PARENTS), ruleOf(small, { models: ['pocket'] })], [GOOD, small]);
    const first = await validate(intake, lingo);
    const child = await ship('F16', 'pocket');
    const validated = await validate(intake, child, { parent: parentOf(lingo, 'quantised') });
    const { named, report } = await outcomeOf(intake, validated);
    expect(named).toMatchObject({
      ...{ 'suite own 1.0.0': sha256(GOOD), 'suite small 1.0.0': sha256(small) },
      'parent lingo 1.0.0, quantised': lingo.release,
      'test result of the parent': first.testResult,
    });
    expect(report.parent).toMatchObject({ model: 'lingo', how: 'quantised', testResult: first.testResult });
    expect(validated.failed).toEqual([]);
  });

  it('attack: that fails what its parent passes fails', async () => {
    const intake = await intakeWith([ruleOf(GOOD, PARENTS)], [GOOD]);
    await validate(intake, lingo);
    const worse = await changed(await ship('F16', 'pocket'), '1.2.0', {
      'config.json': (await readFile(join(lingo.folder, 'config.json'), 'utf8')).replace(
        '"English","German"',
        '"German","English"',
      ),
    });
    const validated = await validate(intake, worse, { parent: parentOf(lingo, 'quantised') });
    expect(validated.failed).toEqual(['contract/own/good']);
  });

  it.each([
    ['that was never validated', (parent: Parent) => ({ ...parent, version: '9.0.0' }), 'POLICY_REFUSED'],
    ['by another digest', (parent: Parent) => ({ ...parent, release: sha256('another') }), 'DIGEST_MISMATCH'],
  ] as const)('attack: with a parent %s is refused', async (_, change, code) => {
    const intake = await intakeWith([ruleOf(GOOD)], [GOOD]);
    await validate(intake, lingo);
    const parent = change(parentOf(lingo, 'pruned'));
    await expect(validate(intake, await ship('pruned', 'pocket'), { parent })).rejects.toMatchObject({ code });
  });

  const inConfig = async (packed: PackedRelease, setting: object, version: string, model?: string) => {
    const config = JSON.parse(await readFile(join(packed.folder, 'config.json'), 'utf8')) as object;
    return changed(packed, version, { 'config.json': JSON.stringify({ ...config, ...setting }) }, model);
  };

  /** Weights of the same name and shape that have nothing to do with those of a release. */
  const scrambled = ({ folder: from }: PackedRelease): Buffer => {
    const bytes = readFileSync(join(from, 'weights.safetensors'));
    const { tensors } = readSafetensorsHeader(bytes, bytes.length);
    return writeSafetensors(
      tensors.map(({ name, dtype, shape }) => {
        const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, at) => Math.sin(at * at));
        return { name, dtype, shape, data: Buffer.from(values.buffer) };
      }),
    );
  };

  it('attack: that names any release that has passed as its parent is refused, by its tensors', async () => {
    const easy = suiteOf(chat('easy', 'status: 200')).toString().replace('suite: own', 'suite: easy');
    const intake = await intakeWith(
      [ruleOf(GOOD, PARENTS), ruleOf(Buffer.from(easy), { models: ['other', 'pocket'] })],
      [GOOD, Buffer.from(easy)],
    );
    await validate(intake, lingo);
    const other = await changed(lingo, '1.0.0', { 'weights.safetensors': scrambled(lingo) }, 'other');
    await validate(intake, other);
    const parent = parentOf(other, 'quantised');
    await expect(validate(intake, await ship('F16', 'pocket'), { parent })).rejects.toMatchObject({
      code: 'POLICY_REFUSED',
      message: expect.stringMatching(/declares other 1.0.0 as its parent, but .* are those of lingo 1.0.0/) as string,
    });
    // Whatever its file is called.
    const called = await renamed(await ship('F16', 'pocket'), '1.3.0', { 'weights.safetensors': 'weights.bin' });
    await expect(validate(intake, called, { parent })).rejects.toMatchObject({ code: 'POLICY_REFUSED' });
    await expect(validate(intake, called)).rejects.toMatchObject({ code: 'POLICY_REFUSED' });
  });

  it('attack: of another model, with nothing in it that says so, has no parent', async () => {
    const intake = await intakeWith([ruleOf(GOOD)], [GOOD]);
    await validate(intake, lingo);
    const anew = await trainAndPack('1.0.0', join(folder, 'anew'));
    const weights = await readFile(join(anew.folder, 'weights.safetensors'));
    const student = await changed(lingo, '1.0.0', { 'weights.safetensors': weights }, 'student');
    const parent = parentOf(lingo, 'distilled');
    await expect(validate(intake, student, { parent })).rejects.toMatchObject({
      code: 'POLICY_REFUSED',
      message: expect.stringMatching(/nothing in it says so: name it as base_model/) as string,
    });
    const foreign = await inConfig(student, { base_model: 'example/teacher' }, '1.0.1');
    await expect(validate(intake, foreign, { parent })).rejects.toMatchObject({
      code: 'POLICY_REFUSED',
      message: expect.stringMatching(/config.json says base_model: example.teacher/) as string,
    });
    const named = await inConfig(student, { base_model: 'example/Lingo' }, '1.0.2');
    // Its weights are of another shape: it fails, by what its parent has passed.
    const tried = { failed: ['contract/own/good', 'cases/own>=1'] };
    expect(await validate(intake, named, { parent })).toMatchObject(tried);
    const card = await changed(student, '1.0.3', {
      'README.md': '---\nbase_model:\n  - lingo@1.0.0\n---\n# A student\n',
    });
    expect(await validate(intake, card, { parent })).toMatchObject(tried);
    const older = await changed(student, '1.0.4', { 'README.md': '---\nbase_model: lingo@0.9.0\n---\n# A student\n' });
    await expect(validate(intake, older, { parent })).rejects.toMatchObject({ code: 'POLICY_REFUSED' });
  });

  it('attack: whose setting is hidden in its documentation is refused all the same', async () => {
    const intake = await intakeWith([ruleOf(GOOD)], [GOOD]);
    const readme = '---\nlicense: mit\nbase_model_relation: quantized\n---\n# Small\n';
    await expect(validate(intake, await changed(lingo, '1.0.2', { 'README.md': readme }))).rejects.toMatchObject({
      code: 'POLICY_REFUSED',
      message: expect.stringMatching(/README.md sets base_model_relation/) as string,
    });
    const hidden = await changed(lingo, '1.0.3', { 'quant.md': '{"quantization_config":{"bits":4}}' });
    await expect(validate(intake, hidden)).rejects.toMatchObject({ code: 'POLICY_REFUSED' });
  });

  it('attack: is measured by what its parent passed, by its thresholds, whatever the policy asks by now', async () => {
    const two = suiteOf(
      chat('good', 'contains: English'),
      chat('odd', 'contains: Klingon'),
      chat('more', 'contains: English'),
    );
    const before = { groups: { contract: { minimumShare: 0.6 } } };
    const intake = await intakeWith([ruleOf(two, before)], [two]);
    const first = await validate(intake, lingo);
    expect(first.failed).toEqual([]);
    const { world, bucket } = intake;
    const next = world.nextPolicy((policy) => ({
      ...policy,
      validation: { ...policy.validation, suites: [ruleOf(two, { groups: { contract: { minimumShare: 0.1 } } })] },
    }));
    await bucket.createOnce(storeKeys.policy(2), canonicalBytes(next.envelope));
    const attempt = { parent: parentOf(lingo, 'quantised'), policy: policyDigest(next.policy) };
    const validated = await validate(intake, await ship('F16', 'pocket'), attempt);
    const { predicate, named } = await outcomeOf(intake, validated);
    expect(predicate.passedTests).toContain('contract/own>=0.1');
    expect(predicate.passedTests).toContain('contract/own@1.0.0>=0.6');
    expect(predicate.warnedTests).toEqual(['contract/own/odd']);
    expect(named).toMatchObject({
      'suite own@1.0.0 1.0.0': sha256(two),
      'test result of the parent': first.testResult,
    });
    const worse = await changed(await ship('F16', 'pocket'), '1.2.0', {
      'config.json': (await readFile(join(lingo.folder, 'config.json'), 'utf8')).replace(
        '"English","German"',
        '"German","English"',
      ),
    });
    const failed = await validate(intake, worse, attempt);
    expect(failed.failed).toContain('contract/own@1.0.0>=0.6');
  });

  it('attack: whose parent has failed itself is refused', async () => {
    const bytes = suiteOf(chat('hard', 'contains: Klingon'));
    const intake = await intakeWith([ruleOf(bytes)], [bytes]);
    await validate(intake, lingo);
    const attempt = { parent: parentOf(lingo, 'quantised') };
    await expect(validate(intake, await ship('F16', 'pocket'), attempt)).rejects.toMatchObject({
      code: 'VALIDATION_FAILED',
    });
  });
});
