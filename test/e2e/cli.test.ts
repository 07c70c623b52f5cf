import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { StoreAdmin } from '../../adapters/object-store/admin.js';
import { openBucket } from '../../adapters/object-store/s3.js';
import type { S3Config } from '../../adapters/object-store/s3-session.js';

import { lifecycleStatus, outcomeOf } from '../../client/messages.js';
import type { Layout } from '../../client/stack/layout.js';
import type { ReleaseSource } from '../../client/start.js';
import type { ServedRelease } from '../../client/state.js';
import type { AuditRecord } from '../../domain/audit.js';
import { exitCodeOf, type ErrorCode } from '../../domain/errors.js';
import { groundsOf, type StateAt } from '../../domain/state.js';
import type { StoreProofPredicate } from '../../domain/statements.js';
import { bucketNames, storeKeys } from '../../domain/store-keys.js';
import { isoTime, plusSeconds } from '../../domain/time.js';
import { digitsFolder } from '../../examples/digits/assets.js';
import { shippedFolder } from '../../examples/digits/ship.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { generateKey, importPrivateKey } from '../../formats/keys.js';

import { sha256 } from '../../formats/sha256.js';
import { signStatement } from '../../formats/statements.js';
import { Receiver } from '../support/receiver.js';
import { Bench, MODEL, run, type Ended } from './harness.js';
import type { Policy } from '../../domain/policy.js';
import { Child } from './support/child.js';
import { compiled } from './support/product.js';
import { until } from './support/until.js';

let bench: Bench;

beforeAll(async () => {
  bench = await Bench.start(giveAliceSsh);
});

afterAll(() => bench.stop());

const sshKey = (): string => join(bench.folder, 'state', 'alice_ed25519');

/** Alice has an SSH key, too, and the first policy says so. */
function giveAliceSsh(policy: Policy, layout: Layout): Policy {
  const file = layout.path('alice_ed25519');
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'alice@laptop', '-f', file]);
  const ssh = readFileSync(`${file}.pub`, 'utf8').trim();
  const authorities = policy.authorities.map((each) =>
    each.id === 'alice' ? { ...each, keys: [{ ssh }, ...each.keys] } : each,
  );
  return { ...policy, authorities };
}

/** Without a stack of its own. */
const custody = (...args: readonly string[]): Promise<Ended> =>
  run(process.execPath, [compiled('bundled/programs/custody.js'), ...args]);

interface Failure {
  readonly code: ErrorCode;
  readonly says: string | RegExp;
}

/** One clear message on stderr; with --json, the same as one JSON object on stdout; the exit code of its error code. */
async function expectFailure(command: typeof custody, args: readonly string[], { code, says }: Failure): Promise<void> {
  const { stdout, stderr, code: exit } = await command('--json', ...args);
  const lines = stderr.trim().split('\n');
  expect(
    lines.filter((line) => /^[A-Z_]+ /.test(line)),
    stderr,
  ).toHaveLength(1);
  expect(lines.at(-1)).toContain(`${code} `);
  expect(lines.at(-1)).toMatch(says);
  expect(stdout.trim().split('\n')).toHaveLength(1);
  const { error } = JSON.parse(stdout) as { error: { code: string; message: string; details: object } };
  expect(error).toMatchObject({ code, message: expect.stringMatching(says), details: expect.any(Object) });
  expect(exit).toBe(exitCodeOf(code));
}

const cli = (...args: readonly string[]): Promise<Ended> => bench.cli(...args);

/** What a command answers on success: in words, and as JSON. In turn, since some of them write the same file. */
async function answered<T>(...args: readonly string[]): Promise<{ readonly text: string; readonly json: T }> {
  const text = await cli(...args);
  const json = await cli('--json', ...args);
  expect(text, text.stderr).toMatchObject({ code: 0, stderr: '' });
  expect(json, json.stderr).toMatchObject({ code: 0 });
  return { text: text.stdout, json: JSON.parse(json.stdout) as T };
}

/** An unsigned copy of a shipped release, changed. */
function folder(name: string, change: (folder: string) => void = () => undefined): string {
  const copy = join(bench.folder, name);
  rmSync(copy, { recursive: true, force: true });
  cpSync(shippedFolder('1.0.0'), copy, { recursive: true });
  change(copy);
  return copy;
}

const parts = (): string => join(digitsFolder(), 'training', 'recipe.json');
const pack = (of: string, version = '1.0.1', bundle = join(bench.folder, 'sig.json')): string[] => [
  ...['pack', of, '--model', MODEL, '--as', version, '--components', parts()],
  ...['--key', bench.stack.layout.key('trainer'), '--bundle', bundle],
  ...['--training-data', join(digitsFolder(), 'data', 'digits', 'digits.csv.gz')],
];
const release = (of: string, bundle: string): string[] => ['release', of, '--bundle', bundle, '--key', 'ci'];

