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

/** What follows an opcode: so many bytes, a length and so many bytes, or lines of text. */
export const ARGUMENT = {
  unknown: 0,
  none: 1,
  byte: 2,
  two: 3,
  four: 4,
  eight: 5,
  counted1: 6,
  counted4: 7,
  counted8: 8,
  line: 9,
  twoLines: 10,
} as const;

const KINDS: readonly [number, readonly number[]][] = [
  [ARGUMENT.byte, [OP.PROTO, OP.BININT1, OP.BINGET, OP.BINPUT, OP.EXT1]],
  [ARGUMENT.two, [OP.BININT2, OP.EXT2]],
  [ARGUMENT.four, [OP.BININT, OP.LONG_BINGET, OP.LONG_BINPUT, OP.EXT4]],
  [ARGUMENT.eight, [OP.BINFLOAT, OP.FRAME]],
  [ARGUMENT.counted1, [OP.SHORT_BINSTRING, OP.SHORT_BINBYTES, OP.SHORT_BINUNICODE, OP.LONG1]],
  [ARGUMENT.counted4, [OP.BINSTRING, OP.BINUNICODE, OP.BINBYTES, OP.LONG4]],
  [ARGUMENT.counted8, [OP.BINUNICODE8, OP.BINBYTES8, OP.BYTEARRAY8]],
  [ARGUMENT.line, [OP.FLOAT, OP.INT, OP.LONG, OP.PERSID, OP.STRING, OP.UNICODE, OP.GET, OP.PUT]],
  [ARGUMENT.twoLines, [OP.GLOBAL, OP.INST]],
];

/** The kind of argument by opcode. */
export const ARGUMENT_OF: Uint8Array = new Uint8Array(256);
for (const op of Object.values(OP)) ARGUMENT_OF[op] = ARGUMENT.none;
for (const [kind, ops] of KINDS) for (const op of ops) ARGUMENT_OF[op] = kind;

/** Whether an opcode with a length pushes a string. */
const TEXT = new Uint8Array(256);
for (const op of [OP.SHORT_BINUNICODE, OP.BINUNICODE, OP.BINUNICODE8, OP.SHORT_BINSTRING, OP.BINSTRING]) TEXT[op] = 1;
export function isTextOp(op: number): boolean {
  return TEXT[op] === 1;
}

export function uint(bytes: Uint8Array, from: number, width: number): number {
  let value = 0;
  for (let at = from + width - 1; at >= from; at -= 1) value = value * 256 + (bytes[at] as number);
  return value;
}

export function latin1(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('latin1');
}

export function utf8(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('utf8');
}
