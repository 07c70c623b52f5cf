import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openHolds } from '../../../adapters/holds.js';
import type { HoldPredicate } from '../../../domain/hold.js';
import { holdId, lifecycleId } from '../../../domain/names.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { isoTime } from '../../../domain/time.js';
import { envelopeDigest } from '../../../formats/dsse.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import type { KeyName, Release } from '../../support/world.js';
import { startKeeping, type Keeping } from './rig.js';

let rig: Keeping;
let release: Release;
beforeEach(async () => {
  rig = await startKeeping();
  release = await rig.keep(rig.world.release());
});
afterEach(() => rig.stop());

const about = () => ({ ...release.name, release: release.release });
const held = { code: 'HELD' };

/** A hold that says something else than the order of the command does. */
function forged(said: Partial<HoldPredicate>, by: KeyName = 'sam', subject = release.release) {
  const predicate = {
    ...{ environment: 'test', ...release.name, nonce: 'a'.repeat(24), reason: 'a lawsuit' },
    ...{ issuedAt: isoTime(Date.now()), expiresAt: isoTime(Date.now() + 600_000) },
    ...said,
  };
  return rig.world.statement('hold', { name: holdId(release.name), sha256: subject }, predicate, by).envelope;
}

describe('a release on hold', () => {
  test('has every object of it, and of what its records lead to, held in the store; nothing of another release', async () => {
    const other = await rig.keep(rig.world.release({ version: '9.9.9' }));
    const { objects, open } = await rig.place(release);
    expect(open).toHaveLength(1);
    const heldNow = (await rig.objects()).filter(({ hold }) => hold).map(({ key }) => key);
    expect(heldNow).toHaveLength(objects);
    const sha256s = release.manifest.files.map(({ sha256 }) => sha256);
    const blobs = await rig.vault.holdings({ release: release.release, sha256s });
    expect(blobs.length).toBeGreaterThan(0);
    for (const key of [
      ...blobs.map(({ blob }) => storeKeys.blob(blob)),
      storeKeys.manifest(release.release),
      storeKeys.version(release.name),
      storeKeys.request(release.request.digest),
      storeKeys.statement(release.testResult.digest),
      storeKeys.record(release.name, 'signed'),
      storeKeys.hold(release.release, open[0] ?? ''),
      ...release.approvals.map(({ digest }) => storeKeys.statement(digest)),
    ])
      expect(heldNow).toContain(key);
    expect(heldNow).not.toContain(storeKeys.manifest(other.release));
    expect(heldNow).not.toContain(storeKeys.record(other.name, 'signed'));
    expect(rig.log.map(({ change, actor, reason }) => [change, actor.id, reason])).toEqual([
      ['release.held', 'sam', 'a lawsuit'],
    ]);
  });

  test('is held once more by the same order without effect, and stands for as long as any hold does', async () => {
    const order = rig.orderOf(release);
    const first = await rig.place(release, order);
    expect(await rig.place(release, order)).toMatchObject({ open: first.open });
    await rig.place(release, rig.orderOf(release, 'oscar'));
    const lifted = await rig.agree(release, first.open);
    expect((await rig.run(() => rig.keeping.liftHolds(release.name, lifted))).open).toHaveLength(1);
    expect((await rig.objects()).some(({ hold }) => hold)).toBe(true);
    await expect((await rig.condemn(release)).straight()).rejects.toMatchObject(held);
  });

  test('can be erased once a quorum has lifted the hold, and not before; what another hold needs stays held', async () => {
    const other = await rig.keep(rig.world.release({ version: '9.9.9' }));
    await rig.place(other);
    const { open } = await rig.place(release);
    const { straight, bySigning } = await rig.condemn(release);
    await expect(bySigning()).rejects.toMatchObject(held);
    const approved = await rig.agree(release, open);
    const lifted = await rig.run(() => rig.keeping.liftHolds(release.name, approved));
    await rig.run(() => rig.control.recordLifted(release.name, approved, lifted));
    expect(lifted).toEqual({ objects: 0, open: [] });
    const stillHeld = (await rig.objects()).filter(({ hold }) => hold).map(({ key }) => key);
    expect(stillHeld).toContain(storeKeys.manifest(other.release));
    expect(stillHeld).not.toContain(storeKeys.manifest(release.release));
    expect(rig.log.at(-1)).toMatchObject({ change: 'release.unheld', actor: { id: 'oscar and olga' } });
    // Its retirement looks again at once.
    expect(rig.woken).toEqual([`${lifecycleId(release.name)} holdLifted`]);
    expect((await straight()).destroyed.length + (await straight()).kept.length).toBeGreaterThan(0);
    await expect(bySigning()).resolves.toEqual(expect.any(String));
  });
});