describe('what is no use of the command', () => {
  test.each<[string, string[], string | RegExp]>([
    ['an unknown command', ['statsu', 'digits'], 'Did you mean status?'],
    ['an unknown option', ['status', 'digits', '--jsno'], 'Did you mean --json?'],
    [
      'an argument too few',
      ['retire', 'digits', '--reason', 'x', '--key', 'otto'],
      "missing required argument 'version'",
    ],
    ['no key', ['kill', 'digits', '--reason', 'x'], '--key'],
  ])('%s is told', async (_, args, says) => {
    const { stdout, stderr, code } = await custody('--json', ...args);
    expect(stderr).toMatch(says);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'USAGE', message: expect.any(String) } });
    expect(code).toBe(2);
  });

  test('without --json, nothing is on stdout', async () => {
    const elsewhere = ['--state', join(bench.folder, 'nothing')];
    const [usage, failed] = await Promise.all([custody('statsu'), custody(...elsewhere, 'status', MODEL)]);
    expect(usage).toMatchObject({ code: 2, stdout: '' });
    expect(failed).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(/^INPUT_MISSING .*\n$/) });
  });

  test.each<[string, string[], Failure]>([
    ['a model name', ['status', 'Digits'], { code: 'USAGE', says: 'is not valid' }],
    [
      'a version',
      ['status', MODEL, '1.0'],
      { code: 'VERSION_INVALID', says: /Semantic Versioning.*for example 1\.4\.0/ },
    ],
    ['a time', ['state', MODEL, '--at', 'noon', '--key', 'ada'], { code: 'USAGE', says: 'not a time like' }],
    [
      'a key file',
      ['kill', MODEL, '--reason', 'x', '--key', '/no/key.pem'],
      { code: 'INPUT_MISSING', says: '/no/key.pem' },
    ],
    [
      'a request',
      ['approve', 'deploy-x', '--key', 'alice'],
      { code: 'INPUT_MISSING', says: 'no request deploy-x waits' },
    ],
    [
      'a model that is not there',
      ['status', 'letters'],
      { code: 'INPUT_MISSING', says: 'no workflow endpoint/letters' },
    ],
    [
      'a release that is not there',
      ['verify', MODEL, '7.0.0'],
      { code: 'INPUT_MISSING', says: 'no release digits 7.0.0' },
    ],
    ['a port', ['dev', '--gateway-port', '70000'], { code: 'USAGE', says: '1 to 65535' }],
    ['a suite', ['init', '--suite', '/no/suite.yaml'], { code: 'INPUT_MISSING', says: '/no/suite.yaml' }],
  ])('%s that cannot be is told', async (_, args, failure) => {
    await expectFailure(cli, args, failure);
  });

  test('a key that nobody in the policy has is told', async () => {
    const file = join(bench.folder, 'stranger.pem');
    writeFileSync(file, generateKey('ed25519').privatePem);
    await expectFailure(cli, ['kill', MODEL, '--reason', 'x', '--key', file], {
      code: 'NOT_AUTHORISED',
      says: 'belongs to nobody',
    });
    writeFileSync(file, 'no key at all');
    await expectFailure(cli, ['kill', MODEL, '--reason', 'x', '--key', file], { code: 'MALFORMED', says: 'key' });
  });

  test('the help of every command that takes something has an example', async () => {
    const helpOf = async (...path: string[]) => ({ path, ...(await custody(...path, '--help')) });
    const nested = ({ path, stdout }: { path: string[]; stdout: string }): string[][] => {
      const [, commands = ''] = stdout.split('Commands:');
      const names = [...commands.matchAll(/^ {2}([a-z]+)/gm)].map(([, name]) => name ?? '');
      return names.filter((name) => name !== 'help').map((name) => [...path, name]);
    };
    const top = await Promise.all(nested(await helpOf()).map((path) => helpOf(...path)));
    const below = await Promise.all(top.flatMap(nested).map((path) => helpOf(...path)));
    const all = [...top.filter((help) => nested(help).length === 0), ...below];
    expect(all.length).toBeGreaterThan(14);
    for (const { path, code, stdout } of all) {
      expect(code).toBe(0);
      const takes = /Usage:.*</.test(stdout) || /--(key|suite)/.test(stdout);
      if (takes) expect(stdout, path.join(' ')).toMatch(/Examples?:\n {2}custody /);
    }
  });
});

describe('a stack', () => {
  let taken: Server;

  beforeAll(async () => {
    taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
  });

  afterAll(() => taken.close());

  test('that was never started is told', async () => {
    const state = join(bench.folder, 'nothing');
    const elsewhere = (...args: readonly string[]): Promise<Ended> => custody('--state', state, ...args);
    await expectFailure(elsewhere, ['status', MODEL], { code: 'INPUT_MISSING', says: 'custody dev' });
  });

  test('is not started twice in the same folder', async () => {
    await expectFailure(cli, ['dev'], { code: 'USAGE', says: /already running.*stop it first/ });
  });

  test('is not started on a port in use', async () => {
    const { port } = taken.address() as AddressInfo;
    const state = join(bench.folder, 'second');
    const second = (...args: readonly string[]): Promise<Ended> => custody('--state', state, ...args);
    await expectFailure(second, ['dev', '--gateway-port', String(port)], {
      code: 'PORT_IN_USE',
      says: `port ${port} for gateway is in use`,
    });
    expect(readdirSync(state)).not.toContain('stack.json');
  });

  test('that has died is told', async () => {
    const state = join(bench.folder, 'dead');
    mkdirSync(state);
    const description = {
      ...bench.stack.description,
      temporal: { ...bench.stack.description.temporal, address: '127.0.0.1:9' },
    };
    writeFileSync(join(state, 'stack.json'), JSON.stringify(description));
    cpSync(bench.stack.layout.root, join(state, 'root.json'));
    const dead = (...args: readonly string[]): Promise<Ended> => custody('--state', state, ...args);
    await expectFailure(dead, ['status', MODEL], { code: 'TEMPORAL_UNAVAILABLE', says: 'is the stack up?' });
  });
});

