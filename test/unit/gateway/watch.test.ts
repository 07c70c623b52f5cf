import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { GatewayStates } from '../../../activities/gateway-states.js';
import { createStepWatch } from '../../../activities/watch.js';
import type { MetricSource } from '../../../adapters/metrics/port.js';
import { judgeStep, tallied, type Seen } from '../../../domain/analysis.js';
import type { StepVerdict } from '../../../domain/endpoint.js';
import type { ModelState } from '../../../domain/gateway.js';
import type { Triggers } from '../../../domain/routing.js';
import { FakeMetrics, value } from '../../support/metrics.js';
import { createWorld, type Release, type Route, type World } from '../../support/world.js';
import { Cleanup, startRig, versions, type ModelServer, type Rig } from './rig.js';

const cleanup = new Cleanup();
let world: World;
let rigs: Rig[];
let canary: Release;
let servers: ModelServer[];
let chain: Route[];
let step: Route;
/** What the policy asks for beside the limits. */
let rules: Partial<Triggers> = {};

function watch(
  bakeSeconds: number,
  timeoutSeconds: number,
  options: {
    readonly details?: unknown;
    readonly environment?: MockActivityEnvironment;
    readonly revision?: number;
    readonly metrics?: MetricSource;
  } = {},
): Promise<StepVerdict> {
  const environment = options.environment ?? new MockActivityEnvironment({ heartbeatDetails: options.details });
  const { watchStep } = createStepWatch({
    gateways: new GatewayStates(rigs.map(({ client }) => client)),
    metrics: options.metrics ?? null,
  });
  const revision = options.revision ?? step.document.revision;
  return environment.run<[], StepVerdict, () => Promise<StepVerdict>>(() =>
    watchStep('digits', revision, canary.release, bakeSeconds, timeoutSeconds),
  );
}

const traffic = (callers: number): Promise<unknown> => Promise.all(rigs.map(({ port }) => versions(port, callers)));

