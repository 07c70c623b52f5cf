import type { Compression } from './parent.js';
import { likeness, type ReleaseFacts, type TensorFacts } from './release-facts.js';

/** That a release is a smaller form of another one, whatever its producer says of it. */
export interface Evidence {
  readonly how: Compression;
  readonly says: string;
  /** Its tensors were found alike, rather than too odd to be compared. */
  readonly isMeasured: boolean;
}

/** How many bits an element has, of the types that weights are kept in. */
const BITS: Readonly<Record<string, number>> = {
  ...{
    C64: 64,
    F64: 64,
    F32: 32,
    F16: 16,
    BF16: 16,
    F8_E5M2: 8,
    F8_E4M3: 8,
    F8_E5M2FNUZ: 8,
    F8_E4M3FNUZ: 8,
    F8_E8M0: 8,
  },
  ...{ F6_E2M3: 6, F6_E3M2: 6, F4: 4 },
  ...{ I64: 64, U64: 64, I32: 32, U32: 32, I16: 16, U16: 16, I8: 8, U8: 8, BOOL: 8 },
};
/** Weights of which fewer are left than are gone. */
const MOSTLY = 0.5;
/** Below it, weights of one name and shape were trained anew. Independent ones are alike by 0 ± 1/8. */
const ALIKE = 0.6;
/** Of weights under another name, of which there are many to choose from. */
const SAME = 0.9;
const COMPARED_PLACES = 16;
/** Enough for two thousand tensors of one shape, and no more work than hostile ones may make. */
const MAX_COMPARED = 2_000_000;
/** What is not a table of weights, such as a bias or a norm, is often kept as it was. */
const TABLE = 2;

/** Tables that quantisers leave beside the weights, and settings that they leave in the configuration. */
const QUANTISED_NAME = /(?:^|[._])(?:qweight|qzeros|weight_scale|weight_zero_point|weight_packed|scales|absmax)$/;
const QUANTISED_SETTING = /^(?:quantization_config|quantization|compression_config|quant_method)(?:\.|$)/;

/** What a release shows by itself: names and settings that only compressed models have; `null` where it shows nothing. */
export function compressedByItself(facts: ReleaseFacts): Evidence | null {
  for (const { name } of tensorsOf(facts))
    if (QUANTISED_NAME.test(name))
      return { how: 'quantised', says: `its tensor ${name} is one of quantised weights`, isMeasured: false };
  for (const { files } of facts.components)
    for (const { path, content } of files) {
      const setting = content.kind === 'config' ? Object.keys(content.values).find(isQuantised) : undefined;
      if (setting !== undefined) return { how: 'quantised', says: `${path} sets ${setting}`, isMeasured: false };
    }
  return null;
}

function isQuantised(setting: string): boolean {
  return QUANTISED_SETTING.test(setting);
}

/**
 * Whether one release is another one in fewer bits, or with most weights gone: the same tables by name and shape, still
 * alike, most of their elements narrower or mostly zero. `null` where it is not.
 */
export function compressedFrom(facts: ReleaseFacts, other: ReleaseFacts): Evidence | null {
  const find = finderIn(tensorsOf(other));
  let [all, narrower, sparser, measured] = [0, 0, 0, 0];
  for (const tensor of tensorsOf(facts)) {
    if (tensor.shape.length < TABLE) continue;
    const size = elements(tensor);
    all += size;
    const was = find(tensor);
    if (was === null) continue;
    const alike = likeness(was.measure, tensor.measure);
    if (alike !== null && alike < ALIKE) continue;
    if (alike !== null) measured += size;
    if ((BITS[tensor.dtype] ?? 0) < (BITS[was.dtype] ?? 0)) narrower += size;
    if (zeroShare(tensor) > MOSTLY && zeroShare(was) <= MOSTLY) sparser += size;
  }
  const of = `${other.model} ${other.version}`;
  const share = (part: number): string => `${Math.round((100 * part) / all)} % of its weights`;
  const isMeasured = measured > all * MOSTLY;
  if (narrower > all * MOSTLY)
    return { how: 'quantised', says: `${share(narrower)} are those of ${of} in fewer bits`, isMeasured };
  if (sparser > all * MOSTLY)
    return {
      how: 'pruned',
      says: `${share(sparser)} are in tensors of ${of} of which most elements are now zero`,
      isMeasured,
    };
  return null;
}

interface Known {
  readonly tensor: TensorFacts;
  readonly direction: Float64Array | null;
}

/** The tensor of the other release that one is: by its name or, where it was renamed, by what is in it. */
function finderIn(tensors: readonly TensorFacts[]): (tensor: TensorFacts) => TensorFacts | null {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const byShape = new Map<string, Known[]>();
  for (const tensor of tensors) {
    const shape = String(tensor.shape);
    const alike = byShape.get(shape) ?? [];
    alike.push({ tensor, direction: directionOf(tensor) });
    byShape.set(shape, alike);
  }
  let left = MAX_COMPARED;
  return (tensor) => {
    const shape = String(tensor.shape);
    const was = byName.get(tensor.name);
    const named = was !== undefined && String(was.shape) === shape ? was : null;
    if (named !== null && (likeness(named.measure, tensor.measure) ?? 1) >= ALIKE) return named;
    const own = directionOf(tensor);
    if (own === null) return named;
    for (const { tensor: other, direction } of byShape.get(shape) ?? []) {
      if (left === 0) break;
      left -= 1;
      if (direction !== null && product(own, direction) >= SAME) return other;
    }
    return named;
  };
}

/** A sketch brought to the length of one and to as many places as every sketch has; `null` where it cannot be told. */
function directionOf({ measure }: TensorFacts): Float64Array | null {
  if (measure === null || measure.nonFinite > 0 || measure.sketch.length < COMPARED_PLACES) return null;
  const folded = new Float64Array(COMPARED_PLACES);
  measure.sketch.forEach((value, at) => (folded[at % COMPARED_PLACES] = (folded[at % COMPARED_PLACES] ?? 0) + value));
  const norm = Math.hypot(...folded);
  return norm === 0 ? null : folded.map((value) => value / norm);
}

function product(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let at = 0; at < a.length; at += 1) sum += (a[at] as number) * (b[at] as number);
  return sum;
}

function tensorsOf({ components }: ReleaseFacts): readonly TensorFacts[] {
  return components.flatMap(({ files }) =>
    files.flatMap(({ content }) => (content.kind === 'tensors' ? content.tensors : [])),
  );
}

function elements({ shape }: TensorFacts): number {
  return shape.reduce((product, size) => product * size, 1);
}

function zeroShare(tensor: TensorFacts): number {
  return (tensor.measure?.zeros ?? 0) / Math.max(1, elements(tensor));
}
