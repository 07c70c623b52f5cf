import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { SignedEnvelope } from '../../../domain/statements.js';
import { isoTime } from '../../../domain/time.js';
import { createWorld, nonce, type Release, type Route, type World } from '../../support/world.js';
import { ask, Cleanup, startRig, temporaryFolder, versions, type Rig } from './rig.js';

const cleanup = new Cleanup();
let world: World;
let rig: Rig;
let stable: Release;
let steady: Route;

beforeEach(async () => {
  world = createWorld();
  rig = await startRig(world, cleanup);
  stable = world.release({ version: '1.0.0' });
  await rig.serve(stable);
  steady = await rig.inService(stable);
});
afterEach(() => cleanup.run());

const status = async (): Promise<number> => (await ask(rig.port)).status;
const inSeconds = (seconds: number): string => isoTime(Date.now() + seconds * 1000);

describe('routing documents', () => {
  test('the same document again gets the same answer and changes nothing', async () => {
    const before = await rig.client.state();
    const again = await rig.client.deliverRoute(steady.delivery);
    expect(again).toEqual({ model: 'digits', revision: 2, document: steady.digest });
    expect(await rig.client.state()).toEqual(before);
  });

  test('a gap and an old revision are refused with the revision that the gateway has', async () => {
    const canary = world.release({ version: '1.1.0', after: steady });
    await rig.serve(canary);
    const first = world.routePlan(steady, canary);
    const second = world.routePlan(first, canary, { step: 1 });
    await expect(rig.deliver(second)).rejects.toMatchObject({
      code: 'REPLAYED',
      details: { revision: 2, status: 409 },
    });
    await rig.deliver(first, second);
    await expect(rig.deliver(first)).rejects.toMatchObject({ code: 'REPLAYED', details: { revision: 4 } });
    expect((await rig.model()).document).toBe(second.digest);
  });

  test('another document of the same revision is refused', async () => {
    await rig.deliver(world.withdraw(steady, stable.release));
    const fork = world.rollback(steady, stable.release);
    await expect(rig.deliver(fork)).rejects.toMatchObject({ code: 'REPLAYED', details: { revision: 3 } });
  });

  test('a document that control has not signed is refused: by a stranger, by an operator, or changed on its way', async () => {
    for (const by of ['mallory', 'oscar'] as const) {
      const forged = world.rollback(steady, stable.release, { by });
      await expect(rig.deliver(forged)).rejects.toMatchObject({
        code: by === 'mallory' ? 'SIGNATURE_INVALID' : 'NOT_AUTHORISED',
      });
    }
    const real = world.withdraw(steady, stable.release);
    const text = Buffer.from(real.envelope.payload, 'base64').toString().replace('"releases":[]', '"releases":[ ]');
    const document = { ...real.envelope, payload: Buffer.from(text).toString('base64') };
    await expect(rig.client.deliverRoute({ ...real.delivery, document })).rejects.toMatchObject({
      code: 'SIGNATURE_INVALID',
    });
    expect((await rig.model()).revision).toBe(2);
    expect(await status()).toBe(200);
  });

  test('with the key of control alone no release gets callers', async () => {
    const canary = world.release({ version: '1.1.0', after: steady });
    await rig.serve(canary);
    await expect(rig.deliver(world.routePlan(steady, canary, { approvals: [] }))).rejects.toMatchObject({
      code: 'NOT_AUTHORISED',
    });
    const swapped = { release: canary.release, version: '1.1.0', weight: 100 };
    const rollback = world.rollback(steady, stable.release, { document: { releases: [swapped] } });
    await expect(rig.deliver(rollback)).rejects.toMatchObject({ code: 'POLICY_REFUSED' });
    expect(await versions(rig.port, 50)).toEqual({ '1.0.0': 50 });
  });

  test('a document of another environment is refused', async () => {
    const other = world.withdraw(steady, stable.release, { document: { environment: 'prod' } });
    await expect(rig.deliver(other)).rejects.toMatchObject({ code: 'REPLAYED' });
  });

  test('a release gets callers only once a replica of it is alive', async () => {
    const canary = world.release({ version: '1.1.0', after: steady });
    const step = world.routePlan(steady, canary);
    await expect(rig.deliver(step)).rejects.toMatchObject({ code: 'PENDING' });
    await rig.serve(canary);
    await rig.deliver(step);
    expect((await rig.model()).revision).toBe(3);
  });

  describe('a plan whose first step is to be watched for an hour', () => {
    const ago = (seconds: number): string => new Date(Date.now() - seconds * 1000).toISOString();
    let steps: Route[];

    beforeEach(async () => {
      const slow = [
        { weight: 10, bakeSeconds: 3600 },
        { weight: 100, bakeSeconds: 0.1 },
      ];
      world = createWorld({ policy: (policy) => ({ ...policy, rollout: { ...policy.rollout, steps: slow } }) });
      stable = world.release({ version: '1.0.0' });
      rig = await startRig(world, cleanup);
      await rig.serve(stable);
      steady = await rig.inService(stable);
      const canary = world.release({ version: '1.1.0', after: steady });
      await rig.serve(canary);
      const first = world.routePlan(steady, canary, { document: { issuedAt: ago(4000) } });
      const second = world.routePlan(first, canary, { step: 1, document: { issuedAt: ago(100) } });
      steps = [first, second, world.promote(second)];
    });

    const weight = async (): Promise<number> =>
      (await rig.model()).serving.find(({ version }) => version === '1.1.0')?.weight ?? 0;

    test('attack: control dates its documents back, and the next step still waits for the hour', async () => {
      const [first, second] = steps;
      await rig.client.deliverRoute(first!.delivery);
      for (const isNewest of [true, false])
        await expect(rig.client.deliverRoute({ ...second!.delivery, isNewest })).rejects.toMatchObject({
          code: 'PENDING',
          message: expect.stringContaining('step 0 is to be watched here until'),
        });
      expect(await weight()).toBe(10);
    });

    test('attack: control calls the steps history to be caught up with, and gains nothing by it', async () => {
      const [first, second] = steps;
      await rig.client.deliverRoute({ ...first!.delivery, isNewest: false });
      for (const isNewest of [true, false])
        await expect(rig.client.deliverRoute({ ...second!.delivery, isNewest })).rejects.toMatchObject({
          code: 'PENDING',
        });
      expect(await weight()).toBe(0);
    });

    test('attack: nor does a restart of the gateway shorten it', async () => {
      const [first, second] = steps;
      await rig.client.deliverRoute(first!.delivery);
      await rig.stop();
      rig = await startRig(world, cleanup, { folder: rig.folder });
      await expect(rig.client.deliverRoute(second!.delivery)).rejects.toMatchObject({ code: 'PENDING' });
      expect(await weight()).toBe(10);
    });
  });

  test('attack: the last step is not promoted before it was watched', async () => {
    const last = [
      { weight: 10, bakeSeconds: 0.1 },
      { weight: 100, bakeSeconds: 2 },
    ];
    world = createWorld({ policy: (policy) => ({ ...policy, rollout: { ...policy.rollout, steps: last } }) });
    stable = world.release({ version: '1.0.0' });
    const own = await startRig(world, cleanup);
    await own.serve(stable);
    const [step, promoted] = world.inService(stable);
    await own.client.deliverRoute(step!.delivery);
    await expect(own.client.deliverRoute(promoted!.delivery)).rejects.toMatchObject({ code: 'PENDING' });
    await own.deliver(promoted!);
    expect((await own.model()).plan).toBeNull();
  });

  test('a new gateway catches up at once with a plan that has had its time elsewhere', async () => {
    const history = world.inService(stable);
    const canary = world.release({ version: '1.1.0', after: history.at(-1)! });
    const first = world.routePlan(history.at(-1)!, canary);
    const second = world.routePlan(first, canary, { step: 1 });
    const late = await startRig(world, cleanup);
    await late.serve(stable);
    await late.serve(canary);
    for (const { delivery } of [...history, first]) await late.client.deliverRoute({ ...delivery, isNewest: false });
    await late.client.deliverRoute(second.delivery);
    expect((await late.model()).serving).toMatchObject([{ version: '1.1.0', weight: 50 }, { version: '1.0.0' }]);
  });

  test('documents that are caught up with add no exposure before the newest has come', async () => {
    const canary = world.release({ version: '1.1.0', after: steady });
    const step = world.routePlan(steady, canary, { isNewest: false });
    await rig.deliver(step);
    expect(await rig.model()).toMatchObject({ revision: 3, serving: [{ version: '1.0.0', weight: 100 }], plan: null });
    expect(await versions(rig.port, 100)).toEqual({ '1.0.0': 100 });
    await rig.deliver(world.rollback(step));
    expect(await rig.model()).toMatchObject({ revision: 4, serving: [{ version: '1.0.0', weight: 100 }] });
  });

  test('what is not a delivery at all is refused as such', async () => {
    for (const delivery of [null, [], {}, { ...steady.delivery, more: 1 }, { ...steady.delivery, policies: [] }]) {
      await expect(rig.client.deliverRoute(delivery as never)).rejects.toMatchObject({ code: 'MALFORMED' });
    }
  });
});

