/** A generator of numbers that the same seed repeats (xorshift32). */
export class Dice {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0 || 1;
  }

  below(bound: number): number {
    let next = this.state;
    next ^= next << 13;
    next ^= next >>> 17;
    next ^= next << 5;
    this.state = next >>> 0;
    return this.state % Math.max(1, bound);
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}

const MAX_INPUT = 16 * 1024;
const NUMBERS = [0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff];
/** What readers look for: rules that a mutation of single bytes would hardly hit upon. */
const WORDS = [
  ...['PK\x03\x04', 'PK\x01\x02', 'PK\x05\x06', 'PK\x06\x06', 'PK\x06\x07', 'PK\x07\x08', 'ustar', '%PDF-', '#!/'],
  ...[
    '\x89HDF\r\n\x1a\n',
    '\x93NUMPY\x01\x00',
    'GGUF',
    '\x80\x04',
    '\x80\x02',
    'cos\nsystem\n',
    '(ios\nsystem\n',
    'R.',
  ],
  ...[
    '\x8c\x02os',
    '\x8c\x06system',
    '\x93',
    '\x94',
    'q\x00',
    '\x95\x08\0\0\0\0\0\0\0',
    '\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19',
  ],
  ...['"_target_"', '"auto_map"', '"chat_template"', '"class_name"', '"module"', '"__metadata__"', '"__proto__"'],
  ...['"dtype":"F32"', '"shape":[', '"data_offsets":[0,', '!!python/', '{{', '}}', '{%', '%}', '.__class__', '|attr('],
  ...[
    '\\u0000',
    '\\ud800',
    '1e999',
    '-0',
    '1E400',
    'NaN',
    'null',
    'true',
    '[[[[',
    '{"":',
    '\xef\xbb\xbf',
    '\xff',
    '\0',
  ],
  ...['&a ', '*a', '<<: ', '!!binary ', '%YAML', '---\n', '...\n', '- ', ': ', '? ', '|\n', '>\n', "'descr': '|O'"],
  ...['-----BEGIN ', '-----END ', 'AAAA', '==', '\n', '\r\n', '\xe2\x80\x94 ', ' path=../x\n', 'data: ', '[DONE]'],
].map((word) => Buffer.from(word, 'latin1'));

/** Some changes of an input, sometimes with a part of another one. */
export function mutated(seed: Buffer, other: Buffer, dice: Dice): Buffer {
  let bytes: Buffer = Buffer.from(seed);
  for (let left = 1 + dice.below(dice.below(4) === 0 ? 16 : 4); left > 0; left -= 1)
    bytes = changed(bytes, other, dice);
  return bytes.subarray(0, MAX_INPUT);
}

function changed(bytes: Buffer, other: Buffer, dice: Dice): Buffer {
  const at = dice.below(bytes.length + 1);
  const length = 1 + dice.below(dice.below(3) === 0 ? 256 : 8);
  const inserted = (part: Uint8Array): Buffer => Buffer.concat([bytes.subarray(0, at), part, bytes.subarray(at)]);
  const over = (part: Uint8Array): Buffer => {
    Buffer.from(part).copy(bytes, at);
    return bytes;
  };
  switch (dice.below(10)) {
    case 0:
      return over(Buffer.from([(bytes[at] ?? 0) ^ (1 << dice.below(8))]));
    case 1:
      return over(Buffer.from([dice.below(256)]));
    case 2:
      return over(number(dice));
    case 3:
      return over(dice.of(WORDS));
    case 4:
      return inserted(dice.of(WORDS));
    case 5:
      return inserted(number(dice));
    case 6:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    case 7:
      return inserted(bytes.subarray(dice.below(bytes.length), dice.below(bytes.length) + length));
    case 8: {
      const from = dice.below(other.length);
      return inserted(other.subarray(from, from + length * 4));
    }
    default:
      return Buffer.concat([bytes.subarray(0, at), other.subarray(dice.below(other.length))]);
  }
}

function number(dice: Dice): Buffer {
  const value = dice.of(NUMBERS) + dice.below(3) - 1;
  const bytes = Buffer.alloc(8);
  const isBig = dice.below(4) === 0;
  if (dice.below(8) === 0) return Buffer.from(String(value));
  if (isBig) bytes.writeUInt32BE(value >>> 0, 4);
  else bytes.writeUInt32LE(value >>> 0);
  const width = dice.of([1, 2, 4, 8]);
  return isBig ? bytes.subarray(8 - width) : bytes.subarray(0, width);
}
