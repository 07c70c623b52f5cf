import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runGit } from '../adapters/git/git.js';
import { noteReview, reviewCode, signCommit, treeOf } from '../client/code.js';
import { connect } from '../client/connect.js';
import { replaceFile } from '../client/files.js';
import { initialise, readKey } from '../client/init.js';
import { lifecycleStatus, requestOf, send, type WaitingGate } from '../client/messages.js';
import { decide, type Signer } from '../client/requests.js';
import { digitsStack } from '../client/stack/digits.js';
import { Layout } from '../client/stack/layout.js';
import { startStack } from '../client/stack/stack.js';
import { CustodyError } from '../domain/errors.js';
import { lifecycleId } from '../domain/names.js';
import { lingoFolder, shipLingo } from '../examples/lingo/train.js';
import { parsePolicyYaml, signPolicy } from '../formats/policy.js';
import { median, round, say, seconds, timed } from './measure.js';

/**
 * Seconds from a commit that changes a prompt until callers are answered by it, on the embedded stack: committed, reviewed,
 * packed on the release before, asked for, scanned, tried with its suite, approved at once, signed, and routed. Beside it the
 * same for a whole release of the same model, which is packed, read and uploaded anew. Usage: prompts [times]
 */
const TIMES = Number(process.argv[2] ?? 3);
const CALLERS = 40;
const PATIENCE_MS = 120_000;
const CUSTODY = join(import.meta.dirname, '..', 'bundled', 'programs', 'custody.js');
/** `tried`: scanned, tried with the suite, and waiting for people; `answered`: approved, signed, routed, and asked by a caller. */
const PARTS = ['committed', 'packed', 'asked', 'tried', 'answered'] as const;
type Parts = Readonly<Record<(typeof PARTS)[number], number>>;
const SUITE = join(lingoFolder(), 'suite.yaml');

const base = mkdtempSync(join(tmpdir(), 'custody-bench-'));
const layout = new Layout(join(base, 'state'));
const repository = join(base, 'prompts');
const prompt = readFileSync(join(lingoFolder(), 'system.txt'), 'utf8');

prepare();
const stack = await startStack({
  ...digitsStack(layout, 'smtp://127.0.0.1:9'),
  ...{ suite: SUITE, documents: [join(lingoFolder(), 'data', 'held-out.json')] },
  repositories: { lingo: repository },
  say: () => undefined,
});
const custody = await connect(layout);
const calling = new AbortController();
/** Versions that have answered somebody. */
const answered = new Set<string>();
const callers = call();
try {
  await put('1.0.0', whole);
  const alone: Parts[] = [];
  const anew: Parts[] = [];
  for (let time = 1; time <= TIMES; time += 1) {
    alone.push(await put(`1.${2 * time - 1}.0`, (at, version) => onBase(at, version, `1.${2 * time - 2}.0`)));
    anew.push(await put(`1.${2 * time}.0`, whole));
  }
  const sumOf = (parts: Parts): number => PARTS.reduce((sum, part) => sum + parts[part], 0);
  const parts = PARTS.map((part) => [part, round(median(alone.map((each) => each[part])))] as const);
  const secondsToCanary = {
    promptAlone: round(median(alone.map(sumOf))),
    wholeRelease: round(median(anew.map(sumOf))),
  };
  const ratio = round(secondsToCanary.wholeRelease / secondsToCanary.promptAlone);
  say({ times: TIMES, secondsToCanary, partsOfPromptAlone: Object.fromEntries(parts), ratio });
} finally {
  calling.abort();
  await callers;
  await custody.close();
  await stack.stop();
  rmSync(base, { recursive: true, force: true });
}

/** A policy under which sentences of the suite are enough, and an empty repository. */
function prepare(): void {
  initialise(layout, { environment: 'dev', suite: SUITE });
  const { value: policy } = parsePolicyYaml(readFileSync(layout.path('policy.yaml'), 'utf8'), 'policy.yaml');
  const suites = policy.validation.suites.map((rule) => ({ ...rule, minimumCases: 5 }));
  const steps = [10, 100].map((weight) => ({ weight, bakeSeconds: 0.5 }));
  const repositories = [{ name: 'lingo', branch: 'main', reviewers: 1 }];
  const edited = {
    ...policy,
    validation: { ...policy.validation, suites },
    training: { ...policy.training, repositories },
    rollout: { ...policy.rollout, steps },
  };
  replaceFile(layout.policy(1), JSON.stringify(signPolicy(edited, [readKey(layout.key('rosa'))])));
  mkdirSync(repository);
}

