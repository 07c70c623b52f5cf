import { beforeEach, describe, expect, test, vi } from 'vitest';
import { StatusDocuments } from '../../../activities/status-document.js';
import type { Retiring } from '../../../domain/ending-predicates.js';
import { lifecycleId } from '../../../domain/names.js';
import { storeKeys } from '../../../domain/store-keys.js';
import type { NoticePredicate, RequestPredicate } from '../../../domain/statements.js';
import { parseEnvelope } from '../../../formats/dsse.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { verifyStatement, keyRing } from '../../../formats/statements.js';
import { createWorld, type KeyName, type Release, type Signed, type World } from '../../support/world.js';
import { startDesk, type DeskRig } from './rig.js';

let world: World;
let rig: DeskRig;
let release: Release;
let troubles: string[];
let documents: StatusDocuments;

beforeEach(async () => {
  world = createWorld();
  rig = await startDesk(world);
  release = world.release();
  troubles = [];
  const onError = (error: unknown, doing: string): void => void troubles.push(`${doing}: ${String(error)}`);
  documents = new StatusDocuments({ ...rig, onError });
});

const draw = async () => documents.draw(Date.now(), await rig.records.policies());
const retiring = async (): Promise<readonly Retiring[] | undefined> => (await draw()).retiring;

interface Given {
  readonly of?: Release;
  readonly request?: Partial<RequestPredicate>;
  readonly notice?: Partial<NoticePredicate>;
  readonly by?: KeyName;
}

/** A request that is kept, and the notice that rests on it. */
async function notice({ of = release, request: asked, notice: told, by }: Given = {}) {
  const { request, notice: given } = world.retirement(of, {
    ...(asked === undefined ? {} : { request: asked }),
    ...(told === undefined ? {} : { notice: told }),
    ...(by === undefined ? {} : { noticeBy: by }),
  });
  await rig.put(storeKeys.request(request.digest), canonicalBytes(request.envelope));
  return { request, given };
}
const keyOf = ({ predicate, digest, subject }: Kept, model = predicate.model): string =>
  storeKeys.notice(model, subject, Date.parse(predicate.issuedAt), digest);
type Kept = Pick<Signed<NoticePredicate>, 'predicate' | 'digest' | 'envelope'> & { readonly subject: string };
const kept = (given: Signed<NoticePredicate>, subject = release.release): Kept => ({ ...given, subject });

async function announce(given: Given = {}): Promise<Signed<NoticePredicate>> {
  const { given: made } = await notice(given);
  const place = kept(made, (given.of ?? release).release);
  await rig.put(keyOf(place), canonicalBytes(made.envelope));
  return made;
}
const retire = (reason: string, instead?: string): Partial<RequestPredicate> => ({
  action: { kind: 'retire', reason, noticeSeconds: 1, ...(instead === undefined ? {} : { instead }) },
});
const vulnerability = (by: KeyName, { name, release: sha256 } = release) =>
  world.statement(
    'vulnerability',
    { name: lifecycleId(name), sha256 },
    {
      ...{ environment: 'test', ...name, vulnerability: 'CVE-2026-1', reason: 'it runs what it is told' },
      ...{ issuedAt: world.at(0), expiresAt: world.at(600) },
    },
    by,
  );
const revoke = ({ release: digest }: Release) => rig.put(storeKeys.revocation(digest), Buffer.from('{}'));

