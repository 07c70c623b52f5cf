import { CustodyError } from '../domain/errors.js';
import { parseJson, quote } from './json.js';

/** Bits of one element. */
const DTYPE_BITS = {
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  BOOL: 8,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

export type Dtype = keyof typeof DTYPE_BITS;

export interface TensorInfo {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** First byte and the one after the last, counted from the end of the header. */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  /** In the order of their bytes, which they cover without a hole. */
  readonly tensors: readonly TensorInfo[];
  readonly metadata: Readonly<Record<string, string>>;
}

export interface Tensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Little-endian, row-major. */
  readonly data: Uint8Array;
}

const LENGTH_BYTES = 8;
const ALIGNMENT = 8;
const MAX_HEADER_BYTES = 100_000_000;
/** About 400 000 tensors. */
const MAX_HEADER_VALUES = 4_000_000;
const METADATA = '__metadata__';
const MEMBERS = ['dtype', 'shape', 'data_offsets'];

/**
 * The length of the header in bytes, from the first 8 bytes of a file of `fileSize` bytes. MALFORMED when it exceeds
 * 100 MB or the file, so that nothing has to be read or allocated to find out.
 */
export function headerLength(first8: Uint8Array, fileSize: number): number {
  if (first8.length < LENGTH_BYTES || fileSize < LENGTH_BYTES)
    throw malformed(`${fileSize} bytes are too few for a header`);
  const length = Buffer.from(first8.buffer, first8.byteOffset, LENGTH_BYTES).readBigUInt64LE();
  if (length > BigInt(MAX_HEADER_BYTES))
    throw malformed(`its header claims ${length} bytes, at most ${MAX_HEADER_BYTES} are read`);
  if (length > BigInt(fileSize - LENGTH_BYTES)) {
    throw malformed(`its header claims ${length} bytes, but the file has ${fileSize} in all`);
  }
  return Number(length);
}

/**
 * Reads the header of a file of `fileSize` bytes from its beginning; `prefix` holds at least the 8 bytes of length and the
 * header. MALFORMED unless the tensors cover every byte after the header exactly once, in the sizes that dtype and shape
 * demand: nothing else can hide in the file. https://github.com/huggingface/safetensors#format
 */
export function readSafetensorsHeader(prefix: Uint8Array, fileSize: number): SafetensorsHeader {
  const dataStart = LENGTH_BYTES + headerLength(prefix, fileSize);
  if (prefix.length < dataStart)
    throw malformed(`its header ends at byte ${dataStart}, but only ${prefix.length} were read`);
  const { [METADATA]: described = {}, ...entries } = parseHeader(prefix.subarray(LENGTH_BYTES, dataStart));
  const metadata = readMetadata(described);
  const tensors = Object.entries(entries).map(([name, entry]) => readInfo(name, entry));
  tensors.sort((a, b) => a.begin - b.begin || a.end - b.end);
  assertCovers(tensors, fileSize - dataStart);
  return { tensors, metadata };
}

/**
 * Writes a small model, its header padded to 8 bytes, wide dtypes first and then by name, so that equal tensors make equal
 * files. MALFORMED: two tensors of one name, or data that is not as long as dtype and shape demand.
 */
export function writeSafetensors(tensors: readonly Tensor[], metadata: Readonly<Record<string, string>> = {}): Buffer {
  const sorted = [...tensors].sort(
    (a, b) => DTYPE_BITS[b.dtype] - DTYPE_BITS[a.dtype] || Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)),
  );
  let end = 0;
  const members = sorted.map(({ name, dtype, shape, data }) => {
    const begin = end;
    end += data.length;
    return member(name, { dtype, shape, data_offsets: [begin, end] });
  });
  if (Object.keys(metadata).length > 0) members.unshift(member(METADATA, metadata));
  const json = Buffer.from(`{${members.join(',')}}`);
  const header = Buffer.alloc(Math.ceil(json.length / ALIGNMENT) * ALIGNMENT, ' ');
  json.copy(header);
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeBigUInt64LE(BigInt(header.length));
  const file = Buffer.concat([length, header, ...sorted.map((tensor) => tensor.data)]);
  readSafetensorsHeader(file, file.length);
  return file;
}

