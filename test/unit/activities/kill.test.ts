import { MockActivityEnvironment } from '@temporalio/testing';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { Killed } from '../../../activities/contract.js';
import type { Desk } from '../../../activities/control.js';
import { Journal } from '../../../activities/journal.js';
import { createKill } from '../../../activities/kill.js';
import { Router } from '../../../activities/router.js';
import type { GatewayClient } from '../../../adapters/gateway/client.js';
import { createMemoryStore } from '../../../adapters/object-store/memory.js';
import { Records } from '../../../adapters/records.js';
import type { AuditRecord } from '../../../domain/audit.js';
import { CustodyError } from '../../../domain/errors.js';
import type { KillPredicate } from '../../../domain/statements.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { signPolicy } from '../../../formats/policy.js';
import { createWorld, type Signed, type World } from '../../support/world.js';

/** However busy the machine is. */
const atLeast = (seconds: number): unknown =>
  expect.toSatisfy((passed: number) => passed >= seconds && passed < seconds + 30);
const ago = (seconds: number): string => new Date(Date.now() - seconds * 1000).toISOString();

/** A gateway that stops when it is told to, unless it is down. */
class Gateway {
  down = false;
  since: string | null = null;
  order: string | null = null;
  lacksPolicy = false;
  teachable = true;
  refuses: CustodyError | null = null;

  constructor(readonly world: World) {}

  client(): GatewayClient {
    const answers = (): void => {
      if (this.down) throw new CustodyError('GATEWAY_UNAVAILABLE', 'no answer');
    };
    return {
      deliverPolicies: async () => {
        this.lacksPolicy &&= !this.teachable;
        return { policyVersion: 1 };
      },
      deliverKill: async () => {
        answers();
        if (this.lacksPolicy) throw new CustodyError('SIGNATURE_INVALID', 'nobody has this key');
        if (this.refuses !== null) throw this.refuses;
        this.since ??= ago(0);
        return { model: 'digits', order: '', since: this.since };
      },
      state: async () => {
        answers();
        const killedBy = this.order === null ? [] : [{ order: this.order, reason: '', lifted: false }];
        return { models: [{ model: 'digits', killedBy }] };
      },
    } as unknown as GatewayClient;
  }
}

let world: World;
let records: Records;
let gateways: Gateway[];
let audited: AuditRecord[];
let isLog: 'up' | 'down' | 'hung';
let reissueStatus: () => Promise<void>;
let measured: { took: number[]; late: number };
let lifted: Set<string>;
let acts: ReturnType<typeof createKill>;

beforeEach(async () => {
  world = createWorld();
  const bucket = createMemoryStore().bucket('test-custody');
  await bucket.createOnce(storeKeys.policy(1), canonicalBytes(world.policyEnvelope));
  records = new Records(bucket, world.root);
  gateways = [new Gateway(world), new Gateway(world)];
  audited = [];
  reissueStatus = async () => undefined;
  isLog = 'up';
  const append = async (added: readonly AuditRecord[]): Promise<void> => {
    if (isLog === 'hung') await new Promise(() => undefined);
    if (isLog === 'down') throw new CustodyError('STORE_UNAVAILABLE', 'the log takes no record');
    audited.push(...added);
  };
  lifted = new Set();
  measured = { took: [], late: 0 };
  const router = new Router({
    ...{ records, key: world.keys.control, id: 'control', gateways: [], audit: { append }, onJunk: () => undefined },
  });
  vi.spyOn(router.lifted, 'has').mockImplementation((_model, order) => Promise.resolve(lifted.has(order)));
  const desk = {
    ...{ records, router, id: 'control' },
    journal: new Journal({ append }),
    gateways: gateways.map((gateway) => gateway.client()),
    killMetrics: { took: (seconds: number) => measured.took.push(seconds), late: () => (measured.late += 1) },
    reissueStatus: () => reissueStatus(),
  };
  acts = createKill(desk as unknown as Desk);
});

const run = <T>(act: () => Promise<T>): Promise<T> => new MockActivityEnvironment().run(act);
const kill = (order: Signed<KillPredicate>): Promise<Killed> => run(() => acts.killEndpoint('digits', order.envelope));
const signedAgo = (seconds: number): Signed<KillPredicate> =>
  world.kill('oscar', { issuedAt: ago(seconds), expiresAt: ago(-60) });
const lateRecords = (): string[] => audited.filter(({ change }) => change === 'kill.late').map(({ reason }) => reason);

