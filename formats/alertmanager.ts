import { z } from 'zod';
import type { AlertPredicate, Severity } from '../domain/alert.js';
import { isDigest } from '../domain/digest.js';
import { isModelName, isVersion } from '../domain/names.js';
import { canonicalBytes } from './jcs.js';
import { checkShape } from './json.js';
import { printable } from './printable.js';
import { sha256 } from './sha256.js';

const MAX_ALERTS = 10_000;
const MAX_NAME = 100;
const MAX_SUMMARY = 380;

const labels = z.record(z.string(), z.string());
const status = z.enum(['firing', 'resolved']);

/** What Alertmanager posts to a webhook, version 4: the part that is read here. What else it says is passed over. */
export const notificationSchema = z.object({
  version: z.literal('4'),
  groupKey: z.string(),
  status,
  alerts: z
    .array(
      z.object({
        status,
        labels,
        annotations: labels,
        startsAt: z.iso.datetime({ offset: true }),
        fingerprint: z.string().min(1).max(200),
      }),
    )
    .max(MAX_ALERTS),
});

type Fired = z.infer<typeof notificationSchema>['alerts'][number];

/** What one firing alert says, in Custody's words. Its nonce is the same whenever, and by whomever, this firing is told. */
export type ToldAlert = Pick<AlertPredicate, 'model' | 'version' | 'release' | 'severity' | 'nonce' | 'reason'>;

export interface Notification {
  readonly firing: readonly ToldAlert[];
  readonly resolved: number;
  /** Firing alerts that name no model, or that name a release in no way that could be one. */
  readonly nameless: number;
}

/** MALFORMED: it is no notification of version 4. */
export function readNotification(body: unknown): Notification {
  const { alerts } = checkShape(notificationSchema, body, 'the notification');
  const fired = alerts.filter((alert) => alert.status === 'firing');
  const firing = fired.flatMap((alert) => toldBy(alert) ?? []);
  return { firing, resolved: alerts.length - fired.length, nameless: fired.length - firing.length };
}

function toldBy({ labels: said, annotations, startsAt, fingerprint }: Fired): ToldAlert | null {
  const label = (name: string): string | null => (Object.hasOwn(said, name) ? (said[name] ?? '') : '') || null;
  const [model, version, release] = [label('model'), label('version'), label('release')];
  if (model === null || !isModelName(model)) return null;
  if ((version !== null && !isVersion(version)) || (release !== null && !isDigest(release))) return null;
  const severity = severityOf(label('severity'));
  const firing = canonicalBytes([model, version, release, severity, fingerprint, startsAt]);
  const nonce = Buffer.from(sha256(firing), 'hex').toString('base64url');
  return { model, version, release, severity, nonce, reason: reasonOf(said, annotations) };
}

/** Whatever is not plainly less is critical: a rule whose severity was forgotten must not be ignored. */
function severityOf(label: string | null): Severity {
  return label !== null && ['warning', 'info', 'none'].includes(label) ? 'warning' : 'critical';
}

function reasonOf(said: Fired['labels'], annotations: Fired['annotations']): string {
  const summary = annotations['summary'] ?? annotations['description'] ?? '';
  const name = clipped(said['alertname'] ?? 'an alert without a name', MAX_NAME);
  return summary === '' ? name : `${name}: ${clipped(summary, MAX_SUMMARY)}`;
}

function clipped(text: string, limit: number): string {
  return printable(text).slice(0, limit);
}
