import { describe, expect, test } from 'vitest';
import { stateAt, type AuditRecord } from '../../../domain/audit.js';
import { aRecord } from './fixtures.js';

const time = (minute: number) => `2026-03-01T10:${String(minute).padStart(2, '0')}:00.000Z`;
const digest = (digit: string) => digit.repeat(64);
const numbered = (records: readonly AuditRecord[]) => records.map((record, index) => ({ index, record }));
const endpoint = { model: 'digits', version: null, release: null };

describe('the state of an endpoint at a time', () => {
  const records = numbered([
    aRecord('policy', {
      change: 'policy.applied',
      after: digest('a'),
      time: time(0),
      subject: { ...endpoint, model: '' },
    }),
    aRecord('admitted', { change: 'release.admitted', time: time(1) }),
    aRecord('signed', {
      change: 'release.signed',
      time: time(2),
      subject: { model: 'digits', version: '1.0.0', release: digest('b') },
    }),
    aRecord('route', { change: 'route.changed', after: digest('c'), time: time(3), subject: endpoint }),
    aRecord('other', { change: 'endpoint.killed', time: time(4), subject: { ...endpoint, model: 'other' } }),
    aRecord('killed', { change: 'endpoint.killed', time: time(5), subject: endpoint }),
    aRecord('restored', { change: 'endpoint.restored', time: time(6), subject: endpoint }),
    aRecord('routed again', { change: 'route.changed', after: digest('d'), time: time(7), subject: endpoint }),
  ]);

  test('is what the records up to then say, that of this very time included', () => {
    expect(stateAt('digits', time(3), records)).toEqual({
      model: 'digits',
      at: time(3),
      route: digest('c'),
      killed: false,
      policy: digest('a'),
      releases: [{ version: '1.0.0', release: digest('b'), lastChange: 'release.signed' }],
      upTo: 3,
    });
    expect(stateAt('digits', time(5), records)).toMatchObject({ killed: true, upTo: 5 });
    expect(stateAt('digits', time(59), records)).toMatchObject({ killed: false, route: digest('d'), upTo: 7 });
    expect(stateAt('digits', '2020-01-01T00:00:00.000Z', records)).toMatchObject({
      route: null,
      policy: null,
      upTo: -1,
    });
  });

  test('counts the policy, though it names no model', () => {
    expect(stateAt('digits', time(0), records)).toMatchObject({ policy: digest('a'), upTo: 0 });
  });

  test('compares times, not their texts', () => {
    expect(stateAt('digits', '2026-03-01T10:05:00Z', records).killed).toBe(true);
    expect(stateAt('digits', '2026-03-01T11:05:00+01:00', records).killed).toBe(true);
  });

  test('follows the times of what was logged late: a kill before its restoration', () => {
    const late = numbered([
      aRecord('restored', { change: 'endpoint.restored', time: time(6), subject: endpoint }),
      aRecord('killed', { change: 'endpoint.killed', time: time(5), subject: endpoint }),
    ]);
    expect(stateAt('digits', time(5), late)).toMatchObject({ killed: true, upTo: 1 });
    expect(stateAt('digits', time(6), late)).toMatchObject({ killed: false, upTo: 1 });
  });

  test('counts the first record of an id, even where only a later one lies before the time', () => {
    const twice = numbered([
      aRecord('route', { change: 'route.changed', after: digest('c'), time: time(9), subject: endpoint }),
      aRecord('route', { change: 'route.changed', after: digest('d'), time: time(1), subject: endpoint }),
    ]);
    expect(stateAt('digits', time(5), twice).route).toBeNull();
    expect(stateAt('digits', time(9), twice).route).toBe(digest('c'));
  });

  test('is not changed by what was refused or only read', () => {
    const quiet = numbered([
      aRecord('signed', { change: 'release.signed', time: time(1) }),
      aRecord('refused', { change: 'message.refused', time: time(2) }),
      aRecord('unloaded', { change: 'load.refused', time: time(3) }),
      aRecord('read', { change: 'log.read', time: time(4) }),
    ]);
    expect(stateAt('digits', time(9), quiet).releases).toEqual([
      { version: '1.0.0', release: null, lastChange: 'release.signed' },
    ]);
  });
});
