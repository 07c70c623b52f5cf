import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Router, type Route as Stored } from '../../../activities/router.js';
import { createMemoryStore, type MemoryStore } from '../../../adapters/object-store/memory.js';
import { Records } from '../../../adapters/records.js';
import type { GatewayClient } from '../../../adapters/gateway/client.js';
import { CustodyError } from '../../../domain/errors.js';
import type { RouteDelivery } from '../../../domain/evidence.js';
import { withdraw } from '../../../domain/routing.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { createWorld, type Release, type Route, type World } from '../../support/world.js';

const MODEL = 'digits';
const lock = { retainUntil: '2099-01-01T00:00:00Z' };

let world: World;
let store: MemoryStore;
let records: Records;
let release: Release;
let chain: Route[];
let junk: string[];

beforeEach(async () => {
  world = createWorld();
  store = createMemoryStore();
  const bucket = store.bucket('test-custody');
  await bucket.createOnce(storeKeys.policy(1), canonicalBytes(world.policyEnvelope));
  records = new Records(bucket, world.root);
  release = world.release();
  chain = world.inService(release);
  junk = [];
  for (const route of chain) await keep(route);
});
afterEach(() => {
  vi.restoreAllMocks();
});

async function keep({ document, envelope, request, approvals, digest }: Route): Promise<void> {
  await put(storeKeys.route(MODEL, document.revision), canonicalBytes(envelope));
  if (request === null) return;
  await put(storeKeys.request(request.digest), canonicalBytes(request.envelope)).catch(() => undefined);
  for (const each of approvals)
    await put(storeKeys.statement(each.digest), canonicalBytes(each.envelope)).catch(() => undefined);
  await put(storeKeys.grounds(digest), canonicalBytes(approvals.map((each) => each.digest)));
}

const put = (key: string, body: Buffer) => records.bucket.createOnce(key, body, lock);
const routerOf = (): Router =>
  new Router({
    ...{ records, key: world.keys.control, id: 'control', gateways: [] },
    audit: { append: async () => undefined },
    onJunk: (key) => void junk.push(key),
  });
const takeOut = (router: Router, current: Stored): Promise<Stored> =>
  router.draw(MODEL, current, withdraw(current.document, release.release), null);

interface Statement {
  readonly predicate: { readonly revision: number };
}

/** A gateway as the router sees it: it has documents up to a revision, and takes the next one. */
class Gateway {
  has = 0;
  isDown = false;
  readonly taken: RouteDelivery[] = [];

  readonly client = {
    state: async () => ({ models: [{ model: MODEL, revision: this.has }] }),
    deliverRoute: async (delivery: RouteDelivery) => {
      if (this.isDown) throw new CustodyError('GATEWAY_UNAVAILABLE', 'no answer');
      const said = JSON.parse(Buffer.from(delivery.document.payload, 'base64').toString('utf8')) as Statement;
      const { revision } = said.predicate;
      if (revision !== this.has + 1)
        throw new CustodyError('REPLAYED', 'another is due', { details: { revision: this.has } });
      this.has = revision;
      this.taken.push(delivery);
      return {};
    },
  } as unknown as GatewayClient;
}

