import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createAdmission } from '../../../activities/admit.js';
import type { Desk } from '../../../activities/control.js';
import { Journal } from '../../../activities/journal.js';
import { createRetirement } from '../../../activities/retire.js';
import { CustodyError } from '../../../domain/errors.js';
import type { LifecycleOutcome } from '../../../domain/lifecycle.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { startKeeping, type Keeping } from '../keeping/rig.js';
import { destructionOf } from '../../support/destruction.js';
import type { Release } from '../../support/world.js';

let rig: Keeping;
let release: Release;
let isLogDown: boolean;

beforeEach(async () => {
  rig = await startKeeping();
  release = await rig.keep(rig.world.release());
  isLogDown = false;
});
afterEach(async () => {
  vi.useRealTimers();
  await rig.stop();
});

const desk = (): Desk => {
  const append: Keeping['audit']['append'] = async (added) => {
    if (isLogDown) throw new CustodyError('STORE_UNAVAILABLE', 'the log takes no record');
    return rig.audit.append(added.filter(({ id }) => !rig.log.some((record) => record.id === id)));
  };
  return { records: rig.records, journal: new Journal({ append }), id: 'control' } as unknown as Desk;
};
const noteErasure = (): Promise<void> =>
  rig.run(() => createRetirement(desk()).noteErasure(release.name, release.release));
const end = (outcome: LifecycleOutcome): Promise<LifecycleOutcome> =>
  rig.run(() => createAdmission(desk()).recordOutcome(release.name, release.release, outcome));
const ofEnds = () => rig.log.filter(({ change }) => /^(release\.(revoked|retired)|keys\.destroyed)$/.test(change));
const revocation = async () => (await rig.records.find('revocation', storeKeys.revocation(release.release)))!.verified;

test('a revocation is in the log as soon as it is made, by who signed it and from when on, whatever keeps the keys', async () => {
  await noteErasure();
  expect(rig.log).toEqual([]);
  await rig.condemn(release);
  const { digest, predicate } = await revocation();
  vi.useFakeTimers({ toFake: ['Date'] });
  vi.setSystemTime(Date.now() + 3_600_000);
  for (let again = 0; again < 2; again += 1) await noteErasure();
  expect(rig.log).toMatchObject([
    {
      change: 'release.revoked',
      actor: { id: 'release-signer', statement: digest },
      subject: { ...release.name, release: release.release },
      before: predicate.request,
      after: digest,
      policy: rig.world.policyDigest,
      time: predicate.issuedAt,
    },
  ]);
});

test('destroyed keys are in the log with their certificate before the outcome is, each once', async () => {
  const { bySigning } = await rig.condemn(release);
  await noteErasure();
  const certificate = await bySigning();
  for (let again = 0; again < 2; again += 1) await end({ kind: 'retired', certificate });
  const { digest } = await revocation();
  const { predicate } = (await rig.records.get('destruction', certificate)).verified;
  expect(ofEnds()).toMatchObject([
    { change: 'release.revoked', after: digest },
    {
      change: 'keys.destroyed',
      actor: { id: 'release-signer', statement: certificate },
      before: digest,
      after: certificate,
      time: predicate.destroyedAt,
      reason: `cryptographic erase: ${predicate.destroyed.length} keys destroyed, 0 files kept for other releases`,
    },
    { change: 'release.retired', after: certificate },
  ]);
});

test('attack: a log that takes no record keeps nobody from erasing; the end is not told before it has all of it', async () => {
  isLogDown = true;
  const { bySigning } = await rig.condemn(release);
  await expect(noteErasure()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  const certificate = await bySigning();
  await expect(end({ kind: 'retired', certificate })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  isLogDown = false;
  await end({ kind: 'retired', certificate });
  expect(ofEnds().map(({ change }) => change)).toEqual(['release.revoked', 'keys.destroyed', 'release.retired']);
});

test('attack: no record tells of keys that were not destroyed: the store has no certificate, or one that nobody may give', async () => {
  await rig.condemn(release);
  const forged = rig.world.statement(
    'destruction',
    { name: 'x', sha256: release.release },
    destructionOf(rig.world, release, {
      ...{ request: 'a'.repeat(64), approvals: [], revocation: (await revocation()).digest, orderedBy: 'rita' },
      ...{ approvedBy: [], destroyed: [], kept: [], remains: [], destroyedAt: rig.world.at(0) },
    }).destruction,
    'mallory',
  );
  await rig.put(storeKeys.statement(forged.digest), Buffer.from(JSON.stringify(forged.envelope)));
  const kept = Buffer.from(JSON.stringify({ certificate: forged.digest }));
  await rig.put(storeKeys.record(release.name, 'destruction'), kept);
  await expect(noteErasure()).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
  await expect(end({ kind: 'retired', certificate: forged.digest })).rejects.toMatchObject({
    code: 'SIGNATURE_INVALID',
  });
  expect(ofEnds()).toEqual([]);
});
