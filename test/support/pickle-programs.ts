import { pickle, u32, u64 } from './artifacts.js';

/** Numbers from a seed (mulberry32). */
export function seeded(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

type Kind = 'text' | 'data' | 'list' | 'dict' | 'set' | 'tuple' | 'global' | 'object';

const MODULES = [
  'posix',
  'os',
  'builtins',
  'collections',
  '_codecs',
  'torch._utils',
  'numpy',
  'a b',
  '',
  'x'.repeat(300),
];
const NAMES = [
  'system',
  'eval',
  'getattr',
  'OrderedDict',
  'encode',
  'str',
  'core.os.system',
  '',
  `a${'.a'.repeat(2500)}`,
];
/** What most readers take for a number, and what few or none do. */
const INTEGERS = [
  '1',
  '  1',
  '1_0',
  '+1',
  '-1',
  '0x1f',
  '0o17',
  '0b1_1',
  '00',
  '01',
  '1 ',
  '\t1',
  '\v1\f',
  '9'.repeat(30),
];
const ODD_INTEGERS = [
  ...['010', '1L', '1l', '1\0junk', '\0junk', '', ' ', 'x', '1e5', '- 1', '0X_f', '1 L', '1LL', '_1', '1_'],
  ...['9'.repeat(4400), ' '.repeat(5000)],
];
const FLOATS = ['1.5', ' 1.5', '1_0.0', 'inf', '-nan', '+Infinity', '1e5', '1E+5', '.5', '5.', '5.e1', '1.5 '];
const ODD_FLOATS = ['1\0z', '\0', '1e', 'x', '', '.', '0x1p3', '1,5', '1'.repeat(5000)];
const ODD_PLACES = [
  ...['-0', '-1', 'x', '', '1000', '70000', '1__0', '0x1', '1' + '0'.repeat(25), ' '.repeat(4000) + '1'],
  ...['0'.repeat(5000), '1\0x'],
];

/**
 * Pickles that a loader goes through for a while: opcodes of all protocols in an order for which the stack is mostly right,
 * with numbers, places and strings written in every way that some loader takes, and some that none does.
 */
export class PickleProgram {
  private readonly random: (below: number) => number;
  private parts: Buffer[] = [];
  private stack: Kind[] = [];
  private marks: number[] = [];
  /** Places of the memo that are in use. */
  private memo = new Set<number>();

  constructor(random: (below: number) => number) {
    this.random = random;
  }

  bytes(): Buffer {
    const length = 3 + this.random(40);
    const pickles = this.random(4) === 0 ? 3 : 1;
    for (let each = 0; each < pickles; each += 1) {
      if (this.random(2) === 0) this.write(0x80, this.random(6));
      const payload = this.random(length);
      for (let step = 0; step < length; step += 1) {
        if (step === payload) this.payload();
        else this.step();
      }
      if (this.random(4) > 0) this.stop();
    }
    if (this.random(8) === 0) this.write('and more');
    return this.random(2) === 0 ? this.mutated(Buffer.concat(this.parts)) : Buffer.concat(this.parts);
  }

  private write(...parts: readonly (string | number | Uint8Array)[]): void {
    this.parts.push(pickle(...parts));
  }

  private pick<T>(from: readonly T[]): T {
    return from[this.random(from.length)] as T;
  }

  private push(kind: Kind, ...parts: readonly (string | number | Uint8Array)[]): void {
    this.write(...parts);
    this.stack.push(kind);
  }

  /** One of the odd ones now and then: most pickles end there. */
  private rarely(usual: readonly string[], odd: readonly string[]): string {
    return this.pick(this.random(16) === 0 ? odd : usual);
  }

  private place(index: number): string {
    const ways = [`${index}`, ` ${index}`, `+${index}`, `0_${index}`, `000${index}`, `${index} `, `\t${index}\f`];
    return this.rarely(ways, ODD_PLACES);
  }

  /** How many values there are above the last mark. */
  private above(): number {
    return this.stack.length - (this.marks.at(-1) ?? 0);
  }

  private top(below = 0): Kind | null {
    return below < this.above() ? (this.stack[this.stack.length - 1 - below] ?? null) : null;
  }

  private take(count: number): void {
    this.stack.length = Math.max(0, this.stack.length - count);
  }

  private payload(): void {
    const [module, name] = [this.pick(MODULES), this.pick(NAMES)];
    switch (this.random(5)) {
      case 0:
        return this.push('object', `c${module}\n${name}\n(S'echo'\ntR`);
      case 1:
        return this.push('object', `(S'echo'\ni${module}\n${name}\n`);
      case 2:
        return this.push('object', `(c${module}\n${name}\nS'echo'\no`);
      case 3:
        this.text(module);
        this.text(name);
        this.take(2);
        return this.push('object', 0x93, ')', this.pick([0x52, 0x81]));
      default:
        return this.push('object', `c${module}\n${name}\n)}`, 0x92);
    }
  }

  private text(value: string): void {
    const short = value.slice(0, 255);
    const escaped = [...value].map((char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`).join('');
    const wide = [...value].map((char) => `\\u00${char.charCodeAt(0).toString(16).padStart(2, '0')}`).join('');
    const ways: readonly (readonly (string | number | Uint8Array)[])[] = [
      [0x8c, short.length, short],
      ['X', u32(value.length), value],
      [0x8d, u64(value.length), value],
      ['V', value, '\n'],
      ['V', wide, '\n'],
      ["S'", value, "'\n"],
      ['S"', value, '"\n'],
      ["S'", escaped, "'\n"],
      ["S'", value, this.pick(["' \n", '"\n', '\n', "'\t\n"])],
      ['U', short.length, short],
      ['T', u32(value.length), value],
    ];
    this.push('text', ...this.pick(ways));
  }

  private step(): void {
    const { random } = this;
    switch (random(24)) {
      case 0:
        return this.push('data', 'I', this.rarely(INTEGERS, ODD_INTEGERS), '\n');
      case 1:
        return this.push('data', 'L', this.rarely(INTEGERS, ODD_INTEGERS), '\n');
      case 2:
        return this.push('data', 'F', this.rarely(FLOATS, ODD_FLOATS), '\n');
      case 3:
        return this.push(
          'data',
          ...this.pick([['N'], [0x88], [0x89], ['K', 7], ['M', 1, 2], ['J', u32(9)], ['G', u64(1)]]),
        );
      case 4:
        return this.push(
          'data',
          ...this.pick([
            ['C', 2, 'ab'],
            ['B', u32(1), 'a'],
            [0x8a, 1, 5],
            [0x8b, u32(1), 5],
            [0x96, u64(1), 'x'],
          ]),
        );
      case 5:
      case 6:
        return this.text(this.pick([...MODULES, ...NAMES]));
      case 7:
        return this.push(
          ...this.pick<[Kind, string | number]>([
            ['list', ']'],
            ['dict', '}'],
            ['set', 0x8f],
            ['tuple', ')'],
          ]),
        );
      case 8:
        this.marks.push(this.stack.length);
        return this.write('(');
      case 9:
      case 10:
        return this.keep();
      case 11:
      case 12:
        return this.fetch();
      case 13:
        return this.push('global', `c${this.pick(MODULES)}\n${this.pick(NAMES)}\n`);
      case 14:
        return this.write(
          ...this.pick<(string | number | Uint8Array)[]>([
            [0x80, random(7)],
            [0x80, random(6)],
            random(8) === 0 ? [0x95, u64(random(40))] : [],
          ]),
        );
      case 15:
        if (random(3) > 0) return;
        return this.push(
          'global',
          ...this.pick<(string | number | Uint8Array)[]>([
            [0x82, 1],
            [0x83, 0x2c, 1],
            [0x84, u32(70_000)],
          ]),
        );
      case 16:
        if (random(3) > 0) return;
        if (random(2) === 0 || this.above() === 0) return this.push('text', 'Pid\n');
        return this.write('Q');
      case 17:
        if (random(2) === 0) return this.push('data', 0x97);
        if (this.top() === 'data') return this.write('B', u32(1), 'a', 0x98, '0');
        return;
      case 18:
        if (this.top() !== null) {
          this.write('2');
          this.stack.push(this.top() as Kind);
        }
        return;
      case 19:
        return this.discard();
      default:
        return this.combine();
    }
  }

  private keep(): void {
    if (this.above() === 0) return;
    const way = this.random(5);
    const index = way < 2 ? this.memo.size : this.random(6);
    if (way < 2) this.write(0x94);
    else if (way === 2) this.write('p', this.place(index), '\n');
    else this.write(...(way === 3 ? ['q', index] : ['r', u32(index)]));
    this.memo.add(index);
  }

  private fetch(): void {
    if (this.memo.size === 0 && this.random(10) > 0) return;
    const index = this.pick([...this.memo, this.random(20) === 0 ? 7 : (this.memo.values().next().value ?? 0)]);
    this.push(
      'text',
      ...this.pick<(string | number | Uint8Array)[]>([
        ['g', this.place(index), '\n'],
        ['h', index],
        ['j', u32(index)],
      ]),
    );
  }

  private discard(): void {
    if (this.marks.length > 0 && this.random(2) === 0) {
      this.write('1');
      this.stack.length = this.marks.pop() ?? 0;
    } else if (this.above() > 0) {
      this.write('0');
      this.stack.pop();
    } else if (this.marks.length > 0) {
      this.write('0');
      this.marks.pop();
    }
  }

  /** Something that takes what lies on the stack. */
  private combine(): void {
    const [first, second, third] = [this.top(), this.top(1), this.top(2)];
    if (first === 'text' && second === 'text' && this.random(3) > 0) {
      this.take(2);
      return this.push('global', 0x93);
    }
    if (first === 'tuple' && (second === 'global' || second === 'object')) {
      this.take(2);
      return this.push('object', this.pick(['R', '\x81']));
    }
    if (second === 'object' || second === 'global') {
      this.take(1);
      return this.write(this.pick(['b', 'a']));
    }
    if (second === 'list') {
      this.take(1);
      return this.write('a');
    }
    if (third === 'dict' && (second === 'text' || second === 'data')) {
      this.take(2);
      return this.write('s');
    }
    if (this.marks.length > 0) {
      const from = this.marks.pop() ?? 0;
      const held = this.stack.slice(from);
      this.stack.length = from;
      if (held[0] === 'global') return this.push('object', 'o');
      if (this.top() === 'list') return this.write('e');
      if (this.top() === 'dict' && held.length % 2 === 0) return this.write('u');
      if (this.top() === 'set') return this.write(0x90);
      if (this.random(4) === 0) return this.push('object', `i${this.pick(MODULES)}\n${this.pick(NAMES)}\n`);
      return this.push(
        ...this.pick<[Kind, string | number]>([
          ['tuple', 't'],
          ['list', 'l'],
          ['set', 0x91],
          ['tuple', 't'],
        ]),
      );
    }
    const count = 1 + this.random(3);
    if (this.above() >= count) {
      this.take(count);
      this.push('tuple', 0x84 + count);
    }
  }

  private stop(): void {
    if (this.above() === 0) this.push('data', 'N');
    this.write('.');
    this.stack = [];
    this.marks = [];
    this.memo = new Set();
  }

  private mutated(from: Buffer): Buffer {
    let bytes = from;
    for (let edits = 1 + this.random(3); edits > 0; edits -= 1) {
      const at = this.random(bytes.length + 1);
      const cut = this.random(6);
      const put = [
        Buffer.alloc(0),
        Buffer.from([this.random(256)]),
        Buffer.from(
          this.pick(['(', '0', '2', '.', '\n', 'N', "S'a'\n", 'p0\n', 'g0\n', ')R', 'cos\nsystem\n', '\x94', '\x85']),
        ),
        bytes.subarray(at, at + this.random(30)),
      ][this.random(4)] as Buffer;
      bytes = Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + (cut < 3 ? 0 : cut - 2))]);
      if (this.random(10) === 0) bytes = bytes.subarray(0, this.random(bytes.length + 1));
    }
    return bytes;
  }
}