/** The seconds of each part from the commit to the first answer by the release; then it waits until that is in service. */
async function put(version: string, pack: (at: string, version: string) => Promise<readonly string[]>): Promise<Parts> {
  const committed = await seconds(() => commit(version));
  const at = join(base, `lingo-${version}`);
  const bundle = `${at}.sig.json`;
  const packed = await seconds(async () => {
    const what = await pack(at, version);
    const from = ['--prompts', repository, '--repository', 'lingo', '--key', layout.key('trainer'), '--bundle', bundle];
    await command('pack', at, '--as', version, ...what, ...from);
  });
  const asked = await seconds(() => command('release', at, '--bundle', bundle, '--key', 'ci'));
  const gate = reached(version, ({ gate: open, missing }) =>
    open === null ? null : { workflowId: lifecycleId({ model: 'lingo', version }), gate: open, missing },
  );
  const tried = await seconds(() => gate);
  const answered = await seconds(async () => {
    await approve(await gate);
    await answeredBy(version);
  });
  await reached(version, ({ stage }) => (stage === 'in service' ? true : null));
  return { committed, packed, asked, tried, answered };
}

async function commit(version: string): Promise<void> {
  if (version === '1.0.0')
    await runGit(['init', '--quiet', '--template=', '--initial-branch=main'], { cwd: repository });
  writeFileSync(join(repository, 'system.txt'), `${prompt}This is ${version}.\n`);
  const who = ['-c', 'user.name=theo', '-c', 'user.email=theo@localhost', '-c', 'commit.gpgsign=false'];
  await runGit(['add', '--all'], { cwd: repository });
  await runGit([...who, 'commit', '--quiet', '--no-verify', '--message', version], { cwd: repository });
  const id = await signCommit(repository, readKey(layout.key('theo')));
  const review = { repository: 'lingo', commit: id, decision: 'approve', reason: 'it stays in its role' } as const;
  await noteReview(repository, id, reviewCode(await signer('rita'), review, await treeOf(repository, id)), 'rita');
}

/** Every file anew, as `pack` is given them. */
async function whole(at: string, version: string): Promise<readonly string[]> {
  const { manifest } = await shipLingo(at, { version });
  rmSync(join(at, 'system.txt'));
  const parts = `${at}.parts.json`;
  writeFileSync(parts, JSON.stringify({ components: manifest.components, serving: manifest.serving }));
  const data = join(lingoFolder(), 'data', 'training.json');
  return ['--model', 'lingo', '--components', parts, '--training-data', data];
}

async function onBase(_at: string, _version: string, before: string): Promise<readonly string[]> {
  return ['--base', `lingo@${before}`];
}

async function command(...args: readonly string[]): Promise<void> {
  const { exitCode, stdout } = await timed(process.execPath, [CUSTODY, '--state', layout.state, ...args]);
  if (exitCode !== 0) throw new CustodyError('INTERNAL', `custody ${args[0] ?? ''} ended with ${exitCode}: ${stdout}`);
}

async function signer(id: string): Promise<Signer> {
  const { newestDigest } = await custody.records.policies();
  return { key: readKey(layout.key(id)), id, environment: 'dev', policy: newestDigest };
}

async function approve(waiting: WaitingGate): Promise<void> {
  const request = await requestOf(custody, waiting);
  await send(custody, waiting.workflowId, 'approve', decide(await signer('alice'), request, 'approve', 'as tried'));
}

type Status = Awaited<ReturnType<typeof lifecycleStatus>>;

async function reached<T>(version: string, look: (status: Status) => T | null): Promise<T> {
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    const status = await lifecycleStatus(custody, { model: 'lingo', version });
    const found = look(status);
    if (found !== null) return found;
    if (performance.now() > until) throw new CustodyError('PENDING', `${version} is at ${status.stage} for too long`);
    await pause(50);
  }
}

/** The first of the callers whom the release answers. */
async function answeredBy(version: string): Promise<void> {
  while (!answered.has(version)) await pause(20);
}

/** People who chat all the time: a release is judged by its answers. */
async function call(): Promise<void> {
  const url = new URL('/lingo/v1/chat/completions', stack.description.gateway.url);
  const body = JSON.stringify({ model: 'lingo', messages: [{ role: 'user', content: 'Wo ist der Bahnhof?' }] });
  const one = async (caller: number): Promise<void> => {
    const headers = { 'content-type': 'application/json', 'x-custody-caller': `caller-${caller}` };
    const answer = await fetch(url, { method: 'POST', headers, body });
    await answer.text();
    answered.add(answer.headers.get('x-custody-release-version') ?? '');
  };
  for (let asked = 0; !calling.signal.aborted; asked += 1) {
    await one(asked % CALLERS);
    await pause(10);
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
