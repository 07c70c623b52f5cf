// The trained model: how often each run of characters stands in each language.
import { readFileSync } from 'node:fs';

const HEADER_LENGTH = 8;

export function loadModel(folder) {
  const read = (name) => readFileSync(new URL(name, folder));
  const { order, languages } = JSON.parse(read('config.json').toString('utf8'));
  const places = new Map(JSON.parse(read('vocabulary.json').toString('utf8')).map((ngram, at) => [ngram, at]));
  const weights = readWeights(read('weights.safetensors'), languages.length * places.size);
  return { order, languages, places, weights };
}

function readWeights(bytes, count) {
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(HEADER_LENGTH, HEADER_LENGTH + length).toString('utf8'));
  const {
    dtype,
    data_offsets: [from, to],
  } = header['ngrams.weight'];
  const data = bytes.subarray(HEADER_LENGTH + length + from, HEADER_LENGTH + length + to);
  const width = { F32: 4, F16: 2 }[dtype];
  if (data.length !== count * width) throw new Error('the weights do not fit the vocabulary');
  return Float32Array.from({ length: count }, (_, at) =>
    width === 4 ? data.readFloatLE(at * 4) : half(data.readUInt16LE(at * 2)),
  );
}

function half(bits) {
  const size = (1 + (bits & 0x3ff) / 1024) * 2 ** (((bits >> 10) & 0x1f) - 15);
  return bits & 0x8000 ? -size : size;
}

/** The most likely language of a text; `null` where nothing in it is known. */
export function languageOf({ order, languages, places, weights }, text) {
  const sums = new Float64Array(languages.length);
  let known = 0;
  const characters = [
    ...` ${text
      .toLowerCase()
      .replace(/[^\p{L}]+/gu, ' ')
      .trim()} `,
  ];
  for (let at = 0; at + order <= characters.length; at += 1) {
    const place = places.get(characters.slice(at, at + order).join(''));
    if (place === undefined) continue;
    known += 1;
    for (let row = 0; row < sums.length; row += 1) sums[row] += weights[row * places.size + place];
  }
  return known === 0 ? null : languages[sums.indexOf(Math.max(...sums))];
}
