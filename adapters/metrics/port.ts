import type { MetricAnswer } from '../../domain/metrics.js';

/** Where numbers about releases come from. Never throws: what cannot be had, or is no whole and fresh answer, is `unknown`. */
export interface MetricSource {
  /** The series that a PromQL query answers with now. */
  ask(query: string): Promise<MetricAnswer>;
}
