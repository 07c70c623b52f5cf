import type { Client } from '@temporalio/client';
import type { MetricGauge, MetricMeter } from '@temporalio/common';
import { drillReport } from '../adapters/drill-runs.js';
import { loop } from '../adapters/loop.js';
import type { Records } from '../adapters/records.js';
import { lockReport } from '../adapters/retention-runs.js';
import { agreedMs, DRILL_STEPS } from '../domain/drill.js';
import { GATES_WAITING } from '../domain/lifecycle.js';

const EVERY_MS = 15_000;

export interface MeasuringDeps {
  readonly meter: MetricMeter;
  readonly records: Records;
  readonly temporal: Client;
  /** The newest status document; `null` before the first. */
  readonly status: () => { readonly issuedAt: string; readonly expiresAt: string } | null;
  readonly audit: { waitingSeconds(): number; checkpoint(): { readonly size: number } };
  /** Until when the signed proof of the store counts, as it is at the moment. */
  readonly proofExpires: () => Promise<string>;
  readonly onError: (error: unknown, doing: string) => void;
}

/**
 * Measures what control sees of the environment, again and again, each part by itself: one that hangs or fails keeps no other.
 * Whatever says when something happens says it as a moment, so that it goes on getting older where this has stopped. Answers
 * how to end it, which waits for nothing that hangs.
 */
export function startMeasuring(deps: MeasuringDeps): () => void {
  const measured = gauge(deps.meter, 'measured_timestamp_seconds', 'When control last measured this');
  const parts = {
    status: status(deps),
    audit: audit(deps),
    policy: policy(deps),
    proof: proof(deps),
    locks: locks(deps),
    drills: drills(deps),
    gates: gates(deps),
  };
  const ends = Object.entries(parts).map(([what, measure]) =>
    loop(
      EVERY_MS,
      async () => {
        await measure();
        measured.set(Date.now() / 1000, { what });
      },
      (error) => deps.onError(error, `measuring: ${what}`),
    ),
  );
  return () => {
    for (const end of ends) void end();
  };
}

function gauge(meter: MetricMeter, name: string, help: string): MetricGauge {
  return meter.createGauge(`custody_${name}`, 'float', undefined, help);
}

const secondsOf = (time: string): number => Date.parse(time) / 1000;

function status({ meter, status: newest }: MeasuringDeps): () => Promise<void> {
  const issued = gauge(meter, 'status_issued_timestamp_seconds', 'When the newest status document was made');
  const expires = gauge(meter, 'status_expires_timestamp_seconds', 'Until when the newest status document counts');
  return async () => {
    const document = newest();
    if (document === null) return;
    issued.set(secondsOf(document.issuedAt));
    expires.set(secondsOf(document.expiresAt));
  };
}

function audit({ meter, audit: log }: MeasuringDeps): () => Promise<void> {
  const records = gauge(meter, 'audit_records', 'Records of the audit log that its checkpoint covers');
  const waiting = gauge(meter, 'audit_waiting_seconds', 'How long the oldest record has waited for the log; 0: none');
  return async () => {
    records.set(log.checkpoint().size);
    waiting.set(log.waitingSeconds());
  };
}

function policy({ meter, records }: MeasuringDeps): () => Promise<void> {
  const version = gauge(meter, 'policy_version', 'Version of the newest policy');
  const expires = gauge(meter, 'policy_expires_timestamp_seconds', 'When the newest policy expires');
  return async () => {
    const { newest } = await records.policies();
    version.set(newest.version);
    expires.set(secondsOf(newest.expires));
  };
}

function proof({ meter, proofExpires }: MeasuringDeps): () => Promise<void> {
  const expires = gauge(meter, 'store_proof_expires_timestamp_seconds', 'Until when the proof of the store counts');
  return async () => expires.set(secondsOf(await proofExpires()));
}

function locks({ meter, records }: MeasuringDeps): () => Promise<void> {
  const alarm = gauge(meter, 'locks_alarm', '1 while something is wrong with the locks, or nobody has extended them');
  return async () => alarm.set((await lockReport(records)).troubles.length > 0 ? 1 : 0);
}

function drills({ meter, records }: MeasuringDeps): () => Promise<void> {
  const took = gauge(meter, 'drill_seconds', 'How long each step of the last drill that was held took');
  const agreed = gauge(meter, 'drill_agreed_seconds', 'How long the policy gives each step');
  const held = gauge(meter, 'drill_held_timestamp_seconds', 'When the last drill that was held began');
  const alarm = gauge(meter, 'drill_alarm', '1 while the last drill failed or took too long, or none has come');
  let drilled: string | null = null;
  return async () => {
    const report = await drillReport(records);
    const model = report.rules?.model ?? null;
    // The policy drills it no more, and a gauge stays as it was set.
    if (drilled !== null && drilled !== model) alarm.set(0, { model: drilled });
    drilled = model;
    if (report.rules === null || model === null) return;
    for (const step of DRILL_STEPS) agreed.set(agreedMs(report.rules, step) / 1000, { model, step });
    for (const { step, ms } of report.held?.steps ?? []) if (ms !== null) took.set(ms / 1000, { model, step });
    if (report.held !== null) held.set(secondsOf(report.held.startedAt), { model });
    alarm.set(report.troubles.length > 0 ? 1 : 0, { model });
  };
}

function gates({ meter, temporal }: MeasuringDeps): () => Promise<void> {
  const waiting = gauge(meter, 'gates_waiting', 'Workflows that wait for people to decide');
  return async () => waiting.set((await temporal.workflow.count(GATES_WAITING)).count);
}
