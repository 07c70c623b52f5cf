import {
  squaredDistance,
  type ComponentFacts,
  type FileFacts,
  type ReleaseFacts,
  type TensorFacts,
} from './release-facts.js';
import {
  leastBump,
  demandOf,
  type ChangePredicate,
  type ReleaseChange,
  type Rule,
  type Versioning,
} from './versioning.js';

type Found = Omit<ReleaseChange, 'demands'>;
type Place = Pick<Found, 'component' | 'file'>;

/** What is compared of a release: names, versions and changes, with what the criteria make of them. */
export type Difference = Pick<ChangePredicate, 'components' | 'changes' | 'leastBump'>;

/** More changes than these are counted, kind by kind, so that a statement stays small however much has changed. */
const MAX_LISTED = 200;
const MAX_TEXT = 100;

/**
 * What changed from one release to another, part by part, and the least bump that the criteria demand for it. A file whose
 * bytes differ always makes a change: what is not understood is `other`.
 */
export function diffReleases(from: ReleaseFacts, to: ReleaseFacts, criteria: Versioning): Difference {
  const before = new Map(from.components.map((component) => [component.name, component]));
  const after = new Map(to.components.map((component) => [component.name, component]));
  const names = [...new Set([...before.keys(), ...after.keys()])].sort();
  const found = [
    ...servingChanges(from.serving, to.serving),
    ...names.flatMap((name) => componentChanges(name, before.get(name), after.get(name))),
  ];
  const changes = bounded(found).map((change) => ({ ...change, demands: demandOf(change, criteria) }));
  return {
    components: names.map((name) => ({
      name,
      from: before.get(name)?.version ?? null,
      to: after.get(name)?.version ?? null,
    })),
    changes,
    leastBump: leastBump(changes, criteria),
  };
}

function change(
  place: Place,
  what: Rule,
  path: string | null,
  from: string | null = null,
  to: string | null = null,
): Found {
  return { ...place, what, path: clip(path), from: clip(from), to: clip(to), measure: null, more: 0 };
}

/** Never half a character: a surrogate alone is no text. */
function clip<T extends string | null>(text: T): T {
  if (text === null || text.length <= MAX_TEXT) return text;
  return `${text.slice(0, MAX_TEXT - 1).replace(/[\ud800-\udbff]$/, '')}…` as T;
}

function servingChanges(from: ReleaseFacts['serving'], to: ReleaseFacts['serving']): Found[] {
  const place = { component: null, file: null };
  const compared = [
    ['protocol', from.protocol, to.protocol],
    ['command', JSON.stringify(from.command), JSON.stringify(to.command)],
  ] as const;
  return compared.filter(([, a, b]) => a !== b).map(([path, a, b]) => change(place, 'serving', path, a, b));
}

function componentChanges(name: string, from?: ComponentFacts, to?: ComponentFacts): Found[] {
  const place = { component: name, file: null };
  if (from === undefined || to === undefined)
    return [change(place, from === undefined ? 'components.added' : 'components.removed', null)];
  // What a component is called decides which criteria it falls under: called otherwise, it is another one.
  if (from.kind !== to.kind)
    return [
      change(place, 'components.removed', 'kind', from.kind),
      change(place, 'components.added', 'kind', null, to.kind),
    ];
  const before = new Map(from.files.map((file) => [file.path, file]));
  const after = new Map(to.files.map((file) => [file.path, file]));
  const paths = [...new Set([...before.keys(), ...after.keys()])].sort();
  const changed = paths.filter((path) => before.get(path)?.sha256 !== after.get(path)?.sha256);
  return [
    // Tensors may move from one file of a component to another.
    ...tensorChanges(name, from.files, to.files),
    ...changed.flatMap((path) => fileChanges(to, path, before.get(path), after.get(path))),
  ];
}

