// Trains one release of the digits classifier:
//   node train.mjs --config <hyperparameters.json> --data <digits.csv.gz> --out <folder> [--report <file>]
// Progress and the result are JSON lines on stdout. The same inputs make the same bytes.
import { writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CLASSES, DIGITS_SHA256, loadDigits } from './dataset.mjs';
import { readTrainingConfig } from './hyperparameters.mjs';
import { accuracy, train } from './mlp.mjs';
import { modelCard } from './model-card.mjs';
import { INPUT_SCALE, writeRelease } from './release.mjs';

/** @import { Digits } from './dataset.mjs' */
/** @import { EpochReport, Examples } from './mlp.mjs' */
/** @import { TrainingReport } from './model-card.mjs' */

/**
 * @typedef {object} TrainingInputs
 * @property {string} config
 * @property {string} data
 * @property {string} out An empty or absent folder that becomes the release.
 */

/**
 * Trains one release and writes it to `out`; the same inputs make the same bytes.
 * @param {TrainingInputs} inputs
 * @param {(report: EpochReport) => void} [onEpoch]
 * @returns {TrainingReport}
 */
export function trainRelease(inputs, onEpoch = () => {}) {
  const config = readTrainingConfig(inputs.config);
  const { training, heldOut } = loadDigits(inputs.data);
  /** @type {EpochReport[]} */
  const epochs = [];
  const mlp = train(toExamples(training), CLASSES, config, (epoch) => {
    epochs.push(epoch);
    onEpoch(epoch);
  });
  const report = {
    dataset: { sha256: DIGITS_SHA256, training: training.count, heldOut: heldOut.count },
    config,
    epochs,
    accuracy: { training: accuracy(mlp, toExamples(training)), heldOut: accuracy(mlp, toExamples(heldOut)) },
  };
  writeRelease(inputs.out, mlp, config, modelCard(report));
  return report;
}

/**
 * @param {Digits} digits
 * @returns {Examples}
 */
function toExamples({ count, images, labels }) {
  return { count, labels, features: images.map((pixel) => pixel * INPUT_SCALE) };
}

/** The command line. The report file is not part of the release. */
function main() {
  const { values } = parseArgs({
    options: {
      config: { type: 'string' },
      data: { type: 'string' },
      out: { type: 'string' },
      report: { type: 'string' },
    },
  });
  const { config, data, out } = values;
  if (config === undefined || data === undefined || out === undefined) {
    throw new Error('--config, --data and --out are needed');
  }
  say({ event: 'started', config: basename(config) });
  const report = trainRelease({ config, data, out }, (epoch) => say({ event: 'epoch', ...epoch }));
  if (values.report !== undefined) writeFileSync(values.report, `${JSON.stringify(report, null, 2)}\n`, { flag: 'wx' });
  say({ event: 'finished', accuracy: report.accuracy });
}

/** @param {object} line */
function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    main();
  } catch (error) {
    process.stderr.write(`${JSON.stringify({ error: error instanceof Error ? error.message : String(error) })}\n`);
    process.exitCode = 1;
  }
}
