import { connect } from 'node:net';
import { request, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { pointOf } from '../../../gateway/headers.js';
import type { Limits } from '../../../gateway/limits.js';
import { createWorld, type Release, type Route, type World } from '../../support/world.js';
import { ask, Cleanup, startRig, versions, type ModelServer, type Rig } from './rig.js';

const cleanup = new Cleanup();
let world: World;
let rig: Rig;
let stable: Release;
let canary: Release;
let old: ModelServer;
let fresh: ModelServer;
let steady: Route;

/** A gateway with one release in service and another one, alive, that has been approved. */
async function prepare(maxLatencyMs: number, limits: Partial<Limits> = {}): Promise<void> {
  const triggers = { minimumSamples: 10, maxErrorRate: 0.2, maxLatencyMs };
  world = createWorld({ policy: (policy) => ({ ...policy, rollout: { ...policy.rollout, triggers } }) });
  rig = await startRig(world, cleanup, { limits });
  stable = world.release({ version: '1.0.0' });
  old = await rig.serve(stable);
  steady = await rig.inService(stable);
  canary = world.release({ version: '1.1.0', after: steady });
  fresh = await rig.serve(canary);
}

beforeEach(() => prepare(60_000));
afterEach(() => cleanup.run());

describe('weights', () => {
  test('callers are shared by the weights, and each one stays with its release', async () => {
    const step0 = world.routePlan(steady, canary);
    await rig.deliver(step0);
    const counts = await versions(rig.port, 2000);
    expect(counts['1.1.0']).toBeGreaterThan(140);
    expect(counts['1.1.0']).toBeLessThan(260);
    expect(counts['1.0.0']! + counts['1.1.0']!).toBe(2000);
    expect(await versions(rig.port, 2000)).toEqual(counts);
  });

  test('a caller of the release under rollout keeps it when its weight grows', async () => {
    const reached = async (): Promise<Set<string>> => {
      const callers = Array.from({ length: 300 }, (_, at) => `c${at}`);
      const answers = await Promise.all(callers.map((caller) => ask(rig.port, { caller })));
      return new Set(callers.filter((_, at) => answers[at]!.headers['x-custody-release'] === canary.release));
    };
    const step0 = world.routePlan(steady, canary);
    await rig.deliver(step0);
    const before = await reached();
    await rig.deliver(world.routePlan(step0, canary, { step: 1 }));
    const after = await reached();
    expect(before.size).toBeGreaterThan(10);
    expect(after.size).toBeGreaterThan(100);
    for (const caller of before) expect(after).toContain(caller);
  });

  test('callers without a name are shared by chance', async () => {
    await rig.deliver(world.routePlan(steady, canary));
    const answers = await Promise.all(Array.from({ length: 600 }, () => ask(rig.port)));
    const share = answers.filter(({ headers }) => headers['x-custody-release'] === canary.release).length;
    expect(share).toBeGreaterThan(20);
    expect(share).toBeLessThan(120);
  });

  test('no answer is mixed from two releases while routes change under load', async () => {
    const chain = [world.routePlan(steady, canary)];
    for (const step of [1, 2]) chain.push(world.routePlan(chain.at(-1)!, canary, { step }));
    chain.push(world.rollback(chain.at(-1)!));
    let done = false;
    const mixed: string[] = [];
    let asked = 0;
    const load = Promise.all(
      Array.from({ length: 8 }, async (_, at) => {
        while (!done) {
          const { status, headers, body } = await ask(rig.port, { caller: `${at}-${asked}` });
          asked += 1;
          const { model_version: version } = JSON.parse(body) as { model_version?: string };
          if (status !== 200 || version !== headers['x-custody-release-version']) mixed.push(`${status} ${body}`);
        }
      }),
    );
    for (const route of chain) {
      await rig.deliver(route);
      const target = asked + 100;
      while (asked < target) await ask(rig.port);
    }
    done = true;
    await load;
    expect(mixed).toEqual([]);
    expect(asked).toBeGreaterThan(400);
  });
});

describe('what nobody serves', () => {
  test('a model that is not served is 404, also under another form of its path', async () => {
    for (const path of [
      '/v2/models/other/infer',
      '/',
      '/v2/models/DIGITS/infer',
      '/v2/models/%64igits/infer',
      '/v2/models/digitsx',
    ]) {
      const { status, body } = await ask(rig.port, { path });
      expect([path, status]).toEqual([path, 404]);
      expect(JSON.parse(body)).toMatchObject({ code: 'UNKNOWN_MODEL' });
    }
    expect((await ask(rig.port, { method: 'GET', path: '/v2/models/digits' })).status).toBe(200);
  });

  test('a withdrawn model is 410 and says why', async () => {
    await rig.deliver(world.withdraw(steady, stable.release));
    const { status, body } = await ask(rig.port);
    expect(status).toBe(410);
    expect(JSON.parse(body)).toMatchObject({ code: 'WITHDRAWN' });
    expect(body).toContain('serves nothing, by withdraw');
  });

  test('a release whose replicas have all vanished is 503', async () => {
    const alone = await startRig(world, cleanup);
    await alone.client.deliverPolicies([world.policyEnvelope]);
    const brief = world.replica(stable, { port: old.port, expiresAt: new Date(Date.now() + 3_000).toISOString() });
    await alone.client.deliverReplica(brief.envelope);
    await alone.inService(stable);
    expect((await ask(alone.port)).status).toBe(200);
    let last = await ask(alone.port);
    while (last.status === 200) last = await ask(alone.port);
    expect(last.status).toBe(503);
    expect(JSON.parse(last.body)).toMatchObject({ code: 'NO_REPLICA' });
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(brief.predicate.expiresAt));
  });

  test('a revoked release gets no callers, though it is routed to and alive', async () => {
    await rig.client.deliverStatus(world.status({ version: Date.now() + 1000, revoked: [stable.release] }).envelope);
    const { status, body } = await ask(rig.port);
    expect(status).toBe(503);
    expect(JSON.parse(body)).toMatchObject({ code: 'REVOKED' });
    expect(old.requests).toHaveLength(0);
  });
});

