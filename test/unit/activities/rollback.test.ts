import { MockActivityEnvironment } from '@temporalio/testing';
import { beforeEach, describe, expect, test } from 'vitest';
import { createRollouts } from '../../../activities/rollout.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { isoTime } from '../../../domain/time.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { signPolicy } from '../../../formats/policy.js';
import { createWorld, type Release, type World } from '../../support/world.js';
import { startDesk, type DeskRig } from './rig.js';

const MODEL = 'digits';

let world: World;
let rig: DeskRig;
let first: Release;

/** The second release has its first callers. */
beforeEach(async () => {
  world = createWorld();
  rig = await startDesk(world);
  first = world.release({ version: '1.0.0' });
  const serving = world.inService(first);
  const second = world.release({ version: '1.1.0', after: serving.at(-1)! });
  for (const route of [...serving, world.routePlan(serving.at(-1)!, second)]) await rig.keep(route);
  for (const { release, manifestText } of [first, second])
    await rig.put(storeKeys.manifest(release), Buffer.from(manifestText));
});

let act = 0;
const inActivity = <T>(run: () => Promise<T>): Promise<T> =>
  new MockActivityEnvironment().run<[], T, () => Promise<T>>(run);
/** How long the document took is in the record of it. */
const TOOK = /^rollback, revision \d+: 1\.0\.0 100 %; every gateway served by it \d+ ms after it was drawn$/;

/** What an order comes to: `rolled back to <release>`, or the code it is refused with. `id`: of the activity. */
async function order(envelope: unknown, id = `act ${(act += 1)}`): Promise<string> {
  const { checkRollback } = createRollouts(rig.desk);
  return new MockActivityEnvironment({ activityId: id }).run<[], string, () => Promise<string>>(() =>
    checkRollback(MODEL, envelope).then(
      ({ target }) => `rolled back to ${target}`,
      (error: { code: string }) => error.code,
    ),
  );
}