describe('a watch', () => {
  /** Two gateways, both at the first step of a canary that is alive. */
  beforeEach(async () => {
    const triggers = { minimumSamples: 20, maxErrorRate: 0.2, maxLatencyMs: 60_000, ...rules };
    world = createWorld({ policy: (policy) => ({ ...policy, rollout: { ...policy.rollout, triggers } }) });
    const stable = world.release({ version: '1.0.0' });
    rigs = [await startRig(world, cleanup), await startRig(world, cleanup)];
    for (const rig of rigs) {
      await rig.serve(stable);
      await rig.client.deliverStatus(world.status().envelope);
    }
    chain = world.inService(stable);
    const steady = chain.at(-1)!;
    canary = world.release({ version: '1.1.0', after: steady });
    step = world.routePlan(steady, canary);
    servers = [];
    for (const rig of rigs) {
      await rig.deliver(...chain);
      servers.push(await rig.serve(canary));
      await rig.deliver(step);
    }
  });
  afterEach(() => cleanup.run());

  test('passes a sound step after its bake time, on the samples of all gateways together', async () => {
    await traffic(160);
    for (const rig of rigs) {
      const counted = (await rig.model()).counters.find(({ release }) => release === canary.release);
      expect(counted!.requests).toBeLessThan(20);
    }
    const startedAt = Date.now();
    const verdict = await watch(0.6, 10);
    expect(verdict).toMatchObject({ kind: 'pass', revision: step.document.revision });
    expect(verdict.kind === 'pass' && verdict.samples).toBeGreaterThanOrEqual(20);
    const [own, beside] = [canary.release, step.document.releases[1]!.release].map((of) => verdict.counts?.[of]);
    expect(own).toEqual({ requests: verdict.kind === 'pass' && verdict.samples, failures: 0, slow: 0 });
    expect((own?.requests ?? 0) + (beside?.requests ?? 0)).toBe(320);
    expect(Date.now() - startedAt).toBeGreaterThanOrEqual(600);
  });

  test('fails at once when a gateway has seen a breach, long before the bake time', async () => {
    servers[1]!.behave((_, outgoing) => outgoing.writeHead(500).end());
    const verdict = watch(3600, 3600);
    await versions(rigs[1]!.port, 400);
    const { kind, reason } = (await verdict) as StepVerdict & { reason: string };
    expect([kind, reason]).toEqual(['fail', expect.stringContaining('answers failed')]);
  });

  test('fails on a breach that no single gateway has samples enough to see', async () => {
    for (const server of servers) server.behave((_, outgoing) => outgoing.writeHead(500).end());
    await traffic(160);
    for (const rig of rigs) expect((await rig.model()).breach).toBeNull();
    const verdict = await watch(3600, 3600);
    expect(verdict).toMatchObject({ kind: 'fail', counts: { [canary.release]: { failures: expect.any(Number) } } });
    const { requests, failures } = verdict.counts![canary.release]!;
    expect([failures, failures >= 20]).toEqual([requests, true]);
  });

  test('is inconclusive at its bound when there were too few samples', async () => {
    expect(await watch(0, 0.3)).toMatchObject({
      kind: 'inconclusive',
      reason: '0 of 20 samples were seen',
    });
  });

  test('never passes a canary that has vanished, however good it was', async () => {
    await traffic(300);
    const third = await startRig(world, cleanup);
    await third.serve(world.release({ version: '1.0.0' }));
    await third.client.deliverStatus(world.status().envelope);
    const expiresAt = new Date(Date.now() + 1500).toISOString();
    await third.client.deliverReplica(world.replica(canary, { port: servers[0]!.port, expiresAt }).envelope);
    await third.deliver(...chain, step);
    rigs.push(third);
    await expect.poll(async () => (await third.model()).replicas.length).toBe(1);
    expect(await watch(0, 0.5)).toMatchObject({
      kind: 'inconclusive',
      reason: 'no replica of the release is alive',
    });
  });

  test('is inconclusive when another revision is in force, or an order stops the model', async () => {
    expect(await watch(0, 10, { revision: 2 })).toMatchObject({
      kind: 'inconclusive',
      revision: 2,
      reason: 'revision 3 is in force, not 2',
    });
    await rigs[0]!.client.deliverKill(world.kill().envelope);
    expect(await watch(0, 10)).toMatchObject({ kind: 'inconclusive', reason: 'a kill order stops the model' });
  });

  test('holds while a gateway does not answer', async () => {
    await traffic(300);
    await rigs[1]!.stop();
    expect(await watch(0, 0.5)).toMatchObject({
      kind: 'inconclusive',
      reason: '1 of 2 gateways do not serve revision 3',
    });
  });

  describe('that asks a metric source, too', () => {
    const errors = { name: 'errors', query: 'errors{release="{{release}}",revision="{{revision}}"}', atMost: 0.1 };
    const security = { name: 'security', query: 'ALERTS{model="{{model}}"}', requires: ['up'] };
    const source = (): FakeMetrics => {
      const metrics = new FakeMetrics();
      metrics.tell(asked(), [value(0)]);
      metrics.tell('up', [value(1)]);
      return metrics;
    };
    beforeAll(() => {
      rules = { metrics: [errors], alerts: [security] };
    });
    afterAll(() => {
      rules = {};
    });
    const asked = (): string => `errors{release="${canary.release}",revision="3"}`;

    test('passes once all of them speak for the release', async () => {
      await traffic(300);
      const metrics = source();
      expect(await watch(0, 10, { metrics })).toMatchObject({ kind: 'pass' });
      expect(metrics.asked).toEqual(expect.arrayContaining([asked(), 'ALERTS{model="digits"}', 'up']));
    });

    test('fails by a metric that is above its limit, and by an alert that fires, without any traffic', async () => {
      const metrics = source();
      metrics.tell(asked(), [value(0.2)]);
      expect(await watch(3600, 3600, { metrics })).toMatchObject({
        kind: 'fail',
        reason: 'metric errors is 0.2, at most 0.1 is allowed',
      });
      const alarmed = source();
      alarmed.tell('ALERTS{model="digits"}', [value(1, { alertname: 'WeightsLeaked' })]);
      expect(await watch(3600, 3600, { metrics: alarmed })).toMatchObject({
        kind: 'fail',
        reason: 'alert security: WeightsLeaked is firing',
      });
    });

    test.each<[string, (metrics: FakeMetrics) => void, RegExp]>([
      ['NaN', (metrics) => metrics.tell(asked(), [value(NaN)]), /metric errors: it is NaN/],
      ['nothing', (metrics) => metrics.tell(asked(), []), /metric errors: it has no series/],
      ['HTML', (metrics) => metrics.tell(asked(), 'Prometheus answered 200 with text/html, not JSON'), /text\/html/],
      ['no rules', (metrics) => metrics.tell('up', []), /alert security: what it requires \(1\) has no series/],
      ['never', (metrics) => metrics.tell(asked(), new Promise(() => undefined)), /has not answered yet/],
    ])('is inconclusive at its bound when it answers %s, however good the traffic', async (_, tell, reason) => {
      await traffic(300);
      const metrics = source();
      tell(metrics);
      expect(await watch(0, 0.7, { metrics })).toMatchObject({
        kind: 'inconclusive',
        reason: expect.stringMatching(reason),
      });
    });

    test('is inconclusive where the watch has no source at all', async () => {
      await traffic(300);
      expect(await watch(0, 0.5)).toMatchObject({
        kind: 'inconclusive',
        reason: 'the watch has no metric source to ask',
      });
    });

    test('is not held up by a source that never answers: a breach ends it at once', async () => {
      servers[1]!.behave((_, outgoing) => outgoing.writeHead(500).end());
      const metrics = source();
      metrics.tell(asked(), new Promise(() => undefined));
      const verdict = watch(3600, 3600, { metrics });
      await versions(rigs[1]!.port, 400);
      expect(await verdict).toMatchObject({ kind: 'fail', reason: expect.stringContaining('answers failed') });
    });
  });

  test('goes on where the attempt before it was, instead of baking anew', async () => {
    await traffic(200);
    const environment = new MockActivityEnvironment();
    const beats: unknown[] = [];
    environment.on('heartbeat', (details: unknown) => {
      beats.push(details);
      if (beats.length === 3) environment.cancel();
    });
    await expect(watch(3600, 7200, { environment })).rejects.toMatchObject({ name: 'CancelledFailure' });
    const before = beats.at(-1) as { revision: number; startedAt: number; bakingSince: number };
    const hourAgo = { ...before, startedAt: before.startedAt - 3_600_000, bakingSince: before.bakingSince - 3_600_000 };
    expect(await watch(3600, 7200, { details: hourAgo })).toMatchObject({ kind: 'pass' });
  });

  test('begins anew where the details are of another revision or lie in the future', async () => {
    await traffic(200);
    const later = Date.now() + 3_600_000;
    const past = Date.now() - 3_600_000;
    for (const details of [
      { revision: 2, startedAt: past, bakingSince: past },
      { revision: 3, startedAt: later, bakingSince: later },
      { revision: 3, startedAt: 'x', bakingSince: past },
      'nonsense',
    ]) {
      const environment = new MockActivityEnvironment({ heartbeatDetails: details });
      environment.on('heartbeat', () => environment.cancel());
      await expect(watch(1800, 7200, { environment })).rejects.toMatchObject({ name: 'CancelledFailure' });
    }
  });
});

