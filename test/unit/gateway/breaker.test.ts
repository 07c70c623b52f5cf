import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  admit,
  CLOSED,
  opened,
  settle,
  tripOf,
  type BreakerLimits,
  type BreakerState,
} from '../../../domain/breaker.js';
import { Breaker } from '../../../gateway/breaker.js';
import { RollingWindow } from '../../../gateway/rolling-window.js';
import { createWorld, type Release, type Route, type World } from '../../support/world.js';
import { ask, Cleanup, startRig, versions, type ModelServer, type Rig } from './rig.js';

const LIMITS: BreakerLimits = {
  ...{ windowSeconds: 10, minimumSamples: 10, maxErrorRate: 0.5, maxLatencyMs: 1000 },
  ...{ consecutiveFailures: 5, openSeconds: 2, probes: 2 },
};

describe('what opens a breaker', () => {
  const seen = { requests: 100, failures: 0, slow: 0, consecutive: 0 };
  test.each([
    [
      'failures in a row, however few requests there are',
      { requests: 5, failures: 5, consecutive: 5 },
      /5 answers in a row/,
    ],
    ['a share of failures above the limit', { failures: 51 }, /51 of 100 answers failed/],
    ['a 95th percentile above the limit', { slow: 6 }, /longer than 1000 ms/],
  ])('%s', (_, more, reason) => {
    expect(tripOf({ ...seen, ...more }, LIMITS)).toMatch(reason);
  });

  test.each([
    ['a share at the limit', { failures: 50 }],
    ['failures of too few requests', { requests: 9, failures: 9, consecutive: 4 }],
    ['a few that are slow', { slow: 5 }],
  ])('%s does not', (_, more) => {
    expect(tripOf({ ...seen, ...more }, LIMITS)).toBeNull();
  });
});

describe('an open breaker', () => {
  test('lets nobody through until its time is over, then so many as may try, and no more', () => {
    let state = opened(CLOSED, 'why', 1000, LIMITS);
    expect(admit(state, 2999, LIMITS)).toBeNull();
    state = admit(state, 3000, LIMITS) ?? CLOSED;
    expect(state).toMatchObject({ kind: 'half-open', admitted: 1 });
    state = admit(state, 3001, LIMITS) ?? CLOSED;
    expect(admit(state, 3002, LIMITS)).toBeNull();
  });

  test('closes when all who tried were answered well, and opens again with the first who was not', () => {
    const trying = admit(opened(CLOSED, 'why', 0, LIMITS), 2000, LIMITS) ?? CLOSED;
    const half = settle(trying, true, 2100, LIMITS);
    expect(half).toMatchObject({ kind: 'half-open', succeeded: 1 });
    expect(settle(half, true, 2200, LIMITS)).toEqual(CLOSED);
    expect(settle(half, false, 2200, LIMITS)).toEqual({ kind: 'open', reason: 'why', failedTries: 1, until: 4200 });
  });

  test('counts how often it was tried in vain, and forgets it when it closes', () => {
    const fail = (state: BreakerState, at: number): BreakerState =>
      settle(admit(state, at, LIMITS) ?? CLOSED, false, at, LIMITS);
    const twice = fail(fail(opened(CLOSED, 'why', 0, LIMITS), 2000), 4000);
    expect(twice).toMatchObject({ kind: 'open', failedTries: 2 });
    expect(admit(twice, 6000, LIMITS)).toMatchObject({ kind: 'half-open', failedTries: 2 });
    expect(opened(CLOSED, 'again', 9000, LIMITS)).toMatchObject({ failedTries: 0 });
  });

  test('attack: callers who try and are never heard of do not keep it shut for ever', () => {
    let state = admit(opened(CLOSED, 'why', 0, LIMITS), 2000, LIMITS) ?? CLOSED;
    state = admit(state, 2001, LIMITS) ?? CLOSED;
    expect(admit(state, 3999, LIMITS)).toBeNull();
    expect(admit(state, 4000, LIMITS)).toMatchObject({ kind: 'half-open', admitted: 1, succeeded: 0 });
  });
});

describe('the window', () => {
  test('forgets what is older than it is long', () => {
    const window = new RollingWindow(1000);
    for (let at = 0; at < 1000; at += 100) window.add(at, true, at < 500);
    expect(window).toMatchObject({ requests: 10, failures: 10, slow: 5 });
    window.add(1450, false, false);
    expect(window).toMatchObject({ requests: 6, failures: 5, slow: 0, consecutive: 0 });
    window.add(1e9, true, false);
    expect(window).toMatchObject({ requests: 1, failures: 1, slow: 0, consecutive: 1 });
  });

  test('answers of before it opened do not count once others try', () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    const breaker = new Breaker();
    breaker.use(LIMITS);
    const before = breaker.epoch;
    breaker.open('why', performance.now());
    expect(breaker.waitMs()).toBe(2000);
    vi.advanceTimersByTime(2000);
    expect(breaker.waitMs()).toBe(0);
    expect(breaker.count(before, performance.now(), 1, true)).toBeNull();
    expect(breaker.state.kind).toBe('half-open');
    expect(breaker.count(breaker.epoch, performance.now(), 1, true)).toBe('why');
    vi.useRealTimers();
  });

  test('a policy without a breaker opens none, and closes what is open', () => {
    const breaker = new Breaker();
    breaker.use(LIMITS);
    breaker.open('why', performance.now());
    breaker.use(null);
    expect(breaker.waitMs()).toBe(0);
    for (let at = 0; at < 100; at += 1) expect(breaker.count(breaker.epoch, at, 1, true)).toBeNull();
  });
});

