import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { outcomeOf } from '../../client/messages.js';
import type { ReleaseSource } from '../../client/start.js';
import type { RecordLine, ReleaseRecord } from '../../domain/record.js';
import { bucketNames, storeKeys } from '../../domain/store-keys.js';
import { digitsFolder } from '../../examples/digits/assets.js';
import { shippedFolder, shippedProvenance } from '../../examples/digits/ship.js';
import { sha256 } from '../../formats/sha256.js';
import { Bench, MODEL, type Ended } from './harness.js';
import { Child } from './support/child.js';
import { compiled } from './support/product.js';
import { until } from './support/until.js';

let bench: Bench;
let source: ReleaseSource & { readonly release: string };

beforeAll(async () => {
  bench = await Bench.start();
  source = await bench.source('1.0.0');
});
afterAll(() => bench.stop());

type Shown = ReleaseRecord & { readonly error?: { readonly code: string; readonly message: string } };

async function show(version: string): Promise<{ readonly ended: Ended; readonly record: Shown }> {
  const ended = await bench.cli('--json', 'show', `${MODEL}@${version}`);
  return { ended, record: JSON.parse(ended.stdout) as Shown };
}

const states = ({ lines }: Shown): Record<string, RecordLine['state']> =>
  Object.fromEntries(lines.map(({ part, state }) => [part, state]));
const linesOf = ({ lines }: Shown, wanted: string): readonly RecordLine[] =>
  lines.filter(({ part }) => part === wanted);

describe('custody show', () => {
  test('shows a release under way as far as it has come', async () => {
    await bench.start(source);
    const waiting = await bench.openGate('1.0.0');
    const { ended, record } = await show('1.0.0');
    expect(ended, ended.stderr).toMatchObject({ code: 0, stderr: '' });
    expect(states(record)).toMatchObject({
      ...{ requester: 'holds', release: 'holds', producer: 'holds', provenance: 'holds', validation: 'holds' },
      ...{ request: 'holds', approval: 'absent', signature: 'absent', serving: 'absent' },
    });
    const decided = await bench.decision('alice', waiting);
    expect(await bench.tell(waiting.workflowId, 'approve', decided)).toBe('accepted');
    await bench.reached('1.0.0', 'in service');
  });

  test('shows the whole record of a release in service: what the requirement asks for, each checked', async () => {
    const { ended, record } = await show('1.0.0');
    expect(ended, ended.stderr).toMatchObject({ code: 0, stderr: '' });
    expect(record).toMatchObject({ model: MODEL, version: '1.0.0', release: source.release });
    expect(record.lines.filter(({ state }) => state !== 'holds').map(({ part }) => part)).toEqual(['rollout']);
    const [requester, created, data, approval] = ['requester', 'created', 'training-data', 'approval'].map(
      (part) => linesOf(record, part)[0],
    );
    expect(requester).toMatchObject({ by: ['ci'], policy: 1 });
    expect(Date.parse(created?.says.split(' ')[0] ?? '')).toBeLessThanOrEqual(Date.now());
    const digest = sha256(readFileSync(join(digitsFolder(), 'data', 'digits', 'digits.csv.gz')));
    expect(data?.says).toBe(`digits.csv.gz sha256 ${digest}`);
    expect(approval).toMatchObject({ by: ['alice'], says: expect.stringContaining('alice has looked') as string });
    expect(record.cases.length).toBeGreaterThan(10);
    expect(record.cases.filter(({ failure }) => failure !== null)).toEqual([]);
    expect(linesOf(record, 'validation')[0]?.says).toBe(`PASSED: ${record.cases.length} cases passed, 0 failed`);

    const text = await bench.cli('show', `${MODEL}@1.0.0`);
    expect(text).toMatchObject({ code: 0, stderr: '' });
    for (const { says } of record.lines.filter(({ part }) => part !== 'serving')) expect(text.stdout).toContain(says);
    expect(text.stdout).toContain('✔ serving');
  });

  test('lists what is deployed, with the origin of each artifact, and nothing else', async () => {
    const listed = await bench.cli('--json', 'ls');
    expect(listed, listed.stderr).toMatchObject({ code: 0, stderr: '' });
    const [release, ...others] = JSON.parse(listed.stdout) as (Record<string, unknown> & {
      readonly origin: readonly RecordLine[];
      readonly artifacts: readonly { readonly path: string; readonly sha256: string }[];
    })[];
    expect(others).toEqual([]);
    expect(release).toMatchObject({
      model: MODEL,
      version: '1.0.0',
      release: source.release,
      weights: [100],
      failing: [],
    });
    expect(release?.origin.map(({ part }) => part)).toEqual(
      expect.arrayContaining(['producer', 'provenance', 'training-data', 'approval']),
    );
    expect(release?.artifacts).toContainEqual(
      expect.objectContaining({ kind: 'weights', sha256: expect.stringMatching(/^[0-9a-f]{64}$/) }),
    );
    expect((await bench.cli('ls', 'another')).stdout).toBe('nothing is deployed\n');
  });

  test('has the report of its validation in every form, as the test result names it', async () => {
    const named = `${MODEL}@1.0.0`;
    expect((await bench.cli('report', named)).stdout).toContain('✔ accuracy/digits>=0.88');
    const { stdout } = await bench.cli('report', named, '--json');
    expect(JSON.parse(stdout)).toMatchObject({ verdict: 'PASSED', model: MODEL, remedy: null });
    expect((await bench.cli('report', named, '--as', 'html')).stdout).toMatch(/^<!doctype html>[\s\S]*PASSED/);
    expect((await bench.cli('report', named, '--as', 'junit')).stdout).toContain('failures="0" errors="0"');
    expect(JSON.parse((await bench.cli('report', named, '--as', 'sarif')).stdout)).toMatchObject({ version: '2.1.0' });
    expect(await bench.cli('report', `${MODEL}@9.9.9`)).toMatchObject({ code: 5 });
  });

  test('shows why a release was rejected', async () => {
    const other = await bench.source('3.0.0');
    const rejected = await bench.source('3.0.1');
    cpSync(other.provenance, rejected.provenance);
    await bench.start(rejected);
    expect(await outcomeOf(bench.custody, { model: MODEL, version: '3.0.1' })).toMatchObject({ code: 'REPLAYED' });
    const { ended, record } = await show('3.0.1');
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(linesOf(record, 'outcome')[0]?.says).toMatch(/^rejected at ingest: REPLAYED .*about another release/);
    expect(linesOf(record, 'release')[0]).toMatchObject({ state: 'absent', says: 'it never came to that' });
  });

  test.each([
    ['digits', 'VERSION_INVALID'],
    ['Digits@1.0.0', 'USAGE'],
    ['digits@9.9.9', 'INPUT_MISSING'],
  ])('knows no release %s', async (given, code) => {
    const ended = await bench.cli('show', given);
    expect(ended).toMatchObject({ code: 2, stderr: expect.stringContaining(code) as string });
  });

  test('attack: bytes that were changed in the store are named, and end it with 6', async () => {
    const { custody } = bucketNames(bench.custody.description.environment);
    const file = join(bench.state, 'store', 'objects', custody, storeKeys.manifest(source.release));
    const before = readFileSync(file);
    try {
      writeFileSync(file, Buffer.from(before.map((byte, at) => (at === 20 ? byte ^ 1 : byte))));
      const { ended, record } = await show('1.0.0');
      expect(ended.code).toBe(6);
      expect(record.error).toMatchObject({
        code: 'DIGEST_MISMATCH',
        message: expect.stringMatching(/^release: /) as string,
      });
      expect(ended.stderr).toContain('DIGEST_MISMATCH release:');
      const listed = await bench.cli('ls', '--all');
      expect(listed).toMatchObject({ code: 6, stderr: expect.stringContaining(`${MODEL}@1.0.0: release:`) });
      expect(states(record)).toMatchObject({
        requester: 'holds',
        release: 'fails',
        validation: 'holds',
        serving: 'fails',
      });
    } finally {
      writeFileSync(file, before);
    }
    expect((await show('1.0.0')).ended.code).toBe(0);
  });
});

