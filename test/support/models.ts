import { u32, u64 } from './artifacts.js';

/** Fields of a protobuf message: numbers are varints, the rest is written with its length. */
export function message(
  ...fields: readonly (readonly [number: number, value: number | string | Uint8Array])[]
): Buffer {
  return Buffer.concat(
    fields.map(([number, value]) => {
      if (typeof value === 'number') return Buffer.concat([varint(number * 8), varint(value)]);
      const bytes = Buffer.from(value as string);
      return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
    }),
  );
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = BigInt.asUintN(64, BigInt(value)); bytes.length === 0 || rest > 0n; rest >>= 7n)
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
  return Buffer.from(bytes);
}

/** An ONNX model whose one tensor lies in another file, as these entries say. */
export function onnx(external: Readonly<Record<string, string>>, domain = ''): Buffer {
  const entries = Object.entries(external).map(([key, value]) => [13, message([1, key], [2, value])] as const);
  const tensor = message([1, 4], [2, 1], [8, 'w'], ...entries, [14, 1]);
  const node = message([1, 'w'], [2, 'y'], [3, 'n'], [4, 'Identity'], [7, domain]);
  const graph = message([1, node], [2, 'main'], [5, tensor]);
  return message([1, 8], [2, 'pytorch'], [3, '2.4.0'], [7, graph], [8, message([1, domain], [2, 17])]);
}

/** A SavedModel whose graph has one node. */
export function savedModel(op: string): Buffer {
  const node = message([1, 'node'], [2, op], [3, 'filename']);
  return message([1, 1], [2, message([1, message([5, '2.16.1'], [6, 'v2'])], [2, message([1, node])])]);
}

const ggufString = (value: string): Buffer => Buffer.concat([u64(value.length), Buffer.from(value)]);

export interface Gguf {
  readonly version?: number;
  readonly tensors?: Buffer;
  readonly pairs?: Buffer;
  readonly keys?: readonly (readonly [key: string, type: number, value: Buffer])[];
  readonly infos?: readonly Buffer[];
}

/** A GGUF file; the counts are those of what it has, unless they are given. */
export function gguf({ version = 3, tensors, pairs, keys = [], infos = [] }: Gguf = {}): Buffer {
  return Buffer.concat([
    ...[Buffer.from('GGUF'), u32(version), tensors ?? u64(infos.length), pairs ?? u64(keys.length)],
    ...keys.flatMap(([key, type, value]) => [ggufString(key), u32(type), value]),
    ...infos,
    Buffer.alloc(64),
  ]);
}

/** `name`, its dimensions, type and where its data begins. */
export function ggufTensor(name: string, sizes: readonly Buffer[], type: number, offset: Buffer): Buffer {
  return Buffer.concat([ggufString(name), u32(sizes.length), ...sizes, u32(type), offset]);
}

export const GGUF = {
  string: (value: string) => ['', 8, ggufString(value)] as const,
  u32: (value: number) => u32(value),
};

/** HDF5 of a legacy Keras model: the signature, version 0 of the superblock, and the attribute `model_config` further on. */
export function kerasHdf5(config: string): Buffer {
  const superblock = Buffer.alloc(96);
  superblock.write('\x89HDF\r\n\x1a\n', 0, 'latin1');
  superblock.set([0, 0, 0, 0, 0, 8, 8, 0, 4, 0, 16, 0], 8);
  superblock.fill(0xff, 32, 40);
  return Buffer.concat([superblock, Buffer.from('model_config\0\0\0\0'), Buffer.from(config), Buffer.alloc(64)]);
}
