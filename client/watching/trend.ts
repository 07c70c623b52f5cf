import type { Seen } from '../../domain/analysis.js';
import type { Digest } from '../../domain/digest.js';

/** How a release did between two looks. */
export interface Moment {
  readonly perSecond: number;
  /** Share of the answers that failed; `null` without answers. */
  readonly failing: number | null;
  /** Milliseconds, of the gateway that is slowest, since its document came into force; `null` without answers. */
  readonly p95Ms: number | null;
}

interface Totals {
  readonly at: number;
  readonly requests: number;
  readonly failures: number;
}

const KEPT = 30;
const BARS = '▁▂▃▄▅▆▇█';

/** What gateways have counted of each release of one model, look by look. */
export class Trends {
  readonly #last = new Map<Digest, Totals>();
  readonly #moments = new Map<Digest, readonly Moment[]>();

  /** `at`: milliseconds of a clock that only goes forward. */
  add(seen: readonly Seen[], at: number): void {
    const counters = seen.flatMap((state) => (state === null || state === 'unknown' ? [] : state.counters));
    for (const release of new Set(counters.map((counted) => counted.release))) {
      const of = counters.filter((counted) => counted.release === release);
      const sum = (read: (counted: (typeof of)[number]) => number): number =>
        of.reduce((all, each) => all + read(each), 0);
      const totals = { at, requests: sum(({ requests }) => requests), failures: sum(({ failures }) => failures) };
      const last = this.#last.get(release);
      this.#last.set(release, totals);
      // A gateway that was started again, or forgets an old document, counts less than before: that look says nothing.
      if (last === undefined || totals.requests < last.requests || totals.failures < last.failures) continue;
      const requests = totals.requests - last.requests;
      const moment = {
        perSecond: (1000 * requests) / (at - last.at),
        failing: requests === 0 ? null : (totals.failures - last.failures) / requests,
        p95Ms: requests === 0 ? null : Math.max(...of.map(({ p95Ms }) => p95Ms)),
      };
      this.#moments.set(release, [...(this.#moments.get(release) ?? []), moment].slice(-KEPT));
    }
  }

  of(release: Digest): readonly Moment[] {
    return this.#moments.get(release) ?? [];
  }
}

/** One bar for each value, from 0 to the highest of them or `top`, whichever is more; a space where there is none. */
export function sparkline(values: readonly (number | null)[], top = 0): string {
  const highest = Math.max(top, ...values.map((value) => value ?? 0));
  return values
    .map((value) => {
      if (value === null) return ' ';
      const height = highest === 0 ? 0 : Math.ceil((value / highest) * (BARS.length - 1));
      return BARS[height] ?? '';
    })
    .join('');
}