describe('a disk that takes nothing', () => {
  const fill = (): void => void mkdirSync(join(rig.folder, 'state.json.partial'));
  const free = (): void => rmSync(join(rig.folder, 'state.json.partial'), { recursive: true });

  test('attack: keeps no caller at what is taken back, and none from being stopped; it is written once it can be', async () => {
    const withdrawn = world.withdraw(steady, stable.release);
    fill();
    await expect(rig.client.deliverRoute(withdrawn.delivery)).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(await status()).toBe(410);
    await expect(rig.client.deliverRoute(withdrawn.delivery)).rejects.toMatchObject({ code: 'INTERNAL' });
    const order = world.kill();
    await expect(rig.client.deliverKill(order.envelope)).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(await status()).toBe(503);
    free();
    await rig.client.deliverRoute(withdrawn.delivery);
    await rig.client.deliverKill(order.envelope);
    await rig.stop();
    rig = await startRig(world, cleanup, { folder: rig.folder });
    expect(await rig.model()).toMatchObject({ serving: [], killedBy: [{ order: order.digest }] });
  });

  test('attack: gives no release callers that could not be remembered', async () => {
    const canary = world.release({ version: '1.1.0', after: steady });
    await rig.serve(canary);
    fill();
    const step = world.routePlan(steady, canary);
    await expect(rig.client.deliverRoute(step.delivery)).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(await versions(rig.port, 50)).toEqual({ '1.0.0': 50 });
    free();
    await rig.client.deliverRoute(step.delivery);
    expect(await rig.model()).toMatchObject({ plan: { step: 0 } });
  });
});

