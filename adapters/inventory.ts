import type { Held } from '../domain/dependents.js';
import { leadsNowhere } from '../domain/errors.js';
import type { CallersReport, GatewayState } from '../domain/gateway.js';
import { inventoryGraph, mergeSeen, type InventoryFacts, type InventoryGraph } from '../domain/inventory.js';
import type { Ingested } from '../domain/lifecycle.js';
import { isNameOf } from '../domain/lineage.js';
import { isModelName, isVersion, type ReleaseName } from '../domain/names.js';
import { parentOf } from '../domain/parent.js';
import type { ProvenancePredicate } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { namesBase } from '../formats/lineage.js';
import { parseManifest } from '../formats/manifest.js';
import type { StoredConsumers } from './consumers.js';
import type { Records } from './records.js';
import { statedFacts } from './release-facts.js';

/** What one gateway says of what it serves, and to whom. */
export interface GatewayView {
  readonly state: GatewayState;
  readonly callers: CallersReport;
}

export interface Inventory extends InventoryFacts {
  readonly graph: InventoryGraph;
  /** Releases that have not ended, with their files. */
  readonly living: readonly Held[];
}

/** Who needs whom in this environment, by what is signed and by what gateways see. */
export async function gatherInventory(
  records: Records,
  consumers: StoredConsumers,
  gateways: readonly GatewayView[],
): Promise<Inventory> {
  const registry = await consumers.registry();
  const living = await livingReleases(records);
  const facts: InventoryFacts = {
    consumers: registry.all(),
    seen: mergeSeen(gateways.map(({ callers }) => callers)),
    served: gateways.flatMap(({ state }) =>
      state.models.flatMap(({ model, serving }) => serving.map(({ version }) => ({ model, version }))),
    ),
    releases: living.map(({ name }) => name),
    origins: originsOf(living),
  };
  const held = living.map(({ name, files }) => ({ ...name, files }));
  return { ...facts, graph: inventoryGraph(facts), living: held };
}

interface Living {
  readonly name: ReleaseName;
  readonly release: string;
  readonly provenance: ProvenancePredicate;
  readonly files: readonly string[];
  /** Digests of its weights and adapters. */
  readonly weights: readonly string[];
  /** Names of models in its configuration, as what it is based on. */
  readonly bases: readonly string[];
}

/** Every version of every model that was ever claimed for a release. */
export async function releaseNames(records: Records): Promise<readonly ReleaseName[]> {
  const names: ReleaseName[] = [];
  for await (const key of records.bucket.list('versions/')) {
    const [, model = '', version = ''] = key.split('/');
    if (isModelName(model) && isVersion(version)) names.push({ model, version });
  }
  return names;
}

/** Every release that was taken in and has not ended. */
async function livingReleases(records: Records): Promise<readonly Living[]> {
  const found: Living[] = [];
  for (const name of await releaseNames(records)) {
    try {
      const [ingested, outcome] = await Promise.all([
        records.record(storeKeys.record(name, 'ingested')) as Promise<Ingested | null>,
        records.record(storeKeys.record(name, 'outcome')),
      ]);
      if (ingested !== null && outcome === null) found.push(await readLiving(records, name, ingested));
    } catch (error) {
      // Records are references that anyone who may write can make: what they do not lead to is no release.
      if (!leadsNowhere(error)) throw error;
    }
  }
  return found;
}

async function readLiving(records: Records, name: ReleaseName, ingested: Ingested): Promise<Living> {
  const [provenance, text, { facts }] = await Promise.all([
    records.get('provenance', ingested.provenance),
    records.getBytes(ingested.release, storeKeys.manifest),
    statedFacts(records, name, ingested),
  ]);
  const { components, files } = parseManifest(text);
  const parts = components.filter(({ kind }) => kind === 'weights' || kind === 'adapter').flatMap((part) => part.files);
  const settings = facts.components
    .flatMap((component) => component.files)
    .flatMap(({ content }) => (content.kind === 'config' ? Object.entries(content.values) : []));
  return {
    name,
    release: ingested.release,
    provenance: provenance.verified.predicate,
    files: files.map(({ sha256 }) => sha256),
    weights: files.filter(({ path }) => parts.includes(path)).map(({ sha256 }) => sha256),
    bases: settings.flatMap(([setting, value]) =>
      namesBase(setting.split('.').at(-1) ?? '') ? [unquoted(value)] : [],
    ),
  };
}

/** A leaf of a document is kept as canonical JSON: of a text, with its quotes. */
function unquoted(value: string): string {
  return value.replace(/^"(.*)"$/s, '$1');
}

/**
 * What each release was made from: the parent that its producer declares, whatever other release or weights of one its build
 * took in, and the models that its own configuration names as its base.
 */
function originsOf(living: readonly Living[]): InventoryFacts['origins'] {
  const byDigest = new Map<string, ReleaseName[]>();
  for (const { name, release, weights } of living)
    for (const digest of new Set([release, ...weights])) byDigest.set(digest, [...(byDigest.get(digest) ?? []), name]);
  const models = [...new Set(living.map(({ name }) => name.model))];
  return living.flatMap(({ name: child, provenance, bases }) => {
    const parent = parentOf(provenance);
    const taken = provenance.buildDefinition.resolvedDependencies.flatMap(
      ({ digest }) => byDigest.get(digest?.['sha256'] ?? '') ?? [],
    );
    const named = models.filter((model) => model !== child.model && bases.some((base) => isNameOf(base, { model })));
    const isOther = ({ model, version }: ReleaseName): boolean => model !== child.model || version !== child.version;
    return [
      ...(parent === null ? [] : [{ model: parent.model, version: parent.version }]),
      ...taken.filter(isOther),
      ...named.map((model) => ({ model })),
    ].map((origin) => ({ child, origin }));
  });
}
