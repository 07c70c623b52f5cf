import type { PolicyChain } from '../../adapters/records.js';
import type { Digest } from '../../domain/digest.js';
import { signedInRole } from '../../domain/authorise.js';
import { weightOf } from '../../domain/routing.js';
import type { Documents } from './documents.js';
import type { EvidenceStep, JudgedCounts } from './model.js';
import type { Routed } from './routes.js';
import type { LogEntry } from './timeline.js';

/** What share of the callers a release had since when, by the documents that control has signed. */
export function stepsOf(
  routes: readonly Routed[],
  of: {
    readonly release: Digest | null;
    readonly entries: readonly LogEntry[];
    readonly documents: Documents;
    readonly policies: PolicyChain;
  },
): readonly EvidenceStep[] {
  const { release, entries, documents, policies } = of;
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
      judged: isOwn ? judgedOf(documents, policies, digest, release) : null,
      logged: entries.find(({ record }) => record.change === 'route.changed' && record.after === digest)?.index ?? null,
    };
  });
}

/** The last verdict on a step: one that pauses is watched on while people decide. */
function judgedOf(
  documents: Documents,
  { newest }: PolicyChain,
  route: Digest,
  release: Digest | null,
): EvidenceStep['judged'] {
  const verdicts = documents
    .of('stepVerdict')
    .filter(({ verified: { predicate } }) => predicate.document === route)
    .filter(({ verified }) => signedInRole({ gate: newest, newest }, verified, 'control'));
  const last = verdicts.sort((a, b) => (a.verified.predicate.issuedAt < b.verified.predicate.issuedAt ? -1 : 1)).at(-1);
  if (last === undefined) return null;
  const { digest: statement, predicate } = last.verified;
  const { verdict, reason, counts } = predicate;
  const shown = ({ version, requests, failures, slow }: (typeof counts)[number]): JudgedCounts => ({
    ...{ version, requests, failures, slow },
  });
  const own = counts.find((each) => each.release === release);
  if (own === undefined) return null;
  const beside = counts.filter((each) => each.release !== release && each.requests > 0);
  return { verdict, reason, own: shown(own), beside: beside.map(shown), statement };
}
