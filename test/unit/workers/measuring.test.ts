import { noopMetricMeter, type MetricMeter } from '@temporalio/common';
import { afterEach, expect, test } from 'vitest';
import { createMemoryStore } from '../../../adapters/object-store/memory.js';
import { Records } from '../../../adapters/records.js';
import { timed } from '../../../adapters/audit/waiting.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { startMeasuring } from '../../../workers/measuring.js';
import { createWorld } from '../../support/world.js';

const STATUS = { issuedAt: '2026-01-01T00:00:00.000Z', expiresAt: '2026-01-01T00:05:00.000Z' };
let stop: (() => void) | null = null;
afterEach(() => stop?.());

/** Control's loop with a Temporal that does what is said; answers what it has set and what went wrong. */
async function start(count: () => Promise<{ count: number }>) {
  const world = createWorld();
  const records = new Records(createMemoryStore().bucket('test-custody'), world.root);
  const lock = { retainUntil: '2099-01-01T00:00:00Z' };
  await records.bucket.createOnce(storeKeys.policy(1), canonicalBytes(world.policyEnvelope), lock);
  const set = new Map<string, number>();
  const troubles: string[] = [];
  const createGauge: MetricMeter['createGauge'] = (name) => ({
    ...noopMetricMeter.createGauge(name),
    set: (value, tags = {}) => void set.set([name, ...Object.values(tags)].join(' '), value),
  });
  stop = startMeasuring({
    meter: Object.assign(Object.create(noopMetricMeter) as MetricMeter, { createGauge }),
    records,
    temporal: { workflow: { count } } as never,
    status: () => STATUS,
    audit: { waitingSeconds: () => 2, checkpoint: () => ({ size: 7 }) },
    proofExpires: async () => STATUS.expiresAt,
    onError: (_, doing) => void troubles.push(doing),
  });
  return { set, troubles, world };
}

test('moments are given as times, and how much waits as it is', async () => {
  const { set, world } = await start(async () => ({ count: 3 }));
  await expect.poll(() => [...set.keys()].filter((name) => name.startsWith('custody_measured'))).toHaveLength(7);
  expect(set.get('custody_status_expires_timestamp_seconds')).toBe(Date.parse(STATUS.expiresAt) / 1000);
  expect(set.get('custody_policy_expires_timestamp_seconds')).toBe(Date.parse(world.policy.expires) / 1000);
  expect(set.get('custody_audit_records')).toBe(7);
  expect(set.get('custody_audit_waiting_seconds')).toBe(2);
  expect(set.get('custody_gates_waiting')).toBe(3);
});

test.each([
  ['hangs', () => new Promise<never>(() => undefined), []],
  ['fails', async () => Promise.reject(new Error('no answer')), ['measuring: gates']],
])(
  'a Temporal that %s keeps nothing else from being measured, and is not said to be measured',
  async (_, count, said) => {
    const { set, troubles } = await start(count);
    await expect.poll(() => [...set.keys()].filter((name) => name.startsWith('custody_measured'))).toHaveLength(6);
    expect(set.has('custody_measured_timestamp_seconds gates')).toBe(false);
    expect(troubles).toEqual(said);
  },
);

test('a record waits until the log has answered, whatever it answers', async () => {
  const answers: ((error?: Error) => void)[] = [];
  const log = timed({
    append: () => new Promise((done, fail) => void answers.push((error) => (error ? fail(error) : done([])))),
    checkpoint: () => ({ origin: '', size: 0, root: '' }),
    close: async () => undefined,
  });
  expect(log.waitingSeconds()).toBe(0);
  const first = log.append([]);
  const second = log.append([]);
  await expect.poll(() => log.waitingSeconds()).toBeGreaterThan(0);
  answers[0]?.();
  await first;
  expect(log.waitingSeconds()).toBeGreaterThan(0);
  answers[1]?.(new Error('no'));
  await expect(second).rejects.toThrow('no');
  expect(log.waitingSeconds()).toBe(0);
});
