import { outsideValidity } from '../../../domain/time.js';
import {
  alsoBy,
  byLines,
  fails,
  holds,
  noEvidence,
  notConcerned,
  recordsOf,
  type Facts,
  type Finding,
} from '../facts.js';
import { loadable, signed } from './origin.js';
import { draft, type Requirement } from './row.js';

/** Rollout, rollback, kill. */
export const TRAFFIC: readonly Requirement[] = [
  draft('C3.3.1', 1, 'Rolled out step by step, and back by itself on errors, latency or security alerts.', rolledOut),
  draft('C3.3.2', 1, 'A rollback restores the whole state at once, inside the time window.', rolledBack),
  draft('C3.3.3', 2, 'Signatures and checksums are verified before activation.', activated),
  draft('C3.3.4', 2, 'Endpoints are disabled within the agreed time, by breaker or by hand.', killed),
  draft('C3.3.5', 2, 'What a rollback needs is kept immutable.', () =>
    noEvidence('locks are the store’s: `custody doctor --store` tries to undo one, and a dossier cannot'),
  ),
];

function rolledOut(facts: Facts): Finding {
  const { steps, release, routes } = facts;
  const asked = facts.progress.approved?.request;
  // Steps of other releases' plans are documents of its life as well.
  const own = routes.filter(({ document }) => document.change === 'plan' && document.plan?.request === asked);
  const plan = steps.filter((step) => own.some(({ digest }) => digest === step.document));
  const documents = steps.flatMap(({ document, judged }) =>
    judged === null ? [document] : [document, judged.statement],
  );
  const records = recordsOf(facts, 'route.changed', 'rollout.judged', 'rollout.ended');
  if (release === null || plan.length === 0) return noEvidence('it was never routed');
  const request = asked === undefined ? null : facts.documents.stated('request', asked);
  const agreed = request?.predicate.action.kind === 'deploy' ? request.predicate.action.plan : [];
  const checked =
    'each routing document against the plan that people approved: its weights in their order, each for its time, with the triggers of the policy, and none against what its watch came to';
  const basis = { checked, documents, records };
  const strays = plan.some(({ weight }, at) => weight !== agreed[at]?.weight);
  if (strays) return fails('callers came to it otherwise than the approved plan says', basis);
  if (own.some(({ document }) => document.triggers === null)) return fails('a step had no triggers', basis);
  const isPromoted = routes.some(
    ({ document }) => document.change === 'promote' && document.releases[0]?.release === release,
  );
  if (isPromoted && plan.length < agreed.length)
    return fails(`it was promoted after ${plan.length} of ${agreed.length} steps`, basis);
  const completed = isPromoted ? plan : plan.slice(0, -1);
  const hurried = completed.find(
    ({ at, until, bakeSeconds }) => until !== null && Date.parse(until) - Date.parse(at) < (bakeSeconds ?? 0) * 1000,
  );
  if (hurried !== undefined) return fails(`the step to ${hurried.weight} % was not watched for its time`, basis);
  const against = completed.find(({ judged }) => judged !== null && judged.verdict !== 'pass');
  if (against !== undefined)
    return fails(`it went on from the step to ${against.weight} % against the verdict of its watch`, basis);
  const shares = plan.map(({ weight }) => `${weight} %`).join(' → ');
  const { rollout } = facts.progress;
  const end =
    rollout === undefined
      ? 'under way'
      : rollout.kind === 'rolled back'
        ? `rolled back: ${rollout.reason}`
        : rollout.kind === 'promoted'
          ? 'and promoted'
          : `refused: ${rollout.reason}`;
  const first = plan.length === 1 && agreed.length === 1 ? '; a first release has nobody to share callers with' : '';
  return holds(`${shares}, ${end}${first}`, basis);
}

function rolledBack(facts: Facts): Finding {
  const back = facts.routes.filter(({ document }) => document.change === 'rollback');
  if (back.length === 0) return notConcerned('nothing was rolled back, to it or from it');
  const logged = recordsOf(facts, 'route.changed').filter(({ record }) =>
    back.some(({ digest }) => digest === record.after),
  );
  const basis = {
    checked: 'that one signed document took its place, which names whole releases and nothing smaller; and the log',
    documents: back.map(({ digest }) => digest),
    records: logged,
  };
  if (logged.length < back.length) return fails('a document that rolls back is not in the log', basis);
  return holds(logged.map(({ record }) => record.reason).join('; '), basis);
}

function activated(facts: Facts): Finding {
  const found = signed(facts);
  if (found.state !== 'holds') return found;
  return facts.routes.length === 0
    ? noEvidence('it was never activated')
    : alsoBy(loadable(facts), found.documents, []);
}

/** Kills while it was routed, each by a signed order, and none of them late. */
export function killed(facts: Facts): Finding {
  const kills = recordsOf(facts, 'endpoint.killed');
  const late = recordsOf(facts, 'kill.late');
  const restored = recordsOf(facts, 'endpoint.restored');
  if (kills.length === 0) return notConcerned('nobody has killed its endpoint while it was routed');
  const documents = kills.flatMap(({ record }) => facts.documents.among(record.after, record.actor.statement));
  const limit = facts.policies.newest.emergency.killResponseSeconds;
  const basis = {
    checked: `the signature of each order, that it was taken in time, and that no gateway needed more than ${limit} s by the log`,
    documents,
    records: [...kills, ...late, ...restored],
  };
  const unsigned = kills.find(({ record }) => facts.documents.stated('kill', record.after ?? '') === null);
  if (unsigned !== undefined) return fails('a kill in the log has no order that verifies', basis);
  const expired = kills.find(({ record }) => {
    const order = facts.documents.stated('kill', record.after ?? '');
    return order !== null && outsideValidity(order.predicate, order.predicate.issuedAt) !== null;
  });
  if (expired !== undefined) return fails('an order had expired when it was made', basis);
  if (late.length > 0) return fails(late.map(({ record }) => record.reason).join('; '), basis);
  return holds(kills.map(({ record }) => `${record.actor.id}: ${record.reason}`).join('; '), basis);
}

/** Both the quorum's approvals: each names the request, and has been used for it alone. */
export function boundApprovals(facts: Facts): Finding {
  const found = byLines(facts, ['request', 'approval', 'quorum']);
  const { approved } = facts.progress;
  if (found.state !== 'holds' || approved === undefined) return found;
  const checked = `${found.checked}; that each nonce was used for this decision and no other`;
  const basis = { checked, documents: found.documents };
  for (const digest of approved.approvals) {
    const nonce = facts.documents.stated('approval', digest)?.predicate.nonce ?? '';
    const used = facts.nonces.get(nonce) ?? null;
    if (used === null || used.statement !== digest || used.request !== approved.request)
      return fails(`nothing shows that the nonce of ${digest.slice(0, 12)} was used for it`, basis);
  }
  return { ...found, checked, says: `${found.says}; each nonce is used up by it` };
}
