import { held, HOLDS, VALUE } from './pickle-stack.js';

/** How picklers call what may be imported. A call in another way could take memory or time without end. */
export const CALL = { freely: 0, never: 1, measured: 2, gathering: 3, pair: 4, encode: 5, type: 6 } as const;
type Call = (typeof CALL)[keyof typeof CALL];

const BUILTINS: Readonly<Record<string, Call>> = {
  ...Object.fromEntries(
    ['int', 'long', 'float', 'bool', 'str', 'unicode', 'list', 'dict', 'tuple'].map((name) => [name, CALL.never]),
  ),
  ...Object.fromEntries(['bytes', 'bytearray', 'range', 'xrange'].map((name) => [name, CALL.measured])),
  ...{ set: CALL.gathering, frozenset: CALL.gathering },
};
const ARRAYS: Readonly<Record<string, Call>> = { _reconstruct: CALL.measured, scalar: CALL.pair };
const BUFFERS: Readonly<Record<string, Call>> = { _frombuffer: CALL.gathering };
const INSTANCES: Readonly<Record<string, Call>> = { _reconstructor: CALL.measured };

const CALLS: Readonly<Record<string, Readonly<Record<string, Call>>>> = {
  builtins: BUILTINS,
  __builtin__: BUILTINS,
  collections: {
    ...{ OrderedDict: CALL.gathering, defaultdict: CALL.gathering },
    ...{ deque: CALL.gathering, Counter: CALL.gathering },
  },
  _codecs: { encode: CALL.encode },
  copyreg: INSTANCES,
  copy_reg: INSTANCES,
  numpy: { ndarray: CALL.never, dtype: CALL.type },
  'numpy.core.multiarray': ARRAYS,
  'numpy._core.multiarray': ARRAYS,
  'numpy.core.numeric': BUFFERS,
  'numpy._core.numeric': BUFFERS,
  torch: { Tensor: CALL.never, Size: CALL.gathering },
};

export function kindOfCall(module: string, name: string): number {
  if (/^torch(?:\.storage)?$/.test(module) && name.endsWith('Storage')) return CALL.never;
  const names = Object.hasOwn(CALLS, module) ? CALLS[module] : undefined;
  return names !== undefined && Object.hasOwn(names, name) ? (names[name] as Call) : CALL.freely;
}

/** Why no pickler would call what is of this kind with what it is `given`; `null`: one would. */
export function flawOfCall(kind: number, given: number): string | null {
  const holds = held(given);
  switch (kind) {
    case CALL.never:
      return 'it calls a class that no pickler calls, and that makes something of any size';
    case CALL.measured:
      return (holds & HOLDS.telling) === 0 ? null : 'it makes something as large as a number says that it is given';
    case CALL.gathering:
      return (holds & HOLDS.object) === 0 ? null : 'it goes through something that was made while it is loaded';
    case CALL.pair:
      return (holds & HOLDS.pair) !== 0 ? null : 'it makes an element without its bytes, as large as its type says';
    case CALL.encode:
      return given === VALUE.latin ? null : 'it encodes otherwise than picklers do, who write bytes as latin1';
    case CALL.type:
      return given === VALUE.typeName ? null : 'it makes a type whose elements are no plain numbers or texts';
    default:
      return null;
  }
}
