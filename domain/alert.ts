import type { Digest } from './digest.js';
import { holdsRole, type Policy } from './policy.js';
import { denied, type Permission } from './permission.js';
import type { RouteEntry, RoutingDocument } from './routing.js';
import type { Verified } from './statements.js';
import { outsideValidity } from './time.js';

/** `critical` takes the release back where the policy lets that happen by itself; `warning` is only told to people. */
export const SEVERITIES = ['critical', 'warning'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** A monitor's word that a model, or one release of it, is not safe. It can lower exposure and nothing else. */
export interface AlertPredicate {
  readonly environment: string;
  readonly model: string;
  /** Which release, by its version, its digest or both; without either, whatever serves. */
  readonly version: string | null;
  readonly release: Digest | null;
  readonly severity: Severity;
  readonly nonce: string;
  readonly reason: string;
  readonly issuedAt: string;
  readonly expiresAt: string;
}

export type Alert = Verified<AlertPredicate>;

/** What has to happen, by the routing document in force when the alerts came. */
export type AlertAct = {
  readonly release: Digest;
  readonly reason: string;
  /** The alerts that it answers. */
  readonly alerts: readonly Digest[];
} & (
  | /** Ends the plan of `request`, which brings the release. */ { readonly kind: 'stop'; readonly request: Digest }
  | /** Goes back from the release, which serves all callers. */ { readonly kind: 'revert' }
);

/** An alert that only people can answer, and the release with callers that it is about. */
export interface AlertAlarm {
  readonly alert: Alert;
  readonly release: Digest;
}

/** Whether somebody who may has said this, of this endpoint, now, about something that it serves. */
export function authoriseAlert(
  { predicate, signers }: Alert,
  by: {
    readonly environment: string;
    readonly model: string;
    readonly newest: Policy;
    readonly now: string;
    readonly document: RoutingDocument | null;
  },
): Permission {
  const monitors = signers.filter((id) => holdsRole(by.newest, by.newest, id, 'monitor'));
  if (monitors.length === 0) return denied('NOT_AUTHORISED', `${signers.join(', ')} does not hold the role monitor`);
  const { environment, model, version, release } = predicate;
  if (environment !== by.environment || model !== by.model)
    return denied('REPLAYED', `the alert is for ${model} in ${environment}`);
  const outside = outsideValidity(predicate, by.now);
  if (outside !== null) return denied('EXPIRED', `the alert is ${outside}`);
  if (about(predicate, by.document).length === 0) {
    const which = version ?? release?.slice(0, 12);
    return denied('POLICY_REFUSED', `${model}${which === undefined ? '' : ` ${which}`} does not serve`);
  }
  return { allowed: true, approvers: monitors };
}

/** The releases that have callers and that the alert is about. */
function about({ version, release }: AlertPredicate, document: RoutingDocument | null): readonly RouteEntry[] {
  return (document?.releases ?? []).filter(
    (entry) =>
      entry.weight > 0 &&
      (version === null || entry.version === version) &&
      (release === null || entry.release === release),
  );
}

/** What several alerts that count lead to together, and those that are only told to people. */
export function judgeAlerts(
  alerts: readonly Alert[],
  document: RoutingDocument,
): { readonly act: AlertAct | null; readonly alarms: readonly AlertAlarm[] } {
  const { plan } = document;
  // What is under rollout comes first, and otherwise what serves.
  const [suspect] = document.releases;
  const isAgainst = ({ predicate }: Alert): boolean =>
    predicate.severity === 'critical' && about(predicate, document).some((entry) => entry === suspect);
  const alarms = alerts
    .filter((alert) => !isAgainst(alert))
    .map((alert) => ({ alert, release: about(alert.predicate, document)[0]?.release ?? '' }));
  const against = alerts.filter(isAgainst);
  const [first] = against;
  if (suspect === undefined || first === undefined) return { act: null, alarms };
  const what = { release: suspect.release, reason: said(first), alerts: against.map(({ digest }) => digest) };
  const act = plan === null ? ({ kind: 'revert' } as const) : ({ kind: 'stop', request: plan.request } as const);
  return { act: { ...act, ...what }, alarms };
}

export function said({ signers, predicate: { reason, severity } }: Alert): string {
  return `${severity} security alert of ${signers.join(' and ')}: ${reason}`;
}