describe('what follows from the gateways’ counters', () => {
  const judge = (seen: readonly Seen[], of: typeof asked) => judgeStep(seen, of, tallied({}, seen, of));
  const release = 'a'.repeat(64);
  const asked = { model: 'digits', revision: 3, release };
  const sound: ModelState = {
    model: 'digits',
    revision: 3,
    document: 'd'.repeat(64),
    serving: [{ release, version: '1.1.0', weight: 10 }],
    plan: { request: 'e'.repeat(64), step: 0 },
    triggers: { minimumSamples: 20, maxErrorRate: 0.1, maxLatencyMs: 100 },
    killedBy: [],
    breach: null,
    breakers: [],
    counters: [{ revision: 3, release, version: '1.1.0', requests: 20, failures: 2, slow: 1, p95Ms: 90 }],
    replicas: [{ release, version: '1.1.0', host: '127.0.0.1', port: 1, expiresAt: '2030-01-01T00:00:00.000Z' }],
  };
  const counters = (change: object): ModelState => ({ ...sound, counters: [{ ...sound.counters[0]!, ...change }] });

  test.each([
    ['exactly at every limit', [sound], 'sound'],
    ['one failure more', [counters({ failures: 3 })], 'fail'],
    ['one slow answer more', [counters({ slow: 2 })], 'fail'],
    ['one sample fewer', [counters({ requests: 19, failures: 0, slow: 0 })], 'hold'],
    ['the samples of another revision', [counters({ revision: 2 })], 'hold'],
    ['the samples of another release', [counters({ release: 'b'.repeat(64) })], 'hold'],
    ['no series at all', [{ ...sound, counters: [] }], 'hold'],
    ['no live replica', [{ ...sound, replicas: [] }], 'hold'],
    [
      'a live replica of another release only',
      [{ ...sound, replicas: [{ ...sound.replicas[0]!, release: 'b'.repeat(64) }] }],
      'hold',
    ],
    ['no triggers', [{ ...sound, triggers: null }], 'hold'],
    ['no gateway at all', [], 'hold'],
    ['a gateway that does not answer', [sound, null], 'hold'],
    ['a gateway that does not know the model', [sound, 'unknown' as const], 'hold'],
    ['a gateway behind', [sound, { ...sound, revision: 2 }], 'hold'],
    ['a gateway ahead', [sound, { ...sound, revision: 4 }], 'inconclusive'],
  ])('%s', (_, seen, kind) => {
    expect(judge(seen, asked).kind).toBe(kind);
  });
});
