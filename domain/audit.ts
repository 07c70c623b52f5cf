import type { Digest } from './digest.js';

export const CHANGES = [
  'policy.accepted',
  'policy.applied',
  'training.ended',
  'release.admitted',
  'release.ingested',
  'release.validated',
  'release.approved',
  'release.signed',
  'release.resigned',
  'release.overridden',
  'release.reviewed',
  'release.lapsed',
  'gate.opened',
  'decision.accepted',
  'message.refused',
  'route.changed',
  'rollout.ended',
  'service.breached',
  'endpoint.killed',
  'kill.late',
  'alert.raised',
  'endpoint.restored',
  'load.refused',
  'retirement.noticed',
  'release.held',
  'release.unheld',
  'locks.extended',
  'locks.alarm',
  'drill.ended',
  'drill.alarm',
  'release.revoked',
  'keys.destroyed',
  'release.retired',
  'release.ended',
  'consumer.declared',
  'consumer.removed',
  'caller.refused',
  'store.tampered',
  'log.read',
] as const;

export type Change = (typeof CHANGES)[number];

/** One line of the audit log. `before` and `after` are digests of documents in WORM. */
export interface AuditRecord {
  /** Counts once: the same id appended again is the same record. */
  readonly id: string;
  readonly time: string;
  readonly actor: { readonly id: string; readonly statement: Digest | null };
  readonly change: Change;
  readonly subject: { readonly model: string; readonly version: string | null; readonly release: Digest | null };
  readonly before: Digest | null;
  readonly after: Digest | null;
  readonly policy: Digest | null;
  readonly workflow: { readonly id: string; readonly runId: string } | null;
  readonly reason: string;
}

/** What a model's endpoint was at a time, by the log alone. */
export interface StateAt {
  readonly model: string;
  readonly at: string;
  /** Digest of the routing document in force. */
  readonly route: Digest | null;
  readonly killed: boolean;
  readonly policy: Digest | null;
  readonly releases: readonly {
    readonly version: string;
    readonly release: Digest | null;
    readonly lastChange: Change;
  }[];
  /** Index of the last record that counted. */
  readonly upTo: number;
}

/** Changes that tell about a release without changing it. */
const CHANGES_NOTHING: ReadonlySet<Change> = new Set([
  'message.refused',
  'load.refused',
  'service.breached',
  'alert.raised',
  'release.held',
  'release.unheld',
  'log.read',
]);

/**
 * Folds the records of one model up to a time. Records come in log order, and an id's first occurrence counts. What lowers
 * exposure acts first and is logged after, so the order that counts is that of the times; the log's where they are equal.
 */
export function stateAt(model: string, at: string, records: Iterable<{ index: number; record: AuditRecord }>): StateAt {
  const releases = new Map<string, { version: string; release: Digest | null; lastChange: Change }>();
  let route: Digest | null = null;
  let killed = false;
  let policy: Digest | null = null;
  let upTo = -1;
  for (const { index, record } of inOrderOfTime(model, at, records)) {
    upTo = Math.max(upTo, index);
    if (record.change === 'policy.applied') policy = record.after;
    if (record.subject.model !== model) continue;
    if (record.change === 'route.changed') route = record.after;
    if (record.change === 'endpoint.killed') killed = true;
    if (record.change === 'endpoint.restored') killed = false;
    const { version, release } = record.subject;
    if (version !== null && !CHANGES_NOTHING.has(record.change))
      releases.set(version, {
        version,
        release: release ?? releases.get(version)?.release ?? null,
        lastChange: record.change,
      });
  }
  return { model, at, route, killed, policy, releases: [...releases.values()], upTo };
}

function inOrderOfTime(
  model: string,
  at: string,
  records: Iterable<{ index: number; record: AuditRecord }>,
): { index: number; record: AuditRecord }[] {
  const seen = new Set<string>();
  const counted: { index: number; record: AuditRecord }[] = [];
  for (const { index, record } of records) {
    if (seen.has(record.id)) continue;
    seen.add(record.id);
    const concerns = record.subject.model === model || record.change === 'policy.applied';
    if (concerns && Date.parse(record.time) <= Date.parse(at)) counted.push({ index, record });
  }
  return counted.sort((a, b) => Date.parse(a.record.time) - Date.parse(b.record.time) || a.index - b.index);
}
