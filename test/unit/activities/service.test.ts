import { MockActivityEnvironment } from '@temporalio/testing';
import { beforeEach, describe, expect, test, vi, afterEach } from 'vitest';
import type { Desk } from '../../../activities/control.js';
import { Journal } from '../../../activities/journal.js';
import { Router } from '../../../activities/router.js';
import { createServiceDesk } from '../../../activities/service.js';
import { createMemoryStore } from '../../../adapters/object-store/memory.js';
import { Records } from '../../../adapters/records.js';
import type { AuditRecord } from '../../../domain/audit.js';
import type { ServiceReverted } from '../../../domain/endpoint.js';
import type { Policy } from '../../../domain/policy.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { createWorld, type Release, type Route, type World } from '../../support/world.js';

const MODEL = 'digits';
const WINDOW_SECONDS = 3600;
const lock = { retainUntil: '2099-01-01T00:00:00Z' };

let world: World;
let records: Records;
let router: Router;
let log: AuditRecord[];
let first: Release;
let second: Release;
let chain: Route[];

async function begin(rollback: Partial<Policy['rollback']> = { windowSeconds: WINDOW_SECONDS }): Promise<void> {
  world = createWorld({ policy: (policy) => ({ ...policy, rollback: { ...policy.rollback, ...rollback } }) });
  records = new Records(createMemoryStore().bucket('test-custody'), world.root);
  await put(storeKeys.policy(1), canonicalBytes(world.policyEnvelope));
  log = [];
  router = routerOf();
  first = world.release({ version: '1.0.0' });
  chain = world.inService(first);
  second = world.release({ version: '1.1.0', after: chain.at(-1)! });
  chain = [...chain, ...world.inService(second, chain.at(-1))];
  for (const route of chain) await keep(route);
  for (const { release, manifestText } of [first, second])
    await put(storeKeys.manifest(release), Buffer.from(manifestText));
}
const routerOf = (): Router =>
  new Router({
    ...{ records, key: world.keys.control, id: 'control', gateways: [] },
    audit: { append: async (added) => void log.push(...added) },
    onJunk: (key, error) => expect.fail(`${key}: ${error.message}`),
  });
const put = (key: string, body: Buffer) => records.bucket.createOnce(key, body, lock);
const keep = ({ document, envelope }: Route) =>
  put(storeKeys.route(MODEL, document.revision), canonicalBytes(envelope));

function revert(revision = chain.length, release = second.release): Promise<ServiceReverted> {
  const journal = new Journal({ append: async (added) => void log.push(...added) });
  const { revertService } = createServiceDesk({ records, journal, router, id: 'control' } as Desk);
  const environment = new MockActivityEnvironment();
  return environment.run<[], ServiceReverted, () => Promise<ServiceReverted>>(() =>
    revertService(MODEL, revision, release, '9 of 20 answers failed'),
  );
}
const breaches = (): string[] => log.flatMap(({ change, reason }) => (change === 'service.breached' ? [reason] : []));
const expectUnchanged = async (): Promise<void> =>
  expect((await router.current(MODEL))?.document.revision).toBe(chain.length);

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
    expect(breaches()).toEqual(['9 of 20 answers failed; rolled back']);
    expect((await router.current(MODEL))?.document.change).toBe('rollback');
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
    expect(await revert()).toMatchObject({ kind: 'alarm', reason: expect.stringMatching(/more than 3600 s ago/) });
    await expectUnchanged();
    expect(breaches()).toEqual([expect.stringMatching(/^9 of 20 answers failed; it serves on: it was promoted/)]);
  });

  test('attack: where the policy says nothing of it, nothing is rolled back by itself', async () => {
    await begin({});
    expect(await revert()).toMatchObject({ kind: 'alarm', reason: expect.stringContaining('the policy lets nothing') });
    await expectUnchanged();
  });

  test('attack: never goes back to a release that has been revoked', async () => {
    await put(storeKeys.revocation(first.release), Buffer.from('{}'));
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
    records = new Records(createMemoryStore().bucket('test-custody'), world.root);
    await put(storeKeys.policy(1), canonicalBytes(world.policyEnvelope));
    router = routerOf();
    chain = world.inService(only);
    for (const route of chain) await keep(route);
    expect(await revert(chain.length, only.release)).toMatchObject({
      kind: 'alarm',
      reason: expect.stringContaining('no release before it is kept warm'),
    });
    await expectUnchanged();
  });
});
