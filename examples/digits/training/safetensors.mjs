// Writes the safetensors format: https://github.com/huggingface/safetensors#format
const LENGTH_BYTES = 8;
const ALIGNMENT = 8;
const FLOAT_BYTES = 4;

/**
 * Row-major.
 * @typedef {object} Tensor
 * @property {string} name
 * @property {number[]} shape
 * @property {Float32Array} values
 */

/**
 * Tensors of 32-bit floats, by name, after a header padded to 8 bytes: equal tensors make equal files. Throws where the
 * values are not as many as the shape says.
 * @param {readonly Tensor[]} tensors
 */
export function writeSafetensors(tensors) {
  const sorted = [...tensors].sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  let end = 0;
  const members = sorted.map(({ name, shape, values }) => {
    const count = shape.reduce((product, dimension) => product * dimension, 1);
    if (values.length !== count) throw new Error(`the tensor ${name} has ${values.length} values, expected ${count}`);
    const begin = end;
    end += count * FLOAT_BYTES;
    return [name, { dtype: 'F32', shape, data_offsets: [begin, end] }];
  });
  const json = Buffer.from(JSON.stringify(Object.fromEntries(members)));
  const header = Buffer.alloc(Math.ceil(json.length / ALIGNMENT) * ALIGNMENT, ' ');
  json.copy(header);
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, ...sorted.map(({ values }) => littleEndian(values))]);
}

/** @param {Float32Array} values */
function littleEndian(values) {
  const data = Buffer.alloc(values.length * FLOAT_BYTES);
  values.forEach((value, at) => data.writeFloatLE(value, at * FLOAT_BYTES));
  return data;
}
