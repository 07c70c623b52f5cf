import { seededRandom, shuffledIndices } from './random.mjs';

/**
 * A multi-layer perceptron with one hidden layer: ReLU, then softmax. Weights are row-major, [outputs, inputs].
 * @typedef {object} Mlp
 * @property {number} inputs
 * @property {number} hidden
 * @property {number} outputs
 * @property {Float32Array} hiddenWeight
 * @property {Float32Array} hiddenBias
 * @property {Float32Array} outputWeight
 * @property {Float32Array} outputBias
 */

/**
 * @typedef {object} Hyperparameters
 * @property {number} seed
 * @property {number} hidden
 * @property {number} epochs
 * @property {number} batchSize
 * @property {number} learningRate
 */

/**
 * Examples as the network sees them: features already scaled, `count` rows.
 * @typedef {object} Examples
 * @property {number} count
 * @property {Float32Array} features
 * @property {Uint8Array} labels
 */

/**
 * @typedef {object} EpochReport
 * @property {number} epoch
 * @property {number} loss Mean cross-entropy over the epoch, in nats.
 */

const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

/**
 * Weights drawn after He et al., "Delving Deep into Rectifiers" (2015); biases 0.
 * @param {number} inputs
 * @param {number} hidden
 * @param {number} outputs
 * @param {() => number} random
 * @returns {Mlp}
 */
export function createMlp(inputs, hidden, outputs, random) {
  return {
    inputs,
    hidden,
    outputs,
    hiddenWeight: heUniform(hidden * inputs, inputs, random),
    hiddenBias: new Float32Array(hidden),
    outputWeight: heUniform(outputs * hidden, hidden, random),
    outputBias: new Float32Array(outputs),
  };
}

/**
 * The probability of each class for one row of features.
 * @param {Mlp} mlp
 * @param {Float32Array} features
 */
export function forward(mlp, features) {
  const activations = new Float32Array(mlp.hidden);
  const scores = new Float32Array(mlp.outputs);
  forwardInto(mlp, features, activations, scores);
  return scores;
}

/**
 * Cross-entropy by mini-batch gradient descent with Adam. The same parameters and examples give the same bytes.
 * @param {Examples} examples
 * @param {number} outputs
 * @param {Hyperparameters} parameters
 * @param {(report: EpochReport) => void} [onEpoch]
 */
export function train(examples, outputs, parameters, onEpoch = () => {}) {
  const random = seededRandom(parameters.seed);
  const mlp = createMlp(examples.features.length / examples.count, parameters.hidden, outputs, random);
  const step = createStep(mlp, parameters.learningRate);
  for (let epoch = 1; epoch <= parameters.epochs; epoch += 1) {
    const order = shuffledIndices(examples.count, random);
    let loss = 0;
    for (let from = 0; from < order.length; from += parameters.batchSize) {
      loss += step(examples, order.subarray(from, from + parameters.batchSize));
    }
    onEpoch({ epoch, loss: loss / examples.count });
  }
  return mlp;
}

/**
 * The share of rows whose most probable class is their label.
 * @param {Mlp} mlp
 * @param {Examples} examples
 */
export function accuracy(mlp, examples) {
  let correct = 0;
  for (let row = 0; row < examples.count; row += 1) {
    const features = examples.features.subarray(row * mlp.inputs, (row + 1) * mlp.inputs);
    if (argmax(forward(mlp, features)) === examples.labels[row]) correct += 1;
  }
  return correct / examples.count;
}

/** @param {Float32Array} scores */
function argmax(scores) {
  return scores.reduce((best, score, index) => (score > at(scores, best) ? index : best), 0);
}

/**
 * @param {number} length
 * @param {number} fanIn
 * @param {() => number} random
 */
function heUniform(length, fanIn, random) {
  const bound = Math.sqrt(6 / fanIn);
  return Float32Array.from({ length }, () => (random() * 2 - 1) * bound);
}

/**
 * @param {Mlp} mlp
 * @param {Float32Array} features
 * @param {Float32Array} activations
 * @param {Float32Array} scores
 */
function forwardInto(mlp, features, activations, scores) {
  for (let unit = 0; unit < mlp.hidden; unit += 1) {
    const sum = dot(mlp.hiddenWeight, unit * mlp.inputs, features) + at(mlp.hiddenBias, unit);
    activations[unit] = Math.max(0, sum);
  }
  for (let unit = 0; unit < mlp.outputs; unit += 1) {
    scores[unit] = dot(mlp.outputWeight, unit * mlp.hidden, activations) + at(mlp.outputBias, unit);
  }
  softmax(scores);
}

