import fc from 'fast-check';
import { CHANGES, type AuditRecord, type Change } from '../../../domain/audit.js';
import type { Logged } from '../../../domain/state.js';
import { aRecord } from './fixtures.js';

export const time = (minute: number) => `2026-03-01T10:${String(minute).padStart(2, '0')}:00.000Z`;
export const digest = (digit: string) => digit.repeat(64);
export const numbered = (records: readonly AuditRecord[]): Logged[] =>
  records.map((record, index) => ({ index, record }));

export const MODELS = ['digits', 'lingo', 'other'];
export const pick = <T>(...values: readonly T[]) => fc.constantFrom(...values);
const aDigest = pick(...'0123456789abcdef').map(digest);
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { freq: 4 });
/** Few ids, times and digests, so that they come twice; clocks go both ways. */
export const history = fc.array(
  fc
    .record({
      id: fc.nat(120).map(String),
      time: fc.nat(59).map(time),
      change: fc.oneof(
        pick<Change>('route.changed', 'endpoint.killed', 'endpoint.restored', 'policy.applied'),
        pick<Change>(...CHANGES),
      ),
      subject: fc.record({
        model: pick('', ...MODELS),
        version: maybe(pick('1.0.0', '1.0.1', '1.10.0', '2.0.0')),
        release: maybe(aDigest),
      }),
      before: maybe(aDigest),
      after: maybe(aDigest),
    })
    .map(({ id, ...changes }) => aRecord(id, changes)),
  { maxLength: 150 },
);
