import type { Digest } from '../../domain/digest.js';
import { weightOf } from '../../domain/routing.js';
import type { Documents } from './documents.js';
import type { EvidenceStep } from './model.js';
import type { Routed } from './routes.js';
import type { LogEntry } from './timeline.js';

/** What share of the callers a release had since when, by the documents that control has signed. */
export function stepsOf(
  routes: readonly Routed[],
  of: { readonly release: Digest | null; readonly entries: readonly LogEntry[]; readonly documents: Documents },
): readonly EvidenceStep[] {
  const { release, entries, documents } = of;
  return routes.map(({ digest, document }, at) => {
    const plan = document.plan === null ? null : documents.stated('request', document.plan.request);
    const action = plan?.predicate.action;
    const planned = action?.kind === 'deploy' ? action.plan[document.plan?.step ?? -1] : undefined;
    const isOwn = plan !== null && plan.predicate.release === release;
    return {
      revision: document.revision,
      change: document.change,
      at: document.issuedAt,
      until: routes[at + 1]?.document.issuedAt ?? null,
      weight: weightOf(document, release ?? ''),
      others: document.releases
        .filter((entry) => entry.release !== release)
        .map(({ version, weight }) => ({ version, weight })),
      bakeSeconds: isOwn ? (planned?.bakeSeconds ?? null) : null,
      document: digest,
      logged: entries.find(({ record }) => record.change === 'route.changed' && record.after === digest)?.index ?? null,
    };
  });
}
