import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Evidence } from '../../client/evidence/model.js';
import { Bench, MODEL, run, type Ended } from './harness.js';
import { compiled } from './support/product.js';

const VERSION = '1.0.1';

/** Another release than the first, by what is written in it. */
function worded(folder: string): void {
  const file = join(folder, 'README.md');
  writeFileSync(file, `${readFileSync(file, 'utf8')}\nA word more.\n`);
}

let bench: Bench;
/** A place that has nothing of the stack but a copy of the dossiers and the public keys. */
let elsewhere: string;
const made = (version: string): string => join(elsewhere, version);
const root = (): string => join(elsewhere, 'root.json');
const logKey = (): string => join(elsewhere, 'log.vkey');

beforeAll(async () => {
  bench = await Bench.start();
  await bench.putFirstInService();
  await bench.start(await bench.source(VERSION, { change: worded }));
  const waiting = await bench.openGate(VERSION);
  await bench.tell(waiting.workflowId, 'approve', await bench.decision('alice', waiting));
  await bench.reached(VERSION, 'in service');
  await bench.cli('kill', MODEL, '--reason', 'a customer reports <b>wrong</b> digits', '--key', 'oscar');
  await bench.answers({ status: 503 });
  await bench.restore();
  elsewhere = mkdtempSync(join(tmpdir(), 'custody-elsewhere-'));
  cpSync(bench.stack.layout.root, root());
  writeFileSync(logKey(), bench.custody.description.audit.vkey);
});
afterAll(async () => {
  await bench.stop();
  rmSync(elsewhere, { recursive: true, force: true });
});

/** As somebody on another machine, who has never had a stack. */
function verify(folder: string, ...more: readonly string[]): Promise<Ended> {
  const program = compiled('bundled/programs/custody.js');
  const trust = more.length > 0 ? more : ['--root', root(), '--log-key', logKey()];
  const args = ['--state', join(elsewhere, 'none'), '--json', 'evidence', 'verify', folder, ...trust];
  return run(process.execPath, [program, ...args], { HOME: elsewhere });
}

const evidenceOf = (version: string): Evidence =>
  JSON.parse(readFileSync(join(made(version), 'evidence.json'), 'utf8')) as Evidence;

describe('custody evidence', () => {
  test.each(['1.0.0', VERSION])(
    'makes a dossier of %s that verifies elsewhere, with public keys alone',
    async (version) => {
      const folder = join(bench.folder, version);
      const ended = await bench.cli('evidence', `${MODEL}@${version}`, '--key', 'ada', '--out', folder);
      expect(ended, ended.stderr).toMatchObject({ code: 0, stderr: '' });
      expect(ended.stdout).toContain(bench.custody.description.audit.vkey);
      cpSync(folder, made(version), { recursive: true });
      const keep = process.env['CUSTODY_KEEP_DOSSIER'];
      if (keep !== undefined) cpSync(elsewhere, keep, { recursive: true });
      const verified = await verify(made(version));
      expect(verified, verified.stdout).toMatchObject({ code: 0, stderr: '' });
      expect(JSON.parse(verified.stdout)).toMatchObject({ model: MODEL, version, failing: [], refused: [] });
    },
  );

  test('tells of the rollout, of the kill, and who decided what', () => {
    const evidence = evidenceOf(VERSION);
    const states = Object.fromEntries(evidence.requirements.map(({ id, state }) => [id, state]));
    expect(Object.entries(states).filter(([, state]) => state === 'fails')).toEqual([]);
    expect(states).toMatchObject({
      ...{ 'draft-C3.1.3': 'holds', 'draft-C3.2.3': 'holds', 'draft-C3.3.1': 'holds', 'draft-C3.3.4': 'holds' },
      ...{ 'draft-C3.4.1': 'holds', 'draft-C3.4.2': 'holds', 'v1.0-C9.2.8': 'holds', 'draft-C3.5.2': 'no evidence' },
    });
    expect(evidence.steps.map(({ change, weight }) => [change, weight])).toEqual([
      ...[
        ['plan', 50],
        ['plan', 100],
        ['promote', 100],
      ],
      ['restore', 100],
    ]);
    const judged = evidence.steps.map((step) => step.judged?.verdict ?? null);
    expect(judged).toEqual(['pass', 'pass', null, null]);
    const counted = evidence.steps.flatMap((step) => (step.judged === null ? [] : [step.judged.own.requests]));
    for (const requests of counted)
      expect(requests).toBeGreaterThanOrEqual(evidence.limits?.minimumSamples ?? Infinity);
    expect(evidence.decisions).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ who: 'alice', act: 'approve', roles: ['release-approver'] }),
        expect.objectContaining({ who: 'oscar', act: 'kills', roles: ['operator'] }),
      ]),
    );
    expect(evidenceOf('1.0.0').steps.map(({ weight }) => weight)).toEqual([100, 100, 50, 0, 0, 0]);
    expect(readFileSync(join(made(VERSION), 'evidence.html'), 'utf8')).not.toContain('<b>wrong</b>');
  });

  test('attack: nobody but an auditor makes one', async () => {
    const refused = await bench.cli('evidence', `${MODEL}@1.0.0`, '--key', 'alice', '--out', join(bench.folder, 'no'));
    expect(refused).toMatchObject({ code: 4, stderr: expect.stringContaining('NOT_AUTHORISED') as string });
    expect(await bench.cli('evidence', `${MODEL}@1.0.0`)).toMatchObject({ code: 2 });
  });
});

