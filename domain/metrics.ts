import type { Sight } from './analysis.js';

/** One number that a metric source answers with, and what it may be. */
export interface MetricRule {
  readonly name: string;
  /** PromQL, with placeholders: it must answer exactly one series. */
  readonly query: string;
  readonly atMost?: number;
  readonly atLeast?: number;
  /** Queries that must answer with something, or the number means nothing. */
  readonly requires?: readonly string[];
}

/** Each series that it answers is an alert. Nothing at all means that there is none only if what it requires is there. */
export interface AlertRule {
  readonly name: string;
  readonly query: string;
  readonly requires: readonly string[];
}

export const PLACEHOLDERS = ['model', 'release', 'version', 'revision'] as const;
export type Places = Readonly<Record<(typeof PLACEHOLDERS)[number], string>>;

/** What a metric source says to one query; `unknown` is whatever is not a fresh, whole answer. */
export type MetricAnswer =
  | { readonly kind: 'series'; readonly series: readonly Series[] }
  | { readonly kind: 'unknown'; readonly reason: string };

export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const PLACEHOLDER = /\{\{([^{}]*)\}\}/g;

/**
 * What is wrong with a query's placeholders; `null` when nothing is. Each stands in a label value in double quotes after `=`
 * or `!=`: there quoting keeps it one value, whatever it holds, and it is no regular expression.
 */
export function templateProblem(query: string): string | null {
  for (const { text, quoted, before } of piecesOf(query)) {
    for (const [whole, name = ''] of text.matchAll(PLACEHOLDER)) {
      if (!(PLACEHOLDERS as readonly string[]).includes(name))
        return `${whole} is none of ${PLACEHOLDERS.map((known) => `{{${known}}}`).join(', ')}`;
      if (!quoted || !/[^=]=$/.test(before.trimEnd()))
        return `${whole} must stand in a label value in double quotes, after = or !=`;
    }
    if (/\{\{/.test(text.replaceAll(PLACEHOLDER, ''))) return 'a {{ without its }}';
  }
  return null;
}

export function placeholdersOf(query: string): readonly string[] {
  return [...query.matchAll(PLACEHOLDER)].map(([, name = '']) => name);
}

/** The query with its values, each escaped as PromQL (Go) escapes text in double quotes. */
export function fillTemplate(query: string, places: Places): string {
  return query.replaceAll(PLACEHOLDER, (_, name: keyof Places) => escaped(places[name]));
}

function escaped(value: string): string {
  return Array.from(value, (character) => {
    const code = character.codePointAt(0) ?? 0;
    if (character === '"' || character === '\\') return `\\${character}`;
    return code < 0x20 || code === 0x7f ? `\\x${code.toString(16).padStart(2, '0')}` : character;
  }).join('');
}

interface Piece {
  readonly text: string;
  /** In double quotes. */
  readonly quoted: boolean;
  /** The query up to this piece. */
  readonly before: string;
}

/** The query cut into text in quotes, comments, and everything else. */
function* piecesOf(query: string): Generator<Piece> {
  const piece = /"(?:[^"\\]|\\[^])*"?|'(?:[^'\\]|\\[^])*'?|`[^`]*`?|#[^\n]*|[^"'`#]+/g;
  for (const { 0: text, index } of query.matchAll(piece))
    yield { text, quoted: text.startsWith('"'), before: query.slice(0, index) };
}

/** Never sound by anything that is missing, more than one, or no number. */
export function judgeMetric(rule: MetricRule, answer: MetricAnswer, required: readonly MetricAnswer[]): Sight {
  const hold = (reason: string): Sight => ({ kind: 'hold', reason: `metric ${rule.name}: ${reason}` });
  const missing = missingOf(required);
  if (missing !== null) return hold(missing);
  if (answer.kind === 'unknown') return hold(answer.reason);
  const [series, ...others] = answer.series;
  if (series === undefined) return hold('it has no series');
  if (others.length > 0) return hold('it has several series: aggregate them');
  const { value } = series;
  if (!Number.isFinite(value)) return hold(`it is ${value}`);
  const { atMost = Infinity, atLeast = -Infinity } = rule;
  if (value > atMost) return { kind: 'fail', reason: `metric ${rule.name} is ${value}, at most ${atMost} is allowed` };
  if (value < atLeast)
    return { kind: 'fail', reason: `metric ${rule.name} is ${value}, at least ${atLeast} is needed` };
  return { kind: 'sound' };
}

export function judgeAlert(rule: AlertRule, answer: MetricAnswer, required: readonly MetricAnswer[]): Sight {
  const hold = (reason: string): Sight => ({ kind: 'hold', reason: `alert ${rule.name}: ${reason}` });
  if (answer.kind === 'unknown') return hold(answer.reason);
  const [firing] = answer.series;
  if (firing !== undefined) {
    const which = firing.labels['alertname'];
    return { kind: 'fail', reason: `alert ${rule.name}${which === undefined ? '' : `: ${which}`} is firing` };
  }
  const missing = missingOf(required);
  return missing === null ? { kind: 'sound' } : hold(missing);
}

function missingOf(required: readonly MetricAnswer[]): string | null {
  for (const [at, answer] of required.entries()) {
    if (answer.kind === 'unknown') return answer.reason;
    if (answer.series.length === 0) return `what it requires (${at + 1}) has no series`;
  }
  return null;
}