describe('in the gateway', () => {
  const cleanup = new Cleanup();
  let world: World;
  let rig: Rig;
  let stable: Release;
  let canary: Release;
  let old: ModelServer;
  let fresh: ModelServer;
  let steady: Route;
  afterEach(() => cleanup.run());

  async function prepare(limits: Partial<BreakerLimits>): Promise<void> {
    const breaker = { ...LIMITS, openSeconds: 0.5, maxLatencyMs: 60_000, ...limits };
    const triggers = { minimumSamples: 1000, maxErrorRate: 1, maxLatencyMs: 60_000 };
    world = createWorld({ policy: (policy) => ({ ...policy, rollout: { ...policy.rollout, triggers, breaker } }) });
    rig = await startRig(world, cleanup);
    stable = world.release({ version: '1.0.0' });
    old = await rig.serve(stable);
    steady = await rig.inService(stable);
    canary = world.release({ version: '1.1.0', after: steady });
    fresh = await rig.serve(canary);
  }
  const fails = (server: ModelServer): void =>
    server.behave((incoming, outgoing) => {
      incoming.resume();
      outgoing.writeHead(500).end();
    });
  const works = (server: ModelServer): void =>
    server.behave((incoming, outgoing) => {
      incoming.resume();
      outgoing.end('ok');
    });

  test('a stable release that fails is left alone: 503 at once, with a time to come back, and then it is tried', async () => {
    await prepare({});
    fails(old);
    for (let at = 0; at < 5; at += 1) expect((await ask(rig.port)).status).toBe(500);
    let reached = 0;
    old.behave((incoming, outgoing) => {
      reached += 1;
      incoming.resume();
      outgoing.writeHead(500).end();
    });
    const refused = await ask(rig.port);
    expect(refused.status).toBe(503);
    expect(refused.headers['retry-after']).toBe('1');
    expect(JSON.parse(refused.body)).toMatchObject({
      code: 'BREAKER_OPEN',
      reason: expect.stringContaining('5 answers in a row failed'),
    });
    expect(reached).toBe(0);
    expect((await rig.model()).breakers).toEqual([
      { release: stable.release, version: '1.0.0', state: 'open', reason: '5 answers in a row failed', failedTries: 0 },
    ]);
    expect(await rig.client.metrics()).toMatch(/custody_gateway_breaker\{model="digits",.*version="1.0.0"\} 2/);
    expect(rig.reports.join()).toContain('the breaker of digits 1.0.0 has opened');

    // One caller tries, is answered 500, and it is open again.
    await expect.poll(async () => (await ask(rig.port)).status, { interval: 50 }).toBe(500);
    expect((await ask(rig.port)).status).toBe(503);
    expect((await rig.model()).breakers).toMatchObject([{ state: 'open', failedTries: 1 }]);
    works(old);
    await expect.poll(async () => (await ask(rig.port)).status, { interval: 50 }).toBe(200);
    expect((await ask(rig.port)).status).toBe(200);
    expect((await rig.model()).breakers).toEqual([]);
    expect((await rig.model()).breach).toBeNull();
  });

  test('attack: while it is half open, a crowd gets no further than those who may try', async () => {
    await prepare({ probes: 2, openSeconds: 3 });
    fails(old);
    for (let at = 0; at < 5; at += 1) await ask(rig.port);
    const held: (() => void)[] = [];
    old.behave((incoming, outgoing) => {
      incoming.resume();
      held.push(() => outgoing.end('ok'));
    });
    const first = (async () => {
      for (;;) {
        const answer = await ask(rig.port);
        if (answer.status === 200) return answer;
      }
    })();
    await expect.poll(() => held.length).toBe(1);
    const statuses: number[] = [];
    const crowd = Array.from({ length: 30 }, () => ask(rig.port).then(({ status }) => statuses.push(status)));
    await expect.poll(() => statuses.length).toBe(29);
    expect(held).toHaveLength(2);
    for (const answer of held) answer();
    await Promise.all(crowd);
    statuses.push((await first).status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(2);
    expect(statuses.filter((status) => status === 503)).toHaveLength(29);
  });

  test('on the release under rollout it is the end of its plan: its callers are served by the stable one, for good', async () => {
    await prepare({});
    fails(fresh);
    await rig.deliver(world.routePlan(steady, canary));
    const counts = await versions(rig.port, 300);
    expect(counts['500']).toBeGreaterThanOrEqual(5);
    expect(await versions(rig.port, 300)).toEqual({ '1.0.0': 300 });
    const { breach, breakers } = await rig.model();
    expect(breach).toMatchObject({ release: canary.release, reason: '5 answers in a row failed' });
    expect(breakers).toEqual([]);
    // However well it would do by now.
    works(fresh);
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(await versions(rig.port, 300)).toEqual({ '1.0.0': 300 });
  });

  test('a stable release whose breaker is open sends nobody to the one under rollout', async () => {
    await prepare({ openSeconds: 60 });
    await rig.deliver(world.routePlan(steady, canary));
    fails(old);
    await versions(rig.port, 300);
    const counts = await versions(rig.port, 300);
    expect(counts['503']).toBeGreaterThan(200);
    expect(counts['1.1.0']).toBeLessThan(60);
    expect(counts['1.1.0']).toBeGreaterThan(5);
  });
});