describe('attack: a dossier that is not what was made', () => {
  const copy = (): string => join(elsewhere, 'copy');
  beforeEach(() => {
    rmSync(copy(), { recursive: true, force: true });
    cpSync(made(VERSION), copy(), { recursive: true });
  });
  const anyOf = (folder: string): string => {
    const [first] = readdirSync(join(folder, 'store', 'statements')).filter((name) => name.endsWith('.intoto.jsonl'));
    return join('store', 'statements', first ?? '');
  };

  test.each<[string, (to: string, other: string) => string]>([
    [
      'a page that was edited',
      (to) => {
        const page = join(to, 'evidence.html');
        writeFileSync(page, readFileSync(page, 'utf8').replace('in service', 'retired'));
        return 'evidence.html';
      },
    ],
    [
      'the bill of materials of another release',
      (to, other) => {
        cpSync(join(other, 'bom.cdx.json'), join(to, 'bom.cdx.json'));
        return 'bom.cdx.json';
      },
    ],
    [
      'a statement that is gone',
      (to) => {
        const path = anyOf(to);
        rmSync(join(to, path));
        return path;
      },
    ],
    [
      'a statement of another release beside the others',
      (to, other) => {
        const [stray] = readdirSync(join(other, 'store', 'statements')).filter(
          (name) => !readdirSync(join(to, 'store', 'statements')).includes(name),
        );
        const path = join('store', 'statements', stray ?? '');
        cpSync(join(other, path), join(to, path));
        return path;
      },
    ],
    [
      'the signature of another dossier',
      (to, other) => {
        cpSync(join(other, 'manifest.intoto.jsonl'), join(to, 'manifest.intoto.jsonl'));
        return '';
      },
    ],
  ])('%s', async (_, attack) => {
    const file = attack(copy(), made('1.0.0'));
    const ended = await verify(copy());
    expect(ended.code, ended.stdout).toBe(6);
    expect(ended.stderr).toContain(file);
    const { error } = JSON.parse(ended.stdout) as { error: { details: { file: string } } };
    if (file !== '') expect(error.details.file).toBe(file);
  });

  test('keys that are not those of this stack', async () => {
    const other = join(elsewhere, 'other.json');
    const pinned = JSON.parse(readFileSync(root(), 'utf8')) as object;
    const stranger = readFileSync(bench.stack.layout.key('alice'), 'utf8');
    const { createPublicKey } = await import('node:crypto');
    const pem = createPublicKey(stranger).export({ type: 'spki', format: 'pem' });
    writeFileSync(other, JSON.stringify({ ...pinned, rootKeys: [pem] }));
    expect(await verify(copy(), '--root', other, '--log-key', logKey())).toMatchObject({ code: 3 });
    expect(await verify(copy(), '--root', root())).toMatchObject({ code: 2 });
  });
});
