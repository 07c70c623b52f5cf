import type { Digest } from './digest.js';
import type { ComponentKind } from './manifest.js';

/** What a release is, as far as two of them can be compared without having the bytes of both. */
export interface ReleaseFacts {
  readonly schema: 'https://custody.dev/facts/v1';
  readonly model: string;
  readonly version: string;
  readonly components: readonly ComponentFacts[];
  readonly serving: { readonly protocol: string; readonly command: readonly string[] };
}

export interface ComponentFacts {
  readonly name: string;
  readonly kind: ComponentKind;
  readonly version: string;
  readonly files: readonly FileFacts[];
}

export interface FileFacts {
  readonly path: string;
  readonly sha256: Digest;
  readonly content: FileContent;
}

/** What was understood of a file. `rest` is the digest of everything in it that the other members do not say. */
export type FileContent =
  | { readonly kind: 'tensors'; readonly tensors: readonly TensorFacts[]; readonly rest: Digest }
  /** Words in the order of their numbers. */
  | { readonly kind: 'vocabulary'; readonly entries: readonly string[]; readonly rest: Digest }
  /** Leaves of a JSON document by their dotted path, each as canonical JSON or, where that is long, as its digest. */
  | { readonly kind: 'config'; readonly values: Readonly<Record<string, string>> }
  | {
      readonly kind: 'dependencies';
      /** Version by name. */
      readonly packages: Readonly<Record<string, string>>;
      /** Files of the release that the lock names, by digest. */
      readonly files: Readonly<Record<string, string>>;
      readonly rest: Digest;
    }
  /** Not understood, or too large to be: only its bytes count. */
  | { readonly kind: 'opaque' };

export interface TensorFacts {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly sha256: Digest;
  /** `null` for a dtype that is not measured, or numbers beyond what a double holds. */
  readonly measure: TensorMeasure | null;
}

/**
 * What lets the distance of two tensors be estimated when only one of them is at hand: each element is added to one of the
 * places of the sketch, with a sign, both fixed by its position. The difference of two sketches is the sketch of the
 * difference, and its length is on average that of the difference (Charikar, Chen, Farach-Colton: Count-Sketch).
 */
export interface TensorMeasure {
  /** Euclidean. NaN and infinities are left out. */
  readonly norm: number;
  /** A power of two of places: a longer one is brought to the length of a shorter one by folding it. */
  readonly sketch: readonly number[];
  /** Elements that are NaN or infinite. */
  readonly nonFinite: number;
  /** Elements that are zero; older facts do not say. */
  readonly zeros?: number;
}

/** The squared distance of two tensors of one shape, and the squared norm of the first; `null` where it cannot be told. */
export function squaredDistance(
  a: TensorMeasure | null,
  b: TensorMeasure | null,
): { readonly distance: number; readonly norm: number } | null {
  const pair = comparable(a, b);
  if (pair === null || a === null) return null;
  const distance = pair.left.reduce((sum, value, at) => sum + (value - (pair.right[at] ?? 0)) ** 2, 0);
  return { distance, norm: a.norm ** 2 };
}

/**
 * The cosine of two tensors of one shape, estimated by that of their sketches, whatever their lengths: near 1 where one is the
 * other in fewer bits; `null` where it cannot be told.
 */
export function likeness(a: TensorMeasure | null, b: TensorMeasure | null): number | null {
  const pair = comparable(a, b);
  if (pair === null) return null;
  const product = pair.left.reduce((sum, value, at) => sum + value * (pair.right[at] ?? 0), 0);
  const norms = Math.hypot(...pair.left) * Math.hypot(...pair.right);
  return norms === 0 ? null : product / norms;
}

function comparable(
  a: TensorMeasure | null,
  b: TensorMeasure | null,
): { readonly left: readonly number[]; readonly right: readonly number[] } | null {
  if (a === null || b === null || a.nonFinite > 0 || b.nonFinite > 0) return null;
  const places = Math.min(a.sketch.length, b.sketch.length);
  return { left: folded(a.sketch, places), right: folded(b.sketch, places) };
}

function folded(sketch: readonly number[], places: number): readonly number[] {
  const sums = new Array<number>(places).fill(0);
  sketch.forEach((value, at) => (sums[at % places] = (sums[at % places] ?? 0) + value));
  return sums;
}
