import { drillRestores } from './authorise-drill.js';
import type { RouteCase } from './authorise-route.js';
import {
  denied,
  personAsks,
  policyInForce,
  quorumReached,
  signedInRole,
  type Permission,
  type Rules,
} from './authorise.js';
import { returned } from './drill.js';
import { matches } from './intent.js';
import { endpointId } from './names.js';

/** Whether a document lifts what its request names and nothing besides: with a quorum, or in a drill of what that has stopped. */
export function restoreFollows(route: RouteCase, rules: Rules): Permission {
  const { current, next, request, approvals } = route;
  const document = next.predicate;
  if (current === null) return denied('POLICY_REFUSED', 'there is nothing to restore');
  const inForce = policyInForce(rules);
  if (!inForce.allowed) return inForce;
  if (request === null || document.restore !== request.digest)
    return denied('NOT_AUTHORISED', 'the document does not come with the request to restore');
  const asked = request.predicate;
  const isDrill = signedInRole(rules, request, 'drill');
  const admissible = isDrill
    ? drillRestores(request, route.kills, route.isNewest ? rules : { ...rules, now: document.issuedAt })
    : personAsks(rules, request, 'restore', endpointId(document.model));
  if (!admissible.allowed) return admissible;
  if (asked.model !== document.model) return denied('REPLAYED', `the request is to restore ${asked.model}`);
  if (asked.action.kind !== 'restore' || asked.action.revision !== current.document.revision)
    return denied('REPLAYED', 'the request was made for another revision');

  if (document.policy !== asked.policy)
    return denied('POLICY_REFUSED', 'the document names another policy than its request');

  const before = new Map(current.document.lifted.map(({ order, until }) => [order, until]));
  if (new Set(document.lifted.map(({ order }) => order)).size !== document.lifted.length)
    return denied('POLICY_REFUSED', 'the document lifts an order twice');
  const { kills } = asked.action;
  for (const { order, until } of document.lifted) {
    if (kills.includes(order)) continue;
    if (before.get(order) !== until)
      return denied('NOT_AUTHORISED', 'the document lifts an order nobody asked to lift');
  }
  if (!kills.every((order) => document.lifted.some((lifted) => lifted.order === order)))
    return denied('POLICY_REFUSED', 'the document does not lift what was asked for');
  const dropped = [...before].find(
    ([order, until]) => until > rules.now && !document.lifted.some((lifted) => lifted.order === order),
  );
  if (dropped !== undefined) return denied('POLICY_REFUSED', 'the document forgets an order that was lifted');
  const same = matches(document, {
    change: 'restore',
    releases: isDrill ? returned(current.document) : current.document.releases,
    plan: current.document.plan,
    triggers: current.document.triggers,
    lifted: document.lifted,
    restore: document.restore,
  });
  if (!same.allowed || isDrill) return same;
  return quorumReached(rules, request, approvals, rules.gate.approvals.restore);
}
