import {
  ApplicationFailure,
  CancelledFailure,
  noopMetricMeter,
  type MetricMeter,
  type MetricTags,
} from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import type { ActivityInterceptorsFactory } from '@temporalio/worker';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { toFailure } from '../../../activities/failures.js';
import { CustodyError, ERROR_CODES } from '../../../domain/errors.js';
import { aboutActivity, knowsRequest } from '../../../workers/about-activity.js';
import { measureActivities } from '../../../workers/activity-metrics.js';

/** What was counted: the sum of each counter by its labels. */
function counting(): { readonly meter: MetricMeter; of(name: string, tags: MetricTags): number | undefined } {
  const counted = new Map<string, number>();
  const keyOf = (name: string, tags: MetricTags): string => `${name} ${JSON.stringify(tags)}`;
  const createCounter: MetricMeter['createCounter'] = (name) => ({
    ...noopMetricMeter.createCounter(name),
    add: (value, tags = {}) => {
      const key = keyOf(name, tags);
      counted.set(key, (counted.get(key) ?? 0) + value);
    },
  });
  const meter = Object.assign(Object.create(noopMetricMeter) as MetricMeter, { createCounter });
  return { meter, of: (name, tags) => counted.get(keyOf(name, tags)) };
}

function attempt(factory: ActivityInterceptorsFactory, act: () => Promise<unknown>, nth = 1, args: unknown[] = []) {
  const environment = new MockActivityEnvironment({ attempt: nth, activityType: 'load' }, { interceptors: [factory] });
  return environment.run(act, ...(args as []));
}

const FAILURES = 'custody_activity_failures';

test.each([
  ['a code of ours', () => toFailure(new CustodyError('VAULT_UNAVAILABLE', 'no answer')), 'VAULT_UNAVAILABLE'],
  ['no code', () => new TypeError('x is undefined'), 'INTERNAL'],
  [
    'attack: text of others in the place of a code',
    () => ApplicationFailure.create({ type: 'x'.repeat(99) }),
    'INTERNAL',
  ],
  [
    'attack: the name of a method in the place of a code',
    () => ApplicationFailure.create({ type: 'toString' }),
    'INTERNAL',
  ],
])('a failure with %s is counted by a code of the closed union', async (_, error, code) => {
  const counted = counting();
  const measured = measureActivities(counted.meter);
  for (const each of ERROR_CODES) expect(counted.of(FAILURES, { code: each })).toBe(0);
  await expect(attempt(measured, async () => Promise.reject(error()))).rejects.toThrow();
  for (const each of ERROR_CODES) expect(counted.of(FAILURES, { code: each }), each).toBe(each === code ? 1 : 0);
});

test('what was cancelled has not failed', async () => {
  const counted = counting();
  const cancelled = attempt(measureActivities(counted.meter), async () => Promise.reject(new CancelledFailure('gone')));
  await expect(cancelled).rejects.toThrow();
  expect(counted.of(FAILURES, { code: 'INTERNAL' })).toBe(0);
});

test('from the tenth attempt on an activity is stuck', async () => {
  const counted = counting();
  const measured = measureActivities(counted.meter);
  for (const nth of [1, 9]) await attempt(measured, async () => 'done', nth);
  expect(counted.of('custody_activity_stuck_attempts', { activity: 'load' })).toBeUndefined();
  for (const nth of [10, 11]) await attempt(measured, async () => 'done', nth);
  expect(counted.of('custody_activity_stuck_attempts', { activity: 'load' })).toBe(2);
});

test.each([
  ['of a gate', [{ requestId: 'deploy-digits' }], 'deploy-digits'],
  ['of what holds a gate', ['digits', { gate: { requestId: 'deploy-digits' } }], 'deploy-digits'],
  ['that is too long', [{ requestId: 'x'.repeat(10_000) }], 'x'.repeat(200)],
  ['that is none', [{ requestId: { key: 'secret' } }], undefined],
])('a line within an activity says what it is about, with the request %s', async (_, args, requestId) => {
  const lines: string[] = [];
  const options = { mixin: () => ({ ...aboutActivity() }) };
  const log = pino(options, { write: (line: string) => void lines.push(line) });
  log.info('outside');
  await attempt(knowsRequest, async () => log.info('within'), 3, args);
  const [outside, within] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(outside).not.toHaveProperty('activityType');
  expect(within).toMatchObject({ msg: 'within', activityType: 'load', attempt: 3 });
  expect(within).toHaveProperty('workflowId');
  expect(within).toHaveProperty('runId');
  expect(within?.['requestId']).toBe(requestId);
});