/**
 * @param {Float32Array} weights
 * @param {number} offset
 * @param {Float32Array} values
 */
function dot(weights, offset, values) {
  let sum = 0;
  for (let index = 0; index < values.length; index += 1) sum += at(weights, offset + index) * at(values, index);
  return sum;
}

/** @param {Float32Array} scores */
function softmax(scores) {
  const highest = scores.reduce((best, score) => Math.max(best, score), -Infinity);
  let sum = 0;
  scores.forEach((score, index) => {
    const raised = Math.exp(score - highest);
    scores[index] = raised;
    sum += raised;
  });
  scores.forEach((score, index) => {
    scores[index] = score / sum;
  });
}

/**
 * One descent step over the rows of a mini-batch; answers the sum of their losses.
 * @param {Mlp} mlp
 * @param {number} learningRate
 * @returns {(examples: Examples, rows: Uint32Array) => number}
 */
function createStep(mlp, learningRate) {
  const { inputs, hidden, outputs } = mlp;
  const hiddenWeight = createAdam(mlp.hiddenWeight, learningRate);
  const hiddenBias = createAdam(mlp.hiddenBias, learningRate);
  const outputWeight = createAdam(mlp.outputWeight, learningRate);
  const outputBias = createAdam(mlp.outputBias, learningRate);
  const updates = [hiddenWeight, hiddenBias, outputWeight, outputBias];
  const activations = new Float32Array(hidden);
  const scores = new Float32Array(outputs);
  const hiddenError = new Float64Array(hidden);

  return (examples, rows) => {
    let loss = 0;
    for (const { gradient } of updates) gradient.fill(0);
    for (const row of rows) {
      const features = examples.features.subarray(row * inputs, (row + 1) * inputs);
      const label = at(examples.labels, row);
      forwardInto(mlp, features, activations, scores);
      loss -= Math.log(Math.max(at(scores, label), Number.MIN_VALUE));
      hiddenError.fill(0);
      for (let unit = 0; unit < outputs; unit += 1) {
        const error = (at(scores, unit) - (unit === label ? 1 : 0)) / rows.length;
        add(outputBias.gradient, unit, error);
        for (let index = 0; index < hidden; index += 1) {
          const weight = unit * hidden + index;
          add(outputWeight.gradient, weight, error * at(activations, index));
          add(hiddenError, index, error * at(mlp.outputWeight, weight));
        }
      }
      for (let unit = 0; unit < hidden; unit += 1) {
        if (activations[unit] === 0) continue;
        const error = at(hiddenError, unit);
        add(hiddenBias.gradient, unit, error);
        for (let index = 0; index < inputs; index += 1) {
          add(hiddenWeight.gradient, unit * inputs + index, error * at(features, index));
        }
      }
    }
    for (const { apply } of updates) apply();
    return loss;
  };
}

/**
 * Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015), algorithm 1.
 * @param {Float32Array} tensor
 * @param {number} learningRate
 */
function createAdam(tensor, learningRate) {
  const gradient = new Float64Array(tensor.length);
  const mean = new Float64Array(tensor.length);
  const variance = new Float64Array(tensor.length);
  let steps = 0;
  const apply = () => {
    steps += 1;
    const meanScale = 1 - ADAM.beta1 ** steps;
    const varianceScale = 1 - ADAM.beta2 ** steps;
    for (let index = 0; index < tensor.length; index += 1) {
      const slope = at(gradient, index);
      const nextMean = ADAM.beta1 * at(mean, index) + (1 - ADAM.beta1) * slope;
      const nextVariance = ADAM.beta2 * at(variance, index) + (1 - ADAM.beta2) * slope * slope;
      mean[index] = nextMean;
      variance[index] = nextVariance;
      const change = (learningRate * (nextMean / meanScale)) / (Math.sqrt(nextVariance / varianceScale) + ADAM.epsilon);
      add(tensor, index, -change);
    }
  };
  return { gradient, apply };
}

/**
 * The number at an index that lies inside.
 * @param {Float32Array | Float64Array | Uint8Array} values
 * @param {number} index
 */
function at(values, index) {
  return /** @type {number} */ (values[index]);
}

/**
 * @param {Float32Array | Float64Array} values
 * @param {number} index
 * @param {number} amount
 */
function add(values, index, amount) {
  values[index] = at(values, index) + amount;
}
