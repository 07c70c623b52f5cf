import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, type TestContext } from 'vitest';
import { createGatewayClient } from '../../adapters/gateway/client.js';
import { stringify } from 'yaml';
import { endpointStatus, outcomeOf } from '../../client/messages.js';
import { askAs, startRelease } from '../../client/start.js';
import type { RolloutResult } from '../../domain/lifecycle.js';
import { endpointId } from '../../domain/names.js';
import type { PlanStep } from '../../domain/plan.js';
import type { SignedEnvelope } from '../../domain/statements.js';
import { storeKeys } from '../../domain/store-keys.js';
import { pointOf } from '../../gateway/headers.js';
import { generateKey, importPrivateKey } from '../../formats/keys.js';
import { newNonce, signAlert } from '../../formats/requests.js';
import { Bench, FIRST, FIRST_WEIGHT, MODEL } from './harness.js';
import { Callers } from './support/callers.js';
import { allOfItOther, editServer, sourceInParts, tellingItsParts } from './support/parts.js';
import { modelServersOf } from './support/processes.js';
import { until } from './support/until.js';

const PATIENCE_SECONDS = 180;
const SAMPLES = 12;
const LIMIT_MS = 1_500;
const SLOW_MS = 2_200;
/** Whoever sends an image of such pixels makes a release slow that waits for it. */
const POISON = 7.25;
/** How long a step is held that too little is known of. */
const BOUND_SECONDS = 10;
/** Longer than a test may take: whatever ends the step has not waited for it. */
const LONG_SECONDS = 1_500;
/** Answers that a failing release may give before a gateway has seen enough, and those that are under way then. */
const MOST_BAD = SAMPLES + 40;

/** What a release does to callers, and to nobody else: whoever validates it, or looks at its health, finds it well. */
const BAD = {
  fails: `throw new Error('broken');`,
  slow: `await new Promise((done) => setTimeout(done, ${SLOW_MS}));`,
  dies: `if ((globalThis.asked = (globalThis.asked ?? 0) + 1) % 3 === 0) process.exit(1);`,
  hangs: `await new Promise(() => undefined);`,
  slows: `globalThis.slow ||= infer.images[0] === ${POISON}; if (globalThis.slow) await new Promise((done) => setTimeout(done, ${SLOW_MS}));`,
  nothing: '',
};
type Bad = keyof typeof BAD;

let bench: Bench;
let callers: Callers;
const parts = new Map<string, string>();
/** How each release was ended, as it was recorded. */
const ends = new Map<string, Extract<RolloutResult, { kind: 'rolled back' }>>();
let minor = 0;

/** Only callers name themselves, and whoever asks for a preview says so. It claims in each answer to be the stable one, and quick. */
function behavingBadly(folder: string, how: Bad): void {
  const isCaller = `request.headers['x-custody-caller'] !== undefined && request.headers['x-custody-preview'] === undefined`;
  const lies = `'x-custody-release-version': '${FIRST.version}', 'x-custody-failures': '0', 'server-timing': 'total;dur=1'`;
  editServer(
    folder,
    (text) =>
      text
        .replace('await readBody(request), model);', `$&\n  if (${isCaller}) {\n    ${BAD[how]}\n  }`)
        .replace(`response.writeHead(status, { 'content-type'`, `response.writeHead(status, { ${lies}, 'content-type'`),
    BAD[how],
  );
  if (!readFileSync(join(folder, 'serve.mjs'), 'utf8').includes(lies)) throw new Error('the model server cannot lie');
}

const source = (version: string, change: (folder: string) => void) => sourceInParts(bench, version, change, parts);

interface Candidate {
  readonly version: string;
  readonly release: string;
}

/** The next release, all of it other than what serves: approved, and about to get its callers. */
async function rolledOut(how: Bad, plan: readonly PlanStep[] | null = null): Promise<Candidate> {
  const version = `1.${(minor += 1)}.0`;
  const made = await source(version, (folder) => {
    allOfItOther(folder, `Name the digit, and nothing else. ${version}`);
    behavingBadly(folder, how);
  });
  await startRelease(bench.custody, askAs(await bench.signer('ci')), made, plan);
  const waiting = await bench.openGate(version);
  expect(await bench.tell(waiting.workflowId, 'approve', await bench.decision('alice', waiting))).toBe('accepted');
  return { version, release: made.release };
}

