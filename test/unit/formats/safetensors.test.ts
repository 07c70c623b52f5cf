import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { headerLength, readSafetensorsHeader, writeSafetensors } from '../../../formats/safetensors.js';

const malformed = (text: string | RegExp) =>
  expect.objectContaining({ code: 'MALFORMED', message: expect.stringMatching(text) as string });

function file(header: string | Buffer, data = 0): Buffer {
  const bytes = Buffer.from(header as string);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([length, bytes, Buffer.alloc(data)]);
}
const read = (bytes: Buffer) => readSafetensorsHeader(bytes, bytes.length);
const tensor = (begin: number, end: number, shape: unknown = [end - begin], dtype = 'U8') =>
  JSON.stringify({ dtype, shape, data_offsets: [begin, end] });

describe('writeSafetensors', () => {
  const f32 = { name: 'weight', dtype: 'F32' as const, shape: [2, 3], data: Buffer.alloc(24, 1) };
  const i64 = { name: 'steps', dtype: 'I64' as const, shape: [], data: Buffer.alloc(8, 2) };
  const u8 = { name: 'bias', dtype: 'U8' as const, shape: [0], data: Buffer.alloc(0) };

  test('writes what readSafetensorsHeader reads, wide dtypes first', () => {
    const written = writeSafetensors([u8, f32, i64], { format: 'pt' });
    expect(read(written)).toEqual({
      tensors: [
        { name: 'steps', dtype: 'I64', shape: [], begin: 0, end: 8 },
        { name: 'weight', dtype: 'F32', shape: [2, 3], begin: 8, end: 32 },
        { name: 'bias', dtype: 'U8', shape: [0], begin: 32, end: 32 },
      ],
      metadata: { format: 'pt' },
    });
    expect(written.subarray(-32)).toEqual(Buffer.concat([i64.data, f32.data]));
  });

  test('aligns the data to 8 bytes and does not depend on the order of its input', () => {
    const written = writeSafetensors([f32, i64, u8]);
    expect((8 + headerLength(written, written.length)) % 8).toBe(0);
    expect(writeSafetensors([u8, i64, f32])).toEqual(written);
  });

  test('every model that is written can be read', () => {
    const arbitrary = fc.record({
      name: fc
        .string({ unit: 'grapheme', maxLength: 8 })
        .filter((name) => !/^(__.*__|constructor|prototype)$/.test(name)),
      shape: fc.array(fc.nat({ max: 4 }), { maxLength: 3 }),
    });
    fc.assert(
      fc.property(fc.uniqueArray(arbitrary, { selector: ({ name }) => name, maxLength: 6 }), (infos) => {
        const tensors = infos.map(({ name, shape }) => {
          const data = Buffer.alloc(2 * shape.reduce((product, n) => product * n, 1));
          return { name, dtype: 'F16' as const, shape, data };
        });
        const { tensors: found } = read(writeSafetensors(tensors));
        expect(found.map(({ name }) => name).sort()).toEqual(infos.map(({ name }) => name).sort());
      }),
    );
  });

  test('refuses data of the wrong length, one name twice, and the name of the metadata', () => {
    expect(() => writeSafetensors([{ ...f32, shape: [7] }])).toThrow(malformed('demand 28 bytes'));
    expect(() => writeSafetensors([f32, f32])).toThrow(malformed('stands twice'));
    expect(() => writeSafetensors([{ ...f32, name: '__metadata__' }])).toThrow(malformed('metadata'));
  });
});

describe('headerLength', () => {
  const first8 = (length: bigint) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(length);
    return bytes;
  };

  test.each([
    ['2^64 - 1', 2n ** 64n - 1n, 1e12],
    ['2^63', 2n ** 63n, 1e12],
    ['more than 100 MB', 100_000_001n, 1e12],
    ['more than the file', 993n, 1000],
  ])('refuses a header of %s without reading it', (_, length, fileSize) => {
    expect(() => headerLength(first8(length), fileSize)).toThrow(malformed('its header claims'));
  });

  test('reads lengths up to the limits', () => {
    expect(headerLength(first8(100_000_000n), 1e12)).toBe(100_000_000);
    expect(headerLength(first8(992n), 1000)).toBe(992);
  });

  test('refuses a file too short for a length', () => {
    expect(() => headerLength(Buffer.alloc(7), 7)).toThrow(malformed('too few'));
  });
});