function member(name: string, value: unknown): string {
  return `${JSON.stringify(name)}:${JSON.stringify(value)}`;
}

function parseHeader(bytes: Uint8Array): Record<string, unknown> {
  if (bytes[0] !== 0x7b) throw malformed('its header does not begin with "{"');
  // Padding is spaces only; parseJson would also skip line breaks and tabs.
  const last = bytes.findLastIndex((byte) => byte !== 0x20);
  if (bytes[last] !== 0x7d) throw malformed('its header does not end with "}" and spaces');
  return parseJson(bytes, 'the safetensors header', {
    maxBytes: MAX_HEADER_BYTES,
    maxDepth: 3,
    maxValues: MAX_HEADER_VALUES,
  }) as Record<string, unknown>;
}

function readInfo(name: string, entry: unknown): TensorInfo {
  const info = membersOf(entry, `the tensor ${quote(name)}`);
  const { dtype, shape, data_offsets: offsets } = info;
  const unshaped = (problem: string): CustodyError => malformed(`the tensor ${quote(name)} ${problem}`);
  const other = Object.keys(info).find((member) => !MEMBERS.includes(member));
  if (other !== undefined) throw unshaped(`has an unknown member ${quote(other)}`);
  if (typeof dtype !== 'string' || !isDtype(dtype)) throw unshaped(`has no known dtype: ${quote(String(dtype))}`);
  if (!isSizes(shape)) throw unshaped('has a shape that is no list of sizes');
  if (!isSizes(offsets) || offsets.length !== 2) throw unshaped('has data_offsets that are not two sizes');
  const [begin = 0, end = 0] = offsets;
  const expected = byteLength(name, dtype, shape);
  if (end - begin !== expected) {
    throw malformed(
      `the tensor ${quote(name)} has the bytes ${begin} to ${end}, but ${dtype} and its shape demand ${expected} bytes`,
    );
  }
  return { name, dtype, shape, begin, end };
}

function readMetadata(described: unknown): Readonly<Record<string, string>> {
  const metadata = membersOf(described, 'its metadata');
  const other = Object.entries(metadata).find(([, value]) => typeof value !== 'string');
  if (other !== undefined) throw malformed(`its metadata ${quote(other[0])} is no text`);
  return metadata as Record<string, string>;
}

function membersOf(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(`${what} is no object`);
  return value as Record<string, unknown>;
}

function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((each) => Number.isSafeInteger(each) && (each as number) >= 0);
}

function byteLength(name: string, dtype: Dtype, shape: readonly number[]): number {
  const bits = shape.reduce((product, dimension) => {
    const next = product * dimension;
    if (!Number.isSafeInteger(next)) throw malformed(`the shape of the tensor ${quote(name)} overflows`);
    return next;
  }, DTYPE_BITS[dtype] as number);
  if (bits % 8 !== 0) throw malformed(`the tensor ${quote(name)} does not end at a whole byte`);
  return bits / 8;
}

function assertCovers(tensors: readonly TensorInfo[], dataLength: number): void {
  let covered = 0;
  for (const { name, begin, end } of tensors) {
    if (begin !== covered) {
      const problem = begin > covered ? 'leaves a hole before it' : 'overlaps the one before it';
      throw malformed(`the tensor ${quote(name)} begins at byte ${begin}, expected ${covered}: it ${problem}`);
    }
    covered = end;
  }
  if (covered !== dataLength) {
    throw malformed(`its tensors end at byte ${covered}, but the file holds ${dataLength} bytes of data`);
  }
}

function isDtype(value: string): value is Dtype {
  return Object.hasOwn(DTYPE_BITS, value);
}

function malformed(problem: string): CustodyError {
  return new CustodyError('MALFORMED', `not an acceptable safetensors file: ${problem}`);
}
