import type { MetricSource } from '../../adapters/metrics/port.js';
import type { MetricAnswer, Series } from '../../domain/metrics.js';

/** A metric source in memory: answers each query with what it was told to, and knows no series otherwise. */
export class FakeMetrics implements MetricSource {
  readonly asked: string[] = [];
  readonly #answers = new Map<string, MetricAnswer | Promise<MetricAnswer>>();

  /** The series of a query, or why there is no telling. */
  tell(query: string, answer: readonly Series[] | string | Promise<MetricAnswer>): void {
    if (typeof answer === 'string') this.#answers.set(query, { kind: 'unknown', reason: answer });
    else this.#answers.set(query, answer instanceof Promise ? answer : { kind: 'series', series: answer });
  }

  async ask(query: string): Promise<MetricAnswer> {
    this.asked.push(query);
    return this.#answers.get(query) ?? { kind: 'series', series: [] };
  }
}

export const value = (number: number, labels: Series['labels'] = {}): Series => ({ labels, value: number });