describe('a folder that cannot be a release is refused before anything is signed or sent', () => {
  test.each<[string, (folder: string) => void, Failure]>([
    [
      'no file at all',
      (at) => readdirSync(at).forEach((name) => rmSync(join(at, name))),
      { code: 'INPUT_EMPTY', says: 'no file' },
    ],
    [
      'weights of zero bytes',
      (at) => writeFileSync(join(at, 'weights.safetensors'), ''),
      { code: 'INPUT_EMPTY', says: 'zero bytes' },
    ],
    [
      'weights that are none',
      (at) => writeFileSync(join(at, 'weights.safetensors'), 'pickle'),
      { code: 'MALFORMED', says: 'weights.safetensors' },
    ],
    [
      'a link out of it',
      (at) => {
        rmSync(join(at, 'labels.json'));
        symlinkSync('/etc/passwd', join(at, 'labels.json'));
      },
      { code: 'INPUT_UNSAFE', says: /labels\.json.*symbolic link/ },
    ],
    [
      'twins in case',
      (at) => writeFileSync(join(at, 'Labels.json'), '{}'),
      { code: 'INPUT_UNSAFE', says: /[Ll]abels\.json.*but for case/ },
    ],
    [
      'a file of no component',
      (at) => writeFileSync(join(at, 'evil.mjs'), ''),
      { code: 'MALFORMED', says: 'evil.mjs' },
    ],
  ])('%s', async (name, change, failure) => {
    const at = folder('bad', change);
    const bundle = join(bench.folder, 'never.json');
    await expectFailure(cli, pack(at, '1.0.1', bundle), failure);
    expect(readdirSync(bench.folder)).not.toContain('never.json');
    if (name !== 'no file at all') await bench.custody.records.policies();
  });

  test('one that is not there', async () => {
    await expectFailure(cli, pack(join(bench.folder, 'nowhere')), { code: 'INPUT_MISSING', says: 'nowhere' });
    await expectFailure(cli, release(join(bench.folder, 'nowhere'), 'x'), { code: 'INPUT_MISSING', says: 'nowhere' });
  });

  test('one without a manifest', async () => {
    mkdirSync(join(bench.folder, 'empty'));
    await expectFailure(cli, release(join(bench.folder, 'empty'), 'x'), { code: 'INPUT_EMPTY', says: 'custody pack' });
  });

  test('parts in a file that is not there, or that name what climbs out', async () => {
    const at = folder('parts');
    const args = pack(at);
    const without = args.map((arg) => (arg === parts() ? '/no/parts.json' : arg));
    await expectFailure(cli, without, { code: 'INPUT_MISSING', says: '/no/parts.json' });
    const climbing = join(bench.folder, 'climbing.json');
    const described = JSON.parse(readFileSync(parts(), 'utf8')) as { components: { files: string[] }[] };
    described.components[0]?.files.push('../passwd');
    writeFileSync(climbing, JSON.stringify(described));
    await expectFailure(
      cli,
      args.map((arg) => (arg === parts() ? climbing : arg)),
      {
        code: 'MALFORMED',
        says: 'not a safe relative path',
      },
    );
  });

  test('a wrong version', async () => {
    await expectFailure(cli, pack(folder('bad'), 'v1'), { code: 'VERSION_INVALID', says: 'Semantic Versioning' });
  });

  test('a manifest in which a name climbs out, or which the folder has changed since', async () => {
    const source = await bench.source('1.0.1');
    const manifest = join(source.folder, 'custody.json');
    const text = readFileSync(manifest, 'utf8');
    writeFileSync(manifest, text.replaceAll('labels.json', '../labels.json'));
    await expectFailure(cli, release(source.folder, source.bundle), {
      code: 'MALFORMED',
      says: 'not a safe relative path',
    });
    writeFileSync(manifest, text);
    appendFileSync(join(source.folder, 'README.md'), 'more');
    await expectFailure(cli, release(source.folder, source.bundle), { code: 'DIGEST_MISMATCH', says: 'README.md' });
  });

  test('unsigned, or signed by a stranger', async () => {
    const source = await bench.source('1.0.1', { key: importPrivateKey(generateKey('ecdsa-p256').privatePem) });
    await expectFailure(cli, release(source.folder, source.bundle), { code: 'SIGNATURE_INVALID', says: 'sign' });
    await expectFailure(cli, release(source.folder, '/no/sig.json'), {
      code: 'UNSIGNED',
      says: 'signed by its producer',
    });
    // None of them has used the version up.
    expect(await bench.keys(`records/${MODEL}/1.0.1/`)).toEqual([]);
    await expect(lifecycleStatus(bench.custody, { model: MODEL, version: '1.0.1' })).rejects.toMatchObject({
      code: 'INPUT_MISSING',
    });
  });

  test('a disk without room for what is written', async (context) => {
    const small = join(bench.folder, 'small');
    mkdirSync(small);
    const mounted = await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', small]);
    if (mounted.code !== 0) context.skip(`this host lets nobody mount a small file system: ${mounted.stderr.trim()}`);
    const filler = join(small, 'filler');
    try {
      writeFileSync(filler, Buffer.alloc(64 * 1024));
      const args = pack(folder('whole'), '1.0.1', join(small, 'sig.json'));
      await expectFailure(cli, args, { code: 'NO_SPACE', says: /no room is left for .*sig\.json: free some/ });
      expect(readdirSync(small)).toEqual(['filler']);
      rmSync(filler);
      expect(await cli(...args)).toMatchObject({ code: 0 });
    } finally {
      await run('umount', [small]);
    }
  });
});

