import { rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Freshness } from '../../../activities/freshness.js';
import { Inventory } from '../../../activities/inventory.js';
import { Router } from '../../../activities/router.js';
import { StoredConsumers } from '../../../adapters/consumers.js';
import { createGatewayClient, type GatewayClient } from '../../../adapters/gateway/client.js';
import { createMemoryStore, type MemoryStore } from '../../../adapters/object-store/memory.js';
import { Records } from '../../../adapters/records.js';
import { CustodyError } from '../../../domain/errors.js';
import type { KillPredicate, SignedEnvelope } from '../../../domain/statements.js';
import { promote, withdraw } from '../../../domain/routing.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { signPolicy } from '../../../formats/policy.js';
import { createWorld, type Route, type World } from '../../support/world.js';
import type { Signed } from '../../support/world/organisation.js';
import { Cleanup, startRig, temporaryFolder, type Rig } from '../gateway/rig.js';

const lock = { retainUntil: '2099-01-01T00:00:00Z' };
const cleanup = new Cleanup();
const PATIENCE = { timeout: 50_000 };

let world: World;
let store: MemoryStore;
let records: Records;
let rig: Rig;
/** What control could not do. */
let troubles: string[];
/** The orders that endpoints were told of. */
let told: { model: string; order: SignedEnvelope }[];
let isLog: 'up' | 'down' | 'hung';
let doesTemporalHang: boolean;

beforeEach(() => begin());

async function begin(): Promise<void> {
  world = createWorld();
  store = createMemoryStore();
  records = new Records(store.bucket('test-custody'), world.root);
  await put(storeKeys.policy(1), canonicalBytes(world.policyEnvelope));
  rig = await startRig(world, cleanup);
  troubles = [];
  told = [];
  isLog = 'up';
  doesTemporalHang = false;
}
afterEach(async () => {
  vi.restoreAllMocks();
  await cleanup.run();
});

const put = (key: string, body: Buffer) => records.bucket.createOnce(key, body, lock);

async function keep({ document, envelope, request, approvals, digest }: Route): Promise<void> {
  await put(storeKeys.route(document.model, document.revision), canonicalBytes(envelope));
  if (request === null) return;
  await put(storeKeys.request(request.digest), canonicalBytes(request.envelope));
  for (const each of approvals) await put(storeKeys.statement(each.digest), canonicalBytes(each.envelope));
  await put(storeKeys.grounds(digest), canonicalBytes(approvals.map((each) => each.digest)));
}

const keepKill = ({ digest, envelope, predicate }: Signed<KillPredicate>) =>
  put(storeKeys.kill(predicate.model, digest), canonicalBytes(envelope));

/** Endpoints whose documents the store has: the newest of each. */
async function endpoints(...models: readonly string[]): Promise<Route[]> {
  const newest: Route[] = [];
  for (const model of models) {
    const release = world.release({ model });
    const chain = world.inService(release);
    await rig.serve(release);
    for (const route of chain) await keep(route);
    newest.push(chain.at(-1)!);
  }
  return newest;
}

/** Control, until the test has ended. */
function start(gateways: readonly GatewayClient[] = [rig.client]): Freshness {
  const audit = {
    append: async () => {
      if (isLog === 'hung') await new Promise(() => undefined);
      if (isLog === 'down') throw new CustodyError('STORE_UNAVAILABLE', 'the log takes no record');
    },
  };
  const onError = (error: unknown, doing: string): void => void troubles.push(`${doing}: ${String(error)}`);
  const deps = { records, key: world.keys.control, gateways, audit, onError };
  const freshness = new Freshness({
    ...deps,
    router: new Router({ ...deps, id: 'control', onJunk: () => undefined }),
    inventory: new Inventory({ ...deps, id: 'control', consumers: new StoredConsumers(records) }),
    apis: [],
    tell: async (model, order) => {
      told.push({ model, order });
      if (doesTemporalHang) await new Promise(() => undefined);
    },
    noteOverdue: async () => undefined,
  });
  freshness.start();
  cleanup.add(() => freshness.stop());
  return freshness;
}