describe('what passes through', () => {
  test('path, query, body and end-to-end headers reach the replica; those of the hop do not', async () => {
    await ask(rig.port, {
      path: '/v2/models/digits/infer?a=1',
      body: 'x'.repeat(100_000),
      headers: { 'x-mine': 'kept', 'x-hop': 'dropped', connection: 'x-hop', te: 'trailers' },
    });
    const seen = old.requests.at(-1)!;
    expect(seen).toMatchObject({ url: '/v2/models/digits/infer?a=1', bytes: 100_000 });
    expect(seen.headers['x-mine']).toBe('kept');
    expect(seen.headers['x-hop']).toBeUndefined();
    expect(seen.headers.te).toBeUndefined();
  });

  test('a replica cannot claim to be another release', async () => {
    old.behave((_, outgoing) => outgoing.writeHead(200, { 'x-custody-release': 'f'.repeat(64) }).end('ok'));
    const { headers } = await ask(rig.port);
    expect(headers['x-custody-release']).toBe(stable.release);
    expect(headers['x-custody-release-version']).toBe('1.0.0');
  });

  test('an answer streams: its first part arrives while the replica still holds the rest back', async () => {
    let finish = (): void => undefined;
    old.behave((_, outgoing) => {
      outgoing.write('first');
      finish = () => outgoing.end(' last');
    });
    const sent = request({ host: '127.0.0.1', port: rig.port, method: 'GET', path: '/v2/models/digits' }).end();
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    const [chunk] = (await once(answer, 'data')) as [Buffer];
    expect(chunk.toString()).toBe('first');
    finish();
    const [rest] = (await once(answer, 'data')) as [Buffer];
    expect(rest.toString()).toBe(' last');
  });

  test('a request of more than 8 MiB is 413, whether it says so or not, and no fault of the release', async () => {
    const large = Buffer.alloc(8 * 1024 * 1024 + 1);
    expect((await ask(rig.port, { body: large, headers: { 'content-length': String(large.length) } })).status).toBe(
      413,
    );
    expect((await ask(rig.port, { body: large, headers: { 'transfer-encoding': 'chunked' } })).status).toBe(413);
    expect((await ask(rig.port, { body: large.subarray(1) })).status).toBe(200);
    expect((await rig.model()).counters.at(-1)).toMatchObject({ requests: 1, failures: 0 });
  });

  test('headers beyond 16 KiB are refused', async () => {
    expect((await ask(rig.port, { headers: { 'x-large': 'x'.repeat(20_000) } })).status).toBe(431);
  });

  test('a caller that never finishes its headers or its body is dropped, and no fault of the release', async () => {
    await prepare(60_000, { headersMs: 300, requestMs: 600 });
    for (const text of [
      'POST /v2/models/digits/infer HTTP/1.1\r\n',
      'POST /v2/models/digits/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc',
    ]) {
      const socket = connect(rig.port, '127.0.0.1');
      socket.write(text);
      const [answer] = (await once(socket, 'data')) as [Buffer];
      expect(answer.toString()).toContain('408');
      await once(socket, 'close');
    }
    expect((await rig.model()).counters.at(-1)).toMatchObject({ requests: 0, failures: 0 });
  });

  test('a caller that hangs up ends its request at the replica, and counts for nothing', async () => {
    const reached = new Promise<IncomingMessage>((resolve) => old.behave((incoming) => resolve(incoming)));
    const sent = request({ host: '127.0.0.1', port: rig.port, method: 'GET', path: '/v2/models/digits' });
    sent.on('error', () => undefined).end();
    const incoming = await reached;
    const ended = new Promise((resolve) => incoming.on('error', () => undefined).on('close', resolve));
    sent.destroy();
    await ended;
    expect((await rig.model()).counters.at(-1)).toMatchObject({ requests: 0, failures: 0 });
  });

  test('a replica that breaks off before its answer is 502, names its release, and is a failure of it', async () => {
    old.behave((incoming) => incoming.socket.destroy());
    const { status, headers, body } = await ask(rig.port);
    expect(status).toBe(502);
    expect(headers['x-custody-release']).toBe(stable.release);
    expect(JSON.parse(body)).toMatchObject({ code: 'UPSTREAM_FAILED' });
    expect((await rig.model()).counters.at(-1)).toMatchObject({ requests: 1, failures: 1 });
  });

  test('a replica that is silent for too long is 502', async () => {
    await prepare(60_000, { silenceMs: 500 });
    old.behave(() => undefined);
    expect((await ask(rig.port)).status).toBe(502);
  });

  test('an answer that breaks off in the middle reaches nobody as a whole one, and is a failure', async () => {
    old.behave((_, outgoing) => {
      outgoing.writeHead(200, { 'content-length': '10' });
      outgoing.write('abc', () => outgoing.destroy());
    });
    await expect(ask(rig.port)).rejects.toThrow();
    expect((await rig.model()).counters.at(-1)).toMatchObject({ requests: 1, failures: 1 });
  });
});