describe('policies', () => {
  test('an older chain decides nothing any more: who was removed stays removed', async () => {
    const next = world.nextPolicy((policy) => ({
      ...policy,
      authorities: policy.authorities.filter(({ id }) => id !== 'oscar'),
    }));
    await rig.client.deliverPolicies([world.policyEnvelope, next.envelope]);
    expect(await rig.client.deliverPolicies([world.policyEnvelope])).toEqual({ policyVersion: 2 });
    await expect(rig.client.deliverKill(world.kill('oscar').envelope)).rejects.toMatchObject({
      code: 'SIGNATURE_INVALID',
    });
    const withdrawn = world.withdraw(steady, stable.release);
    await rig.client.deliverRoute({ ...withdrawn.delivery, policies: [world.policyEnvelope] });
    expect((await rig.client.state()).policyVersion).toBe(2);
  });

  test('a chain that parts from the one it has seen is refused, also when it is longer', async () => {
    const one = world.nextPolicy((policy) => ({ ...policy, rollback: { warmReleases: 1 } }));
    const other = world.nextPolicy((policy) => ({ ...policy, rollback: { warmReleases: 3 } }));
    const third = world.nextPolicy((policy) => policy, other.policy);
    await rig.client.deliverPolicies([world.policyEnvelope, one.envelope]);
    for (const chain of [[other.envelope], [other.envelope, third.envelope]])
      await expect(rig.client.deliverPolicies([world.policyEnvelope, ...chain])).rejects.toMatchObject({
        code: 'POLICY_REFUSED',
      });
  });

  test('a policy that the pinned root has not signed is refused', async () => {
    const stranger = createWorld();
    const empty = await startRig(world, cleanup);
    await expect(empty.client.deliverPolicies([stranger.policyEnvelope])).rejects.toMatchObject({
      code: 'SIGNATURE_INVALID',
    });
    expect((await empty.client.state()).policyVersion).toBeNull();
  });
});

