import { WorkflowNotFoundError } from '@temporalio/client';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { DeclaredConsumer } from '../../../activities/contract.js';
import { createConsumers } from '../../../activities/consumers.js';
import type { Desk } from '../../../activities/control.js';
import { Inventory } from '../../../activities/inventory.js';
import { Journal } from '../../../activities/journal.js';
import { StoredConsumers } from '../../../adapters/consumers.js';
import type { GatewayClient } from '../../../adapters/gateway/client.js';
import { createMemoryStore, type MemoryStore } from '../../../adapters/object-store/memory.js';
import { Records } from '../../../adapters/records.js';
import type { AuditRecord } from '../../../domain/audit.js';
import type { ConsumerPredicate } from '../../../domain/consumers.js';
import { consumerId } from '../../../domain/names.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { sha256 } from '../../../formats/sha256.js';
import { recordsOf } from '../serving/fixture.js';
import { ask, Cleanup, startRig, type Rig } from '../gateway/rig.js';
import { createWorld, type Release, type Signed, type Signers, type World } from '../../support/world.js';

const BUCKET = 'test-custody';
const TOKEN = 'a-token-that-nobody-else-has-0123456789';
const identities = [{ kind: 'token', sha256: sha256(TOKEN) }] as const;

const cleanup = new Cleanup();
let world: World;
let store: MemoryStore;
let records: Records;
let log: AuditRecord[];
let consumers: StoredConsumers;
const audit = { append: async (added: readonly AuditRecord[]) => log.push(...added) };

beforeEach(async () => {
  world = createWorld({ policy: (policy) => ({ ...policy, inventory: { unknownCallers: 'refuse' } }) });
  store = createMemoryStore();
  records = new Records(store.bucket(BUCKET), world.root);
  log = [];
  consumers = new StoredConsumers(records);
  await records.bucket.createOnce(storeKeys.policy(1), canonicalBytes(world.policyEnvelope));
});
afterEach(() => cleanup.run());

function desk(more: Partial<Desk> = {}): Desk {
  return { records, consumers, journal: new Journal(audit), ...more } as unknown as Desk;
}

function declare(
  { envelope, predicate }: Pick<Signed<ConsumerPredicate>, 'envelope' | 'predicate'>,
  sequence = predicate.sequence,
): Promise<DeclaredConsumer> {
  const workflowId = consumerId(predicate.consumer, sequence);
  const environment = new MockActivityEnvironment({ workflowExecution: { workflowId, runId: 'run-1' } });
  return environment.run(() => createConsumers(desk()).declareConsumer(predicate.consumer, sequence, envelope));
}
const say = (overrides: Partial<ConsumerPredicate> = {}, by: Signers = 'oscar') =>
  declare(world.consumer(overrides, by));
const put = ({ digest, envelope, predicate }: Signed<ConsumerPredicate>): Promise<unknown> =>
  records.bucket.createOnce(
    storeKeys.consumer(predicate.consumer, predicate.sequence, digest),
    canonicalBytes(envelope),
  );
const known = async (): Promise<readonly string[]> =>
  (await new StoredConsumers(records).registry())
    .all()
    .map(({ predicate }) => `${predicate.consumer} ${predicate.sequence}`);

