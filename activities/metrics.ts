import type { MetricSource } from '../adapters/metrics/port.js';
import type { Sight } from '../domain/analysis.js';
import { fillTemplate, judgeAlert, judgeMetric, type Places } from '../domain/metrics.js';
import type { Triggers } from '../domain/routing.js';

/** A metric source scrapes every few seconds at best: asking more often says nothing new. */
const ASK_EVERY_MS = 2_000;
/** What was said so long ago counts no more: the source has stopped answering. */
const COUNTS_MS = 15_000;

export interface MetricLook {
  /** What the source said last. Never waits: asking goes on beside it. */
  look(triggers: Pick<Triggers, 'metrics' | 'alerts'>, places: Places): readonly Sight[];
}

/** The rules of one release, asked of the metric source again and again, so that whoever looks is never held up by it. */
export function createMetricLook(source: MetricSource | null): MetricLook {
  let asking = false;
  let askedAt = -Infinity;
  let last: { readonly at: number; readonly sights: readonly Sight[] } | null = null;
  return {
    look: (triggers, places) => {
      const { metrics = [], alerts = [] } = triggers;
      if (metrics.length + alerts.length === 0) return [];
      if (source === null) return [{ kind: 'hold', reason: 'the watch has no metric source to ask' }];
      const now = performance.now();
      if (!asking && now - askedAt >= ASK_EVERY_MS) {
        asking = true;
        askedAt = now;
        void askAll(source, triggers, places).then((sights) => {
          asking = false;
          last = { at: performance.now(), sights };
        });
      }
      if (last === null) return [{ kind: 'hold', reason: 'the metric source has not answered yet' }];
      if (now - last.at > COUNTS_MS) return [{ kind: 'hold', reason: 'the metric source answers no more' }];
      return last.sights;
    },
  };
}

/** All at once: each has a bound of its own. */
function askAll(
  source: MetricSource,
  { metrics = [], alerts = [] }: Pick<Triggers, 'metrics' | 'alerts'>,
  places: Places,
): Promise<readonly Sight[]> {
  const ask = (query: string): ReturnType<MetricSource['ask']> => source.ask(fillTemplate(query, places));
  const all = (queries: readonly string[] = []): Promise<Awaited<ReturnType<MetricSource['ask']>>[]> =>
    Promise.all(queries.map(ask));
  return Promise.all([
    ...metrics.map(async (rule) => judgeMetric(rule, await ask(rule.query), await all(rule.requires))),
    ...alerts.map(async (rule) => judgeAlert(rule, await ask(rule.query), await all(rule.requires))),
  ]);
}