describe('kill orders', () => {
  test('an order by one operator stops every request, with its reason, and again is the same order', async () => {
    const order = world.kill();
    expect(await rig.client.deliverKill(order.envelope)).toMatchObject({ model: 'digits', order: order.digest });
    const { status: code, body } = await ask(rig.port);
    expect(code).toBe(503);
    expect(JSON.parse(body)).toMatchObject({ code: 'KILLED', reason: 'it answers nonsense' });
    expect(await rig.client.deliverKill(order.envelope)).toMatchObject({ model: 'digits', order: order.digest });
    expect((await rig.model()).killedBy).toEqual([
      { order: order.digest, reason: 'it answers nonsense', lifted: false },
    ]);
  });

  test('an order by control or by a gateway stops as well', async () => {
    for (const by of ['control', 'gateway'] as const) {
      const model = `of-${by}`;
      await rig.client.deliverKill(world.kill(by, { model }).envelope);
      expect((await ask(rig.port, { path: `/v2/models/${model}/infer` })).status).toBe(503);
    }
  });

  test('an order ends the requests that are under way', async () => {
    const server = await rig.serve(stable);
    const reached = new Promise<void>((resolve) => server.behave(() => resolve()));
    const asked = Array.from({ length: 4 }, () => ask(rig.port));
    await reached;
    await rig.client.deliverKill(world.kill().envelope);
    const answers = await Promise.all(asked);
    expect(answers.some(({ status: code, body }) => code === 503 && body.includes('KILLED'))).toBe(true);
    expect((await rig.model()).counters.at(-1)).toMatchObject({ failures: 0 });
  });

  test('orders by others, for another environment, expired or not yet valid change nothing', async () => {
    const cases: [SignedEnvelope, string][] = [
      [world.kill('mallory').envelope, 'SIGNATURE_INVALID'],
      [world.kill('alice').envelope, 'NOT_AUTHORISED'],
      [world.kill('serving').envelope, 'NOT_AUTHORISED'],
      [world.kill('oscar', { environment: 'prod' }).envelope, 'REPLAYED'],
      [world.kill('oscar', { issuedAt: inSeconds(-20), expiresAt: inSeconds(-1) }).envelope, 'EXPIRED'],
      [world.kill('oscar', { issuedAt: inSeconds(120), expiresAt: inSeconds(180) }).envelope, 'EXPIRED'],
      [world.rollbackOrder('oscar').envelope, 'MALFORMED'],
    ];
    for (const [envelope, code] of cases)
      await expect(rig.client.deliverKill(envelope)).rejects.toMatchObject({ code });
    expect(await status()).toBe(200);
    expect((await rig.model()).killedBy).toEqual([]);
  });

  test('an order for another model stops that one only', async () => {
    await rig.client.deliverKill(world.kill('oscar', { model: 'letters' }).envelope);
    expect(await status()).toBe(200);
    expect((await ask(rig.port, { path: '/v2/models/letters/infer' })).status).toBe(503);
  });

  test('expiry bounds acceptance, never effect', async () => {
    const order = world.kill('oscar', { expiresAt: inSeconds(0.4) });
    await rig.client.deliverKill(order.envelope);
    await expect.poll(() => Date.now() > Date.parse(order.predicate.expiresAt)).toBe(true);
    expect(await status()).toBe(503);
    expect(await rig.client.deliverKill(order.envelope)).toMatchObject({ model: 'digits', order: order.digest });
  });

  test('a quorum lifts it, and its replay does nothing, in any spelling', async () => {
    const order = world.kill();
    await rig.client.deliverKill(order.envelope);
    await rig.deliver(world.restored(steady, [order]));
    expect(await status()).toBe(200);
    const [signature] = order.envelope.signatures;
    const urlSafe = (text: string): string => text.replaceAll('+', '-').replaceAll('/', '_');
    const spellings: SignedEnvelope[] = [
      order.envelope,
      { ...order.envelope, signatures: [{ ...signature!, keyid: '' }] },
      { ...order.envelope, signatures: [{ ...signature!, keyid: world.keys.alice.keyId }] },
      { ...order.envelope, signatures: [signature!, world.kill().envelope.signatures[0]!] },
      { ...order.envelope, signatures: [{ ...signature!, sig: urlSafe(signature!.sig) }] },
    ];
    for (const envelope of spellings) await expect(rig.client.deliverKill(envelope)).rejects.toBeDefined();
    await expect(rig.client.deliverKill(order.envelope)).rejects.toMatchObject({ code: 'REPLAYED' });
    expect(await status()).toBe(200);
    expect((await rig.model()).killedBy).toEqual([]);
    // A new order is another matter.
    await rig.client.deliverKill(world.kill('oscar', { nonce: nonce() }).envelope);
    expect(await status()).toBe(503);
  });

  test('a gateway that never saw the order refuses it where the document lists it as lifted', async () => {
    const order = world.kill();
    await rig.deliver(world.restored(steady, [order]));
    await expect(rig.client.deliverKill(order.envelope)).rejects.toMatchObject({ code: 'REPLAYED' });
    expect(await status()).toBe(200);
  });

  test('nor does it take such an order in another spelling, which would have another digest', async () => {
    const orders = Array.from({ length: 20 }, () => world.kill());
    const order = orders.find(({ envelope }) => /[+/]/.test(envelope.signatures[0]!.sig))!;
    await rig.deliver(world.restored(steady, [order]));
    const signature = order.envelope.signatures[0]!;
    const sig = signature.sig.replaceAll('+', '-').replaceAll('/', '_');
    for (const signatures of [
      [{ ...signature, sig }],
      [{ ...signature, keyid: '' }],
      [{ ...signature, keyid: world.keys.alice.keyId }],
      [signature, world.kill().envelope.signatures[0]!],
    ])
      await expect(rig.client.deliverKill({ ...order.envelope, signatures })).rejects.toBeDefined();
    expect(await status()).toBe(200);
  });

  test('neither control alone nor one person lifts an order, and a quorum only the orders it names', async () => {
    const [one, two] = [world.kill(), world.kill()];
    await rig.client.deliverKill(one.envelope);
    await rig.client.deliverKill(two.envelope);
    const request = world.restoreRequest(steady, [one.digest]);
    const alone = world.restored(steady, [one], { request, approvals: [world.approve(request, 'olga')] });
    await expect(rig.deliver(alone)).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
    const more = world.restored(steady, [one, two], { request });
    await expect(rig.deliver(more)).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
    await rig.deliver(world.restored(steady, [one]));
    expect(await status()).toBe(503);
    expect((await rig.model()).killedBy.map(({ order }) => order)).toEqual([two.digest]);
  });

  test('a document that would forget an order before it expires does not lift it', async () => {
    const order = world.kill();
    await rig.client.deliverKill(order.envelope);
    const lifted = [{ order: order.digest, until: inSeconds(1) }];
    await rig.deliver(world.restored(steady, [order], { document: { lifted } }));
    expect(await status()).toBe(503);
  });

  test('an order that the status document lists is latched, unless it was lifted', async () => {
    const [lifted, missed] = [world.kill(), world.kill()];
    await rig.deliver(world.restored(steady, [lifted]));
    const kills = [lifted, missed].map(({ digest }) => ({ model: 'digits', order: digest }));
    await rig.client.deliverStatus(world.status({ version: Date.now() + 1, kills: kills.slice(0, 1) }).envelope);
    expect(await status()).toBe(200);
    await rig.client.deliverStatus(world.status({ version: Date.now() + 2, kills }).envelope);
    expect(await status()).toBe(503);
    expect((await rig.model()).killedBy.map(({ order }) => order)).toEqual([missed.digest]);
  });
});

