import { describe, expect, test } from 'vitest';
import { lateKills } from '../../../domain/gateway.js';

const signed = '2026-01-01T00:00:00.000Z';
const at = (seconds: number): string => new Date(Date.parse(signed) + seconds * 1000).toISOString();

describe('the time that the policy gives a kill', () => {
  test.each([
    ['every gateway in time', [at(1), at(5)], 9, []],
    ['a clock that is behind that of the operator', [at(-3)], 9, []],
    ['nobody yet, with time left', [null, null], 5, []],
    ['one too late', [at(1), at(7.25)], 9, ['gateway 2 of 2 stopped after 7.3 s: the policy gives 5 s']],
    ['no answer when the time is over', [null, at(2)], 6, ['gateway 1 of 2 has not stopped: the policy gives 5 s']],
    ['the only one, too late', [at(6)], 9, ['the gateway stopped after 6.0 s: the policy gives 5 s']],
  ] as const)('counts from the signature of the order: %s', (_, since, now, late) => {
    expect(lateKills(since, { issuedAt: signed, now: at(now), limitSeconds: 5 })).toEqual(late);
  });
});
