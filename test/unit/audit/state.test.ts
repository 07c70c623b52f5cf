import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AuditRecord, Change } from '../../../domain/audit.js';
import { groundsOf, StateIndex, type Logged, type StateAt } from '../../../domain/state.js';
import { aRecord } from './fixtures.js';
import { digest, history, MODELS, numbered, pick, time } from './histories.js';

const stateAt = (model: string, at: string, records: readonly Logged[]) => StateIndex.of(records).at(model, at);
const fact = (digit: string, index: number) => ({ digest: digest(digit), index });
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
    aRecord('other', {
      change: 'endpoint.killed',
      after: digest('e'),
      time: time(4),
      subject: { ...endpoint, model: 'other' },
    }),
    aRecord('killed', { change: 'endpoint.killed', after: digest('f'), time: time(5), subject: endpoint }),
    aRecord('restored', { change: 'endpoint.restored', before: digest('f'), time: time(6), subject: endpoint }),
    aRecord('routed again', { change: 'route.changed', after: digest('d'), time: time(7), subject: endpoint }),
  ]);

  test('is what the records up to then say, that of this very time included', () => {
    expect(stateAt('digits', time(3), records)).toEqual({
      model: 'digits',
      at: time(3),
      route: fact('c', 3),
      killedBy: [],
      policy: fact('a', 0),
      releases: [{ version: '1.0.0', release: fact('b', 2), lastChange: 'release.signed', index: 2 }],
    });
    expect(stateAt('digits', time(5), records)).toMatchObject({ killedBy: [fact('f', 5)] });
    expect(stateAt('digits', time(59), records)).toMatchObject({ killedBy: [], route: fact('d', 7) });
    expect(stateAt('digits', '2020-01-01T00:00:00.000Z', records)).toMatchObject({ route: null, policy: null });
  });

  test('counts the policy, though it names no model', () => {
    expect(stateAt('digits', time(0), records)).toMatchObject({ policy: fact('a', 0) });
  });

  test('compares times, not their texts', () => {
    expect(stateAt('digits', '2026-03-01T10:05:00Z', records).killedBy).toHaveLength(1);
    expect(stateAt('digits', '2026-03-01T11:05:00+01:00', records).killedBy).toHaveLength(1);
  });

  test('follows the times of what was logged late: a kill before its restoration', () => {
    const late = numbered([
      aRecord('restored', { change: 'endpoint.restored', before: digest('f'), time: time(6), subject: endpoint }),
      aRecord('killed', { change: 'endpoint.killed', after: digest('f'), time: time(5), subject: endpoint }),
    ]);
    expect(stateAt('digits', time(5), late).killedBy).toEqual([fact('f', 1)]);
    expect(stateAt('digits', time(6), late).killedBy).toEqual([]);
  });

  test('stays killed by an order that the restoration did not lift', () => {
    const twice = numbered([
      aRecord('killed', { change: 'endpoint.killed', after: digest('e'), time: time(4), subject: endpoint }),
      aRecord('again', { change: 'endpoint.killed', after: digest('f'), time: time(5), subject: endpoint }),
      aRecord('restored', { change: 'endpoint.restored', before: digest('e'), time: time(6), subject: endpoint }),
    ]);
    expect(stateAt('digits', time(6), twice).killedBy).toEqual([fact('f', 1)]);
  });

  test('counts the first record of an id, even where only a later one lies before the time', () => {
    const twice = numbered([
      aRecord('route', { change: 'route.changed', after: digest('c'), time: time(9), subject: endpoint }),
      aRecord('route', { change: 'route.changed', after: digest('d'), time: time(1), subject: endpoint }),
    ]);
    expect(stateAt('digits', time(5), twice).route).toBeNull();
    expect(stateAt('digits', time(9), twice).route).toEqual(fact('c', 0));
  });

  test('is not changed by what was refused or only read', () => {
    const quiet = numbered([
      aRecord('signed', { change: 'release.signed', time: time(1) }),
      aRecord('refused', { change: 'message.refused', time: time(2) }),
      aRecord('unloaded', { change: 'load.refused', time: time(3) }),
      aRecord('read', { change: 'log.read', time: time(4) }),
    ]);
    expect(stateAt('digits', time(9), quiet).releases).toEqual([
      { version: '1.0.0', release: null, lastChange: 'release.signed', index: 0 },
    ]);
  });
});