describe('a statement that is handed in', () => {
  test('is kept and in the log, for each model that it gains or loses; and the same one again is the same', async () => {
    const first = world.consumer({ models: ['digits', 'lingo'] });
    expect(await declare(first)).toMatchObject({ statement: first.digest, by: 'oscar', already: false });
    expect(await declare(first)).toMatchObject({ statement: first.digest, by: 'oscar', already: true });
    await say({ sequence: 2, models: ['digits'] }, 'carla');
    expect(log.map(({ change, subject, actor }) => [change, subject.model, actor.id])).toEqual([
      ['consumer.declared', 'digits', 'oscar'],
      ['consumer.declared', 'lingo', 'oscar'],
      ['consumer.declared', 'digits', 'carla'],
      ['consumer.removed', 'lingo', 'carla'],
    ]);
    expect(await known()).toEqual(['checkout 2']);
  });

  test.each([
    ['attack: an older one is replayed', { sequence: 1 }, 'oscar', 'REPLAYED'],
    ['attack: the same number with other words', { sequence: 2, models: ['lingo'] }, 'oscar', 'REPLAYED'],
    [
      'attack: it has expired',
      { sequence: 3, issuedAt: '2020-01-01T00:00:00.000Z', expiresAt: '2020-02-01T00:00:00.000Z' },
      'oscar',
      'EXPIRED',
    ],
    ['attack: by a stranger', { sequence: 3 }, 'mallory', 'SIGNATURE_INVALID'],
    ['attack: by another owner', { sequence: 3, owner: 'cesar' }, 'cesar', 'NOT_AUTHORISED'],
    ['attack: it looks like another consumer', { consumer: 'check0ut' }, 'oscar', 'POLICY_REFUSED'],
    ['attack: it claims the token of another', { consumer: 'billing', identities }, 'oscar', 'POLICY_REFUSED'],
  ] as const)('%s: refused and in the log, and nothing is kept', async (_, overrides, by, code) => {
    await say({ identities });
    await say({ sequence: 2, identities });
    log = [];
    await expect(say(overrides, by)).rejects.toMatchObject({ code });
    expect(log).toMatchObject([{ change: 'message.refused', reason: expect.stringContaining(code) as string }]);
    expect(await known()).toEqual(['checkout 2']);
  });

  test('attack: it is sent under the number of another', async () => {
    await expect(declare(world.consumer(), 7)).rejects.toMatchObject({ code: 'REPLAYED' });
  });

  test('attack: a record that cannot be written admits nobody', async () => {
    const journal = new Journal({ append: () => Promise.reject(new Error('the log is full')) });
    const environment = new MockActivityEnvironment({
      workflowExecution: { workflowId: 'consumer/checkout/1', runId: 'r' },
    });
    const { envelope } = world.consumer();
    const act = () => createConsumers(desk({ journal })).declareConsumer('checkout', 1, envelope);
    await expect(environment.run(act)).rejects.toThrow('the log is full');
    expect(await known()).toEqual([]);
  });
});

describe('somebody who comes to depend on a release in its notice period', () => {
  let release: Release;
  let signals: [string, string][];
  const temporal = {
    workflow: {
      getHandle: (id: string) => ({
        signal: async ({ name }: { readonly name: string }) => {
          if (id.endsWith('9.9.9')) throw new WorkflowNotFoundError('it has ended', id, undefined);
          signals.push([id, name]);
        },
      }),
    },
  };
  const wake = (...models: string[]) => {
    const { wakeEndings } = createConsumers(desk({ temporal } as unknown as Partial<Desk>));
    return new MockActivityEnvironment().run(() => wakeEndings(models));
  };
  const put = (key: string, bytes: Buffer = Buffer.from('{}')) => records.bucket.createOnce(key, bytes);
  const noticed = (of: Release, at = 'x') => put(`${storeKeys.notices}${of.name.model}/${of.release}/${at}`);

  beforeEach(async () => {
    signals = [];
    release = world.release();
    for (const [key, bytes] of recordsOf(release)) await put(key, bytes);
    // Attack: what names no release keeps nobody from being told.
    await put(`${storeKeys.notices}digits/${'e'.repeat(64)}/x`);
    await put(`${storeKeys.notices}digits/none/x`);
  });

  test('is told now: its lifecycle looks again, once', async () => {
    await noticed(release);
    await noticed(release, 'y');
    await wake('lingo', 'digits');
    expect(signals).toEqual([['lifecycle/digits/1.0.0', 'consumersChanged']]);
  });

  test('that is none, or over, or of another model, or of a lifecycle that has ended, wakes nobody', async () => {
    await wake('digits');
    await noticed(release);
    await wake('lingo', 'digit');
    await put(storeKeys.revocation(release.release));
    const ended = world.release({ version: '9.9.9' });
    for (const [key, bytes] of recordsOf(ended)) await put(key, bytes);
    await noticed(ended);
    await wake('digits');
    expect(signals).toEqual([]);
  });

  test('is told of models that are new to it, and of all where nobody can tell any more', async () => {
    expect(await say({ models: ['digits'] })).toMatchObject({ added: ['digits'] });
    expect(await say({ sequence: 2, models: ['digits', 'lingo'] })).toMatchObject({ added: ['lingo'] });
    expect(await say({ sequence: 3, models: ['digits', 'lingo'] })).toMatchObject({ added: [] });
    expect(await say({ sequence: 3, models: ['digits', 'lingo'] })).toMatchObject({
      already: true,
      added: ['digits', 'lingo'],
    });
  });
});