const gateway = () => createGatewayClient(bench.custody.description.gateway.admin);
const status = () => endpointStatus(bench.custody, MODEL);

/** Until the release has its part of the callers. */
const atWeight = ({ version }: Candidate, weight: number): Promise<unknown> =>
  until(`${version} at ${weight} %`, PATIENCE_SECONDS, async () => {
    const { serving, rollout } = await status();
    return rollout?.order.version === version && serving[0]?.version === version && serving[0].weight === weight
      ? true
      : null;
  });

/** Until the rollout has ended: how, by its own record. Whatever happened, everybody is back at the first release, whole. */
async function ended({ version, release }: Candidate): Promise<Extract<RolloutResult, { kind: 'rolled back' }>> {
  const outcome = await until(`the end of ${version}`, PATIENCE_SECONDS, () =>
    outcomeOf(bench.custody, { model: MODEL, version }),
  );
  const key = storeKeys.record({ model: MODEL, version }, 'rollout');
  const rollout = (await bench.custody.records.record(key)) as RolloutResult;
  if (rollout.kind !== 'rolled back') throw new Error(`${version} was not rolled back: ${JSON.stringify(rollout)}`);
  expect(outcome).toEqual({ kind: 'rolled back', reason: rollout.reason });
  const now = await status();
  expect(now.serving.map((entry) => [entry.version, entry.weight])).toEqual([[FIRST.version, 100]]);
  expect(now.ended.map(({ result }) => result)).toContainEqual(rollout);
  expect((await gateway().state()).models[0]).toMatchObject({ revision: rollout.revision, breach: null });
  await bench.answers({ status: 200, version: FIRST.version });
  expect(now.serving.map((entry) => entry.release)).not.toContain(release);
  ends.set(version, rollout);
  return rollout;
}

/** Of the callers who were not served: those that the release itself failed, and there are no others. */
function failedBy({ version }: Candidate, from: number, weight = FIRST_WEIGHT) {
  const failed = callers.failed.slice(from);
  expect(failed.filter((each) => each.version !== version || each.point >= weight)).toEqual([]);
  expect(callers.mixed).toEqual([]);
  return failed;
}

/** What the gateway has counted of the release, as Prometheus reads it. */
async function counted({ version }: Candidate, what: string): Promise<number> {
  const line = new RegExp(`^custody_gateway_${what}\\{.*version="${version.replaceAll('.', '\\.')}"\\} (\\d+)$`, 'gm');
  const all = [...(await gateway().metrics()).matchAll(line)].map(([, value]) => Number(value));
  return all.reduce((sum, value) => sum + value, 0);
}

const took = async (annotate: TestContext['annotate'], what: string, tookMs: number | undefined): Promise<void> => {
  expect(tookMs).toBeGreaterThanOrEqual(0);
  await annotate(`${what}: back at every gateway ${tookMs} ms after it was decided`);
};

beforeAll(async () => {
  bench = await Bench.start((policy) => ({
    ...policy,
    artifacts: { ...policy.artifacts, allowUnreviewedPrompts: true },
    rollout: {
      ...policy.rollout,
      // Each trigger by itself: what is worse than the stable release within the limits is another test's.
      triggers: { minimumSamples: SAMPLES, maxErrorRate: 0.05, maxLatencyMs: LIMIT_MS },
      stepTimeoutSeconds: BOUND_SECONDS,
    },
    rollback: { warmReleases: 2, windowSeconds: 3600 },
  }));
  // Others' callers have places of their own among the weights.
  await bench.load.stop();
  await bench.start(await source(FIRST.version, tellingItsParts));
  const waiting = await bench.openGate(FIRST.version);
  expect(await bench.tell(waiting.workflowId, 'approve', await bench.decision('alice', waiting))).toBe('accepted');
  callers = new Callers(bench.stack.description.gateway.url, MODEL, parts, 1);
  await bench.reached(FIRST.version, 'in service');
  callers.failed.length = 0;
});
afterAll(async () => {
  // What hangs is answered once its release is gone.
  await bench?.stop();
  await callers?.stop();
});