describe('intake refuses what comes past the command', () => {
  test.each<[string, () => Promise<ReleaseSource>, string]>([
    [
      'a stranger',
      () => bench.source('2.0.0', { key: importPrivateKey(generateKey('ecdsa-p256').privatePem) }),
      'SIGNATURE_INVALID',
    ],
    [
      'nobody',
      async () => {
        const source = await bench.source('2.0.1');
        return { ...source, bundle: `${source.folder}.sig.json` };
      },
      'UNSIGNED',
    ],
  ])('signed by %s', async (_, make, code) => {
    const source = await make();
    const { model, version } = JSON.parse(readFileSync(join(source.folder, 'custody.json'), 'utf8')) as {
      model: string;
      version: string;
    };
    const started = bench.start(source);
    if (code === 'UNSIGNED') {
      await started;
      rmSync(source.bundle);
    }
    await started;
    const outcome = await outcomeOf(bench.custody, { model, version });
    expect(outcome).toMatchObject({ kind: 'rejected', stage: 'ingest', code });
  });
});

describe('a release', () => {
  let source: { readonly folder: string; readonly bundle: string; readonly release: string };

  test('is packed by the command as the trainer packs it', async () => {
    const at = folder('mine');
    const bundle = join(bench.folder, 'mine.sig.json');
    const { json, text } = await answered<{ release: string }>(...pack(at, '1.0.0', bundle));
    expect(json).toEqual({
      ...{ model: MODEL, version: '1.0.0', release: sha256(readFileSync(join(at, 'custody.json'))) },
      provenance: join(bench.folder, 'mine.provenance.json'),
    });
    expect(text).toContain(json.release);
    source = { folder: at, bundle, release: json.release };
  });

  test('goes its way by the commands, and is waited for', async () => {
    const under = cli('--json', ...release(source.folder, source.bundle), '--wait');
    const { gate } = await bench.openGate('1.0.0');
    await bench.approvals(gate.requestId);
    const { json: gates, text } = await answered<{ gate: { requestId: string }; missing: number }[]>('approvals');
    expect(gates).toMatchObject([{ gate: { requestId: gate.requestId }, missing: 1 }]);
    expect(text).toContain(`${gate.requestId}  1 × release-approver`);
    await expectFailureOfDecision(gate.requestId);
    const approved = await cli('approve', gate.requestId, '--key', sshKey(), '--yes', '--reason', 'good enough');
    expect(approved, approved.stderr).toMatchObject({ code: 0, stdout: 'approve: counted as alice\n' });
    expect(approved.stderr).toContain(`release digest  ${source.release}`);
    const ended = await under;
    expect(ended, ended.stderr).toMatchObject({ code: 0 });
    expect(JSON.parse(ended.stdout)).toMatchObject({
      workflowId: 'lifecycle/digits/1.0.0',
      state: 'started',
      stage: 'in service',
    });
  });

  /** Nobody is at the terminal. */
  async function expectFailureOfDecision(requestId: string): Promise<void> {
    const ended = await cli('approve', requestId, '--key', 'alice');
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain('--yes');
    const refused = await cli('--json', 'approve', requestId, '--key', 'oscar', '--yes');
    expect(refused.code).toBe(4);
    expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: 'NOT_AUTHORISED' } });
  }

  test('asked for again is the same workflow, and leaves nothing behind', async () => {
    const kept = async (): Promise<unknown> => {
      const prefixes = ['records/', 'requests/', 'nonces/', 'versions/', 'blobs/', 'manifests/', 'routes/'];
      return Promise.all(prefixes.map((prefix) => bench.keys(prefix)));
    };
    const log = async (): Promise<unknown> =>
      (await bench.log()).filter(({ change }) => change !== 'log.read').map(({ id }) => id);
    const recorded = await log();
    const before = await kept();
    const again = await cli('--json', ...release(source.folder, source.bundle));
    expect(JSON.parse(again.stdout)).toMatchObject({ workflowId: 'lifecycle/digits/1.0.0', state: 'running' });
    expect(again.code).toBe(0);
    expect(await kept()).toEqual(before);
    expect(await log()).toEqual(recorded);
  });

  test('of other bytes gets another version', async () => {
    const other = await bench.source('1.0.0', { change: (at) => appendFileSync(join(at, 'README.md'), 'more') });
    await expectFailure(cli, release(other.folder, other.bundle), {
      code: 'VERSION_TAKEN',
      says: 'choose a new version',
    });
  });

  test('that changes more than its version says is refused, and is told which version would do', async () => {
    const reorder = (at: string): void => {
      const labels = { labels: [...'1023456789'] };
      writeFileSync(join(at, 'labels.json'), JSON.stringify(labels));
    };
    const small = await bench.source('1.1.0', { change: reorder });
    const shown = await cli('diff', `${MODEL}@1.0.0`, small.folder);
    expect(shown).toMatchObject({
      code: 3,
      stdout: expect.stringMatching(/major +vocabulary\.reordered +labels +"1"/),
    });
    await expectFailure(cli, [...release(small.folder, small.bundle), '--wait'], {
      code: 'VERSION_TOO_SMALL',
      says: /1\.1\.0 is a minor version after 1\.0\.0, but its changes demand a major one.*Call it 2\.0\.0/,
    });
    const { progress } = await lifecycleStatus(bench.custody, { model: MODEL, version: '1.1.0' });
    expect(progress.outcome).toMatchObject({ kind: 'rejected', stage: 'ingest', code: 'VERSION_TOO_SMALL' });
    expect(await bench.log()).toContainEqual(
      expect.objectContaining({ change: 'release.ended', reason: expect.stringContaining('Call it 2.0.0') }),
    );
    const large = await bench.source('2.0.0', { change: reorder });
    const { json } = await answered<object>('diff', `${MODEL}@1.0.0`, large.folder);
    expect(json).toMatchObject({ leastBump: 'major', satisfied: true, problem: null });
  });

  test('is shown by status, verify and state', async () => {
    const endpoint = await answered<{ revision: number; serving: { version: string; weight: number }[] }>(
      'status',
      MODEL,
    );
    expect(endpoint.json).toMatchObject({ killedBy: [], serving: [{ version: '1.0.0', weight: 100 }] });
    expect(endpoint.text).toContain('digits: steady');
    expect(endpoint.text).toMatch(/100 % {2}1\.0\.0/);
    const lifecycle = await answered<{ stage: string }>('status', MODEL, '1.0.0');
    expect(lifecycle.json.stage).toBe('in service');
    expect(lifecycle.text).toContain(source.release);
    const verified = await answered<object>('verify', MODEL, '1.0.0');
    expect(verified.json).toMatchObject({
      ...{
        release: source.release,
        requester: 'ci',
        producer: 'trainer',
        approvers: ['alice'],
        signer: 'release-signer',
      },
      tests: { result: 'PASSED', failedTests: [] },
    });
    expect(verified.text).toContain('approved by alice');
  });

  test('was something at any time: what its digests stand for, who approved it, and the records that say so', async () => {
    interface Told {
      readonly state: StateAt;
      readonly releases: readonly ServedRelease[];
      readonly log: { readonly size: number };
      readonly proofs: readonly string[];
    }
    const state = await answered<Told>('state', MODEL, '--key', 'ada');
    expect(state.json).toMatchObject({
      state: { killedBy: [] },
      policy: 1,
      route: { releases: [{ version: '1.0.0', weight: 100 }] },
    });
    const [release] = state.json.releases;
    expect(release).toMatchObject({ version: '1.0.0', weight: 100, release: source.release });
    expect(release?.files.map(({ component }) => component)).toEqual(
      expect.arrayContaining(['weights', 'dependencies']),
    );
    expect(Object.keys(release?.config ?? {}).length).toBeGreaterThan(0);
    expect(release?.approved).toMatchObject([
      { part: 'approval', state: 'holds', by: ['alice'] },
      { part: 'quorum', state: 'holds' },
    ]);
    expect(state.json.proofs).toHaveLength(groundsOf(state.json.state).length);
    expect(state.text).toMatch(/100 % {2}1\.0\.0/);
    expect(state.text).toContain('✔ approval alice');
    const before = await answered<Told>('state', MODEL, '--at', '2020-01-01T00:00:00.000Z', '--key', 'ada');
    expect(before.json).toMatchObject({ state: { releases: [], route: null }, releases: [], proofs: [] });

    const copies = join(bench.folder, 'as-it-was');
    const restored = await cli('--json', 'state', MODEL, '--key', 'ada', '--materialise', copies);
    expect(restored, restored.stderr).toMatchObject({ code: 0 });
    expect(readdirSync(copies)).toEqual([source.release]);
    for (const { path, sha256: digest } of release?.files ?? [])
      expect(sha256(readFileSync(join(copies, source.release, path))), path).toBe(digest);
    expect(sha256(readFileSync(join(copies, source.release, 'custody.json')))).toBe(source.release);
    await expectFailure(cli, ['state', MODEL, '--key', 'oscar', '--materialise', copies], {
      code: 'NOT_AUTHORISED',
      says: 'does not hold the role auditor',
    });

    const at = state.json.state.at;
    const folder = join(bench.folder, 'log-for-state');
    await answered('audit', 'export', folder, '--key', 'ada');
    const { vkey } = bench.custody.description.audit;
    const whole = await answered<Told>('state', MODEL, '--at', at, '--from', folder, '--log-key', vkey);
    expect(whole.json.state).toEqual(state.json.state);
  });

  test('is in the audit log, for auditors', async () => {
    const verified = await answered<{ size: number; root: string }>('audit', 'verify', '--key', 'ada');
    expect(verified.json).toEqual({ size: expect.any(Number), root: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(verified.text).toContain('the log holds');
    const listed = await answered<AuditRecord[]>('audit', 'list', '--model', MODEL, '--key', 'ada');
    const changes = listed.json.map(({ change }) => change);
    for (const change of [
      'release.admitted',
      'release.ingested',
      'gate.opened',
      'decision.accepted',
      'release.signed',
      'route.changed',
    ])
      expect(changes).toContain(change);
    expect(listed.text).toContain('alice');
    await expectFailure(cli, ['audit', 'verify', '--key', 'oscar'], { code: 'NOT_AUTHORISED', says: 'role auditor' });
  });

  test('whose records are shown, and proved to somebody who has nothing but the key of the log', async () => {
    const { vkey } = bench.custody.description.audit;
    const shown = await answered<{ record: AuditRecord }>('audit', 'show', '0', '--key', 'ada');
    const { stdout: proof } = await cli('audit', 'prove', '0', '--key', 'ada');
    const file = join(bench.folder, '0.tlog-proof');
    writeFileSync(file, proof);
    const elsewhere = (...args: string[]) => custody('--json', '--state', join(bench.folder, 'elsewhere'), ...args);
    const proved = await elsewhere('audit', 'verify', '--proof', file, '--log-key', vkey);
    expect(proved, proved.stderr).toMatchObject({ code: 0 });
    expect(JSON.parse(proved.stdout)).toMatchObject({ index: 0, record: shown.json.record });
    writeFileSync(file, proof.replace('index 0', 'index 1'));
    expect((await elsewhere('audit', 'verify', '--proof', file, '--log-key', vkey)).code).toBe(6);

    const tail = await cli('--json', 'audit', 'tail', '--lines', '3', '--key', 'ada');
    const last = tail.stdout.trim().split('\n');
    expect(last.map((line) => (JSON.parse(line) as { record: AuditRecord }).record.change)).toHaveLength(3);
    await expectFailure(cli, ['audit', 'show', '100000', '--key', 'ada'], { code: 'USAGE', says: '100000' });
  });

  test('is taken along, and verified without the stack; a changed byte is found', async () => {
    const { vkey } = bench.custody.description.audit;
    const folder = join(bench.folder, 'log');
    const taken = await answered<{ size: number; root: string }>('audit', 'export', folder, '--key', 'ada');
    const verify = ['--json', '--state', join(bench.folder, 'elsewhere'), 'audit', 'verify', '--from', folder];
    const verified = await custody(...verify, '--log-key', vkey);
    expect(verified, verified.stderr).toMatchObject({ code: 0 });
    expect(JSON.parse(verified.stdout)).toEqual({ size: expect.any(Number), root: expect.any(String) });
    expect((JSON.parse(verified.stdout) as { size: number }).size).toBeGreaterThanOrEqual(taken.json.size);
    const bundle = join(folder, 'tile', 'entries', readdirSync(join(folder, 'tile', 'entries'))[0] ?? '');
    const entries = statSync(bundle).isDirectory() ? join(bundle, readdirSync(bundle).at(-1) ?? '') : bundle;
    const bytes = readFileSync(entries);
    bytes.writeUInt8(bytes.readUInt8(200) ^ 1, 200);
    writeFileSync(entries, bytes);
    const found = await custody(...verify, '--log-key', vkey);
    expect(found.code).toBe(6);
    expect(JSON.parse(found.stdout)).toMatchObject({ error: { code: 'LOG_INVALID', details: { index: 0 } } });
  });

  test('is sent on, whole and signed, to a webhook, and goes on from there', async () => {
    const secret = `whsec_${randomBytes(32).toString('base64')}`;
    const files = { secret: join(bench.folder, 'siem.secret'), cursor: join(bench.folder, 'siem.cursor') };
    writeFileSync(files.secret, `${secret}\n`);
    // It is down for a moment, in the middle.
    const receiver = await Receiver.start((response, n) => response.writeHead(n === 3 ? 503 : 204).end());
    const args = ['audit', 'forward', receiver.url, '--secret', files.secret, '--cursor', files.cursor];
    const forwarded = async (): Promise<{ delivered: number; next: number }> => {
      const ended = await cli('--json', ...args, '--key', 'ada');
      expect(ended, ended.stderr).toMatchObject({ code: 0 });
      return JSON.parse(ended.stdout) as { delivered: number; next: number };
    };
    try {
      const first = await forwarded();
      expect(receiver.received).toHaveLength(first.delivered + 1);
      const again = await forwarded();
      expect(again.next).toBe(first.next + again.delivered);
      const { stdout } = await cli('--json', 'audit', 'list', '--key', 'ada');
      const listed = JSON.parse(stdout) as AuditRecord[];
      const events = receiver.events().filter((_, n) => n !== 3);
      expect(events.map(({ data }) => data)).toEqual(listed.slice(0, again.next));
      expect(events.map((event) => Number(event['sequence']))).toEqual(events.map((_, index) => index));
      expect(new Set(events.map(({ source }) => source))).toEqual(new Set(['custody.local/dev']));
      expect(events.map(({ id }) => id)).toEqual(listed.slice(0, again.next).map(({ id }) => id));

      const theirs = new StandardWebhook(secret);
      for (const { headers, body } of receiver.received)
        expect(theirs.verify(body, headers as Record<string, string>)).toEqual(JSON.parse(body));

      const count = receiver.received.length;
      await expectFailure(cli, [...args, '--key', 'oscar'], { code: 'NOT_AUTHORISED', says: 'role auditor' });
      const elsewhere = args.with(2, `${receiver.url}/elsewhere`);
      await expectFailure(cli, [...elsewhere, '--key', 'ada'], { code: 'USAGE', says: 'another webhook' });
      expect(receiver.received).toHaveLength(count);
    } finally {
      receiver.close();
    }
  });

  test('is followed by a webhook: what somebody does comes by itself, until Ctrl-C', async () => {
    const receiver = await Receiver.start();
    const file = 'bundled/programs/custody.js';
    const cursor = join(bench.folder, 'following.cursor');
    const args = ['audit', 'forward', receiver.url, '--cursor', cursor, '--follow', '--key', 'ada'];
    const child = new Child(file, ['--state', bench.state, '--json', ...args]);
    const newest = async (): Promise<string> => {
      const { stdout } = await cli('--json', 'audit', 'tail', '--lines', '1', '--key', 'ada');
      return (JSON.parse(stdout) as { record: AuditRecord }).record.id;
    };
    try {
      for (const id of [await newest(), await newest()])
        await until(`event ${id}`, 60, async () => receiver.events().some((event) => event.id === id) || null);
      child.signal('SIGINT');
      expect(await child.ended(), child.text).toBe(0);
    } finally {
      receiver.close();
    }
    const { delivered } = JSON.parse(child.answer) as { delivered: number };
    expect(receiver.events().map((event) => Number(event['sequence']))).toEqual(
      Array.from({ length: delivered }, (_, index) => index),
    );
  });

  test('a reader that goes away is no failure', async () => {
    const command = `${process.execPath} ${compiled('bundled/programs/custody.js')} --state ${bench.state} audit list --key ada`;
    const piped = await run('/bin/bash', ['-c', `set -o pipefail; ${command} | head -n 1`]);
    expect(piped).toMatchObject({ code: 0, stderr: '' });
    expect(piped.stdout.trim().split('\n')).toHaveLength(1);
    const closed = await run('/bin/bash', ['-c', `${command} | true; exit \${PIPESTATUS[0]}`]);
    expect(closed).toMatchObject({ code: 0, stderr: '' });
  });

  test('and doctor finds nothing to complain about, the store included', async () => {
    const { json, text } = await answered<{ what: string; ok: boolean; found: string }[]>('doctor', '--store');
    expect(json.filter(({ ok }) => !ok)).toEqual([]);
    expect(json.map(({ what }) => what)).toEqual([
      'sandbox',
      'stack',
      'disk',
      'keys',
      'temporal',
      'policy',
      'locks',
      'drill',
      'gateway',
      'api',
      'store',
    ]);
    expect(json.at(-1)?.found).toMatch(/^WORM: .*all refused/);
    expect(text).toMatch(/^ok {2}store/m);
  });
});

