import type { Criticality, Declared } from './consumers.js';
import type { DependentRelease } from './ending-predicates.js';
import { dependentsOf, modelKey, releaseKey, type InventoryFacts, type InventoryGraph } from './inventory.js';
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
  for (const node of dependentsOf(graph, [modelKey(name.model), releaseKey(name)])) {
    if ((node.kind !== 'consumer' && node.kind !== 'caller') || node.id === '') continue;
    const said = node.kind === 'consumer' ? declared.get(node.id) : undefined;
    // Who is declared is told as declared: nobody takes its place by calling under its name.
    if (said === undefined && found.has(node.id)) continue;
    const { contact = node.id, owner = null, criticality = null } = said ?? {};
    found.set(node.id, { id: node.id, contact, owner, criticality });
  }
  return [...found.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** A release with the digests of its files. */
export interface Held extends ReleaseName {
  readonly files: readonly string[];
}

/** Releases that were made from this one, also through others, and those that have files in common with it. */
export function releasesOn(
  {
    graph,
    served,
    living,
  }: Pick<InventoryFacts, 'served'> & { readonly graph: InventoryGraph; readonly living: readonly Held[] },
  { files, ...name }: Held,
): readonly DependentRelease[] {
  const isOther = (each: ReleaseName): boolean => each.model !== name.model || each.version !== name.version;
  const serves = (each: ReleaseName): boolean => served.some((route) => sameName(route, each));
  const made = dependentsOf(graph, [releaseKey(name)]).flatMap((node) => (node.kind === 'release' ? [node] : []));
  const own = new Set(files);
  const sharing = living.filter((each) => isOther(each) && each.files.some((sha256) => own.has(sha256)));
  return [
    ...made.filter(isOther).map((each) => ({ each, how: 'is made from it' as const })),
    ...sharing.map((each) => ({ each, how: 'shares files with it' as const })),
  ].map(({ each: { model, version }, how }) => ({ model, version, how, serves: serves({ model, version }) }));
}

/** Models whose own endpoints call this one, also through others. */
export function endpointsOn(graph: InventoryGraph, { model }: ReleaseName): readonly string[] {
  const found = dependentsOf(graph, [modelKey(model)]);
  return found.flatMap((node) => (node.kind === 'model' ? [node.model] : [])).sort();
}

/** Releases of other models that serve and were made from it, but for those that the request names. */
export function standInTheWay(
  releases: readonly DependentRelease[],
  { model }: ReleaseName,
  despite: readonly string[],
): readonly string[] {
  return releases
    .filter((each) => each.how === 'is made from it' && each.serves && each.model !== model)
    .map((each) => `${each.model}@${each.version}`)
    .filter((each) => !despite.includes(each));
}

const sameName = (a: ReleaseName, b: ReleaseName): boolean => a.model === b.model && a.version === b.version;