describe('attack', () => {
  test('a held release is not erased: not by the signing zone, and not straight at the vault', async () => {
    await rig.place(release);
    const { straight, bySigning } = await rig.condemn(release);
    await expect(bySigning()).rejects.toMatchObject(held);
    await expect(straight()).rejects.toMatchObject(held);
    const blobs = await rig.vault.holdings({
      release: release.release,
      sha256s: release.manifest.files.map(({ sha256 }) => sha256),
    });
    for (const { blob } of blobs) expect(await rig.vault.probe(blob)).toMatchObject({ refused: false });
  });

  test('the signing zone refuses from the moment that control has kept the hold, before the vault knows', async () => {
    await rig.run(() => rig.control.admitHold(release.name, rig.orderOf(release)));
    await expect((await rig.condemn(release)).bySigning()).rejects.toMatchObject(held);
  });

  test('the vault remembers a hold that somebody has covered in the store', async () => {
    const { open } = await rig.place(release);
    rig.store.deleteMarker('test-custody', storeKeys.hold(release.release, open[0] ?? ''));
    await expect((await rig.condemn(release)).straight()).rejects.toMatchObject(held);
    expect(await openHolds(rig.records, about())).toHaveLength(1);
  });

  const wrong: [what: string, code: string, order: () => ReturnType<typeof forged>][] = [
    ['by a release approver', 'NOT_AUTHORISED', () => rig.orderOf(release, 'alice')],
    ['by control', 'NOT_AUTHORISED', () => rig.orderOf(release, 'control')],
    ['by a stranger', 'SIGNATURE_INVALID', () => rig.orderOf(release, 'mallory')],
    ['for another environment', 'REPLAYED', () => forged({ environment: 'prod' })],
    ['for another version', 'REPLAYED', () => forged({ version: '9.9.9' })],
    ['for other bytes', 'REPLAYED', () => forged({}, 'sam', 'f'.repeat(64))],
    [
      'of a time to come',
      'EXPIRED',
      () => forged({ issuedAt: isoTime(Date.now() + 3_600_000), expiresAt: isoTime(Date.now() + 7_200_000) }),
    ],
  ];
  test.each(wrong)('a hold %s is refused by control and by the vault: %s', async (_what, code, order) => {
    const envelope = order();
    await expect(rig.run(() => rig.control.admitHold(release.name, envelope))).rejects.toMatchObject({ code });
    expect(rig.log.map(({ change }) => change)).toEqual(['message.refused']);
    const evidence = { policies: [rig.world.policyEnvelope], manifest: release.manifestText, hold: envelope };
    await expect(rig.vault.hold({ evidence })).rejects.toMatchObject({ code });
    // Nor does it help to put it where holds lie.
    await rig.put(storeKeys.hold(release.release, envelopeDigest(envelope)), canonicalBytes(envelope));
    expect(await openHolds(rig.records, about())).toEqual([]);
    await expect((await rig.condemn(release)).straight()).resolves.toBeDefined();
  });

  test('an order that has expired is not taken any more', async () => {
    const old = { issuedAt: isoTime(Date.now() - 7_200_000), expiresAt: isoTime(Date.now() - 3_600_000) };
    await expect(rig.run(() => rig.control.admitHold(release.name, forged(old)))).rejects.toMatchObject({
      code: 'EXPIRED',
    });
  });

  test('an order that was lifted does nothing when it is sent again', async () => {
    const order = rig.orderOf(release);
    const { open } = await rig.place(release, order);
    const approved = await rig.agree(release, open);
    await rig.run(() => rig.keeping.liftHolds(release.name, approved));
    await expect(rig.place(release, order)).rejects.toMatchObject({ code: 'REPLAYED' });
    const evidence = { policies: [rig.world.policyEnvelope], manifest: release.manifestText, hold: order };
    expect(await rig.vault.hold({ evidence })).toEqual({ release: release.release, open: [] });
  });

  test('a lift ends only the holds that it names: the same one does nothing to a later hold', async () => {
    const { open } = await rig.place(release);
    const approved = await rig.agree(release, open);
    await rig.run(() => rig.keeping.liftHolds(release.name, approved));
    await rig.place(release, rig.orderOf(release, 'oscar'));
    expect((await rig.run(() => rig.keeping.liftHolds(release.name, approved))).open).toHaveLength(1);
    await expect((await rig.condemn(release)).straight()).rejects.toMatchObject(held);
  });

  const few: [string, readonly KeyName[], KeyName][] = [
    ['one person', ['oscar'], 'otto'],
    ['one person twice', ['oscar', 'oscar'], 'otto'],
    ['whoever asked and another', ['otto', 'olga'], 'otto'],
    ['those who agree to retirements', ['alice', 'bob'], 'otto'],
  ];
  test.each(few)('%s lifts nothing', async (_who, by, asker) => {
    const { open } = await rig.place(release);
    const approved = await rig.agree(release, open, by, asker);
    await expect(rig.run(() => rig.keeping.liftHolds(release.name, approved))).rejects.toMatchObject({
      code: 'NOT_AUTHORISED',
    });
    expect((await rig.objects()).some(({ hold }) => hold)).toBe(true);
    // Whatever control has recorded of it: the vault is asked with the same papers.
    const { request, approvals } = approved;
    await rig.records.recordOnce(storeKeys.lift(release.release, open[0] ?? '', request), { request, approvals });
    expect(await openHolds(rig.records, about())).toHaveLength(1);
    await expect((await rig.condemn(release)).bySigning()).rejects.toMatchObject(held);
  });

  test('what was agreed for a retirement lifts no hold', async () => {
    const { open } = await rig.place(release);
    const { request, approvals } = rig.world.retirement(release);
    const evidence = {
      ...{ policies: [rig.world.policyEnvelope], manifest: release.manifestText, request: request.envelope },
      approvals: approvals.map(({ envelope }) => envelope),
    };
    await expect(rig.vault.lift({ evidence })).rejects.toMatchObject({ code: 'REPLAYED' });
    expect(await openHolds(rig.records, about())).toHaveLength(open.length);
  });

  test('a hold stands when whoever gave it has left the policy', async () => {
    await rig.place(release);
    const gone = rig.world.nextPolicy((policy) => ({
      ...policy,
      authorities: policy.authorities.filter(({ id }) => id !== 'sam'),
    }));
    await rig.put(storeKeys.policy(2), canonicalBytes(gone.envelope));
    expect(await openHolds(rig.records, about())).toHaveLength(1);
    await expect((await rig.condemn(release)).bySigning()).rejects.toMatchObject(held);
  });

  test('what has been erased cannot be held any more, and says so', async () => {
    await (await rig.condemn(release)).straight();
    await expect(rig.place(release)).rejects.toMatchObject({ code: 'ERASED' });
  });

  test('junk where holds and lifts lie counts for nothing', async () => {
    const { open } = await rig.place(release);
    await rig.put(storeKeys.hold(release.release, 'a'.repeat(64)), Buffer.from('junk'));
    for (const [at, junk] of ['{}', '[]', 'null', '"x"', '{"request":1,"approvals":[2]}'].entries())
      await rig.put(storeKeys.lift(release.release, open[0] ?? '', String(at)), Buffer.from(junk));
    expect(await openHolds(rig.records, about())).toHaveLength(1);
  });
});