/** Of every model that a gateway knows: its revision, and what stops it. */
async function standing(of: Pick<GatewayClient, 'state'> = rig.client): Promise<Record<string, [number, string[]]>> {
  const { models } = await of.state();
  return Object.fromEntries(
    models.map(({ model, revision, killedBy }) => [model, [revision, killedBy.map(({ order }) => order)]]),
  );
}
const unhurt = (routes: readonly Route[]): Record<string, [number, string[]]> =>
  Object.fromEntries(routes.map(({ document: { model, revision } }) => [model, [revision, []]]));
const allBrought = (routes: readonly Route[]) => expect.poll(() => standing(), PATIENCE).toEqual(unhurt(routes));

/** Resolves once control has asked the gateway how it stands so many times more: so many rounds have begun. */
function rounds(count: number): { readonly client: GatewayClient; readonly passed: () => Promise<void> } {
  let left = Infinity;
  let done = (): void => undefined;
  const state: GatewayClient['state'] = () => {
    left -= 1;
    if (left === 0) done();
    return rig.client.state();
  };
  const passed = (): Promise<void> =>
    new Promise((resolve) => {
      left = count;
      done = resolve;
    });
  return { client: { ...rig.client, state }, passed };
}

/** A gateway that hears of no status document any more from then on: they list kills, too. */
function deafTo(client: GatewayClient): { readonly client: GatewayClient; readonly deafen: () => void } {
  let isDeaf = false;
  const deliverStatus: GatewayClient['deliverStatus'] = (envelope) =>
    isDeaf ? Promise.resolve({ statusVersion: 0 }) : client.deliverStatus(envelope);
  return { client: { ...client, deliverStatus }, deafen: () => (isDeaf = true) };
}