describe('a canary', () => {
  test('that fails callers fast, with its health and its own word all well, is rolled back by its error rate', async ({
    annotate,
  }) => {
    const from = callers.failed.length;
    const canary = await rolledOut('fails');
    const { reason, tookMs } = await ended(canary);
    expect(reason).toMatch(/^fail: \d+ of \d+ answers failed, at most 5 % may$/);
    await took(annotate, 'error rate', tookMs);
    const failed = failedBy(canary, from);
    expect(failed.length).toBeGreaterThanOrEqual(SAMPLES);
    expect(failed.length).toBeLessThanOrEqual(MOST_BAD);
    expect(await counted(canary, 'failures')).toBe(failed.length);
    expect(await counted(canary, 'slow')).toBe(0);
  });

  test('that answers right and late is rolled back by its latency', async ({ annotate }) => {
    const from = callers.failed.length;
    const canary = await rolledOut('slow');
    const { reason, tookMs } = await ended(canary);
    expect(reason).toMatch(/^fail: \d+ of \d+ answers took longer than 1500 ms: the 95th percentile is above it$/);
    await took(annotate, 'latency', tookMs);
    expect(failedBy(canary, from)).toEqual([]);
    expect(callers.versions.get(canary.version)).toBeGreaterThanOrEqual(SAMPLES);
    expect(await counted(canary, 'failures')).toBe(0);
    expect(await counted(canary, 'slow')).toBeGreaterThanOrEqual(SAMPLES);
  });

  test('whose server exits at every third call is rolled back', async ({ annotate }) => {
    const from = callers.failed.length;
    const canary = await rolledOut('dies');
    const { reason, tookMs } = await ended(canary);
    expect(reason).toMatch(/^fail: \d+ of \d+ answers failed, at most 5 % may$/);
    await took(annotate, 'exits', tookMs);
    expect(failedBy(canary, from).length).toBeGreaterThan(0);
  });

  test('that takes calls and never answers is rolled back by its latency, however patient its callers are', async ({
    annotate,
  }) => {
    const from = callers.failed.length;
    const canary = await rolledOut('hangs');
    const { reason, tookMs } = await ended(canary);
    expect(reason).toMatch(/^fail: \d+ of \d+ answers took longer than 1500 ms: the 95th percentile is above it$/);
    await took(annotate, 'hangs', tookMs);
    // Those who wait are told once its server has been stopped.
    await until('the callers who wait', PATIENCE_SECONDS, async () => (callers.waiting < 10 ? true : null));
    const failed = failedBy(canary, from);
    expect(failed.length).toBeGreaterThanOrEqual(SAMPLES);
    expect(callers.versions.get(canary.version)).toBeUndefined();
  });
});

/** A caller whose place is the first of all: whom even one percent is. */
const seldom = Array.from({ length: 1000 }, (_, at) => `seldom-${at}`).find((name) => pointOf(name, MODEL) === 0) ?? '';

/** A step that ends by what is done to it, and by no time. */
const HELD: readonly PlanStep[] = [
  { weight: FIRST_WEIGHT, bakeSeconds: LONG_SECONDS },
  { weight: 100, bakeSeconds: 0.5 },
];

/** One that hardly anybody is sent to. Its time is longer than a replica that says nothing more is believed to be there. */
const SELDOM: readonly PlanStep[] = [
  { weight: 1, bakeSeconds: BOUND_SECONDS + 4 },
  { weight: FIRST_WEIGHT, bakeSeconds: 0.5 },
  { weight: 100, bakeSeconds: 0.5 },
];