describe('status documents', () => {
  test('only control issues them, for this environment, still valid, and never an older one', async () => {
    const newest = world.status({ version: Date.now() + 5000 });
    await rig.client.deliverStatus(newest.envelope);
    expect(await rig.client.deliverStatus(newest.envelope)).toEqual({ statusVersion: newest.predicate.version });
    const version = newest.predicate.version + 1;
    const cases: [SignedEnvelope, string][] = [
      [world.status({ version: newest.predicate.version - 1 }).envelope, 'REPLAYED'],
      [world.status({ version: newest.predicate.version }).envelope, 'REPLAYED'],
      [world.status({ version }, 'serving').envelope, 'NOT_AUTHORISED'],
      [world.status({ version }, 'mallory').envelope, 'SIGNATURE_INVALID'],
      [world.status({ version, environment: 'prod' }).envelope, 'REPLAYED'],
      [world.status({ version, issuedAt: inSeconds(-9), expiresAt: inSeconds(-1) }).envelope, 'STATUS_STALE'],
    ];
    for (const [envelope, code] of cases)
      await expect(rig.client.deliverStatus(envelope)).rejects.toMatchObject({ code });
    expect((await rig.client.state()).statusVersion).toBe(newest.predicate.version);
  });

  test.each(['stop', 'serve'] as const)(
    'without a fresh one the gateway does what the policy says: %s',
    async (whenStale) => {
      const strict = createWorld({
        policy: (policy) => ({ ...policy, freshness: { reissueSeconds: 0.1, lifetimeSeconds: 0.5, whenStale } }),
      });
      const short = await startRig(strict, cleanup);
      const release = strict.release();
      await short.serve(release);
      await short.inService(release);
      // However long control says that it lives.
      const { predicate, envelope } = strict.status({ version: Date.now() + 1, expiresAt: inSeconds(3600) });
      await short.client.deliverStatus(envelope);
      expect((await ask(short.port)).status).toBe(200);
      await expect.poll(async () => (await short.client.state()).fresh).toBe(false);
      const answer = await ask(short.port);
      expect(answer.status).toBe(whenStale === 'stop' ? 503 : 200);
      if (whenStale === 'stop') expect(JSON.parse(answer.body)).toMatchObject({ code: 'STATUS_STALE' });
      await short.client.deliverStatus(strict.status({ version: predicate.version + 1 }).envelope);
      expect((await ask(short.port)).status).toBe(200);
    },
  );
});