describe('what keeps the gateways up to date', () => {
  test('attack: a gateway that takes connections and never answers keeps no other from status, kills and routes', async () => {
    const mute = createServer(() => undefined);
    const socket = join(temporaryFolder(cleanup), 'mute.sock');
    await new Promise<void>((done) => mute.listen(socket, done));
    cleanup.add(() => mute.close());
    const [{ document } = { document: null }] = await endpoints('digits');
    const order = world.kill('oscar');
    await keepKill(order);
    start([createGatewayClient(socket), rig.client]);
    await expect
      .poll(() => rig.client.state(), PATIENCE)
      .toMatchObject({ fresh: true, models: [{ revision: document?.revision, killedBy: [{ order: order.digest }] }] });
  });

  /** How often the store is asked from the beginning of one round to that of the next, once there is nothing to bring. */
  async function questions(...models: readonly string[]): Promise<number> {
    const { client, passed } = rounds(2);
    const routes = await endpoints(...models);
    start([client]);
    await allBrought(routes);
    await passed();
    const asked = (['list', 'read', 'versions', 'head'] as const).map((way) => vi.spyOn(records.bucket, way));
    await passed();
    return asked.reduce((sum, { mock }) => sum + mock.calls.length, 0);
  }

  test('asks the store no more of many quiet endpoints than of one', async () => {
    const ofOne = await questions('one');
    vi.restoreAllMocks();
    await cleanup.run();
    // What the first one is asked of is none of the others.
    await begin();
    const many = Array.from({ length: 5 }, (_, at) => `many-${at}`);
    expect(await questions(...many)).toBeLessThanOrEqual(ofOne);
  });

  test('attack: a gateway that has lost its file is told of every document and every order again', async () => {
    const routes = await endpoints('one', 'two', 'three');
    const order = world.kill('oscar', { model: 'two' });
    await keepKill(order);
    const { client, deafen } = deafTo(rig.client);
    start([client]);
    const expected = { ...unhurt(routes), two: [routes[1]!.document.revision, [order.digest]] };
    await expect.poll(() => standing(), PATIENCE).toEqual(expected);
    deafen();
    const { folder } = rig;
    await rig.stop();
    rmSync(join(folder, 'state.json'));
    rig = await startRig(world, cleanup, { folder });
    await expect.poll(() => standing(), PATIENCE).toEqual(expected);
  });

  test('attack: an order among many quiet endpoints stops its own, and no other', async () => {
    const routes = await endpoints('one', 'two', 'three');
    const { client, deafen } = deafTo(rig.client);
    start([client]);
    await allBrought(routes);
    deafen();
    const order = world.kill('oscar', { model: 'three' });
    await keepKill(order);
    const expected = { ...unhurt(routes), three: [routes[2]!.document.revision, [order.digest]] };
    await expect.poll(() => standing(), PATIENCE).toEqual(expected);
    expect(troubles).toEqual([]);
  });

  test('attack: who loses the role, or leaves, lifts nothing by it: what they have stopped stays so, and can be restored', async () => {
    const [route] = await endpoints('digits');
    const order = world.kill('oscar');
    await keepKill(order);
    const without = world.nextPolicy((policy) => ({
      ...policy,
      authorities: policy.authorities.filter(({ id }) => id !== 'oscar'),
    }));
    await put(storeKeys.policy(2), canonicalBytes(without.envelope));
    start();
    const expected = { digits: [route!.document.revision, [order.digest]] };
    await expect.poll(() => standing(), PATIENCE).toEqual(expected);
    const audit = { append: async () => undefined };
    const deps = { records, key: world.keys.control, gateways: [rig.client], audit, id: 'control' };
    const router = new Router({ ...deps, onJunk: () => undefined });
    expect((await router.position('digits')).killedBy).toEqual([order.digest]);
    expect(await router.killOrder('digits', order.digest)).toEqual(order.predicate);
    // Who never could, still cannot.
    const forged = world.kill('ci');
    await keepKill(forged);
    expect((await router.position('digits')).killedBy).toEqual([order.digest]);
  });

  test('attack: a forged policy in the store keeps no release that is to go in service', async () => {
    const [route] = await endpoints('digits');
    const onJunk = (key: string): void => expect.fail(key);
    const audit = { append: async () => undefined };
    const router = new Router({
      records,
      key: world.keys.control,
      gateways: [rig.client],
      audit,
      id: 'control',
      onJunk,
    });
    const current = await router.current('digits');
    expect(current?.digest).toBe(route!.digest);
    await router.deliver('digits');
    const { policy } = world.nextPolicy((next) => ({ ...next, authorities: [] }));
    await put(storeKeys.policy(2), canonicalBytes(signPolicy(policy, [world.keys.oscar])));
    await expect(records.policies()).rejects.toMatchObject({ code: expect.stringMatching(/./) as string });
    await expect(router.draw('digits', current, promote(route!.document), null)).rejects.toBeDefined();
    await router.draw('digits', current, withdraw(route!.document, route!.document.releases[0]!.release), null);
    await router.deliver('digits');
    const { models } = await rig.client.state();
    expect(models).toMatchObject([{ revision: route!.document.revision + 1, serving: [] }]);
  });

  test('attack: one endpoint whose newest document was taken out of the store keeps no other from its next', async () => {
    const [one, two] = await endpoints('one', 'two');
    const release = one!.document.releases[0]!.release;
    const next = world.withdraw(one!, release);
    const key = storeKeys.route('one', next.document.revision);
    const { versionId } = await records.bucket.createOnce(key, canonicalBytes(next.envelope));
    start();
    await expect.poll(async () => (await standing())['one']?.[0], PATIENCE).toBe(next.document.revision);
    store.deleteVersion(records.bucket.name, key, versionId);
    const after = world.withdraw(two!, two!.document.releases[0]!.release);
    await keep(after);
    await expect.poll(async () => (await standing())['two']?.[0], PATIENCE).toBe(after.document.revision);
    await expect.poll(() => troubles, PATIENCE).toContainEqual(expect.stringContaining(`the store has lost ${key}`));
  });

  test('attack: nor does it keep the status document, and the kills in it, from anybody', async () => {
    const [one] = await endpoints('one', 'two');
    const next = world.withdraw(one!, one!.document.releases[0]!.release);
    const key = storeKeys.route('one', next.document.revision);
    const { versionId } = await records.bucket.createOnce(key, canonicalBytes(next.envelope));
    const freshness = start();
    await expect.poll(async () => (await standing())['one']?.[0], PATIENCE).toBe(next.document.revision);
    store.deleteVersion(records.bucket.name, key, versionId);
    const orders = [world.kill('oscar', { model: 'one' }), world.kill('oscar', { model: 'two' })];
    for (const order of orders) await keepKill(order);
    await freshness.reissue();
    let newest = '';
    for await (const each of records.bucket.list('status/')) newest = each;
    const status = await records.find('status', newest);
    expect(status?.verified.predicate.kills).toEqual(
      orders.map(({ digest, predicate: { model } }) => ({ model, order: digest })),
    );
    expect(troubles).toContainEqual(expect.stringContaining(`the store has lost ${key}`));
  });

  test('attack: an order that was lifted long ago stops nothing, also for a control that has just been started', async () => {
    const [first] = await endpoints('digits');
    const order = world.kill('oscar', { issuedAt: world.at(-100), expiresAt: world.at(-5) });
    const second = world.kill('oscar');
    const restored = world.restored(first!, [order]);
    // The second quorum's document need not list an order any more that could not be replayed.
    const newest = world.restored(restored, [second]);
    expect(newest.document.lifted.map((lifted) => lifted.order)).toEqual([second.digest]);
    for (const kill of [order, second]) await keepKill(kill);
    for (const route of [restored, newest]) await keep(route);
    const { revision } = restored.document;
    await put(storeKeys.lifted('digits', order.digest, revision), canonicalBytes({ revision }));
    const { client, passed } = rounds(3);
    const deliverKill = vi.fn(rig.client.deliverKill);
    start([{ ...client, deliverKill }]);
    await allBrought([newest]);
    await passed();
    expect(deliverKill).not.toHaveBeenCalled();
    expect(await standing()).toEqual(unhurt([newest]));
    expect(told).toEqual([]);
  });

  test.each(['down', 'hung'] as const)(
    'attack: a log that is %s keeps a new policy from the gateways, and no kill and nothing that lowers exposure',
    async (how) => {
      const routes = await endpoints('one', 'two');
      const { client, deafen } = deafTo(rig.client);
      start([client]);
      await allBrought(routes);
      isLog = how;
      deafen();
      await put(storeKeys.policy(2), canonicalBytes(world.nextPolicy((policy) => policy).envelope));
      const order = world.kill('oscar', { model: 'one' });
      const out = world.withdraw(routes[1]!, routes[1]!.document.releases[0]!.release);
      await keepKill(order);
      await keep(out);
      const one = [routes[0]!.document.revision, [order.digest]];
      await expect.poll(() => standing(), PATIENCE).toEqual({ one, two: [out.document.revision, []] });
      isLog = 'up';
      if (how === 'hung') return;
      await expect.poll(async () => (await rig.client.state()).policyVersion, PATIENCE).toBe(2);
    },
  );

  test('attack: a Temporal that hangs while an endpoint is told keeps no other endpoint’s kill from the gateway', async () => {
    const routes = await endpoints('one', 'two');
    const { client, deafen } = deafTo(rig.client);
    doesTemporalHang = true;
    start([client]);
    await allBrought(routes);
    deafen();
    await rig.client.deliverKill(world.kill('oscar', { model: 'one' }).envelope);
    await expect.poll(() => told.length, PATIENCE).toBe(1);
    const order = world.kill('oscar', { model: 'two' });
    await keepKill(order);
    await expect
      .poll(async () => (await standing())['two'], PATIENCE)
      .toEqual([routes[1]!.document.revision, [order.digest]]);
    expect(told).toHaveLength(1);
  });

  test('an order that a gateway has taken without control is told to its endpoint, among many quiet ones', async () => {
    const routes = await endpoints('one', 'two', 'three');
    start();
    await allBrought(routes);
    const order = world.kill('oscar', { model: 'two' });
    await rig.client.deliverKill(order.envelope);
    await expect.poll(() => told, PATIENCE).toEqual([{ model: 'two', order: order.envelope }]);
  });
});
