import { denied, type Permission } from './permission.js';
import type { RouteIntent, RoutingDocument } from './routing.js';

/** The document must say what the rules say, and no more. Objects here are built in one place, so their text decides. */
export function matches(document: RoutingDocument, intent: RouteIntent): Permission {
  const { change, releases, plan, triggers, lifted, restore, drill } = document;
  const said = JSON.stringify(sorted({ change, releases, plan, triggers, lifted, restore, drill }));
  if (said === JSON.stringify(sorted(intent))) return { allowed: true, approvers: [] };
  return denied('POLICY_REFUSED', `the document is not what a ${change} makes of the one before`);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, member]) => [key, sorted(member)]),
  );
}
