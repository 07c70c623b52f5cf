import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createCondemning } from '../../../activities/condemn.js';
import type { Desk } from '../../../activities/control.js';
import { createNoticing } from '../../../activities/notice.js';
import { StatusDocuments } from '../../../activities/status-document.js';
import { createRetirement } from '../../../activities/retire.js';
import { createRevoking } from '../../../activities/revoke.js';
import { StoredConsumers } from '../../../adapters/consumers.js';
import type { Letter } from '../../../adapters/notifier.js';
import type { VulnerabilityPredicate } from '../../../domain/ending-predicates.js';
import { CustodyError } from '../../../domain/errors.js';
import { lifecycleId } from '../../../domain/names.js';
import type { SignedEnvelope } from '../../../domain/statements.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { envelopeDigest } from '../../../formats/dsse.js';
import { readKillOrder } from '../../../formats/kill-order.js';
import { recordsOf } from '../serving/fixture.js';
import { createWorld, type Release, type Signers, type World } from '../../support/world.js';
import { startDesk, type DeskRig } from './rig.js';

let world: World;
let rig: DeskRig;
let release: Release;
let orders: SignedEnvelope[];
let letters: Letter[];
let isMailDown: boolean;
let isGatewayDown: boolean;
let reissued: number;

beforeEach(async () => {
  world = createWorld();
  [orders, letters, isMailDown, isGatewayDown, reissued] = [[], [], false, false, 0];
  rig = await startDesk(world, []);
  release = world.release();
  for (const [key, bytes] of recordsOf(release)) await rig.records.bucket.createOnce(key, bytes);
});
afterEach(() => void vi.useRealTimers());

const gateway = {
  state: async () => ({ models: [] }),
  callers: async () => ({ models: [] }),
  deliverKill: async (order: SignedEnvelope) => {
    if (isGatewayDown) throw new CustodyError('GATEWAY_UNAVAILABLE', 'no answer');
    orders.push(order);
    return { model: 'digits', order: envelopeDigest(order), since: world.at(0) };
  },
};

function desk(): Desk {
  return {
    ...rig.desk,
    ...{ gateways: [gateway], consumers: new StoredConsumers(rig.records), key: world.keys.control },
    notifier: {
      send: async (letter: Letter) => {
        letters.push(letter);
        return isMailDown
          ? { how: 'failed', messageId: null, why: ['MAIL_UNAVAILABLE'] }
          : { how: 'mail', messageId: letter.messageId, why: [] };
      },
    },
    reissueStatus: async () => void (reissued += 1),
    killMetrics: { took: () => undefined, late: () => undefined },
  } as unknown as Desk;
}
function act<T>(what: (desk: Desk) => Promise<T>): Promise<T> {
  const environment = new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') });
  return environment.run<[], T, () => Promise<T>>(() => what(desk()));
}
const condemn = (...envelopes: unknown[]) =>
  act((on) =>
    createCondemning(on).condemnRelease(
      release.name,
      release.release,
      envelopes.map((envelope) => ({ message: 'condemn', envelope })),
    ),
  );
const inform = () => act((on) => createCondemning(on).informCondemned(release.name, release.release));
const revoke = () =>
  createRevoking({ records: rig.records, key: world.keys['release-signer'] }).revokeCondemned(
    release.name,
    release.release,
  );

function notice(change: Partial<VulnerabilityPredicate> = {}, by: Signers = 'sam', sha256 = release.release) {
  const predicate: VulnerabilityPredicate = {
    ...{ environment: 'test', ...release.name, vulnerability: 'CVE-2026-1', reason: 'it runs what it is told' },
    ...{ issuedAt: world.at(0), expiresAt: world.at(600) },
    ...change,
  };
  return world.statement('vulnerability', { name: lifecycleId(release.name), sha256 }, predicate, by);
}
async function routed(weight = 100): Promise<void> {
  const { release: digest, name } = release;
  const releases = [{ release: digest, version: name.version, weight }];
  const intent = { change: 'promote', releases, plan: null, triggers: null, lifted: [], restore: null } as const;
  await rig.keep(world.route(null, intent, name.model));
}
const logged = (change: string) => rig.log.filter((record) => record.change === change);