describe('training data', () => {
  const images = (): string => join(bench.folder, 'images');
  const handover = (name: string): string => join(bench.folder, `${name}.json`);
  const give = (to: string, key: string, ...more: readonly string[]): string[] => [
    ...['data', 'give', images(), '--source', 'images', '--to', to, '--reason', 'for training', '--key', key, ...more],
  ];
  const register = (of: string, ...more: readonly string[]): string[] => [
    ...['data', 'register', of, '--source', 'images', '--publisher', 'archive', '--licence', 'CC-BY-4.0'],
    ...['--origin', 'https://doi.org/10.24432/C50P49', '--key', 'dana', ...more],
  ];

  beforeAll(() => cpSync(join(digitsFolder(), 'data', 'digits'), images(), { recursive: true }));

  test('are given on, vouched for, and checked byte by byte', async () => {
    const given = await cli(...give('dana', 'archive', '--out', handover('first')));
    expect(given, given.stderr).toMatchObject({ code: 0, stderr: '' });
    const registered = await cli('--json', ...register(images(), '--handover', handover('first')));
    expect(registered, registered.stderr).toMatchObject({ code: 0 });
    const { statement } = JSON.parse(registered.stdout) as { statement: string };
    const verified = await answered<{ statement: string; bytes: number }>('data', 'verify', 'images', images());
    expect(verified.json).toMatchObject({ statement, files: 2, licence: 'CC-BY-4.0', by: ['dana'] });
    expect(verified.text).toMatch(/images may be used: 2 files, CC-BY-4.0[\s\S]*archive → dana: for training/);
    const { json } = await answered<readonly { statement: string; refused: null }[]>('data', 'chain', 'images');
    expect(json).toEqual([expect.objectContaining({ statement, refused: null })]);
    const log = await bench.log();
    expect(log).toContainEqual(expect.objectContaining({ change: 'data.registered', after: statement }));
  });

  test('attack: a gap, a changed byte, a loop and a stranger are refused, and the log says so', async () => {
    await expectFailure(cli, register(images()), { code: 'NOT_AUTHORISED', says: /archive has them/ });
    const back = await cli(...give('archive', 'dana', '--after', handover('first'), '--out', handover('back')));
    expect(back, back.stderr).toMatchObject({ code: 0 });
    await expectFailure(cli, register(images(), '--handover', handover('first'), handover('back')), {
      ...{ code: 'CUSTODY_BROKEN', says: /goes round: archive/ },
    });
    await expectFailure(cli, register(images(), '--handover', handover('back')), {
      ...{ code: 'CUSTODY_BROKEN', says: /dana gives what archive has: there is a gap/ },
    });
    const changed = join(bench.folder, 'changed');
    cpSync(images(), changed, { recursive: true });
    appendFileSync(join(changed, 'digits.csv.gz'), ' ');
    await expectFailure(cli, register(changed, '--handover', handover('first')), {
      ...{ code: 'CUSTODY_BROKEN', says: /handover 1: it is of other data/ },
    });
    await expectFailure(cli, ['data', 'verify', 'images', changed], {
      code: 'DIGEST_MISMATCH',
      says: /digits\.csv\.gz/,
    });
    const refused = (await bench.log()).filter(
      ({ change, reason }) => change === 'message.refused' && /× data /.test(reason),
    );
    expect(refused.length).toBeGreaterThanOrEqual(4);
  });
});