describe('what lowers exposure', () => {
  let log: 'up' | 'down';
  let noted: number;
  beforeEach(() => {
    log = 'up';
    noted = 0;
  });
  const routerTo = (...gateways: Gateway[]): Router =>
    new Router({
      ...{ records, key: world.keys.control, id: 'control', gateways: gateways.map(({ client }) => client) },
      audit: {
        append: async () => {
          if (log === 'down') throw new CustodyError('STORE_UNAVAILABLE', 'the log takes no record');
          noted += 1;
        },
      },
      onJunk: (key) => void junk.push(key),
    });

  test('waits neither for the log nor for a gateway that does not answer: the answer says what is missing', async () => {
    await put(storeKeys.manifest(release.release), Buffer.from(release.manifestText));
    const gateways = [new Gateway(), new Gateway()] as const;
    const router = routerTo(...gateways);
    await router.deliver(MODEL);
    log = 'down';
    gateways[1].isDown = true;
    const { revision, unnoted, stopped } = await router.takeOut(MODEL, release.release, withdraw);
    expect(gateways.map(({ has }) => has)).toEqual([revision, revision - 1]);
    expect(unnoted).toMatchObject({ revision, missing: 'no answer' });
    expect(stopped).toMatchObject([{ release: release.release }]);
    await expect(router.confirm(MODEL, revision)).rejects.toMatchObject({ code: 'GATEWAY_UNAVAILABLE' });
    gateways[1].isDown = false;
    expect(await router.takeOut(MODEL, release.release, withdraw)).toMatchObject({ revision });
    await router.confirm(MODEL, revision);
  });

  test('reaches a gateway that was away also where what came after it has to wait for the log', async () => {
    const gateway = new Gateway();
    const router = routerTo(gateway);
    await router.deliver(MODEL);
    const last = chain.at(-1)!;
    const out = world.withdraw(last, release.release);
    const next = world.release({ version: '2.0.0', after: out });
    const plan = world.routePlan(out, next);
    for (const route of [out, plan]) await keep(route);
    log = 'down';
    await expect(router.deliver(MODEL)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(gateway.has).toBe(out.document.revision);
    expect(gateway.taken.at(-1)).toMatchObject({ isNewest: false });
    log = 'up';
    noted = 0;
    await router.deliver(MODEL);
    expect({ has: gateway.has, noted }).toEqual({ has: plan.document.revision, noted: 1 });
  });

  test('attack: what raises it waits for the log, at whichever gateway', async () => {
    const gateway = new Gateway();
    const router = routerTo(gateway);
    log = 'down';
    await expect(router.deliver(MODEL)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(gateway.has).toBe(0);
  });
});

describe('the routes of an endpoint', () => {
  test('attack: what others put among them is passed over, and the next document takes the first free place', async () => {
    const last = chain.at(-1)!;
    const next = last.document.revision + 1;
    const foreign = world.withdraw(last, release.release, { by: 'oscar' });
    await put(storeKeys.route(MODEL, next), Buffer.from('garbage'));
    await put(storeKeys.route(MODEL, next, 1), canonicalBytes(foreign.envelope));
    await put(storeKeys.route(MODEL, 999_999_999), canonicalBytes(last.envelope));
    const router = routerOf();
    const current = await router.current(MODEL);
    expect(current?.digest).toBe(last.digest);
    const drawn = await takeOut(router, current!);
    expect((await routerOf().current(MODEL))?.digest).toBe(drawn.digest);
    expect((await router.current(MODEL))?.digest).toBe(drawn.digest);
    expect(await router.at(MODEL, next)).toEqual(drawn.document);
    expect(await records.bucket.read(storeKeys.route(MODEL, next, 2))).not.toBeNull();
    expect(new Set(junk)).toEqual(
      new Set([storeKeys.route(MODEL, next), storeKeys.route(MODEL, next, 1), storeKeys.route(MODEL, 999_999_999)]),
    );
  });

  test('never fork: two documents that follow the same one are one too many', async () => {
    const router = routerOf();
    const current = (await router.current(MODEL))!;
    await takeOut(router, current);
    const later = Date.now() + 5_000;
    vi.spyOn(Date, 'now').mockReturnValue(later);
    await expect(takeOut(router, current)).rejects.toMatchObject({ code: 'STORE_CONFLICT' });
    expect(await records.bucket.read(storeKeys.route(MODEL, current.document.revision + 1, 1))).toBeNull();
  });

  test('attack: a document that was the newest is so no more by a policy that knows no control', async () => {
    const router = routerOf();
    expect(await router.current(MODEL)).not.toBeNull();
    const authorities = world.policy.authorities.filter(({ id }) => id !== 'control');
    const { envelope } = world.nextPolicy((policy) => ({ ...policy, authorities }));
    await put(storeKeys.policy(2), canonicalBytes(envelope));
    await expect(router.current(MODEL)).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
  });

  test('attack: the newest document is taken out of the store: nothing older takes its place', async () => {
    const next = world.withdraw(chain.at(-1)!, release.release);
    const key = storeKeys.route(MODEL, next.document.revision);
    const { versionId } = await records.bucket.createOnce(key, canonicalBytes(next.envelope));
    const router = routerOf();
    expect((await router.current(MODEL))?.digest).toBe(next.digest);
    store.deleteVersion(records.bucket.name, key, versionId);
    await expect(router.current(MODEL)).rejects.toMatchObject({ code: 'WORM_VIOLATED' });
  });

  test('attack: garbage among the kills lifts none and hides none', async () => {
    const order = world.kill('oscar');
    await put(storeKeys.kill(MODEL, '0'.repeat(64)), Buffer.from('garbage'));
    await put(storeKeys.kill(MODEL, order.digest), canonicalBytes(order.envelope));
    const router = routerOf();
    const kills = await router.activeKills(MODEL, await router.current(MODEL));
    expect(kills.map(({ verified }) => verified.digest)).toEqual([order.digest]);
  });

  const active = async (): Promise<string[]> => {
    const router = routerOf();
    const kills = await router.activeKills(MODEL, await router.current(MODEL));
    return kills.map(({ verified }) => verified.digest);
  };

  test('lift an order for good: also when no document lists it any more, and who lifted it has left', async () => {
    const order = world.kill('oscar');
    await put(storeKeys.kill(MODEL, order.digest), canonicalBytes(order.envelope));
    const restored = world.restored(chain.at(-1)!, [order]);
    await keep(restored);
    const forgets = { lifted: [], restore: null };
    await keep(world.withdraw(restored, release.release, { document: forgets }));
    expect(await active(), 'nothing says that it was lifted').toEqual([order.digest]);
    await put(storeKeys.lifted(MODEL, order.digest, restored.document.revision), Buffer.from('whatever'));
    expect(await active()).toEqual([]);
    const authorities = world.policy.authorities.filter(({ id }) => id !== 'olga' && id !== 'otto');
    const { envelope } = world.nextPolicy((policy) => ({ ...policy, authorities }));
    await put(storeKeys.policy(2), canonicalBytes(envelope));
    expect(await active()).toEqual([]);
  });

  test.each([
    ['a revision that is none', 'x'],
    ['a revision that does not lift it', '000000002'],
    ['a revision to come', '000000099'],
    ['the first', '000000001'],
  ])('attack: a record that names %s lifts nothing', async (_what, revision) => {
    const order = world.kill('oscar');
    await put(storeKeys.kill(MODEL, order.digest), canonicalBytes(order.envelope));
    await put(`${storeKeys.liftedOf(MODEL, order.digest)}${revision}`, Buffer.from('{"revision":2}'));
    expect(await active()).toEqual([order.digest]);
    expect(junk).toEqual([`${storeKeys.liftedOf(MODEL, order.digest)}${revision}`]);
  });

  test('attack: a document of control alone, without those who would have to agree, lifts nothing', async () => {
    const order = world.kill('oscar');
    await put(storeKeys.kill(MODEL, order.digest), canonicalBytes(order.envelope));
    const alone = world.restored(chain.at(-1)!, [order], { approvals: [] });
    await keep(alone);
    await keep(world.withdraw(alone, release.release, { document: { lifted: [], restore: null } }));
    await put(storeKeys.lifted(MODEL, order.digest, alone.document.revision), Buffer.from('{}'));
    expect(await active()).toEqual([order.digest]);
  });
});