test('attack: with the key of control alone no revocation is taken back, also not over a restart', async () => {
  const version = Date.now() + 5000;
  await rig.client.deliverStatus(world.status({ version, revoked: [stable.release] }).envelope);
  expect(JSON.parse((await ask(rig.port)).body)).toMatchObject({ code: 'REVOKED' });
  await rig.client.deliverStatus(world.status({ version: version + 1, revoked: [] }).envelope);
  expect(await status()).toBe(503);
  const { folder } = rig;
  await rig.stop();
  rig = await startRig(world, cleanup, { folder });
  await rig.serve(stable);
  expect(JSON.parse((await ask(rig.port)).body)).toMatchObject({ code: 'REVOKED' });
});

describe('replicas', () => {
  test('only serving announces them, for this environment and while the statement is valid', async () => {
    const cases: [SignedEnvelope, string][] = [
      [world.replica(stable, {}, 'control').envelope, 'NOT_AUTHORISED'],
      [world.replica(stable, {}, 'mallory').envelope, 'SIGNATURE_INVALID'],
      [world.replica(stable, { environment: 'prod' }).envelope, 'REPLAYED'],
      [world.replica(stable, { issuedAt: inSeconds(-9), expiresAt: inSeconds(-1) }).envelope, 'EXPIRED'],
    ];
    const before = (await rig.model()).replicas;
    for (const [envelope, code] of cases)
      await expect(rig.client.deliverReplica(envelope)).rejects.toMatchObject({ code });
    expect((await rig.model()).replicas).toEqual(before);
  });
});

