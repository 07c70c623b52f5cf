import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { packRelease } from '../adapters/source/pack.js';
import { readComponents } from '../client/components.js';
import { connect, type Custody } from '../client/connect.js';
import { replaceFile } from '../client/files.js';
import { initialise, readKey } from '../client/init.js';
import { lifecycleStatus, requestOf, send } from '../client/messages.js';
import { describeOrigin, provenanceBeside, writeProvenance } from '../client/provenance.js';
import { condemnRelease, decide, type Signer } from '../client/requests.js';
import { digitsStack } from '../client/stack/digits.js';
import { Layout } from '../client/stack/layout.js';
import { startStack, type Stack } from '../client/stack/stack.js';
import { until } from '../client/stack/until.js';
import { askAs, startRelease, type ReleaseSource } from '../client/start.js';
import { lifecycleId, type ReleaseName } from '../domain/names.js';
import { digitsData, digitsFolder } from '../examples/digits/assets.js';
import { shippedFolder } from '../examples/digits/ship.js';
import { omsResources, parseManifest } from '../formats/manifest.js';
import { signOms } from '../formats/oms.js';
import { parsePolicyYaml, signPolicy } from '../formats/policy.js';
import { say, spread, type Spread } from './measure.js';
import { Traffic, type Answer } from './traffic.js';

/**
 * Milliseconds from the moment just before a security authority signs that a release is dangerous until the last request is sent
 * that this release still answers, and until the last such answer has come; from then on all are refused. On a whole stack,
 * each part a process of its own, with constant traffic through the gateway. What is condemned stays so: each time is another
 * model's release, put in service by its people before. Usage: condemn [times] [requests per second]
 */
const times = Number(process.argv[2] ?? 30);
const perSecond = Number(process.argv[3] ?? 1_000);
const GOAL_MS = 100;
const VERSION = '1.0.0';
const PATIENCE_SECONDS = 180;
/** So long all is answered before the notice, and refused after the last answer. */
const AROUND_MS = 1_000;
/** Rollouts need some callers too. */
const CALLS_MEANWHILE = 100;

interface Bench {
  readonly folder: string;
  readonly stack: Stack;
  readonly custody: Custody;
}

interface Took {
  readonly perSecond: number;
  /** How late answers were that came before the notice, at the 99th percentile. */
  readonly before: number;
  readonly lastServed: number;
  readonly lastAnswered: number;
}

