import { MockActivityEnvironment } from '@temporalio/testing';
import { beforeEach, describe, expect, test, vi, afterEach } from 'vitest';
import { createServiceDesk } from '../../../activities/service.js';
import type { ServiceReverted } from '../../../domain/endpoint.js';
import type { Policy } from '../../../domain/policy.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { createWorld, type Release, type Route, type World } from '../../support/world.js';
import { startDesk, type DeskRig } from './rig.js';

const MODEL = 'digits';
const WINDOW_SECONDS = 3600;

let world: World;
let rig: DeskRig;
let first: Release;
let second: Release;
let chain: Route[];

async function begin(rollback: Partial<Policy['rollback']> = { windowSeconds: WINDOW_SECONDS }): Promise<void> {
  world = createWorld({ policy: (policy) => ({ ...policy, rollback: { ...policy.rollback, ...rollback } }) });
  rig = await startDesk(world);
  first = world.release({ version: '1.0.0' });
  chain = world.inService(first);
  second = world.release({ version: '1.1.0', after: chain.at(-1)! });
  chain = [...chain, ...world.inService(second, chain.at(-1))];
  for (const route of chain) await rig.keep(route);
  for (const { release, manifestText } of [first, second])
    await rig.put(storeKeys.manifest(release), Buffer.from(manifestText));
}

function revert(revision = chain.length, release = second.release): Promise<ServiceReverted> {
  const { revertService } = createServiceDesk(rig.desk);
  return inActivity(() => revertService(MODEL, revision, release, '9 of 20 answers failed'));
}
const inActivity = <T>(run: () => Promise<T>): Promise<T> =>
  new MockActivityEnvironment().run<[], T, () => Promise<T>>(run);

/** What its endpoint audits once it has acted. */
async function note(reverted: ServiceReverted): Promise<void> {
  const { noteBreach } = createServiceDesk(rig.desk);
  const unnoted = reverted.kind === 'rolled back' ? reverted.position.unnoted : undefined;
  if (unnoted !== undefined) await rig.router.note(MODEL, unnoted);
  if (reverted.breached !== undefined) await inActivity(() => noteBreach(MODEL, reverted.breached!));
}
const breaches = (): string[] =>
  rig.log.flatMap(({ change, reason }) => (change === 'service.breached' ? [reason] : []));
const expectUnchanged = async (): Promise<void> =>
  expect((await rig.router.current(MODEL))?.document.revision).toBe(chain.length);

beforeEach(() => begin());
afterEach(() => vi.restoreAllMocks());

describe('a breach in service', () => {
  test('goes back to the release before it, whole, once, and is in the log', async () => {
    const reverted = await revert();
    expect(reverted).toMatchObject({
      kind: 'rolled back',
      position: {
        revision: chain.length + 1,
        serving: [{ release: first.release, weight: 100 }],
        stopped: [{ version: '1.1.0' }],
      },
    });
    expect(await revert()).toMatchObject({ kind: 'rolled back', position: { revision: chain.length + 1 } });
    await note(reverted);
    expect(breaches()).toEqual(['9 of 20 answers failed; rolled back']);
    expect((await rig.router.current(MODEL))?.document.change).toBe('rollback');
  });

  test('goes back while the log takes no record, and is in it once that does', async () => {
    rig.audit.isDown = true;
    const reverted = await revert();
    expect(reverted).toMatchObject({ kind: 'rolled back', position: { revision: chain.length + 1 } });
    expect((await rig.router.current(MODEL))?.document).toMatchObject({
      change: 'rollback',
      revision: chain.length + 1,
    });
    await expect(note(reverted)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    rig.audit.isDown = false;
    await note(reverted);
    await note(await revert());
    expect(rig.log.map(({ change }) => change)).toEqual(['route.changed', 'service.breached']);
    expect(breaches()).toEqual(['9 of 20 answers failed; rolled back']);
  });

  test('attack: nothing is audited as a breach of what did not serve', async () => {
    const { noteBreach } = createServiceDesk(rig.desk);
    const said = { reason: 'slow', since: world.at(0), outcome: 'rolled back' };
    for (const [revision, release] of [
      [chain.length, first.release],
      [99, second.release],
    ] as const)
      await expect(inActivity(() => noteBreach(MODEL, { revision, release, ...said }))).rejects.toBeDefined();
    expect(rig.log).toEqual([]);
  });

  test('of what was rolled back to is an alarm: it was not promoted in the window', async () => {
    await revert();
    expect(await revert(chain.length + 1, first.release)).toMatchObject({
      kind: 'alarm',
      reason: expect.stringContaining(`promoted more than ${WINDOW_SECONDS} s ago, or not at all`),
    });
  });

  test('attack: long after its promotion nothing is rolled back by itself', async () => {
    const later = Date.now() + (WINDOW_SECONDS + 60) * 1000;
    vi.spyOn(Date, 'now').mockReturnValue(later);
    const reverted = await revert();
    expect(reverted).toMatchObject({ kind: 'alarm', reason: expect.stringMatching(/more than 3600 s ago/) });
    await expectUnchanged();
    await note(reverted);
    expect(breaches()).toEqual([expect.stringMatching(/^9 of 20 answers failed; it serves on: it was promoted/)]);
  });

  test('attack: where the policy says nothing of it, nothing is rolled back by itself', async () => {
    await begin({});
    expect(await revert()).toMatchObject({ kind: 'alarm', reason: expect.stringContaining('the policy lets nothing') });
    await expectUnchanged();
  });

  test('attack: never goes back to a release that has been revoked', async () => {
    await rig.put(storeKeys.revocation(first.release), Buffer.from('{}'));
    expect(await revert()).toMatchObject({ kind: 'alarm', reason: expect.stringContaining('1.0.0, has been revoked') });
    await expectUnchanged();
  });

  test('attack: a breach of another revision or release changes nothing', async () => {
    expect(await revert(chain.length - 1)).toMatchObject({ kind: 'rolled back', position: { revision: chain.length } });
    expect(await revert(chain.length, first.release)).toMatchObject({ position: { revision: chain.length } });
    await expectUnchanged();
    expect(breaches()).toEqual([]);
  });

  test('of a first release is an alarm: there is none before it', async () => {
    const only = world.release({ version: '1.0.0' });
    rig = await startDesk(world);
    chain = world.inService(only);
    for (const route of chain) await rig.keep(route);
    expect(await revert(chain.length, only.release)).toMatchObject({
      kind: 'alarm',
      reason: expect.stringContaining('no release before it is kept warm'),
    });
    await expectUnchanged();
  });
});
