import { Gauge, Registry } from 'prom-client';
import { agreedMs, DRILL_STEPS } from '../domain/drill.js';
import { drillReport, type DrillReport } from './drill-runs.js';
import type { Records } from './records.js';

type Series = readonly [labels: Record<string, string>, value: number];

/** What the last drills have shown, as Prometheus reads it: made at each scrape from the signed records. */
export function drillMetrics(records: Records): () => Promise<string> {
  const registry = new Registry();
  let report: DrillReport | null = null;
  const gauge = (name: string, help: string, labelNames: string[], read: (of: DrillReport) => Series[]): void => {
    new Gauge({
      name: `custody_drill_${name}`,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        for (const [labels, value] of report === null ? [] : read(report)) this.set(labels, value);
      },
    });
  };
  gauge('seconds', 'How long each step of the last drill that was held took', ['model', 'step'], ({ held }) =>
    (held?.steps ?? []).flatMap(({ step, ms }): Series[] =>
      ms === null || held === null ? [] : [[{ model: held.model, step }, ms / 1000]],
    ),
  );
  gauge('agreed_seconds', 'How long the policy gives each step', ['model', 'step'], ({ rules }) =>
    rules === null
      ? []
      : DRILL_STEPS.map((step): Series => [{ model: rules.model, step }, agreedMs(rules, step) / 1000]),
  );
  gauge('held_timestamp_seconds', 'When the last drill that was held began', ['model'], ({ held }) =>
    held === null ? [] : [[{ model: held.model }, Date.parse(held.startedAt) / 1000]],
  );
  gauge(
    'alarm',
    '1 while the last drill failed or took longer than agreed, or none has come',
    ['model'],
    ({ rules, troubles }) => (rules === null ? [] : [[{ model: rules.model }, troubles.length > 0 ? 1 : 0]]),
  );
  return async () => {
    report = await drillReport(records);
    return registry.metrics();
  };
}