const folder = mkdtempSync(join(tmpdir(), 'custody-bench-'));
// Zones have users of their own.
chmodSync(folder, 0o755);
try {
  const took = await measure(await start());
  const of = (name: keyof Took): Spread => spread(took.map((each) => each[name]));
  say({
    times,
    requestsPerSecond: of('perSecond').p50,
    milliseconds: {
      answersBefore: of('before'),
      lastServed: of('lastServed'),
      lastAnswered: of('lastAnswered'),
    },
    goal: GOAL_MS,
  });
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function start(): Promise<Stack> {
  const layout = new Layout(join(folder, 'state'));
  const digits = digitsStack(layout, 'smtp://127.0.0.1:9');
  initialise(layout, { environment: 'bench', suite: digits.suite });
  const file = layout.path('policy.yaml');
  const policy = parsePolicyYaml(readFileSync(file, 'utf8'), file).value;
  // How a release gets there is not what is measured.
  const hurried = { ...policy, rollout: { ...policy.rollout, steps: [{ weight: 100, bakeSeconds: 0.5 }] } };
  replaceFile(layout.policy(1), JSON.stringify(signPolicy(hurried, [readKey(layout.key('rosa'))])));
  return startStack({ ...digits, environment: 'bench', say: () => undefined });
}

async function measure(stack: Stack): Promise<readonly Took[]> {
  try {
    const custody = await connect(stack.layout);
    try {
      const took: Took[] = [];
      // The first one only warms up.
      for (let time = 0; time <= times; time += 1) {
        const name = { model: `digits-${time}`, version: VERSION };
        await putInService({ folder, stack, custody }, name);
        const each = await condemn({ folder, stack, custody }, name);
        if (time > 0) took.push(each);
      }
      return took;
    } finally {
      await custody.close();
    }
  } finally {
    await stack.stop();
  }
}

async function condemn({ stack, custody }: Bench, name: ReleaseName): Promise<Took> {
  const { progress } = await lifecycleStatus(custody, name);
  const release = progress.ingested?.release ?? '';
  const key = readKey(stack.layout.key('sam'));
  const signer = { key, environment: custody.description.environment };
  const said = { vulnerability: 'CVE-2026-1234', reason: 'it runs what it is told' };
  const traffic = new Traffic(stack.description.gateway.url, name.model, perSecond);
  // Of traffic that nobody can keep up with, answers come late whatever is ordered.
  await until('traffic that is answered as it comes', PATIENCE_SECONDS, async () => {
    if (latency(settledOf(traffic.answers)).p99 > GOAL_MS) throw new Error('answers are late');
  });
  const signedAt = performance.now();
  await send(custody, lifecycleId(name), 'condemn', condemnRelease(signer, { ...name, release }, said));
  await wait(AROUND_MS);
  await traffic.stop();
  return judge(traffic.answers, signedAt, release);
}

/** Fails unless all was answered by the release before the notice, and is refused from some moment after it on. */
function judge(answers: readonly Answer[], signedAt: number, release: string): Took {
  const around = answers.filter(({ dueAt }) => dueAt > signedAt - AROUND_MS);
  const wrong = around.find(({ status, release: by, answeredAt }) =>
    status === 200 ? by !== release : answeredAt < signedAt || ![410, 503].includes(status),
  );
  if (wrong !== undefined) throw new Error(`${wrong.status}, due ${wrong.dueAt - signedAt} ms after the notice`);
  const served = around.filter(({ status }) => status === 200);
  const lastAnswered = Math.max(...served.map(({ answeredAt }) => answeredAt));
  const refused = around.filter(({ sentAt }) => sentAt > lastAnswered).length;
  if (refused < (perSecond * AROUND_MS) / 2_000) throw new Error(`only ${refused} were refused after the last answer`);
  const due = around.map(({ dueAt }) => dueAt);
  return {
    perSecond: around.length / ((Math.max(...due) - Math.min(...due)) / 1_000),
    before: latency(around.filter(({ dueAt }) => dueAt < signedAt)).p99,
    lastServed: Math.max(...served.map(({ sentAt }) => sentAt)) - signedAt,
    lastAnswered: lastAnswered - signedAt,
  };
}

/** What was due within the last moments, once there is as much of it as there should be. */
function settledOf(answers: readonly Answer[]): readonly Answer[] {
  const since = performance.now() - AROUND_MS;
  const settled = answers.filter(({ dueAt, status }) => dueAt > since && status === 200);
  if (settled.length < 0.9 * perSecond * (AROUND_MS / 1_000)) throw new Error(`only ${settled.length} were answered`);
  return settled;
}

function latency(answers: readonly Answer[]): Spread {
  return spread(answers.map(({ dueAt, answeredAt }) => answeredAt - dueAt));
}

/** By its people, as any other. */
async function putInService(bench: Bench, name: ReleaseName): Promise<void> {
  const { stack, custody } = bench;
  await startRelease(custody, askAs(await signerOf(bench, 'ci')), await source(stack, name));
  const waiting = await until(`a request of ${name.model}`, PATIENCE_SECONDS, async () => {
    const { gate, missing } = await lifecycleStatus(custody, name);
    if (gate === null) throw new Error('it asks nobody yet');
    return { workflowId: lifecycleId(name), gate, missing };
  });
  const request = await requestOf(custody, waiting);
  const approval = decide(await signerOf(bench, 'alice'), request, 'approve', 'it is only measured');
  await send(custody, waiting.workflowId, 'approve', approval);
  const traffic = new Traffic(stack.description.gateway.url, name.model, CALLS_MEANWHILE);
  await until(`${name.model} in service`, PATIENCE_SECONDS, async () => {
    const { stage } = await lifecycleStatus(custody, name);
    if (stage !== 'in service') throw new Error(`it is at ${stage}`);
  });
  await traffic.stop();
}

async function signerOf({ stack, custody }: Bench, id: string): Promise<Signer> {
  const { newestDigest } = await custody.records.policies();
  const { environment } = custody.description;
  return { key: readKey(stack.layout.key(id)), id, environment, policy: newestDigest };
}

/** A copy of the shipped release under a name of its own, signed by its producer. */
async function source({ layout }: Stack, { model, version }: ReleaseName): Promise<ReleaseSource> {
  const at = join(folder, `release-${model}`);
  cpSync(shippedFolder(version), at, { recursive: true });
  const { components, serving } = readComponents(join(digitsFolder(), 'training', 'recipe.json'));
  const packed = await packRelease(at, { model, version, components, serving });
  const key = readKey(layout.key('trainer'));
  const bundle = `${at}.sig.json`;
  const text = readFileSync(join(at, 'custody.json'));
  replaceFile(bundle, signOms(`${model} ${version}`, omsResources(parseManifest(text), text), key));
  const provenance = provenanceBeside(bundle);
  const made = { data: [digitsData()], code: [], parent: null, base: null, statement: null, prompts: null };
  writeProvenance(provenance, packed, await describeOrigin(packed, made), key);
  return { folder: at, bundle, provenance };
}