describe('triggers', () => {
  /** Callers of the release under rollout, at its first step. */
  const theirs = (count: number): string[] =>
    Array.from({ length: 100 * count }, (_, at) => `c${at}`)
      .filter((caller) => pointOf(caller, 'digits') < 10)
      .slice(0, count);

  test('the release under rollout loses all its callers with the answer that breaches the error rate', async () => {
    fresh.behave((_, outgoing) => outgoing.writeHead(500).end());
    await rig.deliver(world.routePlan(steady, canary));
    let failed = 0;
    for (let at = 0; failed < 10; at += 1) if ((await ask(rig.port, { caller: `c${at}` })).status === 500) failed += 1;
    expect(await versions(rig.port, 300)).toEqual({ '1.0.0': 300 });
    const { breach, counters } = await rig.model();
    expect(breach).toMatchObject({ release: canary.release, revision: 3 });
    expect(breach?.reason).toContain('10 of 10 answers failed');
    expect(counters.find(({ release, revision }) => release === canary.release && revision === 3)).toMatchObject({
      requests: 10,
      failures: 10,
    });
  });

  test('it loses them when its first bytes come too late', async () => {
    await prepare(300);
    fresh.behave((_, outgoing) => setTimeout(() => outgoing.end('late'), 350));
    await rig.deliver(world.routePlan(steady, canary));
    const late = await versions(rig.port, 300);
    expect(late['1.1.0']).toBeGreaterThanOrEqual(10);
    expect(await versions(rig.port, 300)).toEqual({ '1.0.0': 300 });
    expect((await rig.model()).breach?.reason).toContain('300 ms');
  });

  test('callers who give up waiting for it count, where they waited longer than it may take', async () => {
    await prepare(300);
    fresh.behave(() => undefined);
    await rig.deliver(world.routePlan(steady, canary));
    const callers: string[] = [];
    for (let at = 0; callers.length < 10; at += 1) {
      const caller = `c${at}`;
      const sent = request({
        host: '127.0.0.1',
        port: rig.port,
        path: '/v2/models/digits',
        headers: { 'x-custody-caller': caller },
      });
      sent.on('error', () => undefined).end();
      const outcome = await Promise.race([
        once(sent, 'response').then(() => 'answered'),
        new Promise((resolve) => setTimeout(() => resolve('waits'), 330)),
      ]);
      if (outcome === 'waits') callers.push(caller);
      sent.destroy();
    }
    await expect.poll(async () => (await rig.model()).breach?.reason).toContain('300 ms');
  });

  test('callers who wait for good for what never answers count once each, as soon as it is late', async () => {
    await prepare(300);
    const held: (() => void)[] = [];
    fresh.behave((_, outgoing) => void held.push(() => outgoing.writeHead(500).end()));
    await rig.deliver(world.routePlan(steady, canary));
    const waiting = theirs(10).map((caller) => ask(rig.port, { caller }));
    await expect
      .poll(async () => (await rig.model()).breach?.reason)
      .toContain('10 of 10 answers took longer than 300 ms');
    expect(await versions(rig.port, 300)).toEqual({ '1.0.0': 300 });
    // What it says in the end says more of them, and they are no more.
    for (const answer of held) answer();
    expect(new Set((await Promise.all(waiting)).map(({ status }) => status))).toEqual(new Set([500]));
    const { counters } = await rig.model();
    expect(counters.find(({ release, revision }) => release === canary.release && revision === 3)).toMatchObject({
      ...{ requests: 10, failures: 10, slow: 10 },
    });
  });

  test('attack: who stops in the middle of a large request, for however long, says nothing of the release', async () => {
    await prepare(300);
    const ended: Promise<unknown>[] = [];
    fresh.behave((incoming) => {
      ended.push(
        new Promise((resolve) =>
          incoming
            .on('error', () => undefined)
            .on('close', resolve)
            .resume(),
        ),
      );
    });
    await rig.deliver(world.routePlan(steady, canary));
    for (const caller of theirs(10)) {
      const sent = request({
        ...{ host: '127.0.0.1', port: rig.port, path: '/v2/models/digits', method: 'POST' },
        headers: { 'x-custody-caller': caller, 'content-length': '200000' },
      });
      sent.on('error', () => undefined).write(Buffer.alloc(100_000));
      setTimeout(() => sent.destroy(), 600);
    }
    await expect.poll(() => ended.length).toBe(10);
    await Promise.all(ended);
    const { breach, counters } = await rig.model();
    expect(breach).toBeNull();
    expect(counters.find(({ release }) => release === canary.release)).toMatchObject({ requests: 0, slow: 0 });
  });

  test('fewer samples than the minimum breach nothing', async () => {
    fresh.behave((_, outgoing) => outgoing.writeHead(500).end());
    await rig.deliver(world.routePlan(steady, canary));
    let failed = 0;
    for (let at = 0; failed < 9; at += 1) if ((await ask(rig.port, { caller: `c${at}` })).status === 500) failed += 1;
    expect((await rig.model()).breach).toBeNull();
  });

  test('the stable release has no triggers: its failures move nobody', async () => {
    old.behave((_, outgoing) => outgoing.writeHead(500).end());
    await rig.deliver(world.routePlan(steady, canary));
    const counts = await versions(rig.port, 200);
    expect(counts['500']).toBeGreaterThan(150);
    expect((await rig.model()).breach).toBeNull();
  });

  test('a first release that breaches serves nobody', async () => {
    const alone = await startRig(world, cleanup);
    const server = await alone.serve(stable);
    server.behave((_, outgoing) => outgoing.writeHead(500).end());
    await alone.deliver(world.routePlan(null, stable));
    await alone.client.deliverStatus(world.status().envelope);
    for (let at = 0; at < 10; at += 1) expect((await ask(alone.port)).status).toBe(500);
    const { status, body } = await ask(alone.port);
    expect(status).toBe(503);
    expect(JSON.parse(body)).toMatchObject({ code: 'BREACHED' });
  });

  test('a breached plan goes no further: neither its next step nor its promotion is admitted, a rollback is', async () => {
    fresh.behave((_, outgoing) => outgoing.writeHead(500).end());
    const chain = [world.routePlan(steady, canary)];
    await rig.deliver(chain[0]!);
    await versions(rig.port, 300);
    const next = world.routePlan(chain[0]!, canary, { step: 1 });
    await expect(rig.deliver(next)).rejects.toMatchObject({ code: 'POLICY_REFUSED' });
    await rig.deliver(world.rollback(chain[0]!));
    expect((await rig.model()).breach).toBeNull();
    expect(await versions(rig.port, 100)).toEqual({ '1.0.0': 100 });
  });

  test('a breached release is not promoted at the end of its plan', async () => {
    const chain = [world.routePlan(steady, canary)];
    for (const step of [1, 2]) chain.push(world.routePlan(chain.at(-1)!, canary, { step }));
    await rig.deliver(...chain);
    fresh.behave((_, outgoing) => outgoing.writeHead(500).end());
    await versions(rig.port, 50);
    expect(await versions(rig.port, 50)).toEqual({ '1.0.0': 50 });
    await expect(rig.deliver(world.promote(chain.at(-1)!))).rejects.toMatchObject({ code: 'POLICY_REFUSED' });
  });

  test('callers of a release under rollout whose replica has vanished are served by the stable one', async () => {
    const alone = await startRig(world, cleanup);
    await alone.serve(stable);
    await alone.inService(stable);
    const expiresAt = new Date(Date.now() + 500).toISOString();
    await alone.client.deliverReplica(world.replica(canary, { port: fresh.port, expiresAt }).envelope);
    await alone.deliver(world.routePlan(steady, canary));
    await expect.poll(async () => (await alone.model()).replicas.length).toBe(1);
    expect(await versions(alone.port, 200)).toEqual({ '1.0.0': 200 });
  });
});
