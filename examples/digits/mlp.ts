import { seededRandom, shuffledIndices } from './random.js';

/** A multi-layer perceptron with one hidden layer: ReLU, then softmax. Weights are row-major, [outputs, inputs]. */
export interface Mlp {
  readonly inputs: number;
  readonly hidden: number;
  readonly outputs: number;
  readonly hiddenWeight: Float32Array;
  readonly hiddenBias: Float32Array;
  readonly outputWeight: Float32Array;
  readonly outputBias: Float32Array;
}

export interface Hyperparameters {
  readonly seed: number;
  readonly hidden: number;
  readonly epochs: number;
  readonly batchSize: number;
  readonly learningRate: number;
}

/** Examples as the network sees them: features already scaled, `count` rows. */
export interface Examples {
  readonly count: number;
  readonly features: Float32Array;
  readonly labels: Uint8Array;
}

export interface EpochReport {
  readonly epoch: number;
  /** Mean cross-entropy over the epoch, in nats. */
  readonly loss: number;
}

const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

/** Weights drawn after He et al., "Delving Deep into Rectifiers" (2015); biases 0. */
export function createMlp(inputs: number, hidden: number, outputs: number, random: () => number): Mlp {
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

/** The probability of each class for one row of features. */
export function forward(mlp: Mlp, features: Float32Array): Float32Array {
  const activations = new Float32Array(mlp.hidden);
  const scores = new Float32Array(mlp.outputs);
  forwardInto(mlp, features, activations, scores);
  return scores;
}

/** Cross-entropy by mini-batch gradient descent with Adam. The same parameters and examples give the same bytes. */
export function train(
  examples: Examples,
  outputs: number,
  parameters: Hyperparameters,
  onEpoch: (report: EpochReport) => void = () => {},
): Mlp {
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

/** The share of rows whose most probable class is their label. */
export function accuracy(mlp: Mlp, examples: Examples): number {
  let correct = 0;
  for (let row = 0; row < examples.count; row += 1) {
    const features = examples.features.subarray(row * mlp.inputs, (row + 1) * mlp.inputs);
    if (argmax(forward(mlp, features)) === examples.labels[row]) correct += 1;
  }
  return correct / examples.count;
}

export function argmax(scores: Float32Array): number {
  return scores.reduce((best, score, index) => (score > (scores[best] as number) ? index : best), 0);
}

function heUniform(length: number, fanIn: number, random: () => number): Float32Array {
  const bound = Math.sqrt(6 / fanIn);
  return Float32Array.from({ length }, () => (random() * 2 - 1) * bound);
}

function forwardInto(mlp: Mlp, features: Float32Array, activations: Float32Array, scores: Float32Array): void {
  for (let unit = 0; unit < mlp.hidden; unit += 1) {
    const sum = dot(mlp.hiddenWeight, unit * mlp.inputs, features) + (mlp.hiddenBias[unit] as number);
    activations[unit] = Math.max(0, sum);
  }
  for (let unit = 0; unit < mlp.outputs; unit += 1) {
    scores[unit] = dot(mlp.outputWeight, unit * mlp.hidden, activations) + (mlp.outputBias[unit] as number);
  }
  softmax(scores);
}

function dot(weights: Float32Array, offset: number, values: Float32Array): number {
  let sum = 0;
  for (let at = 0; at < values.length; at += 1) sum += (weights[offset + at] as number) * (values[at] as number);
  return sum;
}

function softmax(scores: Float32Array): void {
  const highest = scores.reduce((best, score) => Math.max(best, score), -Infinity);
  let sum = 0;
  for (let at = 0; at < scores.length; at += 1) {
    const raised = Math.exp((scores[at] as number) - highest);
    scores[at] = raised;
    sum += raised;
  }
  for (let at = 0; at < scores.length; at += 1) scores[at] = (scores[at] as number) / sum;
}

/** One descent step over the rows of a mini-batch; answers the sum of their losses. */
function createStep(mlp: Mlp, learningRate: number): (examples: Examples, rows: Uint32Array) => number {
  const { inputs, hidden, outputs } = mlp;
  const tensors = [mlp.hiddenWeight, mlp.hiddenBias, mlp.outputWeight, mlp.outputBias];
  const updates = tensors.map((tensor) => createAdam(tensor, learningRate));
  const [hiddenWeight, hiddenBias, outputWeight, outputBias] = updates.map(({ gradient }) => gradient) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const activations = new Float32Array(hidden);
  const scores = new Float32Array(outputs);
  const hiddenError = new Float64Array(hidden);

  return (examples, rows) => {
    let loss = 0;
    for (const { gradient } of updates) gradient.fill(0);
    for (const row of rows) {
      const features = examples.features.subarray(row * inputs, (row + 1) * inputs);
      const label = examples.labels[row] as number;
      forwardInto(mlp, features, activations, scores);
      loss -= Math.log(Math.max(scores[label] as number, Number.MIN_VALUE));
      hiddenError.fill(0);
      for (let unit = 0; unit < outputs; unit += 1) {
        const error = ((scores[unit] as number) - (unit === label ? 1 : 0)) / rows.length;
        outputBias[unit] = (outputBias[unit] as number) + error;
        for (let at = 0; at < hidden; at += 1) {
          const weight = unit * hidden + at;
          outputWeight[weight] = (outputWeight[weight] as number) + error * (activations[at] as number);
          hiddenError[at] = (hiddenError[at] as number) + error * (mlp.outputWeight[weight] as number);
        }
      }
      for (let unit = 0; unit < hidden; unit += 1) {
        if (activations[unit] === 0) continue;
        const error = hiddenError[unit] as number;
        hiddenBias[unit] = (hiddenBias[unit] as number) + error;
        for (let at = 0; at < inputs; at += 1) {
          const weight = unit * inputs + at;
          hiddenWeight[weight] = (hiddenWeight[weight] as number) + error * (features[at] as number);
        }
      }
    }
    for (const { apply } of updates) apply();
    return loss;
  };
}

/** Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015), algorithm 1. */
function createAdam(tensor: Float32Array, learningRate: number): { gradient: Float64Array; apply: () => void } {
  const gradient = new Float64Array(tensor.length);
  const mean = new Float64Array(tensor.length);
  const variance = new Float64Array(tensor.length);
  let steps = 0;
  const apply = (): void => {
    steps += 1;
    const meanScale = 1 - ADAM.beta1 ** steps;
    const varianceScale = 1 - ADAM.beta2 ** steps;
    for (let at = 0; at < tensor.length; at += 1) {
      const slope = gradient[at] as number;
      const nextMean = ADAM.beta1 * (mean[at] as number) + (1 - ADAM.beta1) * slope;
      const nextVariance = ADAM.beta2 * (variance[at] as number) + (1 - ADAM.beta2) * slope * slope;
      mean[at] = nextMean;
      variance[at] = nextVariance;
      const change = (learningRate * (nextMean / meanScale)) / (Math.sqrt(nextVariance / varianceScale) + ADAM.epsilon);
      tensor[at] = (tensor[at] as number) - change;
    }
  };
  return { gradient, apply };
}