describe('attack: what whoever can write to the store puts beside the statements', () => {
  test('garbage, forgeries, and real ones under other keys count for nothing, and take no number', async () => {
    await say();
    const { digest, envelope } = world.consumer({ consumer: 'billing' });
    await records.bucket.createOnce(storeKeys.consumer('checkout', 2, sha256('x')), Buffer.from('garbage'));
    await records.bucket.createOnce(storeKeys.consumer('checkout', 9, digest), canonicalBytes(envelope));
    await put(world.consumer({ sequence: 3 }, 'mallory'));
    await put(world.consumer({ sequence: 4, environment: 'prod' }));
    expect(await known()).toEqual(['checkout 1']);
    await say({ sequence: 2 });
    expect(await known()).toEqual(['checkout 2']);
  });

  test('a well-signed claim to another’s token, which control has never taken, also after that one is renewed', async () => {
    await say({ identities });
    // Who came first is told by the store's clock.
    const taken = Date.now();
    await expect.poll(() => Date.now(), { interval: 1 }).toBeGreaterThan(taken);
    await put(world.consumer({ consumer: 'billing', owner: 'cesar', identities }, 'cesar'));
    await say({ sequence: 2, identities });
    expect(await known()).toEqual(['checkout 2']);
  });
});

describe('what gateways are told, and tell', () => {
  let rig: Rig;
  let inventory: Inventory;
  const errors: string[] = [];
  const bring = async (): Promise<void> => inventory.bring(rig.client, await rig.client.state());
  const status = async (): Promise<number> =>
    (await ask(rig.port, { headers: { authorization: `Bearer ${TOKEN}` } })).status;

  beforeEach(async () => {
    rig = await startRig(world, cleanup);
    const release = world.release();
    await rig.serve(release);
    await rig.inService(release);
    const onError = (error: unknown): void => void errors.push(String(error));
    inventory = new Inventory({ records, consumers, audit, id: 'control', onError });
  });

  test('a gateway learns of a consumer, and of its removal, and is told once', async () => {
    await say({ identities });
    expect(await status()).toBe(401);
    await bring();
    expect(await status()).toBe(200);
    await say({ sequence: 2, models: [] });
    await bring();
    expect(await status()).toBe(401);
    const state = await rig.client.state();
    const deaf = { deliverConsumers: () => Promise.reject(new Error('told again')) } as unknown as GatewayClient;
    await inventory.bring(deaf, state);
    expect(errors).toEqual([]);
  });

  test('refused callers are in the log as sums, and told again they are the same record', async () => {
    for (let at = 0; at < 5; at += 1) await ask(rig.port, { caller: at === 0 ? 'cron' : 'scraper' });
    await inventory.noteRefused(rig.client, 0);
    expect(log).toMatchObject([{ change: 'caller.refused', subject: { model: 'digits' } }]);
    expect(log[0]?.reason).toContain('5 requests refused so far, of 2 callers');
    const again = new Inventory({ records, consumers, audit, id: 'control', onError: () => undefined });
    await again.noteRefused(rig.client, 0);
    expect(new Set(log.map(({ id }) => id)).size).toBe(1);
    await ask(rig.port, { caller: 'scraper' });
    await new Inventory({ records, consumers, audit, id: 'control', onError: () => undefined }).noteRefused(
      rig.client,
      0,
    );
    expect(new Set(log.map(({ id }) => id)).size).toBe(2);
  });

  test('attack: a flood of refused callers is one record a minute', async () => {
    for (let round = 0; round < 5; round += 1) {
      await ask(rig.port, {});
      await inventory.noteRefused(rig.client, 0);
    }
    expect(log.filter(({ change }) => change === 'caller.refused')).toHaveLength(1);
  });
});
