import type { AuditRecord, Change } from '../../domain/audit.js';
import type { Digest } from '../../domain/digest.js';
import type { ReleaseName } from '../../domain/names.js';
import type { Documents } from './documents.js';
import type { EvidenceEvent } from './model.js';
import type { Routed } from './routes.js';

/** A record of the log with its place in it. */
export interface LogEntry {
  readonly index: number;
  readonly record: AuditRecord;
}

/** Part of a log, or all of it, of which each record is proved by the root. */
export interface LogExcerpt {
  readonly origin: string;
  readonly size: number;
  readonly root: Digest;
  readonly entries: readonly LogEntry[];
}

/** What is done to an endpoint without naming a release, and concerns whatever it serves. */
const OF_ENDPOINT: ReadonlySet<Change> = new Set([
  'endpoint.killed',
  'kill.late',
  'endpoint.restored',
  'alert.raised',
  'service.breached',
  'decision.accepted',
  'gate.opened',
  'message.refused',
]);

/** Whether a record may be in the dossier of some release of this model: the rest of a log need not be kept in memory. */
export function mayConcern({ subject, change }: AuditRecord, model: string): boolean {
  return subject.model === model || isOfPolicy(change) || change === 'log.read' || change === 'data.registered';
}

function isOfPolicy(change: Change): boolean {
  return change === 'policy.applied' || change === 'policy.accepted';
}

export interface LifeOf extends ReleaseName {
  readonly release: Digest | null;
  readonly routes: readonly Routed[];
  /** The statements about what it was trained on. */
  readonly data: readonly Digest[];
  /** Who made the dossier, and when. */
  readonly by: string;
  readonly at: string;
}

/** The records of a release's life: each id once, in the order of their times. */
export function lifeOf(log: LogExcerpt, life: LifeOf): readonly LogEntry[] {
  const seen = new Set<string>();
  const counted = log.entries.filter(({ record }) => {
    const isFirst = !seen.has(record.id);
    seen.add(record.id);
    return isFirst;
  });
  const read = counted.filter(({ record }) => record.change === 'log.read' && record.actor.id === life.by).at(-1);
  return counted
    .filter((entry) => entry === read || aboutOf(entry.record, life) !== null)
    .sort((a, b) => Date.parse(a.record.time) - Date.parse(b.record.time) || a.index - b.index);
}

function aboutOf(record: AuditRecord, life: LifeOf): 'release' | 'endpoint' | 'policy' | 'data' | null {
  const { subject, change, time } = record;
  if (isOfPolicy(change)) return 'policy';
  if (change === 'data.registered') return record.after !== null && life.data.includes(record.after) ? 'data' : null;
  if (subject.model !== life.model || change === 'log.read') return null;
  if (change === 'route.changed') return life.routes.some(({ digest }) => digest === record.after) ? 'endpoint' : null;
  if (subject.version === life.version) return 'release';
  if (subject.version !== null) return null;
  if (subject.release !== null && subject.release === life.release) return 'endpoint';
  return OF_ENDPOINT.has(change) && wasRouted(life, time) ? 'endpoint' : null;
}

/** Whether the release was in the document in force then. */
function wasRouted({ routes, release }: LifeOf, time: string): boolean {
  const inForce = routes.filter(({ document }) => Date.parse(document.issuedAt) <= Date.parse(time)).at(-1);
  return inForce?.document.releases.some((entry) => entry.release === release) ?? false;
}

/** The same as the dossier tells it, each with the documents that it names. */
export function timelineOf(entries: readonly LogEntry[], life: LifeOf, documents: Documents): readonly EvidenceEvent[] {
  return entries.map(({ index, record }) => ({
    index,
    proof: proofPath(index),
    time: record.time,
    change: record.change,
    actor: record.actor.id,
    about: record.change === 'log.read' ? 'log' : (aboutOf(record, life) ?? 'endpoint'),
    reason: record.reason,
    documents: documents.among(...digestsOf(record)),
  }));
}

export function digestsOf({ actor, before, after }: AuditRecord): Digest[] {
  return [actor.statement, before, after].filter((digest) => digest !== null);
}

export function proofPath(index: number): string {
  return `log/${String(index).padStart(9, '0')}.tlog-proof`;
}