describe('a replica that has said that it is gone', () => {
  const gone = (seconds: number) => {
    const at = inSeconds(seconds);
    return { issuedAt: at, expiresAt: at };
  };
  const tell = (change: object = {}) =>
    rig.client.deliverReplica(world.replica(stable, { port: 7, ...change }).envelope);
  const isThere = async (): Promise<boolean> => (await rig.model()).replicas.some(({ port }) => port === 7);

  test('is sent nobody any more, until it says later that it is back', async () => {
    await tell();
    expect(await isThere()).toBe(true);
    await tell(gone(1));
    expect(await isThere()).toBe(false);
    // What was said before, and comes after, brings it back no more.
    await tell({ expiresAt: inSeconds(60) });
    expect(await isThere()).toBe(false);
    await tell({ issuedAt: inSeconds(2), expiresAt: inSeconds(12) });
    expect(await isThere()).toBe(true);
  });

  test('attack: is not gone by what it said before it came back, nor by the word of anybody else', async () => {
    await tell({ issuedAt: inSeconds(-5), expiresAt: inSeconds(5) });
    await tell(gone(-6));
    expect(await isThere()).toBe(true);
    const forged = world.replica(stable, { port: 7, ...gone(1) }, 'control').envelope;
    await expect(rig.client.deliverReplica(forged)).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
    await expect(tell(gone(900))).rejects.toMatchObject({
      code: 'EXPIRED',
    });
    expect(await isThere()).toBe(true);
  });
});

