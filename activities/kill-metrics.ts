import type { MetricMeter } from '@temporalio/common';

export const KILL_SECONDS = 'custody_kill_seconds';
export const KILL_BUCKETS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300] as const;

export interface KillMetrics {
  /** From the signature of an order until the last gateway had stopped. */
  took(seconds: number): void;
  /** A gateway had not stopped in the time that the policy gives. */
  late(): void;
}

export function createKillMetrics(meter: MetricMeter): KillMetrics {
  const help = 'From the signature of a kill order until the last gateway had stopped';
  const seconds = meter.createHistogram(KILL_SECONDS, 'float', undefined, help);
  const late = meter.createCounter(
    'custody_kills_late',
    undefined,
    'Kills that took longer than the policy gives them',
  );
  // A counter that begins with its first event has not risen.
  late.add(0);
  return { took: (passed) => seconds.record(Math.max(0, passed)), late: () => late.add(1) };
}
