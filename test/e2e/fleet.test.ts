import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { handIn, saidBy } from '../../client/declaring.js';
import { endpointStatus, lifecycleStatus, openGates, outcomeOf } from '../../client/messages.js';
import { orderKill } from '../../client/requests.js';
import { endpointId, lifecycleId, type ReleaseName } from '../../domain/names.js';
import type { Policy } from '../../domain/policy.js';
import { Bench } from './harness.js';
import { Consumers, type Consumer } from './support/consumers.js';
import { until } from './support/until.js';

/** Many models and many systems that depend on them, on one stack: what happens to one is no matter of the others. */
const MODELS = Array.from({ length: 50 }, (_, at) => `fleet-${at + 1}`);
const CONSUMERS = 200;
/** Those that get another release, all at once; the first is killed while its callers are shared between both. */
const MOVING = MODELS.slice(0, 10);
const [KILLED = ''] = MOVING;
const AT_ONCE = 6;
/** The whole fleet is asked after at once, and has long to come. */
const PATIENCE_SECONDS = 540;
const POLL_MS = 1_000;
/** So few that are missing are each asked where they are. */
const FEW = 3;

/** Few cases, so that so many releases are validated in a minute. What a suite can find is tried elsewhere. */
const SUITE = `suite: fleet
version: 1.0.0
protocol: open-inference-v2
cases:
  - id: live
    kind: contract
    request: { method: GET, path: /v2/health/live }
    expect: { status: 200, json: { live: true } }
  - id: ready
    kind: contract
    request: { method: GET, path: '/v2/models/{model}/ready' }
    expect: { status: 200, json: { name: '{model}', ready: true } }
`;

let bench: Bench;
let consumers: readonly Consumer[];
let calls: Consumers;
const folder = mkdtempSync(join(tmpdir(), 'custody-fleet-'));

function small(policy: Policy): Policy {
  const own = policy.validation.suites.filter(({ suite }) => suite === 'fleet');
  const steps = [50, 100].map((weight) => ({ weight, bakeSeconds: 1 }));
  return {
    ...policy,
    validation: { ...policy.validation, suites: own.map((rule) => ({ ...rule, minimumCases: 2 })) },
    // Each endpoint has few callers, and the machine many endpoints.
    rollout: { ...policy.rollout, steps, triggers: { minimumSamples: 2, maxErrorRate: 0.05, maxLatencyMs: 30_000 } },
    inventory: { ...policy.inventory, unknownCallers: 'refuse' },
  };
}