describe('the ends that a status document announces', () => {
  test('are not there where there are none: whoever is older still reads it', async () => {
    expect(await draw()).not.toHaveProperty('retiring');
  });

  test('are those of the notices that control has given: since when, until when, why and what instead', async () => {
    const { predicate } = await announce({ request: retire('replaced', 'digits 2') });
    expect(await retiring()).toEqual([
      {
        ...{ ...release.name, release: release.release, since: predicate.issuedAt, endsAt: predicate.retiresAt },
        ...{ reason: 'replaced', instead: 'digits 2' },
      },
    ]);
  });

  test('are also those of what a security authority has condemned, and say why', async () => {
    const said = vulnerability('sam');
    await rig.records.keep(said.envelope);
    await announce({ notice: { request: said.digest } });
    expect(await retiring()).toMatchObject([{ ...release.name, reason: 'CVE-2026-1: it runs what it is told' }]);
    // Also where it is going to end anyway, and somebody is told of that later.
    await announce({ request: retire('replaced', 'digits 2'), notice: { issuedAt: world.at(0) } });
    expect(await retiring()).toMatchObject([{ reason: 'CVE-2026-1: it runs what it is told', instead: 'digits 2' }]);
  });

  test('are as late as the latest notice of the same retirement has it', async () => {
    const { request, given } = await notice();
    const { predicate: first } = given;
    const later = world.statement(
      'notice',
      { name: lifecycleId(release.name), sha256: release.release },
      { ...first, issuedAt: world.at(-10), retiresAt: world.at(500), request: request.digest },
      'control',
    );
    for (const each of [given, later]) await rig.put(keyOf(kept(each)), canonicalBytes(each.envelope));
    expect(await retiring()).toMatchObject([{ since: first.issuedAt, endsAt: world.at(500) }]);
  });

  test('of what is revoked is the last one of each model', async () => {
    const versions = ['1.0.0', '1.1.0', '1.2.0'].map((version) => world.release({ version }));
    for (const [at, of] of versions.entries())
      await announce({ of, notice: { issuedAt: world.at(at - 20), retiresAt: world.at(at) } });
    expect((await retiring())?.map(({ version }) => version)).toEqual(['1.0.0', '1.1.0', '1.2.0']);
    await revoke(versions[0]!);
    await revoke(versions[1]!);
    expect((await retiring())?.map(({ version }) => version)).toEqual(['1.2.0', '1.1.0']);
  });

  test('are read once, however often it is told of them', async () => {
    await announce();
    await rig.put(`${storeKeys.notices}digits/${'e'.repeat(64)}/junk`, Buffer.from('{'));
    await draw();
    const read = vi.spyOn(rig.records.bucket, 'read');
    expect(await retiring()).toHaveLength(1);
    expect(read.mock.calls.filter(([key]) => /^(notices|requests)\//.test(key))).toEqual([]);
  });

  test('leave it small enough to be read, those that end first before the others', async () => {
    const words = '語'.repeat(300);
    for (let at = 0; at < 500; at += 1) {
      const of = world.release({ model: `m-${at}` });
      await announce({ of, request: retire(`${words}more`, words), notice: { retiresAt: world.at(1000 - at) } });
    }
    const status = await draw();
    const { envelope } = world.status(status);
    const { predicate } = verifyStatement(JSON.stringify(parseEnvelope(envelope)), 'status', keyRing(world.policy));
    expect(predicate.retiring!.length).toBeGreaterThan(200);
    expect(predicate.retiring!.length).toBeLessThan(500);
    expect(predicate.retiring![0]).toMatchObject({ model: 'm-499', reason: words });
  });

  test('attack: what somebody puts there who is not control, or about something else, announces nothing', async () => {
    const others = world.release({ version: '9.9.9' });
    await announce({ by: 'oscar' });
    await announce({ by: 'serving' });
    await announce({ notice: { environment: 'prod' } });
    await announce({ notice: { request: 'a'.repeat(64) } });
    await announce({ request: { action: { kind: 'resign' } } });
    for (const forged of [vulnerability('otto'), vulnerability('sam', others)]) {
      await rig.records.keep(forged.envelope);
      await announce({ notice: { request: forged.digest } });
    }
    await announce({ request: { release: others.release } });
    await announce({ request: { version: '9.9.9' } });
    // A genuine one, elsewhere.
    const { given } = await notice();
    await rig.put(keyOf(kept(given, others.release)), canonicalBytes(given.envelope));
    await rig.put(keyOf(kept(given), 'letters'), canonicalBytes(given.envelope));
    await rig.put(`${storeKeys.notices}digits/${release.release}/999999999999999-x`, canonicalBytes(given.envelope));
    await rig.put(`${storeKeys.notices}digits/${release.release}/zzz`, Buffer.from('{'));
    await rig.put(`${storeKeys.notices}x`, Buffer.from('{'));
    expect(await draw()).not.toHaveProperty('retiring');
    expect(troubles).toEqual([]);
  });

  test('attack: who loses the role of control takes with it what it has announced', async () => {
    await announce();
    expect(await retiring()).toHaveLength(1);
    const without = world.nextPolicy((policy) => ({
      ...policy,
      authorities: policy.authorities.map((each) => (each.id === 'control' ? { ...each, roles: ['serving'] } : each)),
    }));
    await rig.put(storeKeys.policy(2), canonicalBytes(without.envelope));
    expect(await draw()).not.toHaveProperty('retiring');
  });

  test('attack: whatever keeps them from being read keeps nobody from hearing what is revoked', async () => {
    await announce();
    await revoke(release);
    const { bucket } = rig.records;
    const list = bucket.list.bind(bucket);
    vi.spyOn(bucket, 'list').mockImplementation((prefix) => {
      if (prefix === storeKeys.notices) throw new Error('the disk is broken');
      return list(prefix);
    });
    expect(await draw()).toMatchObject({ revoked: [release.release] });
    expect(troubles).toEqual([expect.stringContaining('the disk is broken')]);
  });
});