describe('an order to roll back', () => {
  test('of an operator counts, and is answered again when its activity is tried again', async () => {
    const { envelope } = world.rollbackOrder();
    const answered = await order(envelope, 'one');
    expect(answered).toBe(`rolled back to ${first.release}`);
    expect(await order(envelope, 'one')).toBe(answered);
  });

  test('waits for no log, and is in it as soon as that is there', async () => {
    const { checkRollback, rollBack, noteRollback, noteRoute } = createRollouts(rig.desk);
    rig.audit.isDown = true;
    const { target, reason, statement, unnoted } = await inActivity(() =>
      checkRollback(MODEL, world.rollbackOrder().envelope),
    );
    const moved = await inActivity(() => rollBack(MODEL, target, reason, statement));
    expect(moved).toMatchObject({
      serving: [{ release: first.release, weight: 100 }],
      unnoted: { revision: moved.revision },
    });
    const since = [unnoted, moved.unnoted?.since];
    const note = async (): Promise<void> => {
      await inActivity(() => noteRollback(MODEL, statement, target, unnoted ?? ''));
      await inActivity(() => noteRoute(MODEL, moved.unnoted ?? { revision: 0, since: '' }));
    };
    await expect(note()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    rig.audit.isDown = false;
    await note();
    await note();
    expect(rig.log).toMatchObject([
      { change: 'decision.accepted', actor: { id: 'oscar', statement }, subject: { release: target } },
      { change: 'route.changed', after: moved.document, reason: expect.stringMatching(TOOK) as string },
    ]);
    // By the log it was so since it was so, however late that was written down.
    expect(rig.log.map(({ time }) => time)).toEqual(since);
  });

  test.each(['is down', 'hangs'] as const)('attack: forged ones keep it from nothing while the log %s', async (how) => {
    rig.audit[how === 'hangs' ? 'hangs' : 'isDown'] = true;
    const { checkRollback } = createRollouts(rig.desk);
    const forged = world.rollbackOrder('alice').envelope;
    const refused = inActivity(() => checkRollback(MODEL, forged));
    await expect(refused).rejects.toMatchObject({ code: 'NOT_AUTHORISED', details: { unnoted: true } });
    expect(await order(world.rollbackOrder().envelope)).toBe(`rolled back to ${first.release}`);
  });

  test('is taken by an endpoint that has just been started, whatever the log and the gateways do', async () => {
    const { checkRollback, resumeEndpoint, rollBack } = createRollouts(rig.desk);
    rig.audit.hangs = true;
    expect(await inActivity(() => resumeEndpoint(MODEL))).toMatchObject({ serving: [{ version: '1.1.0' }, {}] });
    const { target, reason, statement } = await inActivity(() => checkRollback(MODEL, world.rollbackOrder().envelope));
    const moved = await inActivity(() => rollBack(MODEL, target, reason, statement));
    expect(moved).toMatchObject({ serving: [{ release: first.release, weight: 100 }] });
    // What may not be in the log yet is told to whoever starts next.
    const { revision } = moved;
    expect(await inActivity(() => resumeEndpoint(MODEL))).toMatchObject({ unnoted: { revision, since: null } });
  });

  test('attack: what is said of since when it is so is never before it could be, nor to come', async () => {
    const { checkRollback, rollBack, noteRoute } = createRollouts(rig.desk);
    const { target, reason, statement } = await inActivity(() => checkRollback(MODEL, world.rollbackOrder().envelope));
    const { revision } = await inActivity(() => rollBack(MODEL, target, reason, statement));
    const { issuedAt } = (await rig.router.at(MODEL, revision)) ?? expect.fail('no document');
    for (const since of ['1970-01-01T00:00:00.000Z', '2999-01-01T00:00:00.000Z', 'soon']) {
      rig.log.length = 0;
      await inActivity(() => noteRoute(MODEL, { revision, since }));
      const [{ time } = { time: '' }] = rig.log;
      expect(time >= issuedAt && time <= isoTime(Date.now()), `${since}: ${time}`).toBe(true);
    }
  });

  test('attack: counts also while somebody’s forgery lies among the policies', async () => {
    const { checkRollback, rollBack, noteRollback, noteRoute } = createRollouts(rig.desk);
    await rig.records.policies();
    const { policy } = world.nextPolicy((next) => ({ ...next, authorities: [] }));
    await rig.put(storeKeys.policy(2), canonicalBytes(signPolicy(policy, [world.keys.oscar])));
    const { target, reason, statement } = await inActivity(() => checkRollback(MODEL, world.rollbackOrder().envelope));
    const moved = await inActivity(() => rollBack(MODEL, target, reason, statement));
    expect(moved).toMatchObject({ serving: [{ release: first.release, weight: 100 }] });
    await inActivity(() => noteRollback(MODEL, statement, target, world.at(0)));
    await inActivity(() => noteRoute(MODEL, moved.unnoted ?? { revision: 0, since: '' }));
    expect(rig.log.map(({ change }) => change)).toEqual(['decision.accepted', 'route.changed']);
  });

  test('attack: nothing is audited as an order that was not kept as one', async () => {
    const { noteRollback } = createRollouts(rig.desk);
    const alert = world.alert();
    await rig.records.keep(alert.envelope);
    for (const digest of [alert.digest, 'e'.repeat(64)])
      await expect(inActivity(() => noteRollback(MODEL, digest, first.release, world.at(0)))).rejects.toBeDefined();
    expect(rig.log).toEqual([]);
  });

  test('attack: sent again by somebody else, within its hour, is a replay, and audited as one', async () => {
    const { envelope } = world.rollbackOrder();
    await order(envelope);
    rig.log.length = 0;
    expect(await order(envelope)).toBe('REPLAYED');
    expect(rig.log).toMatchObject([{ change: 'message.refused' }]);
  });

  test.each([
    ['somebody who is no operator', () => world.rollbackOrder('alice'), 'NOT_AUTHORISED'],
    ['another environment', () => world.rollbackOrder('oscar', { environment: 'other' }), 'REPLAYED'],
    ['another model', () => world.rollbackOrder('oscar', { model: 'letters' }), 'REPLAYED'],
    [
      'a release that is not kept warm',
      () => world.rollbackOrder('oscar', { target: 'f'.repeat(64) }),
      'POLICY_REFUSED',
    ],
    ['an hour that is over', () => world.rollbackOrder('oscar', { expiresAt: isoTime(Date.now() - 1000) }), 'EXPIRED'],
  ])('attack: of %s changes nothing', async (_, make, code) => {
    expect(await order(make().envelope)).toBe(code);
    expect(rig.log).toMatchObject([{ change: 'message.refused' }]);
  });
});