function fileChanges({ name, kind }: ComponentFacts, path: string, from?: FileFacts, to?: FileFacts): Found[] {
  const place = { component: name, file: clip(path) };
  const whole = (what: Rule): Found => change(place, what, null, digestOf(from), digestOf(to));
  const [a, b] = [from?.content, to?.content];
  const either = a ?? b;
  if (either === undefined) return [];
  if (a !== undefined && b !== undefined && a.kind !== b.kind) return [whole('other')];
  switch (either.kind) {
    case 'tensors':
      return a?.kind === 'tensors' && b?.kind === 'tensors' && a.rest !== b.rest ? [whole('other')] : [];
    case 'vocabulary': {
      const words = vocabularyChanges(
        place,
        a?.kind === 'vocabulary' ? a.entries : [],
        b?.kind === 'vocabulary' ? b.entries : [],
      );
      const same = a?.kind === 'vocabulary' && b?.kind === 'vocabulary' && a.rest === b.rest;
      return same && words.length > 0 ? words : [...words, whole('other')];
    }
    case 'config': {
      const keys = recordChanges(
        place,
        a?.kind === 'config' ? a.values : {},
        b?.kind === 'config' ? b.values : {},
        () => 'config',
      );
      return keys.length > 0 ? keys : [whole('config')];
    }
    case 'dependencies': {
      const of = (content: typeof a) =>
        content?.kind === 'dependencies' ? content : { packages: {}, files: {}, rest: null };
      const [was, is] = [of(a), of(b)];
      const found = [
        ...recordChanges(place, was.packages, is.packages, dependencyRule),
        ...recordChanges(place, was.files, is.files, () => 'serving'),
      ];
      return was.rest === is.rest && found.length > 0 ? found : [...found, whole('other')];
    }
    case 'opaque':
      return [whole(OPAQUE[kind] ?? 'other')];
  }
}

/** What is text to whoever reads it, and judged as a whole. */
const OPAQUE: Partial<Record<ComponentFacts['kind'], Rule>> = {
  prompt: 'prompts',
  guardrail: 'guardrails',
  serving: 'serving',
  documentation: 'documentation',
};

function digestOf(file: FileFacts | undefined): string | null {
  return file === undefined ? null : `sha256:${file.sha256.slice(0, 12)}`;
}

function tensorChanges(component: string, from: readonly FileFacts[], to: readonly FileFacts[]): Found[] {
  const [before, after] = [tensorsOf(from), tensorsOf(to)];
  const found: Found[] = [];
  for (const [name, { file, tensor }] of before)
    if (!after.has(name)) found.push(change({ component, file }, 'tensors.removed', name, form(tensor)));
  for (const [name, { file, tensor }] of after) {
    const was = before.get(name)?.tensor;
    const place = { component, file };
    if (was === undefined) found.push(change(place, 'tensors.added', name, null, form(tensor)));
    else if (was.dtype !== tensor.dtype || String(was.shape) !== String(tensor.shape)) {
      const what = String(was.shape) === String(tensor.shape) ? 'tensors.dtype' : 'tensors.shape';
      found.push({ ...change(place, what, name, form(was), form(tensor)), measure: relativeChange([[was, tensor]]) });
      if (was.dtype !== tensor.dtype && what === 'tensors.shape')
        found.push(change(place, 'tensors.dtype', name, was.dtype, tensor.dtype));
    } else if (was.sha256 !== tensor.sha256)
      found.push({
        ...change(place, 'weights', name, numbers(was), numbers(tensor)),
        measure: relativeChange([[was, tensor]]),
      });
  }
  return found;
}

function tensorsOf(files: readonly FileFacts[]): Map<string, { file: string; tensor: TensorFacts }> {
  const tensors = new Map<string, { file: string; tensor: TensorFacts }>();
  for (const { path, content } of files)
    if (content.kind === 'tensors')
      for (const tensor of content.tensors) {
        // Two files may each have a tensor of a name.
        const name = tensors.has(tensor.name) ? `${path}:${tensor.name}` : tensor.name;
        tensors.set(name, { file: clip(path), tensor });
      }
  return tensors;
}

function form({ dtype, shape }: TensorFacts): string {
  return `${dtype}[${shape.join(',')}]`;
}

