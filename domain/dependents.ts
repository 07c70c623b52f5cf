import type { Criticality, Declared } from './consumers.js';
import { dependentsOf, modelKey, releaseKey, type InventoryGraph } from './inventory.js';
import type { ReleaseName } from './names.js';

/** Somebody who needs a release, and how to reach it. */
export interface Dependent {
  readonly id: string;
  /** The entry of the directory by which it is written to. */
  readonly contact: string;
  /** `null`: it was only seen calling. */
  readonly owner: string | null;
  readonly criticality: Criticality | null;
}

/**
 * Everybody who needs the release or its endpoint, also through other models, by id: those who are declared, by the entry of
 * the directory that they name, and those whom gateways have seen calling by a name.
 */
export function dependentsOfRelease(
  { graph, consumers }: { readonly graph: InventoryGraph; readonly consumers: readonly Declared[] },
  name: ReleaseName,
): readonly Dependent[] {
  const declared = new Map(consumers.map(({ predicate }) => [predicate.consumer, predicate] as const));
  const found = new Map<string, Dependent>();
  for (const { node } of dependentsOf(graph, [modelKey(name.model), releaseKey(name)])) {
    if ((node.kind !== 'consumer' && node.kind !== 'caller') || node.id === '') continue;
    const said = node.kind === 'consumer' ? declared.get(node.id) : undefined;
    // Who is declared is told as declared: nobody takes its place by calling under its name.
    if (said === undefined && found.has(node.id)) continue;
    const { contact = node.id, owner = null, criticality = null } = said ?? {};
    found.set(node.id, { id: node.id, contact, owner, criticality });
  }
  return [...found.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}
