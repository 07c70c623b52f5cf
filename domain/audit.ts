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
  'release.promoted',
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
  'log.rotated',
  'rollout.judged',
  'data.registered',
  'retirement.reminded',
  'retirement.acknowledged',
  'retirement.waived',
  'release.condemned',
  'retirement.scanned',
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
