// The model of this release, read from the release's own folder: config.json, labels.json and weights.safetensors.
import { readFileSync } from 'node:fs';

const HEADER_LENGTH_BYTES = 8;
const FLOAT_BYTES = 4;

/**
 * Loads the release in `folder` (a file: URL that ends with "/"). Throws when a file does not say exactly what the
 * architecture in config.json needs, so a server that starts has a whole model.
 */
export function loadModel(folder) {
  const config = readJson(new URL('config.json', folder));
  const labels = readJson(new URL('labels.json', folder)).labels;
  const { inputs, hidden, outputs } = config.architecture;
  if (!Array.isArray(labels) || labels.length !== outputs || !labels.every((label) => typeof label === 'string')) {
    throw new Error(`labels.json: expected ${outputs} texts`);
  }
  const weights = readTensors(readFileSync(new URL('weights.safetensors', folder)), {
    'hidden.weight': [hidden, inputs],
    'hidden.bias': [hidden],
    'output.weight': [outputs, hidden],
    'output.bias': [outputs],
  });
  return {
    inputs,
    outputs,
    labels,
    input: config.input,
    serving: config.serving,
    predict: createPredict(config, weights),
  };
}

function readJson(url) {
  return JSON.parse(readFileSync(url, 'utf8'));
}

/** The F32 tensors of a safetensors file: exactly those of `shapes`, finite, covering the file without a gap. */
function readTensors(file, shapes) {
  const headerBytes = file.length < HEADER_LENGTH_BYTES ? -1n : file.readBigUInt64LE(0);
  if (headerBytes < 2n || headerBytes > BigInt(file.length - HEADER_LENGTH_BYTES)) {
    throw new Error('weights.safetensors: its header does not fit in the file');
  }
  const dataStart = HEADER_LENGTH_BYTES + Number(headerBytes);
  const { __metadata__: _metadata, ...header } = JSON.parse(file.toString('utf8', HEADER_LENGTH_BYTES, dataStart));
  const names = Object.keys(shapes);
  if (Object.keys(header).sort().join() !== [...names].sort().join()) {
    throw new Error(
      `weights.safetensors: expected the tensors ${names.join(', ')}, found ${Object.keys(header).join(', ')}`,
    );
  }
  let covered = 0;
  const tensors = {};
  for (const [name, info] of Object.entries(header).sort(([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0])) {
    const length = shapes[name].reduce((product, dimension) => product * dimension, 1);
    const [begin, end] = info.data_offsets;
    if (info.dtype !== 'F32' || info.shape.join() !== shapes[name].join()) {
      throw new Error(`weights.safetensors: ${name} is ${info.dtype} [${info.shape}], expected F32 [${shapes[name]}]`);
    }
    if (begin !== covered || end !== begin + length * FLOAT_BYTES) {
      throw new Error(`weights.safetensors: ${name} has the bytes ${begin} to ${end}, which its shape does not allow`);
    }
    covered = end;
    const values = Float32Array.from({ length }, (_, at) => file.readFloatLE(dataStart + begin + at * FLOAT_BYTES));
    if (!values.every(Number.isFinite))
      throw new Error(`weights.safetensors: ${name} holds a value that is not finite`);
    tensors[name] = values;
  }
  if (dataStart + covered !== file.length) throw new Error('weights.safetensors: bytes after the last tensor');
  return tensors;
}

/**
 * The prediction: `count` images in one array to `count` rows of class probabilities. Each image is seen in
 * `serving.views` ways (itself, then shifted by parts of a pixel) and the probabilities are averaged: test-time
 * augmentation. The scaled images of a request stand in one workspace, allocated once for `serving.workspace_rows`.
 */
function createPredict(config, weights) {
  const { inputs, hidden, outputs } = config.architecture;
  const side = Math.sqrt(inputs);
  const shifts = viewShifts(config.serving.views);
  const workspace = new Float32Array(config.serving.workspace_rows * inputs);
  const view = new Float32Array(inputs);
  const activations = new Float32Array(hidden);
  const probabilities = new Float32Array(outputs);

  return function predict(images, count) {
    const scores = new Float32Array(count * outputs);
    workspace.set(images.map((pixel) => pixel * config.input.scale));
    for (let row = 0; row < count; row += 1) {
      const image = workspace.subarray(row * inputs, (row + 1) * inputs);
      for (const { dx, dy } of shifts) {
        shift(image, side, dx, dy, view);
        dense(view, weights['hidden.weight'], weights['hidden.bias'], activations);
        for (let unit = 0; unit < hidden; unit += 1) activations[unit] = Math.max(0, activations[unit]);
        dense(activations, weights['output.weight'], weights['output.bias'], probabilities);
        softmax(probabilities);
        for (let unit = 0; unit < outputs; unit += 1) {
          scores[row * outputs + unit] += probabilities[unit] / shifts.length;
        }
      }
    }
    return scores;
  };
}

/** The image itself, then shifts of up to a third of a pixel each way, spread evenly by the R2 sequence. */
function viewShifts(views) {
  if (!Number.isInteger(views) || views < 1)
    throw new Error(`config.json: serving.views is ${views}, expected 1 or more`);
  return Array.from({ length: views }, (_, index) =>
    index === 0
      ? { dx: 0, dy: 0 }
      : { dx: (((index * 0.7548776662466927) % 1) * 2 - 1) / 3, dy: (((index * 0.5698402909980532) % 1) * 2 - 1) / 3 },
  );
}

/** The image moved by (dx, dy) pixels with bilinear interpolation; what moves in from outside is 0. */
function shift(image, side, dx, dy, into) {
  for (let y = 0; y < side; y += 1) {
    for (let x = 0; x < side; x += 1) {
      const left = Math.floor(x - dx);
      const top = Math.floor(y - dy);
      const right = x - dx - left;
      const bottom = y - dy - top;
      into[y * side + x] =
        (1 - right) * (1 - bottom) * pixelAt(image, side, left, top) +
        right * (1 - bottom) * pixelAt(image, side, left + 1, top) +
        (1 - right) * bottom * pixelAt(image, side, left, top + 1) +
        right * bottom * pixelAt(image, side, left + 1, top + 1);
    }
  }
}

function pixelAt(image, side, x, y) {
  return x < 0 || y < 0 || x >= side || y >= side ? 0 : image[y * side + x];
}

function dense(values, weight, bias, into) {
  for (let unit = 0; unit < into.length; unit += 1) {
    let sum = bias[unit];
    for (let at = 0; at < values.length; at += 1) sum += weight[unit * values.length + at] * values[at];
    into[unit] = sum;
  }
}

function softmax(scores) {
  const highest = Math.max(...scores);
  let sum = 0;
  for (let at = 0; at < scores.length; at += 1) {
    scores[at] = Math.exp(scores[at] - highest);
    sum += scores[at];
  }
  for (let at = 0; at < scores.length; at += 1) scores[at] /= sum;
}