describe('a security alert', () => {
  /** The alert that has ended a rollout. */
  let spent: SignedEnvelope;
  const alert = (
    about: {
      readonly version?: string;
      readonly model?: string;
      readonly environment?: string;
      readonly by?: string;
    } = {},
    reason = 'it leaks its prompts',
  ): SignedEnvelope => {
    const { version = null, model = MODEL, environment = bench.custody.description.environment, by = 'mona' } = about;
    const key = by === '' ? importPrivateKey(generateKey('ed25519').privatePem) : bench.key(by);
    const said = { model, version, release: null, severity: 'critical', nonce: newNonce(), reason } as const;
    return signAlert({ key, environment }, said);
  };
  const tell = (said: SignedEnvelope) => bench.tell(endpointId(MODEL), 'securityAlert', said);

  test('ends the rollout of a release that is well, and nothing else does that looks like one', async ({
    annotate,
  }) => {
    const from = callers.failed.length;
    const canary = await rolledOut('nothing', HELD);
    await atWeight(canary, FIRST_WEIGHT);
    // Who approves, who operates and who made the release are no monitors; somebody whom nobody knows is none at all.
    for (const by of ['alice', 'oscar', 'trainer']) expect(await tell(alert({ by }))).toBe('NOT_AUTHORISED');
    expect(await tell(alert({ by: '' }))).toBe('SIGNATURE_INVALID');
    expect(await tell(alert({ environment: 'prod' }))).toBe('REPLAYED');
    expect(await tell(alert({ model: 'letters' }))).toBe('REPLAYED');
    expect(await tell(alert({ version: '1.99.0' }))).toBe('POLICY_REFUSED');
    // About what serves everybody else: people see it, and the rollout goes on.
    const stable = alert({ version: FIRST.version }, 'its weights are for sale');
    expect(await tell(stable)).toBe('accepted');
    const { trouble, rollout } = await status();
    expect(trouble).toEqual(['critical security alert of mona: its weights are for sale']);
    expect(rollout?.order.version).toBe(canary.version);
    await atWeight(canary, FIRST_WEIGHT);

    spent = alert();
    expect(await tell(spent)).toBe('accepted');
    const { reason, tookMs } = await ended(canary);
    expect(reason).toBe('critical security alert of mona: it leaks its prompts');
    await took(annotate, 'alert', tookMs);
    expect(failedBy(canary, from)).toEqual([]);
    expect(callers.versions.get(canary.version)).toBeGreaterThan(0);
  });

  test('attack: once more, when the same is released anew, it ends nothing; nor does a canary pass whose server is killed again and again', async () => {
    const from = callers.failed.length;
    // Nobody but whoever asks for it by this name is sent there, and too seldom for its failures to be told from chance.
    const canary = await rolledOut('nothing', SELDOM);
    await atWeight(canary, 1);
    for (let at = 0; at < SAMPLES + 3; at += 1) await callers.ask(seldom);
    expect(callers.versions.get(canary.version)).toBe(SAMPLES + 3);
    // Not a signal's way: the answer to the very same update would be what it was before.
    await bench.signal(endpointId(MODEL), 'securityAlert', spent);
    expect((await bench.refusalOf(spent)).reason).toContain('REPLAYED');

    const killed = new Set<number>();
    const killing = setInterval(() => {
      for (const pid of modelServersOf(MODEL, canary.version)) {
        process.kill(pid, 'SIGKILL');
        killed.add(pid);
      }
    }, 200);
    const { reason } = await ended(canary).finally(() => clearInterval(killing));
    expect(reason).toMatch(
      /^inconclusive: (no replica of the release is alive|it was not alive for the whole bake time|\d of 12 samples were seen)$/,
    );
    expect(killed.size).toBeGreaterThan(3);
    expect(failedBy(canary, from, 1)).toEqual([]);
  });
});

describe('a canary that hardly anybody asks', () => {
  test('and that answers with errors alone is held, and has failed at the bound', async () => {
    const from = callers.failed.length;
    const canary = await rolledOut('fails', SELDOM);
    await atWeight(canary, 1);
    for (let at = 0; at < 3; at += 1) await callers.ask(seldom);
    const { reason } = await ended(canary);
    expect(reason).toBe('inconclusive: 3 of 12 samples were seen');
    expect(failedBy(canary, from, 1)).toHaveLength(3);
  });

  test('and whose server has stopped is never a pass, however well it has answered before', async () => {
    const from = callers.failed.length;
    const canary = await rolledOut('nothing', SELDOM);
    await atWeight(canary, 1);
    for (let at = 0; at < SAMPLES; at += 1) await callers.ask(seldom);
    for (const pid of modelServersOf(MODEL, canary.version)) process.kill(pid, 'SIGSTOP');
    const { reason } = await ended(canary);
    // The serving zone may have put another server in its place by then: what was missed meanwhile is not made good.
    expect(reason).toMatch(
      /^inconclusive: (no replica of the release is alive|it was not alive for the whole bake time)$/,
    );
    expect(failedBy(canary, from, 1)).toEqual([]);
  });
});

