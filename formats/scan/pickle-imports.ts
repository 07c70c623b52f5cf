/**
 * What a pickle may import: classes and functions that build data and run nothing else, whatever they are given, as long as
 * everything that they are given was itself imported from here. A name that is not here is unsafe, known or not.
 */
const DTYPES = [
  ...['float16', 'float32', 'float64', 'bfloat16', 'half', 'float', 'double', 'int8', 'int16', 'int32', 'int64'],
  ...['uint8', 'uint16', 'uint32', 'uint64', 'short', 'int', 'long', 'bool', 'complex32', 'complex64', 'complex128'],
  ...['quint8', 'qint8', 'qint32', 'float8_e4m3fn', 'float8_e5m2', 'float8_e4m3fnuz', 'float8_e5m2fnuz'],
];
const STORAGES = [
  ...['Float', 'Double', 'Half', 'BFloat16', 'Long', 'Int', 'Short', 'Char', 'Byte', 'Bool'],
  ...['ComplexFloat', 'ComplexDouble', 'QInt8', 'QInt32', 'QUInt8', 'Untyped', 'Typed'],
].map((name) => `${name}Storage`);
const BUILTINS = [
  ...['set', 'frozenset', 'bytearray', 'bytes', 'complex', 'int', 'float', 'bool', 'str', 'list', 'dict', 'tuple'],
  ...['object', 'slice', 'range'],
];
const MULTIARRAY = ['_reconstruct', 'scalar'];

const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  builtins: BUILTINS,
  __builtin__: [...BUILTINS, 'long', 'unicode', 'xrange'],
  collections: ['OrderedDict', 'defaultdict', 'deque', 'Counter'],
  _codecs: ['encode'],
  copyreg: ['_reconstructor'],
  copy_reg: ['_reconstructor'],
  datetime: ['datetime', 'date', 'time', 'timedelta', 'timezone'],
  decimal: ['Decimal'],
  argparse: ['Namespace'],
  types: ['SimpleNamespace'],
  numpy: ['ndarray', 'dtype'],
  'numpy.core.multiarray': MULTIARRAY,
  'numpy._core.multiarray': MULTIARRAY,
  'numpy.core.numeric': ['_frombuffer'],
  'numpy._core.numeric': ['_frombuffer'],
  torch: [...DTYPES, ...STORAGES, 'Size', 'device', 'Tensor'],
  'torch.storage': ['UntypedStorage', 'TypedStorage'],
  'torch.serialization': ['_get_layout'],
  'torch.nn.parameter': ['Parameter'],
  'torch._utils': [
    ...['_rebuild_tensor', '_rebuild_tensor_v2', '_rebuild_tensor_v3', '_rebuild_parameter'],
    ...['_rebuild_parameter_with_state', '_rebuild_qtensor', '_rebuild_sparse_tensor'],
    ...['_rebuild_meta_tensor_no_storage', '_rebuild_nested_tensor'],
  ],
};

const allowed = new Set(Object.entries(ALLOWED).flatMap(([module, names]) => names.map((name) => `${module} ${name}`)));
/** The one encoding that picklers ask `_codecs.encode` for, to write bytes as text. */
const LATIN1 = 'latin1';
const parts = [...new Set([...Object.entries(ALLOWED).flatMap(([module, names]) => [module, ...names]), LATIN1])];
const partsByHash = new Map<number, Buffer[]>();
for (const part of parts) {
  const bytes = Buffer.from(part, 'latin1');
  const hash = hashOf(bytes, 0, bytes.length);
  partsByHash.set(hash, [...(partsByHash.get(hash) ?? []), bytes]);
}
const numbers = new Map(parts.map((part, at) => [part, at]));
/** As what that encoding stands on a stack. */
export const LATIN1_PART = parts.indexOf(LATIN1);

const LONGEST_PART = Math.max(...parts.map((part) => part.length));
/** Which first bytes and lengths there are at all: most strings are told apart by these. */
const beginnings = new Uint8Array(256 * (LONGEST_PART + 1));
for (const part of parts) beginnings[part.charCodeAt(0) * (LONGEST_PART + 1) + part.length] = 1;

export function isAllowedImport(module: string, name: string): boolean {
  return allowed.has(`${module} ${name}`);
}

/** The number of a module or name that some allowed import has, read from bytes without making a string; -1 for others. */
export function partAt(bytes: Uint8Array, from: number, to: number): number {
  const length = to - from;
  if (length > LONGEST_PART || beginnings[(bytes[from] as number) * (LONGEST_PART + 1) + length] !== 1) return -1;
  const candidates = partsByHash.get(hashOf(bytes, from, to));
  if (candidates === undefined) return -1;
  const found = candidates.find(
    (each) => each.length === length && each.every((byte, at) => bytes[from + at] === byte),
  );
  return found === undefined ? -1 : (numbers.get(found.toString('latin1')) ?? -1);
}

export function partText(number: number): string {
  return parts[number] ?? '';
}

function hashOf(bytes: Uint8Array, from: number, to: number): number {
  let hash = to - from;
  for (let at = from; at < to; at += 1) hash = (Math.imul(hash, 31) + (bytes[at] as number)) | 0;
  return hash;
}