describe('what a gateway remembers', () => {
  test('without state it serves nothing until it has a document and a fresh status document', async () => {
    const empty = await startRig(world, cleanup);
    expect((await ask(empty.port)).status).toBe(404);
    await expect(empty.client.deliverStatus(world.status().envelope)).rejects.toMatchObject({ code: 'PENDING' });
    await expect(empty.client.deliverKill(world.kill().envelope)).rejects.toMatchObject({ code: 'PENDING' });
    await empty.serve(stable);
    await empty.deliver(...world.inService(stable));
    const { status: code, body } = await ask(empty.port);
    expect([code, JSON.parse(body)]).toMatchObject([503, { code: 'STATUS_STALE' }]);
    await empty.client.deliverStatus(world.status().envelope);
    expect((await ask(empty.port)).status).toBe(200);
  });

  test('after a restart it has its documents, orders, breaches, status and policies', async () => {
    const canary = world.release({ version: '1.1.0', after: steady });
    const server = await rig.serve(canary);
    server.behave((_, outgoing) => outgoing.writeHead(500).end());
    const step = world.routePlan(steady, canary);
    await rig.deliver(step);
    await versions(rig.port, 400);
    const next = world.nextPolicy((policy) => policy);
    await rig.client.deliverPolicies([world.policyEnvelope, next.envelope]);
    await rig.client.deliverKill(world.kill('oscar', { model: 'letters' }).envelope);
    const before = await rig.client.state();
    await rig.stop();

    const again = await startRig(world, cleanup, { folder: rig.folder });
    const after = await again.client.state();
    expect(after).toMatchObject({ policyVersion: 2, statusVersion: before.statusVersion, fresh: true });
    const [digits, letters] = after.models;
    expect(digits).toMatchObject({ revision: 3, document: step.digest, breach: before.models[0]!.breach });
    expect(digits!.breach).not.toBeNull();
    expect(letters!.killedBy).toHaveLength(1);
    await again.serve(stable);
    await again.serve(canary);
    expect(await versions(again.port, 200)).toEqual({ '1.0.0': 200 });
    await expect(again.deliver(world.routePlan(step, canary, { step: 1 }))).rejects.toMatchObject({
      code: 'POLICY_REFUSED',
    });
  });

  test('a lifted order stays lifted after a restart', async () => {
    const order = world.kill();
    await rig.client.deliverKill(order.envelope);
    await rig.deliver(world.restored(steady, [order]));
    await rig.stop();
    const again = await startRig(world, cleanup, { folder: rig.folder });
    await again.serve(stable);
    await expect(again.client.deliverKill(order.envelope)).rejects.toMatchObject({ code: 'REPLAYED' });
    expect((await ask(again.port)).status).toBe(200);
  });

  test('attack: it knows after a restart since when it has its policy, and lifts nothing by an older one that was chosen later', async () => {
    const order = world.kill();
    await rig.client.deliverKill(order.envelope);
    const { policy: next, envelope } = world.nextPolicy((policy) => policy);
    await rig.client.deliverPolicies([world.policyEnvelope, envelope]);
    await rig.stop();
    const file = join(rig.folder, 'state.json');
    const kept = JSON.parse(readFileSync(file, 'utf8')) as { policySince: string };
    expect(Math.abs(Date.now() - Date.parse(kept.policySince))).toBeLessThan(60_000);
    // As if it had come two hours ago: what is asked under the one before since then was asked too late.
    writeFileSync(file, JSON.stringify({ ...kept, policySince: inSeconds(-7200) }));
    const again = await startRig(world, cleanup, { folder: rig.folder });
    await again.serve(stable);
    await expect(again.deliver(world.restored(steady, [order]))).rejects.toMatchObject({
      code: 'POLICY_REFUSED',
      message: expect.stringContaining(`policy ${next.version} was in force already`) as string,
    });
    expect((await ask(again.port)).status).toBe(503);
  });

  test('a damaged state file stops the gateway from starting, since it might forget a kill', async () => {
    await rig.stop();
    const file = join(rig.folder, 'state.json');
    writeFileSync(file, readFileSync(file, 'utf8').slice(0, -10));
    await expect(startRig(world, cleanup, { folder: rig.folder })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  test('its state is for its own user only, and so is its socket, but for the group of a folder closed to others', async () => {
    const mode = (name: string): number => statSync(join(rig.folder, name)).mode & 0o777;
    expect([mode('state.json'), mode('admin.sock')]).toEqual([0o600, 0o660]);
    await rig.stop();
    chmodSync(rig.folder, 0o711);
    await startRig(world, cleanup, { folder: rig.folder });
    expect(mode('admin.sock')).toBe(0o600);
  });

  test('it names the callers it has seen, and counts in the text that Prometheus reads', async () => {
    await ask(rig.port, { caller: 'team-a' });
    expect((await rig.client.callers()).models).toMatchObject([
      { model: 'digits', callers: [{ id: 'team-a', kind: 'unknown', requests: 1, refused: 0 }] },
    ]);
    const text = await rig.client.metrics();
    expect(text).toContain(
      `custody_gateway_requests{model="digits",revision="2",release="${stable.release}",version="1.0.0"} 1`,
    );
    expect(text).toContain('custody_gateway_status_fresh 1');
  });

  test('callers it has seen once are not forgotten by SIGKILL: a retirement is still told to them', async () => {
    await ask(rig.port, { caller: 'team-a' });
    const file = join(rig.folder, 'callers.json');
    await expect.poll(() => (existsSync(file) ? readFileSync(file, 'utf8') : '')).toContain('team-a');
    // What a killed process leaves, while this one still holds its own folder.
    const left = temporaryFolder(cleanup);
    cpSync(file, join(left, 'callers.json'));
    const next = await startRig(world, cleanup, { folder: left });
    expect((await next.client.callers()).models[0]?.callers.map(({ id }) => id)).toEqual(['team-a']);
  });

  test('a gateway that is not there is GATEWAY_UNAVAILABLE', async () => {
    await rig.stop();
    await expect(rig.client.state()).rejects.toMatchObject({ code: 'GATEWAY_UNAVAILABLE' });
  });
});