function numbers({ measure }: TensorFacts): string | null {
  if (measure === null) return null;
  const not = measure.nonFinite === 0 ? '' : `, ${measure.nonFinite} NaN or infinite`;
  return `norm ${Number(measure.norm.toPrecision(4))}${not}`;
}

/** ||A-B|| / ||A|| over pairs of tensors, estimated, to three digits; `null` where one of them cannot be measured. */
export function relativeChange(pairs: readonly (readonly [TensorFacts, TensorFacts])[]): number | null {
  let distance = 0;
  let norm = 0;
  for (const [was, is] of pairs) {
    const squared = String(was.shape) === String(is.shape) ? squaredDistance(was.measure, is.measure) : null;
    if (squared === null) return null;
    distance += squared.distance;
    norm += squared.norm;
  }
  const ratio = Math.sqrt(distance / norm);
  return Number.isFinite(ratio) ? Number(ratio.toPrecision(3)) : null;
}

/** Which words came and went, and whether those that stayed still stand in the same order, each with its number. */
function vocabularyChanges(place: Place, from: readonly string[], to: readonly string[]): Found[] {
  const [before, after] = [new Map(from.map((word, at) => [word, at])), new Map(to.map((word, at) => [word, at]))];
  const removed = [...before].filter(([word]) => !after.has(word));
  const added = [...after].filter(([word]) => !before.has(word));
  const moved = [...before].filter(([word, at]) => after.has(word) && after.get(word) !== at);
  const number = (at: number | undefined): string => `number ${at ?? ''}`;
  return [
    ...removed.map(([word, at]) => change(place, 'vocabulary.removed', JSON.stringify(word), number(at))),
    ...added.map(([word, at]) => change(place, 'vocabulary.added', JSON.stringify(word), null, number(at))),
    ...moved.map(([word, at]) =>
      change(place, 'vocabulary.reordered', JSON.stringify(word), number(at), number(after.get(word))),
    ),
  ];
}

function recordChanges(
  place: Place,
  from: Readonly<Record<string, string>>,
  to: Readonly<Record<string, string>>,
  rule: (from: string | null, to: string | null) => Rule,
): Found[] {
  const at = (record: Readonly<Record<string, string>>, key: string): string | null =>
    Object.hasOwn(record, key) ? (record[key] ?? null) : null;
  return [...new Set([...Object.keys(from), ...Object.keys(to)])]
    .sort()
    .map((key) => ({ key, was: at(from, key), is: at(to, key) }))
    .filter(({ was, is }) => was !== is)
    .map(({ key, was, is }) => change(place, rule(was, is), key, was, is));
}

const NUMBERS = /^[v=]?(\d+)(?:\.(\d+))?(?:\.(\d+))?/;

/** The highest place in which two versions of a package differ, in either direction; the highest of all where that cannot be told. */
function dependencyRule(from: string | null, to: string | null): Rule {
  if (from === null) return 'dependencies.added';
  if (to === null) return 'dependencies.removed';
  // The same version with other contents is what a version is there to prevent.
  if (from.split(' ')[0] === to.split(' ')[0]) return 'dependencies.major';
  const [was, is] = [NUMBERS.exec(from), NUMBERS.exec(to)];
  if (was === null || is === null || was[1] !== is[1]) return 'dependencies.major';
  return (was[2] ?? '0') === (is[2] ?? '0') ? 'dependencies.patch' : 'dependencies.minor';
}

/** All of them, where they are not too many; else the first of each kind in each place, and how many more there are. */
function bounded(changes: readonly Found[]): readonly Found[] {
  if (changes.length <= MAX_LISTED) return changes;
  const groups = new Map<string, Found[]>();
  for (const each of changes) {
    const key = JSON.stringify([each.component, each.what]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [each]);
    else group.push(each);
  }
  const share = Math.max(1, Math.floor(MAX_LISTED / groups.size) - 1);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    const more = group.length - share;
    if (first === undefined || more <= 0) return group;
    const rest: Found = { ...first, file: null, path: null, from: null, to: null, measure: null, more };
    return [...group.slice(0, share), rest];
  });
}
