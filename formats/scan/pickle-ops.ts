import { VALUE } from './pickle-stack.js';

/** Opcodes of all pickle protocols, 0 to 5, by their bytes: https://docs.python.org/3/library/pickletools.html */
export const OP = {
  MARK: 0x28,
  STOP: 0x2e,
  POP: 0x30,
  POP_MARK: 0x31,
  DUP: 0x32,
  FLOAT: 0x46,
  INT: 0x49,
  BININT: 0x4a,
  BININT1: 0x4b,
  LONG: 0x4c,
  BININT2: 0x4d,
  NONE: 0x4e,
  PERSID: 0x50,
  BINPERSID: 0x51,
  REDUCE: 0x52,
  STRING: 0x53,
  BINSTRING: 0x54,
  SHORT_BINSTRING: 0x55,
  UNICODE: 0x56,
  BINUNICODE: 0x58,
  APPEND: 0x61,
  BUILD: 0x62,
  GLOBAL: 0x63,
  DICT: 0x64,
  APPENDS: 0x65,
  GET: 0x67,
  BINGET: 0x68,
  INST: 0x69,
  LONG_BINGET: 0x6a,
  LIST: 0x6c,
  OBJ: 0x6f,
  PUT: 0x70,
  BINPUT: 0x71,
  LONG_BINPUT: 0x72,
  SETITEM: 0x73,
  TUPLE: 0x74,
  SETITEMS: 0x75,
  BINFLOAT: 0x47,
  EMPTY_TUPLE: 0x29,
  EMPTY_LIST: 0x5d,
  EMPTY_DICT: 0x7d,
  PROTO: 0x80,
  NEWOBJ: 0x81,
  EXT1: 0x82,
  EXT2: 0x83,
  EXT4: 0x84,
  TUPLE1: 0x85,
  TUPLE2: 0x86,
  TUPLE3: 0x87,
  NEWTRUE: 0x88,
  NEWFALSE: 0x89,
  LONG1: 0x8a,
  LONG4: 0x8b,
  BINBYTES: 0x42,
  SHORT_BINBYTES: 0x43,
  SHORT_BINUNICODE: 0x8c,
  BINUNICODE8: 0x8d,
  BINBYTES8: 0x8e,
  EMPTY_SET: 0x8f,
  ADDITEMS: 0x90,
  FROZENSET: 0x91,
  NEWOBJ_EX: 0x92,
  STACK_GLOBAL: 0x93,
  MEMOIZE: 0x94,
  FRAME: 0x95,
  BYTEARRAY8: 0x96,
  NEXT_BUFFER: 0x97,
  READONLY_BUFFER: 0x98,
} as const;

/**
 * What follows an opcode: so many bytes, up to eight of them; lines of text; or, from COUNTED on, a length of so many bytes
 * and as many bytes as it says.
 */
export const SHAPE = { widest: 8, unknown: 9, line: 10, names: 11, counted: 16 } as const;

const SHAPES: readonly [number, readonly number[]][] = [
  [1, [OP.PROTO, OP.BININT1, OP.BINGET, OP.BINPUT, OP.EXT1]],
  [2, [OP.BININT2, OP.EXT2]],
  [4, [OP.BININT, OP.LONG_BINGET, OP.LONG_BINPUT, OP.EXT4]],
  [8, [OP.BINFLOAT, OP.FRAME]],
  [SHAPE.line, [OP.FLOAT, OP.INT, OP.LONG, OP.PERSID, OP.STRING, OP.UNICODE, OP.GET, OP.PUT]],
  [SHAPE.names, [OP.GLOBAL, OP.INST]],
  [SHAPE.counted + 1, [OP.SHORT_BINSTRING, OP.SHORT_BINBYTES, OP.SHORT_BINUNICODE, OP.LONG1]],
  [SHAPE.counted + 4, [OP.BINSTRING, OP.BINUNICODE, OP.BINBYTES, OP.LONG4]],
  [SHAPE.counted + 8, [OP.BINUNICODE8, OP.BINBYTES8, OP.BYTEARRAY8]],
];

/** The shape of an opcode's argument, by the opcode. */
export const SHAPE_OF: Uint8Array = new Uint8Array(256).fill(SHAPE.unknown);
for (const op of Object.values(OP)) SHAPE_OF[op] = 0;
for (const [shape, ops] of SHAPES) for (const op of ops) SHAPE_OF[op] = shape;

/** What an opcode does, where it is one of those that nearly all of a large pickle consists of. */
export const EFFECT = { other: 0, data: 1, text: 2, memoize: 3, put: 4, get: 5 } as const;

const EFFECTS: readonly [number, readonly number[]][] = [
  [EFFECT.data, [OP.NONE, OP.NEWTRUE, OP.NEWFALSE, OP.BININT, OP.BININT1, OP.BININT2, OP.BINFLOAT, OP.LONG1, OP.LONG4]],
  [EFFECT.data, [OP.EMPTY_TUPLE, OP.EMPTY_LIST, OP.EMPTY_DICT, OP.EMPTY_SET, OP.NEXT_BUFFER]],
  [EFFECT.data, [OP.BINBYTES, OP.SHORT_BINBYTES, OP.BINBYTES8, OP.BYTEARRAY8]],
  [EFFECT.text, [OP.SHORT_BINUNICODE, OP.BINUNICODE, OP.BINUNICODE8, OP.SHORT_BINSTRING, OP.BINSTRING]],
  [EFFECT.memoize, [OP.MEMOIZE]],
  [EFFECT.put, [OP.BINPUT, OP.LONG_BINPUT]],
  [EFFECT.get, [OP.BINGET, OP.LONG_BINGET]],
];
export const EFFECT_OF: Uint8Array = new Uint8Array(256);
for (const [effect, ops] of EFFECTS) for (const op of ops) EFFECT_OF[op] = effect;

/** Numbers of more than one byte, and what can be changed after it was put into a tuple. */
const TELLING: readonly number[] = [
  ...[OP.BININT, OP.BININT2, OP.LONG1, OP.LONG4],
  ...[OP.EMPTY_LIST, OP.EMPTY_DICT, OP.EMPTY_SET],
];
/** As what an opcode's data stands on the stack. */
export const DATA_OF: Int32Array = new Int32Array(256).fill(VALUE.inert);
for (const op of TELLING) DATA_OF[op] = VALUE.telling;

export function uint(bytes: Uint8Array, from: number, width: number): number {
  let value = 0;
  for (let at = from + width - 1; at >= from; at -= 1) value = value * 256 + (bytes[at] as number);
  return value;
}

export function utf8(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('utf8');
}