describe('custody pack', () => {
  const pack = (folder: string, ...origin: readonly string[]): Promise<Ended> =>
    bench.cli(
      ...['--json', 'pack', folder, '--model', MODEL, '--as', '1.0.0'],
      ...['--components', join(digitsFolder(), 'training', 'recipe.json'), '--key', bench.stack.layout.key('trainer')],
      ...['--bundle', `${folder}.sig.json`, ...origin],
    );

  test('signs what another builder has said of the same bytes, and nothing of other bytes', async () => {
    const folder = join(bench.folder, 'packed');
    cpSync(shippedFolder('1.0.0'), folder, { recursive: true });
    expect(await pack(folder, '--provenance', shippedProvenance('1.0.0'))).toMatchObject({ code: 0 });
    const { payload } = JSON.parse(readFileSync(`${folder}.provenance.json`, 'utf8')) as { payload: string };
    const said = JSON.parse(readFileSync(shippedProvenance('1.0.0'), 'utf8')) as object;
    expect(JSON.parse(Buffer.from(payload, 'base64').toString('utf8'))).toEqual(said);
    const stranger = await pack(folder, '--provenance', shippedProvenance('1.1.0'));
    expect(stranger).toMatchObject({ code: 6, stderr: expect.stringContaining('not about this release') as string });
    const silent = await pack(folder);
    expect(silent).toMatchObject({ code: 2, stderr: expect.stringContaining('--training-data') as string });
  });
});

describe('custody watch', () => {
  const command = (...more: string[]): Child =>
    new Child('bundled/programs/custody.js', ['--state', bench.state, ...more]);

  test('says in a pipe what has changed, and ends at Ctrl-C', async () => {
    const watched = command('watch');
    await watched.said('Z digits: steady, revision ');
    await watched.said(' 100 %  1.0.0');
    watched.signal('SIGINT');
    expect(await watched.ended()).toBe(0);
    expect(watched.answer).not.toContain('\u001b');
  });

  test('writes one JSON value a line', async () => {
    const watched = command('--json', 'watch', MODEL);
    await until('two looks', 180, async () => (watched.answer.split('\n').length > 2 ? true : null));
    watched.signal('SIGINT');
    expect(await watched.ended()).toBe(0);
    const looks = watched.answer.trim().split('\n');
    for (const look of looks)
      expect(JSON.parse(look)).toMatchObject({ models: [{ model: MODEL, silent: null, endpoint: { killedBy: [] } }] });
  });

  test('draws over itself on a terminal', async () => {
    const line = [process.execPath, compiled('bundled/programs/custody.js'), '--state', bench.state, 'watch', MODEL];
    const terminal = spawn('script', ['-qec', `exec ${line.join(' ')}`, '/dev/null'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let text = '';
    terminal.stdout.setEncoding('utf8').on('data', (more: string) => (text += more));
    const ended = once(terminal, 'close');
    await until('the second drawing', 180, async () => (/\u001b\[\d+A\r\u001b\[J/.test(text) ? true : null));
    terminal.stdin.write('\u0003');
    expect(await ended).toEqual([0, null]);
    expect(text).toContain('100 %  1.0.0');
  });

  test('waits for a model that does not serve yet', async () => {
    const watched = command('watch', 'letters');
    await watched.said('letters: not served yet');
    watched.signal('SIGINT');
    expect(await watched.ended()).toBe(0);
  });
});
