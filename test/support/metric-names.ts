import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

interface Panel {
  readonly targets?: readonly { readonly expr: string }[];
}

/** Every expression of the dashboard and of the alarms. */
export function expressions(): readonly string[] {
  const { panels } = JSON.parse(readFileSync('deploy/grafana/custody.json', 'utf8')) as { panels: readonly Panel[] };
  const { groups } = parse(readFileSync('deploy/prometheus/rules.yml', 'utf8')) as {
    groups: readonly { readonly rules: readonly { readonly expr: string }[] }[];
  };
  return [
    ...panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
    ...groups.flatMap(({ rules }) => rules.map(({ expr }) => expr)),
  ];
}

/** The metrics that the expressions are made of. */
export function metricNames(): readonly string[] {
  const found = expressions().flatMap((expr) => expr.match(/\b(?:custody|temporal)_[a-z0-9_]+/g) ?? []);
  return [...new Set(found)].toSorted();
}