describe('a blue-green release', () => {
  let token = '';
  beforeAll(async () => {
    const { newest } = await bench.custody.records.policies();
    const steps = [0, 100].map((weight) => ({ weight, bakeSeconds: 0.5 }));
    const rollout = { ...newest.rollout, strategy: 'blue-green', steps };
    const [yaml, out, file] = ['blue-green.yaml', 'blue-green.json', 'checkout.token'].map((name) =>
      join(bench.folder, name),
    ) as [string, string, string];
    writeFileSync(yaml, stringify({ ...newest, version: newest.version + 1, rollout }));
    for (const command of [
      ['policy', 'sign', yaml, '--key', 'rosa', '--out', out],
      ['policy', 'apply', out],
      ['consumers', 'declare', 'checkout', '--model', MODEL, '--token', file, '--key', 'oscar'],
    ]) {
      const done = await bench.cli(...command);
      expect(done, done.stderr).toMatchObject({ code: 0 });
    }
    token = readFileSync(file, 'utf8').trim();
  });

  /** Looked at in preview, where it does well; then all callers are switched to it. */
  async function switchedTo(how: Bad): Promise<Candidate> {
    const candidate = await rolledOut(how);
    await atWeight(candidate, 0);
    const preview = { authorization: `Bearer ${token}`, 'x-custody-preview': candidate.version };
    for (let at = 0; at < SAMPLES + 3; at += 1) {
      await callers.ask('checkout', { headers: preview });
    }
    return candidate;
  }

  test('that does well in preview and fails all callers is left at once for the one that is warm', async ({
    annotate,
  }) => {
    const from = callers.failed.length;
    const candidate = await switchedTo('fails');
    const { reason, tookMs } = await ended(candidate);
    expect(reason).toMatch(/^fail: \d+ of \d+ answers failed, at most 5 % may$/);
    await took(annotate, 'error rate, after the switch', tookMs);
    const failed = failedBy(candidate, from, 100);
    expect(failed.length).toBeGreaterThanOrEqual(SAMPLES);
    expect(failed.length).toBeLessThanOrEqual(MOST_BAD);
    expect(callers.versions.get(candidate.version)).toBeGreaterThanOrEqual(SAMPLES);
  });

  test('that turns slow once it serves all callers is gone back from, and none of them has failed', async ({
    annotate,
  }) => {
    const from = callers.failed.length;
    const candidate = await switchedTo('slows');
    await bench.reached(candidate.version, 'in service');
    const { revision } = await status();
    await callers.ask('poison', { pixel: POISON });
    const back = await until('the rollback', PATIENCE_SECONDS, async () => {
      const now = await status();
      return now.revision > revision ? now : null;
    });
    expect(back.serving.map((entry) => [entry.version, entry.weight])).toEqual([[FIRST.version, 100]]);
    await bench.answers({ status: 200, version: FIRST.version });
    expect(failedBy(candidate, from, 100)).toEqual([]);
    const log = await bench.log();
    const breach = log.find(
      ({ change, subject }) => change === 'service.breached' && subject.version === candidate.version,
    );
    expect(breach?.reason).toMatch(/^\d+ of \d+ answers took longer than 1500 ms: .*; rolled back$/);
    const route = log.find(
      ({ change, reason }) => change === 'route.changed' && reason.startsWith(`rollback, revision ${back.revision}:`),
    );
    const [, ms] = /; every gateway served by it (\d+) ms after it was drawn$/.exec(route?.reason ?? '') ?? [];
    await took(annotate, 'latency, in service', ms === undefined ? undefined : Number(ms));
  });
});

test('how each rollout was ended, and how long it took to undo it, is in the log', async () => {
  const log = await bench.log();
  const records = log.filter(({ change, subject }) => change === 'rollout.ended' && ends.has(subject.version ?? ''));
  expect(records).toHaveLength(ends.size);
  for (const { subject, reason } of records) {
    const end = ends.get(subject.version ?? '');
    expect(reason).toBe(
      `rollout: kind rolled back, revision ${end?.revision}, reason ${end?.reason}, tookMs ${end?.tookMs}`,
    );
  }
});