/** All of them, some at a time. */
async function forEach<T>(all: readonly T[], act: (one: T) => Promise<unknown>): Promise<void> {
  const left = [...all];
  const worker = async (): Promise<void> => {
    for (let one = left.shift(); one !== undefined; one = left.shift()) await act(one);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function begin(model: string, version: string): Promise<void> {
  const change = (of: string): void => appendFileSync(join(of, 'README.md'), `\n${model} ${version}\n`);
  await bench.start(await bench.source(version, { model, change }));
}

/** Approves whatever waits, until these releases are in service. */
async function allInService(version: string, models: readonly string[]): Promise<void> {
  const { workflow } = bench.custody.temporal;
  const approved = new Set<string>();
  const inService = `WorkflowType = 'lifecycle' AND CustodyVersion = '${version}' AND CustodyStage = 'in service'`;
  await until(
    `${models.length} releases ${version} in service`,
    PATIENCE_SECONDS,
    async () => {
      const waiting = (await openGates(bench.custody)).filter(({ gate }) => !approved.has(gate.requestId));
      await forEach(waiting, async (each) => {
        expect(await bench.tell(each.workflowId, 'approve', await bench.decision('alice', each))).toBe('accepted');
        approved.add(each.gate.requestId);
      });
      const { count } = await workflow.count(inService);
      if (count === models.length) return true;
      if (count < models.length - FEW) throw new Error(`${count} are`);
      const reached = new Set<string>();
      for await (const { workflowId } of workflow.list({ query: inService })) reached.add(workflowId);
      const missing = models.map((model) => ({ model, version })).filter((name) => !reached.has(lifecycleId(name)));
      throw new Error(`${count} are; ${(await Promise.all(missing.map(whereItIs))).join('; ')}`);
    },
    POLL_MS,
  );
}

async function whereItIs(name: ReleaseName): Promise<string> {
  const { stage, progress, gate, trouble } = await lifecycleStatus(bench.custody, name);
  return `${name.model}: ${JSON.stringify({ stage, progress, waitsFor: gate?.role, trouble })}`;
}

beforeAll(async () => {
  const suite = join(folder, 'suite.yaml');
  writeFileSync(suite, SUITE);
  bench = await Bench.start(small, { suite, documents: [] });
  // The consumers are the callers here.
  await bench.load.stop();
  consumers = Array.from({ length: CONSUMERS }, (_, at): Consumer => ({
    id: `consumer-${at + 1}`,
    token: join(folder, `consumer-${at + 1}.token`),
    // Every fourth depends on a second one.
    models: [0, ...(at % 4 === 0 ? [7] : [])].map((more) => MODELS[(at + more) % MODELS.length] ?? ''),
  }));
  const signer = await bench.signer('oscar');
  await forEach(consumers, async ({ id, models, token }) =>
    handIn(bench.custody, signer, saidBy(id, { model: models, token, days: '1' }, null, 'oscar'), 1),
  );
});

afterAll(async () => {
  await calls?.stop();
  await bench?.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe('many endpoints and consumers on one stack', () => {
  test('their releases go into service side by side', async () => {
    // No step is passed without callers: they are there from the first on.
    calls = new Consumers(bench.stack.description.gateway.url, consumers);
    await forEach(MODELS, (model) => begin(model, '1.0.0'));
    await allInService('1.0.0', MODELS);
    await calls.allServed();
  });

  test('every consumer is known by its token, and seen at what it depends on', async () => {
    const shown = await bench.cli('--json', 'consumers', 'show', MODELS[7] ?? '');
    expect(shown, shown.stderr).toMatchObject({ code: 0 });
    const { consumers: rows } = JSON.parse(shown.stdout) as { consumers: { id: string; lastSeen: string | null }[] };
    const dependent = consumers.filter(({ models }) => models.includes(MODELS[7] ?? '')).map(({ id }) => id);
    expect(dependent.length).toBeGreaterThan(4);
    expect(
      rows
        .filter(({ lastSeen }) => lastSeen !== null)
        .map(({ id }) => id)
        .sort(),
    ).toEqual([...dependent].sort());
    const stranger = await fetch(calls.address(KILLED), { method: 'POST', body: calls.body });
    expect(stranger.status).toBe(401);
  });

  test('several rollouts go on side by side, one is killed, and the others come to their end unhurt', async () => {
    calls.forget();
    await forEach(MOVING, (model) => begin(model, '1.0.1'));
    const others = allInService('1.0.1', MOVING.slice(1));
    others.catch(() => undefined);
    await until('both releases at once', PATIENCE_SECONDS, async () => {
      const { serving } = await endpointStatus(bench.custody, KILLED);
      return serving.some(({ weight }) => weight === 50) ? true : null;
    });
    const order = orderKill(await bench.signer('oscar'), KILLED, 'one of fifty');
    expect(await bench.tell(endpointId(KILLED), 'kill', order)).toBe('accepted');
    calls.killed(KILLED);
    const outcome = await outcomeOf(bench.custody, { model: KILLED, version: '1.0.1' });
    expect(outcome).toMatchObject({ kind: 'rolled back' });
    await others;
    await calls.allServed();

    expect(calls.afterKill(KILLED)).toMatchObject({ served: 0 });
    expect(calls.afterKill(KILLED).refused).toBeGreaterThan(0);
    for (const model of MODELS.slice(1)) {
      const { failed, versions } = calls.seen(model);
      expect(failed, model).toEqual([]);
      expect(versions, model).toContain(MOVING.includes(model) ? '1.0.1' : '1.0.0');
      if (!MOVING.includes(model)) expect(versions, model).toEqual(['1.0.0']);
      const { killedBy, revision } = await endpointStatus(bench.custody, model);
      expect({ killedBy, moved: revision > 3 }).toEqual({ killedBy: [], moved: MOVING.includes(model) });
    }
    expect(calls.mixed).toBe(0);
  });
});
