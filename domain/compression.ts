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
  ...{ F64: 64, F32: 32, F16: 16, BF16: 16, F8_E5M2: 8, F8_E4M3: 8 },
  ...{ I64: 64, U64: 64, I32: 32, U32: 32, I16: 16, U16: 16, I8: 8, U8: 8, BOOL: 8 },
};
/** Weights of which fewer are left than are gone. */
const MOSTLY = 0.5;
/** Below it, weights of one name and shape were trained anew. Independent ones are alike by 0 ± 1/8. */
const ALIKE = 0.6;
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
  const before = new Map(tensorsOf(other).map((tensor) => [tensor.name, tensor]));
  let [all, narrower, sparser, measured] = [0, 0, 0, 0];
  for (const tensor of tensorsOf(facts)) {
    if (tensor.shape.length < TABLE) continue;
    const size = elements(tensor);
    all += size;
    const was = before.get(tensor.name);
    if (was === undefined || String(was.shape) !== String(tensor.shape)) continue;
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