describe('readSafetensorsHeader', () => {
  test('reads tensors in the order of their bytes, padded with spaces', () => {
    const bytes = file(`{"b":${tensor(2, 4)},"a":${tensor(0, 2)},"empty":${tensor(2, 2, [3, 0])}}   `, 4);
    expect(read(bytes).tensors.map(({ name }) => name)).toEqual(['a', 'empty', 'b']);
    expect(readSafetensorsHeader(bytes.subarray(0, -4), bytes.length)).toEqual(read(bytes));
  });

  test('reads dtypes smaller than a byte', () => {
    expect(read(file(`{"a":${tensor(0, 3, [4], 'F6_E2M3')}}`, 3)).tensors).toHaveLength(1);
    expect(() => read(file(`{"a":${tensor(0, 2, [3], 'F4')}}`, 2))).toThrow(malformed('whole byte'));
  });

  test.each<[string, Buffer, RegExp]>([
    ['a duplicate tensor', file(`{"a":${tensor(0, 1)},"a":${tensor(0, 1)}}`, 1), /stands twice/],
    [
      'a duplicate field',
      file('{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1),
      /stands twice/,
    ],
    ['a hole before the first tensor', file(`{"a":${tensor(1, 2)}}`, 2), /hole/],
    ['a hole between tensors', file(`{"a":${tensor(0, 1)},"b":${tensor(2, 3)}}`, 3), /hole/],
    ['overlapping tensors', file(`{"a":${tensor(0, 2)},"b":${tensor(1, 3)}}`, 3), /overlaps/],
    ['two tensors on the same bytes', file(`{"a":${tensor(0, 2)},"b":${tensor(0, 2)}}`, 2), /overlaps/],
    ['trailing bytes', file(`{"a":${tensor(0, 1)}}`, 2), /end at byte 1, but the file holds 2/],
    ['missing bytes', file(`{"a":${tensor(0, 2)}}`, 1), /end at byte 2, but the file holds 1/],
    ['bytes without a tensor', file('{}', 1), /end at byte 0/],
    ['an end before its beginning', file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}', 1), /demand/],
    ['a negative offset', file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}}'), /data_offsets/],
    ['a fraction as offset', file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,0.5]}}'), /data_offsets/],
    ['three offsets', file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}}', 1), /data_offsets/],
    ['a shape that overflows', file(`{"a":${tensor(0, 0, [4294967296, 4294967296, 4294967296])}}`), /overflows/],
    ['a shape that overflows to zero', file(`{"a":${tensor(0, 0, [9007199254740991, 4096, 0])}}`), /overflows/],
    [
      'a shape beyond the integers',
      file('{"a":{"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,0]}}'),
      /./,
    ],
    ['a negative shape', file(`{"a":${tensor(0, 0, [-1])}}`), /shape/],
    ['a shape of text', file(`{"a":${tensor(0, 1, ['1'])}}`, 1), /shape/],
    ['bytes that dtype and shape do not demand', file(`{"a":${tensor(0, 2, [2], 'F32')}}`, 2), /demand 8 bytes/],
    ['an unknown dtype', file(`{"a":${tensor(0, 1, [1], 'X8')}}`, 1), /dtype/],
    ['an inherited name as dtype', file(`{"a":${tensor(0, 1, [1], 'toString')}}`, 1), /dtype/],
    ['an unknown field', file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"code":"x"}}', 1), /code/],
    ['metadata that is not text', file('{"__metadata__":{"a":1}}'), /metadata/],
    ['a prototype as tensor', file(`{"__proto__":${tensor(0, 1)}}`, 1), /not allowed/],
    ['white space before the brace', file(' {}'), /begin with "\{"/],
    ['an array', file('[]'), /begin with "\{"/],
    ['an empty header', file(''), /begin with "\{"/],
    ['a line break as padding', file('{}\n'), /"\}" and spaces/],
    ['a zip after the brace', file('{}PK'), /"\}" and spaces/],
    ['two documents', file('{}{}'), /after the end/],
    ['bytes that are not UTF-8', file(Buffer.from('7b22ff223a7b7d7d', 'hex')), /UTF-8/],
    ['deep nesting', file(`{"a":${'['.repeat(1000)}}`), /deeper than 3/],
  ])('refuses %s', (_, bytes, problem) => {
    expect(() => read(bytes)).toThrow(malformed(problem));
  });

  test('refuses a prefix that ends before the header does', () => {
    const bytes = file('{}      ');
    expect(() => readSafetensorsHeader(bytes.subarray(0, 10), bytes.length)).toThrow(malformed('only 10 were read'));
  });
});