describe('a zone that is not running', () => {
  test('keeps nobody from a kill: the order goes straight to the gateways, and is in force once', async () => {
    bench.signalProcess('control', 'SIGSTOP');
    try {
      const killed = await cli('--json', 'kill', MODEL, '--reason', 'nobody is there', '--key', 'oscar');
      expect(killed, killed.stderr).toMatchObject({ code: 0, stderr: expect.stringContaining('on its way') });
      expect(await bench.call()).toMatchObject({ status: 503, reason: 'nobody is there' });
    } finally {
      bench.signalProcess('control', 'SIGCONT');
    }
    await until('the order in the workflow', 180, async () => {
      const { json } = await answered<{ killedBy: string[] }>('status', MODEL);
      return json.killedBy.length === 1 ? true : null;
    });
    await bench.restore();
  });

  test('nor Temporal: a kill straight at the gateway takes effect, control hears of it, and it can be restored', async () => {
    bench.signalProcess('temporal', 'SIGSTOP');
    try {
      const killed = await cli('--json', 'kill', MODEL, '--reason', 'Temporal is down', '--key', 'oscar');
      expect(killed, killed.stderr).toMatchObject({ code: 0 });
      expect(await bench.call()).toMatchObject({ status: 503, reason: 'Temporal is down' });
      await expectFailure(cli, ['status', MODEL], { code: 'TEMPORAL_UNAVAILABLE', says: 'is the stack up?' });
    } finally {
      bench.signalProcess('temporal', 'SIGCONT');
    }
    const { killedBy } = await until('the order in the workflow', 180, async () => {
      const { json } = await answered<{ killedBy: string[] }>('status', MODEL);
      return json.killedBy.length > 0 ? json : null;
    });
    expect(await bench.keys(`kills/${MODEL}/`)).toContain(storeKeys.kill(MODEL, killedBy[0] ?? ''));
    const recorded = (await bench.log()).filter(
      ({ change, after }) => change === 'endpoint.killed' && after === killedBy[0],
    );
    expect(recorded).toMatchObject([{ actor: { id: 'oscar', statement: killedBy[0] } }]);
    await bench.restore();
  });
});

