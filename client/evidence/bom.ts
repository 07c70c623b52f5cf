import { baseOf } from '../../domain/base.js';
import type { Digest } from '../../domain/digest.js';
import type { Component, ComponentKind, Manifest } from '../../domain/manifest.js';
import { modelsOf } from '../../domain/used-models.js';
import { parentOf } from '../../domain/parent.js';
import { DEPENDENCY_KINDS } from '../../domain/provenance.js';
import type { BuildDependency, ProvenancePredicate } from '../../domain/statements.js';
import { isDigest } from '../../domain/digest.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { sha256 } from '../../formats/sha256.js';
import type { Gathered } from './gather.js';

/**
 * The parts of CycloneDX 1.7 that a bill of materials of a model needs. They are written here, because CycloneDX's own library
 * for JavaScript has neither model cards nor data sets.
 */
interface BomComponent {
  readonly type: 'machine-learning-model' | 'application' | 'data' | 'file';
  readonly 'bom-ref': string;
  readonly name: string;
  readonly version?: string;
  readonly hashes?: readonly { readonly alg: 'SHA-256'; readonly content: Digest }[];
  readonly licenses?: readonly { readonly license: { readonly name: string } }[];
  readonly components?: readonly BomComponent[];
  readonly modelCard?: ModelCard;
  readonly data?: readonly { readonly type: 'dataset' | 'source-code' | 'configuration'; readonly name: string }[];
  readonly properties?: readonly { readonly name: string; readonly value: string }[];
}

interface ModelCard {
  readonly modelParameters?: { readonly datasets: readonly { readonly ref: string }[] };
  readonly quantitativeAnalysis?: {
    readonly performanceMetrics: readonly { readonly type: string; readonly value: string }[];
  };
}

const TYPES: Readonly<Partial<Record<ComponentKind, BomComponent['type']>>> = {
  weights: 'machine-learning-model',
  adapter: 'machine-learning-model',
  guardrail: 'machine-learning-model',
  serving: 'application',
};
const DATA: Readonly<Partial<Record<string, 'dataset' | 'source-code' | 'configuration'>>> = {
  'training-data': 'dataset',
  'training-code': 'source-code',
  hyperparameters: 'configuration',
};

/** What a release consists of and what went into it, as a CycloneDX 1.7 bill of materials, by what is signed of it. */
export function bomBytes({ evidence, exam }: Gathered): Buffer {
  const { model, version, release, madeAt, madeBy, cases } = evidence;
  const manifest = exam.shown.manifest?.manifest ?? null;
  const provenance = exam.shown.provenance?.predicate ?? null;
  const parts = manifest === null ? [] : manifest.components.map((component) => partOf(component, manifest));
  const made = provenance === null ? [] : inputsOf(provenance);
  const sets = made.filter(({ data }) => data?.[0]?.type === 'dataset').map((each) => each['bom-ref']);
  const root = `release:${model}@${version}`;
  const metrics = cases.map(({ id, failure }) => ({
    type: id,
    value: failure === null ? 'passed' : `not passed: ${failure}`,
  }));
  const component: BomComponent = {
    type: 'machine-learning-model',
    'bom-ref': root,
    name: model,
    version,
    ...(release === null ? {} : hashed(release)),
    modelCard: {
      ...(sets.length === 0 ? {} : { modelParameters: { datasets: sets.map((ref) => ({ ref })) } }),
      ...(metrics.length === 0 ? {} : { quantitativeAnalysis: { performanceMetrics: metrics } }),
    },
    ...(release === null ? {} : properties({ 'custody:digest': 'the hash is that of custody.json in the release' })),
  };
  const all = [...parts, ...made];
  return canonicalBytes({
    $schema: 'http://cyclonedx.org/schema/bom-1.7.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.7',
    serialNumber: `urn:uuid:${uuidOf(sha256(canonicalBytes([model, version, release, madeAt, madeBy])))}`,
    version: 1,
    metadata: {
      timestamp: madeAt,
      tools: { components: [{ type: 'application', 'bom-ref': 'tool:custody', name: 'custody' }] },
      component,
    },
    components: all,
    dependencies: [
      { ref: root, dependsOn: all.map((each) => each['bom-ref']) },
      ...all.map((each) => ({ ref: each['bom-ref'], dependsOn: [] })),
    ],
  });
}

function partOf({ name, kind, version, files }: Component, { files: all }: Manifest): BomComponent {
  return {
    type: TYPES[kind] ?? 'file',
    'bom-ref': `component:${name}`,
    name,
    version,
    components: all
      .filter(({ path }) => files.includes(path))
      .map(({ path, size, sha256: digest }) => ({
        ...{ type: 'file' as const, 'bom-ref': `file:${path}`, name: path },
        ...hashed(digest),
        ...properties({ 'custody:size': String(size) }),
      })),
    ...properties({ 'custody:kind': kind }),
  };
}

/** What went into it: data, code and settings of its training, locks, and the releases that it was made from. */
function inputsOf(provenance: ProvenancePredicate): BomComponent[] {
  const inputs = provenance.buildDefinition.resolvedDependencies.map(inputOf);
  const from = [parentOf(provenance), baseOf(provenance), ...modelsOf(provenance)].filter((each) => each !== null);
  const known = new Set(from.map(({ model, version }) => `${model}@${version}`));
  return [
    ...inputs.filter(({ name }) => !known.has(name)),
    ...from.map(({ model, version, release }, at) => ({
      ...{ type: 'machine-learning-model' as const, 'bom-ref': `from:${at}:${model}@${version}`, name: model, version },
      ...hashed(release),
    })),
  ];
}

function inputOf({ name, uri, digest, annotations }: BuildDependency, at: number): BomComponent {
  const shown = name ?? uri ?? 'unnamed';
  const kind = DEPENDENCY_KINDS.find((each) => each === annotations?.['kind']) ?? 'other';
  const sum = digest?.['sha256'] ?? digest?.['dirHash'];
  const type = DATA[kind];
  const licence = annotations?.['license'];
  return {
    ...{
      type: type === undefined ? ('file' as const) : ('data' as const),
      'bom-ref': `input:${at}:${shown}`,
      name: shown,
    },
    ...(sum !== undefined && isDigest(sum) ? hashed(sum) : {}),
    ...(typeof licence === 'string' && licence !== '' ? { licenses: [{ license: { name: licence } }] } : {}),
    ...(type === undefined ? {} : { data: [{ type, name: shown }] }),
    ...properties({
      'custody:kind': kind,
      ...(digest?.['sha256'] === undefined && sum !== undefined ? { 'custody:hash': 'dirHash of a folder' } : {}),
    }),
  };
}

function hashed(content: Digest): Required<Pick<BomComponent, 'hashes'>> {
  return { hashes: [{ alg: 'SHA-256', content }] };
}

function properties(of: Readonly<Record<string, string>>): Required<Pick<BomComponent, 'properties'>> {
  return { properties: Object.entries(of).map(([name, value]) => ({ name, value })) };
}

/** Version 8 of RFC 9562: bits of our own choice. */
function uuidOf(digest: Digest): string {
  const [a, b, c, d, e] = [
    digest.slice(0, 8),
    digest.slice(8, 12),
    digest.slice(13, 16),
    digest.slice(17, 20),
    digest.slice(20, 32),
  ];
  return `${a}-${b}-8${c}-8${d}-${e}`;
}
