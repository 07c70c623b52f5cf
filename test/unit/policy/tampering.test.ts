import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Freshness } from '../../../activities/freshness.js';
import { noteCoveredPolicies } from '../../../activities/tampering.js';
import { createMemoryStore, type MemoryStore } from '../../../adapters/object-store/memory.js';
import { Records } from '../../../adapters/records.js';
import type { AuditRecord } from '../../../domain/audit.js';
import type { SignedEnvelope } from '../../../domain/statements.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { generateKey, importPrivateKey } from '../../../formats/keys.js';
import { signPolicy } from '../../../formats/policy.js';
import { createWorld } from '../../support/world.js';

const NAME = 'test-custody';
const world = createWorld();
const second = world.nextPolicy((p) => ({ ...p, rollback: { warmReleases: 1 } }));
const lax = world.nextPolicy((p) => ({ ...p, rootThreshold: 1 }));
const stranger = importPrivateKey(generateKey('ed25519').privatePem);

let store: MemoryStore;
let records: Records;
let log: AuditRecord[];
let logged: () => void = () => undefined;

beforeEach(async () => {
  store = createMemoryStore();
  records = new Records(store.bucket(NAME), world.root);
  log = [];
  await put(1, world.policyEnvelope);
  await put(2, second.envelope);
});

const put = (version: number, envelope: SignedEnvelope) =>
  records.bucket.createOnce(storeKeys.policy(version), canonicalBytes(envelope));
const audit = {
  append: async (added: readonly AuditRecord[]) => {
    log.push(...added.filter(({ id }) => !log.some((known) => known.id === id)));
    logged();
  },
};
const incidents = (): string[] =>
  log.filter(({ change }) => change === 'store.tampered').map(({ actor, reason }) => `${actor.id}: ${reason}`);
/** As a process sees it that starts now. */
const inForce = async () => (await new Records(records.bucket, world.root).policies()).newest;

describe('attack: a policy in the store', () => {
  const covered: [string, () => void, RegExp][] = [
    [
      'is replaced by another version of the object, well signed',
      () => store.overwrite(NAME, storeKeys.policy(2), canonicalBytes(lax.envelope)),
      /another version on top/,
    ],
    [
      'is replaced by the policy before it',
      () => store.overwrite(NAME, storeKeys.policy(2), canonicalBytes(world.policyEnvelope)),
      /another version on top/,
    ],
    ['is deleted', () => store.deleteMarker(NAME, storeKeys.policy(2)), /a delete marker on top/],
  ];
  test.each(covered)('%s: it is still in force, and that is in the log once', async (_, tamper, reason) => {
    tamper();
    expect(await inForce()).toEqual(second.policy);
    await noteCoveredPolicies(records, audit);
    await noteCoveredPolicies(records, audit);
    expect(incidents()).toEqual([expect.stringMatching(reason)]);
    expect(incidents()[0]).toContain(storeKeys.policy(2));
  });

  test('is deleted and another put in its place: both are in the log, and neither counts', async () => {
    store.deleteMarker(NAME, storeKeys.policy(2));
    store.overwrite(NAME, storeKeys.policy(2), canonicalBytes(lax.envelope));
    expect(await inForce()).toEqual(second.policy);
    await noteCoveredPolicies(records, audit);
    expect(incidents()).toHaveLength(2);
  });

  test('that nobody has touched is no incident', async () => {
    await noteCoveredPolicies(records, audit);
    expect(log).toEqual([]);
  });

  const forged: [string, () => SignedEnvelope, string][] = [
    ['by no root key', () => signPolicy({ ...second.policy, version: 3 }, [stranger]), 'SIGNATURE_INVALID'],
    ['that is an older one', () => world.policyEnvelope, 'POLICY_REFUSED'],
    ['that is the same one again', () => second.envelope, 'POLICY_REFUSED'],
  ];
  test.each(forged)('is followed by one %s: nothing is decided any more', async (_, envelope, code) => {
    await put(3, envelope());
    await expect(inForce()).rejects.toMatchObject({ code });
  });
});

describe("control's loop", () => {
  let loop: Freshness;
  const start = (): void => {
    loop = new Freshness({
      records,
      key: world.keys.control,
      router: { current: async () => null, activeKills: async () => [] } as never,
      inventory: null as never,
      gateways: [],
      apis: [],
      audit,
      tell: async () => undefined,
      noteOverdue: async () => undefined,
      onError: () => undefined,
    });
    loop.start();
  };
  afterEach(() => loop.stop());
  const firstIncident = (): Promise<void> =>
    new Promise((resolve) => {
      logged = () => {
        if (incidents().length > 0) resolve();
      };
    });

  test('attack: finds what was put on top of a policy', async () => {
    store.overwrite(NAME, storeKeys.policy(1), canonicalBytes(lax.envelope));
    const found = firstIncident();
    start();
    await found;
    expect(incidents()[0]).toMatch(/^unverified: .*another version/);
  });

  test('attack: finds a forged policy, and goes on telling what is revoked and killed', async () => {
    await records.policies();
    await put(3, signPolicy({ ...second.policy, version: 3 }, [stranger]));
    const found = firstIncident();
    start();
    await found;
    expect(incidents()).toEqual([expect.stringContaining('SIGNATURE_INVALID')]);
    const statuses: string[] = [];
    for await (const key of records.bucket.list('status/')) statuses.push(key);
    expect(statuses).toHaveLength(1);
  });
});