describe('a kill', () => {
  test('that every gateway took in time is no incident', async () => {
    expect(await kill(signedAgo(1))).toMatchObject({ gateways: 2, late: [], open: false });
    expect(lateRecords()).toEqual([]);
    expect(measured).toEqual({ took: [atLeast(1)], late: 0 });
  });

  test('that a gateway took later than the policy gives is said, and is in the audit log', async () => {
    gateways[1]!.since = ago(2);
    const order = signedAgo(9);
    const { late, open } = await kill(order);
    expect({ late, open }).toEqual({
      late: [
        expect.stringMatching(/^gateway 1 of 2 stopped after 9\.\d s: the policy gives 5 s$/),
        expect.stringMatching(/^gateway 2 of 2 stopped after 7\.\d s: the policy gives 5 s$/),
      ],
      open: false,
    });
    expect(lateRecords()).toEqual([late?.join('; ')]);
    expect(measured).toEqual({ took: [atLeast(9)], late: 1 });
    expect(audited.at(-1)).toMatchObject({ actor: { id: 'control', statement: order.digest }, after: order.digest });
  });

  test('is tried again while there is time; after that the gateway that does not answer is named, and the rest counts', async () => {
    gateways[0]!.down = true;
    await expect(kill(signedAgo(1))).rejects.toMatchObject({ code: 'GATEWAY_UNAVAILABLE' });
    expect(lateRecords()).toEqual([]);

    const order = signedAgo(5.5);
    gateways[1]!.since = ago(5);
    expect(await kill(order)).toMatchObject({
      gateways: 1,
      open: true,
      late: ['gateway 1 of 2 has not stopped: the policy gives 5 s'],
    });
    expect(lateRecords()).toEqual(['gateway 1 of 2 has not stopped: the policy gives 5 s']);
    expect(measured, 'it has not ended').toEqual({ took: [], late: 1 });

    const confirm = (): Promise<string | null> => run(() => acts.confirmKill('digits', order.digest));
    await expect(confirm()).rejects.toMatchObject({ code: 'GATEWAY_UNAVAILABLE' });
    gateways[0]!.down = false;
    gateways[0]!.order = order.digest;
    await expect(confirm(), 'the other one has forgotten it').rejects.toMatchObject({ code: 'GATEWAY_UNAVAILABLE' });
    gateways[1]!.order = order.digest;
    expect(await confirm()).toBe('all gateways have stopped, after 6 s: the policy gives 5 s');
    expect(lateRecords()).toHaveLength(2);
    expect(measured).toEqual({ took: [atLeast(5.5)], late: 1 });
  });

  test('that was lifted in the meantime needs no confirmation', async () => {
    gateways[0]!.down = true;
    const order = signedAgo(6);
    await kill(order);
    lifted.add(order.digest);
    expect(await run(() => acts.confirmKill('digits', order.digest))).toBeNull();
  });
});

test.each(['down', 'hung'] as const)(
  'attack: forged orders hold no genuine one up while the log is %s',
  async (how) => {
    isLog = how;
    const forged = world.kill('mallory').envelope;
    const genuine = world.kill('oscar');
    const sorted = await run(() =>
      acts.sortKills(
        'digits',
        [forged, genuine.envelope].map((envelope) => ({ message: 'kill', envelope })),
      ),
    );
    expect(sorted).toMatchObject([
      { accepted: false, unnoted: true },
      { accepted: true, statement: genuine.digest },
    ]);
    const alone = run(() => acts.killEndpoint('digits', forged));
    await expect(alone).rejects.toMatchObject({ code: 'SIGNATURE_INVALID', details: { unnoted: true } });
  },
);

test('that a gateway refuses because it lacks the policy is relayed with it', async () => {
  const [gateway] = gateways;
  gateway!.lacksPolicy = true;
  const order = signedAgo(1);
  expect(await kill(order)).toMatchObject({ gateways: 2, open: false });
  gateway!.lacksPolicy = true;
  gateway!.teachable = false;
  await expect(kill(signedAgo(1))).rejects.toMatchObject({
    ...{ code: 'GATEWAY_UNAVAILABLE', cause: { code: 'SIGNATURE_INVALID' } },
  });
});

describe('an order that a gateway refuses', () => {
  test('because its clock is wrong counts all the same: the endpoint hears of it, and who has not stopped', async () => {
    gateways[1]!.refuses = new CustodyError('EXPIRED', 'the order is expired');
    await expect(kill(signedAgo(1))).rejects.toMatchObject({ code: 'GATEWAY_UNAVAILABLE' });
    gateways[0]!.since = ago(6);
    const { late, open } = await kill(signedAgo(7));
    expect({ late, open }).toEqual({
      late: [
        expect.stringMatching(/^gateway 2 of 2 has not stopped/),
        'a gateway refuses the order: the order is expired',
      ],
      open: true,
    });
  });

  test('because a quorum has lifted it does nothing any more', async () => {
    gateways[1]!.refuses = new CustodyError('REPLAYED', 'the order was lifted');
    await expect(kill(signedAgo(1))).rejects.toMatchObject({ code: 'REPLAYED' });
  });
});

test('attack: a forged policy in the store, and a status document that cannot be made, delay no kill', async () => {
  await records.policies();
  const forged = signPolicy({ ...world.policy, version: 2 }, [world.keys.mallory]);
  await records.bucket.createOnce(storeKeys.policy(2), canonicalBytes(forged));
  reissueStatus = async () => void (await records.policies());
  expect(await kill(signedAgo(1))).toMatchObject({ gateways: 2, open: false });
  expect(audited.map(({ change, reason }) => `${change} ${reason}`)).toEqual([
    expect.stringMatching(/^endpoint\.killed .*no status document could be made: SIGNATURE_INVALID/),
  ]);
});