describe('a vulnerability notice', () => {
  test('stops the endpoint of a release with callers by an order of control, and is kept; the log is told by another call', async () => {
    await routed();
    const said = notice();
    const { verdicts, condemned } = await condemn(said.envelope);
    expect(verdicts).toEqual([{ accepted: true, by: 'sam', statement: said.digest }]);
    const [order] = orders;
    expect(condemned).toEqual({ vulnerability: said.digest, order: envelopeDigest(order!) });
    const kill = readKillOrder(order, world.policy, 'test');
    expect(kill).toMatchObject({
      signers: ['control'],
      predicate: { model: 'digits', reason: 'CVE-2026-1: it runs what it is told', issuedAt: said.predicate.issuedAt },
    });
    expect(logged('endpoint.killed')).toHaveLength(1);
    expect(logged('release.condemned')).toEqual([]);
    await act((on) => createCondemning(on).noteCondemned(release.name, release.release));
    expect(logged('release.condemned')).toMatchObject([
      {
        ...{ actor: { id: 'sam', statement: said.digest }, subject: { ...release.name, release: release.release } },
        ...{ after: said.digest, reason: 'CVE-2026-1: it runs what it is told' },
      },
    ]);
  });

  test('that comes twice, and however late the second time, is one order and one record', async () => {
    await routed();
    const said = notice();
    const first = await condemn(said.envelope);
    vi.useFakeTimers({ toFake: ['Date'] });
    vi.setSystemTime(Date.now() + 3_600_000);
    expect(await condemn(said.envelope)).toEqual(first);
    expect(new Set(orders.map(envelopeDigest)).size).toBe(1);
    expect(await condemn(notice({ vulnerability: 'CVE-2', expiresAt: world.at(9000) }).envelope)).toMatchObject({
      verdicts: [{ accepted: true }],
      condemned: first.condemned,
    });
  });

  test('of a release without callers stops nobody else', async () => {
    expect((await condemn(notice().envelope)).condemned).toMatchObject({ order: null });
    expect(orders).toEqual([]);
  });

  test('is not lost where a gateway is away, or the log', async () => {
    await routed();
    isGatewayDown = true;
    await expect(condemn(notice().envelope)).rejects.toMatchObject({ code: 'GATEWAY_UNAVAILABLE' });
    isGatewayDown = false;
    expect((await condemn(notice().envelope)).condemned?.order).toBe(envelopeDigest(orders[0]!));
  });

  const wrong: [string, () => unknown, string][] = [
    ['an operator', () => notice({}, 'otto').envelope, 'NOT_AUTHORISED'],
    ['control itself', () => notice({}, 'control').envelope, 'NOT_AUTHORISED'],
    ['nobody', () => 'no envelope', 'MALFORMED'],
    ['sam, about another release', () => notice({}, 'sam', 'f'.repeat(64)).envelope, 'REPLAYED'],
    ['sam, for another environment', () => notice({ environment: 'prod' }).envelope, 'REPLAYED'],
    ['sam, long ago', () => notice({ issuedAt: world.at(-900), expiresAt: world.at(-300) }).envelope, 'EXPIRED'],
    ['sam, in future', () => notice({ issuedAt: world.at(900), expiresAt: world.at(999) }).envelope, 'EXPIRED'],
  ];
  test.each(wrong)('attack: by %s stops nothing, and is in the log', async (_, said, code) => {
    await routed();
    expect(await condemn(said())).toMatchObject({ verdicts: [{ accepted: false, code }], condemned: null });
    expect(orders).toEqual([]);
    expect(logged('message.refused')).toHaveLength(1);
  });
});