/** What is so by nothing but the requirement: every record is looked at, one question after the other. */
function bySearch(records: readonly AuditRecord[], model: string, at: string) {
  const first = records.flatMap((record, index) =>
    records.findIndex(({ id }) => id === record.id) === index && Date.parse(record.time) <= Date.parse(at)
      ? [{ record, index }]
      : [],
  );
  const isAfter = (one: Logged, other: Logged) =>
    one.record.time === other.record.time ? one.index > other.index : one.record.time > other.record.time;
  const lastOf = (wanted: readonly Logged[]) =>
    wanted.find((each) => wanted.every((other) => other === each || isAfter(each, other))) ?? null;
  const factOf = (found: Logged | null, name: 'after' | 'before' = 'after') => {
    const value = found?.record[name] ?? null;
    return found === null || value === null ? null : { digest: value, index: found.index };
  };
  const own = first.filter(({ record }) => record.subject.model === model);
  const of = (...changes: readonly Change[]) => own.filter(({ record }) => changes.includes(record.change));
  const QUIET =
    'endpoint.killed endpoint.restored message.refused load.refused service.breached alert.raised release.held release.unheld log.read log.rotated training.ended rollout.judged retirement.reminded retirement.acknowledged retirement.waived retirement.scanned policy.applied';
  const versions = [...new Set(own.map(({ record }) => record.subject.version))].filter((each) => each !== null);
  const kills = of('endpoint.killed').filter(
    (kill) =>
      kill.record.after !== null &&
      lastOf(of('endpoint.killed').filter(({ record }) => record.after === kill.record.after)) === kill &&
      !of('endpoint.restored').some((lift) => lift.record.before === kill.record.after && isAfter(lift, kill)),
  );
  return {
    model,
    at,
    policy: factOf(lastOf(first.filter(({ record }) => record.change === 'policy.applied' && record.after !== null))),
    route: factOf(lastOf(of('route.changed').filter(({ record }) => record.after !== null))),
    killedBy: kills.sort((a, b) => (isAfter(a, b) ? 1 : -1)).map((kill) => factOf(kill)),
    releases: versions.sort().flatMap((version) => {
      const about = own.filter(
        ({ record }) => record.subject.version === version && !QUIET.split(' ').includes(record.change),
      );
      const last = lastOf(about);
      const named = lastOf(about.filter(({ record }) => record.subject.release !== null));
      if (last === null) return [];
      const release = named === null ? null : { digest: named.record.subject.release, index: named.index };
      return [{ version, release, lastChange: last.record.change, index: last.index }];
    }),
  };
}

describe('the state of any model at any time, over any history', () => {
  const questions = fc.array(fc.record({ model: pick(...MODELS), minute: fc.nat(59), after: fc.nat(150) }), {
    minLength: 1,
    maxLength: 12,
  });

  test('is what an independent search of all records says, however the records and the questions come', () => {
    fc.assert(
      fc.property(history, questions, (records, asked) => {
        const index = new StateIndex();
        // In log order, with questions in between: what was folded for them must not stand in the way of what comes late.
        for (const { model, minute, after } of asked.sort((a, b) => a.after - b.after)) {
          for (const logged of numbered(records).slice(index.size, after)) index.add(logged);
          const soFar = records.slice(0, after);
          expect(index.at(model, time(minute))).toEqual(bySearch(soFar, model, time(minute)));
        }
      }),
      { numRuns: 400 },
    );
  });

  test('follows from the records that it names, without any other', () => {
    fc.assert(
      fc.property(history, fc.nat(59), pick(...MODELS), (records, minute, model) => {
        const state: StateAt = stateAt(model, time(minute), numbered(records));
        const grounds = groundsOf(state).map((index) => ({ index, record: records[index] ?? aRecord('none') }));
        expect(StateIndex.of(grounds).at(model, time(minute))).toEqual(state);
      }),
      { numRuns: 400 },
    );
  });

  test('is that of each of its models, for the whole fleet', () => {
    fc.assert(
      fc.property(history, fc.nat(59), (records, minute) => {
        const index = StateIndex.of(numbered(records));
        const fleet = new Map(index.fleetAt(time(minute)).map((state) => [state.model, state]));
        for (const model of MODELS) {
          const alone = index.at(model, time(minute));
          const isThere = alone.route !== null || alone.killedBy.length > 0 || alone.releases.length > 0;
          if (isThere) expect(fleet.get(model)).toEqual(alone);
        }
      }),
      { numRuns: 200 },
    );
  });
});