describe('a store without Object Lock', () => {
  const ENVIRONMENT = 'test';
  const CHECKS = [{ check: 'delete', refused: true, answer: 'AccessDenied' }];
  let state: string;
  let admin: S3Config;

  beforeAll(async () => {
    state = join(bench.folder, 'unlocked');
    const made = await custody(
      '--state',
      state,
      'init',
      '--environment',
      ENVIRONMENT,
      '--suite',
      join(digitsFolder(), 'suite.yaml'),
    );
    expect(made, made.stderr).toMatchObject({ code: 0 });
    const secrets = JSON.parse(readFileSync(bench.stack.layout.path('store-secrets.json'), 'utf8')) as {
      admin: string;
    };
    const { endpoint, region } = bench.custody.description.store;
    admin = { endpoint, region, accessKey: 'admin', secretKey: secrets.admin };
    const name = bucketNames(ENVIRONMENT).custody;
    await new StoreAdmin(admin).ensureBucket(name, { objectLock: false, versioning: false });
    const policy = JSON.parse(readFileSync(join(state, 'policies', '1.json'), 'utf8')) as unknown;
    await openBucket(admin, name).createOnce(storeKeys.policy(1), canonicalBytes(policy));
  });

  /** The control zone's worker, with a proof of the store that says this. */
  async function worker(changes: Partial<StoreProofPredicate>): Promise<Ended> {
    const issuedAt = isoTime(Date.now());
    const proof: StoreProofPredicate = {
      ...{ endpoint: admin.endpoint, checks: CHECKS, holds: true, issuedAt, expiresAt: plusSeconds(issuedAt, 3600) },
      ...changes,
    };
    const key = join(state, 'keys', 'control.pem');
    const subject = { name: proof.endpoint, sha256: sha256(canonicalBytes(proof)) };
    const signed = signStatement('storeProof', subject, proof, [importPrivateKey(readFileSync(key, 'utf8'))]);
    writeFileSync(join(state, 'proof.json'), JSON.stringify(signed));
    const whole = JSON.parse(readFileSync(join(bench.state, 'zones', 'control', 'config.json'), 'utf8')) as Record<
      string,
      unknown
    >;
    const config = {
      ...whole,
      // The zone itself, which runs, is read there.
      metrics: undefined,
      ...{ environment: ENVIRONMENT, root: join(state, 'root.json'), state, key: { id: 'control', path: key } },
      store: { ...admin, proof: join(state, 'proof.json') },
    };
    writeFileSync(join(state, 'config.json'), JSON.stringify(config));
    return run(process.execPath, [compiled('workers/main.js'), join(state, 'config.json')]);
  }

  test.each<[string, Partial<StoreProofPredicate>, string]>([
    ['that was proved not to be WORM', { holds: false }, 'is not WORM'],
    [
      'whose proof has expired',
      { issuedAt: '2026-01-01T00:00:00.000Z', expiresAt: '2026-01-02T00:00:00.000Z' },
      'proof of the store is',
    ],
    ['of which there is only the proof of another', { endpoint: 'http://127.0.0.1:1' }, 'not of http'],
    ['that was proved WORM all the same', {}, 'Object Lock'],
  ])('%s: a worker does not start on it', async (_, changes, says) => {
    const ended = await worker(changes);
    expect(ended.code, ended.stderr).toBe(exitCodeOf('STORE_NOT_WORM'));
    expect(ended.stdout).toBe('');
    const fatal = ended.stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { level: number; code?: string; msg: string });
    expect(fatal.at(-1)).toMatchObject({ code: 'STORE_NOT_WORM', msg: expect.stringContaining(says) });
  });
});