describe('what follows', () => {
  test('the signing zone revokes it because of the notice, and because of nothing less', async () => {
    await expect(revoke()).rejects.toMatchObject({ code: 'PENDING' });
    const said = notice();
    await condemn(said.envelope);
    const digest = await revoke();
    expect(await revoke()).toBe(digest);
    const { verified } = (await rig.records.find('revocation', storeKeys.revocation(release.release)))!;
    expect(verified).toMatchObject({ signers: ['release-signer'], predicate: { request: said.digest } });
    await act((on) => createRetirement(on).noteErasure(release.name, release.release));
    expect(logged('release.revoked')).toMatchObject([{ before: said.digest, after: digest, policy: null }]);
  });

  test('attack: a record of a notice by somebody who may not revokes nothing', async () => {
    const forged = notice({}, 'otto');
    await rig.records.keep(forged.envelope);
    const record = { vulnerability: forged.digest, order: null };
    await rig.put(storeKeys.record(release.name, 'condemned'), canonicalBytes(record));
    await expect(revoke()).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
    expect(await rig.records.find('revocation', storeKeys.revocation(release.release))).toBeNull();
  });

  test('everybody who depends on it is told once, and whom no way reached again', async () => {
    const { envelope, predicate, digest } = world.consumer();
    await rig.put(storeKeys.consumer(predicate.consumer, predicate.sequence, digest), canonicalBytes(envelope));
    const said = notice();
    await condemn(said.envelope);
    isMailDown = true;
    expect(await inform()).toBe(1);
    expect(await inform()).toBe(1);
    isMailDown = false;
    expect(await inform()).toBe(0);
    const { length } = letters;
    expect(await inform()).toBe(0);
    expect(letters).toHaveLength(length);
    expect(reissued).toBe(5);
    expect(letters[0]).toMatchObject({
      subject: 'digits 1.0.0 has been stopped because of CVE-2026-1: it runs what it is told',
      data: { occasion: 'emergency', request: said.digest },
    });
    expect(logged('retirement.noticed')).toHaveLength(2);
  });

  test('callers are told why it does not answer any more, by the status document', async () => {
    await condemn(notice().envelope);
    await revoke();
    const documents = new StatusDocuments({ ...rig, onError: (error) => expect.fail(String(error)) });
    const told = async () => (await documents.draw(Date.now(), await rig.records.policies())).retiring;
    expect(await told()).toBeUndefined();
    await inform();
    expect(await told()).toMatchObject([
      { ...release.name, release: release.release, reason: 'CVE-2026-1: it runs what it is told' },
    ]);
  });

  test('its retirement needs no period, and the notice of its emergency is that of its retirement', async () => {
    const said = notice();
    const action = { kind: 'retire', reason: 'it is vulnerable', noticeSeconds: 0 } as const;
    const asked = world.request(
      { name: lifecycleId(release.name), sha256: release.release },
      {
        ...{ ...release.name, release: release.release, workflowId: lifecycleId(release.name), action },
        ...{ requester: 'rita', evidence: { vulnerability: said.digest } },
      },
      'rita',
    );
    const open = () => act((on) => createRetirement(on).openRetireGate(release.name, release.release, asked.envelope));
    await expect(open()).rejects.toMatchObject({ code: 'POLICY_REFUSED' });
    await condemn(said.envelope);
    await open();
    const approvals = (['alice', 'bob'] as const).map((by) => world.approve(asked, by));
    for (const { envelope } of approvals) await rig.records.keep(envelope);
    const agreed = { request: asked.digest, approvals: approvals.map(({ digest }) => digest), approvers: [] };
    const give = () => act((on) => createNoticing(on).giveNotice(release.name, release.release, agreed));
    await expect(give()).rejects.toMatchObject({ code: 'PENDING' });
    await inform();
    const retirement = await give();
    const { verified } = await rig.records.get('notice', retirement.notice);
    expect(verified.predicate.request).toBe(said.digest);
    const followed = await act((on) => createNoticing(on).followNotice(release.name, release.release, retirement));
    expect(followed).toMatchObject({ awaited: [], lookAt: null });
  });
});
