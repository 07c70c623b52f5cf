import { writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CustodyError, exitCodeOf } from '../../domain/errors.js';
import { digitsFolder } from './assets.js';
import { CLASSES, DIGITS_SHA256, loadDigits, type Digits } from './dataset.js';
import { readTrainingConfig } from './hyperparameters.js';
import { accuracy, train, type EpochReport, type Examples } from './mlp.js';
import { modelCard, type TrainingReport } from './model-card.js';
import { INPUT_SCALE, writeRelease } from './release.js';

export interface TrainingInputs {
  readonly data: string;
  readonly config: string;
  /** The folder of `serve.mjs` and its modules, which become part of the release. */
  readonly serving: string;
  /** An empty or absent folder that becomes the release. */
  readonly out: string;
}

/** Trains one release and writes it to `out`; the same inputs make the same bytes. */
export function trainRelease(
  inputs: TrainingInputs,
  onEpoch: (report: EpochReport) => void = () => {},
): TrainingReport {
  const config = readTrainingConfig(inputs.config);
  const { training, heldOut } = loadDigits(inputs.data);
  const epochs: EpochReport[] = [];
  const mlp = train(toExamples(training), CLASSES, config, (epoch) => {
    epochs.push(epoch);
    onEpoch(epoch);
  });
  const report: TrainingReport = {
    dataset: { sha256: DIGITS_SHA256, training: training.count, heldOut: heldOut.count },
    config,
    epochs,
    accuracy: { training: accuracy(mlp, toExamples(training)), heldOut: accuracy(mlp, toExamples(heldOut)) },
  };
  writeRelease(inputs.out, mlp, config, inputs.serving, modelCard(report));
  return report;
}

function toExamples({ count, images, labels }: Digits): Examples {
  return { count, labels, features: images.map((pixel) => pixel * INPUT_SCALE) };
}

const USAGE =
  'usage: train --config <hyperparameters.json> --out <folder> [--data <digits.csv.gz>] [--serving <folder>] [--report <file>]';

/** The command line: progress and the report as JSON lines on stdout. The report file is not part of the release. */
function main(args: string[]): void {
  const { values } = parseArgs({
    args,
    options: {
      data: { type: 'string' },
      config: { type: 'string' },
      serving: { type: 'string' },
      out: { type: 'string' },
      report: { type: 'string' },
    },
  });
  const { config, out } = values;
  if (config === undefined || out === undefined) throw new CustodyError('USAGE', USAGE);
  const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
  say({ event: 'started', config: basename(config) });
  const report = trainRelease(
    {
      config,
      out,
      data: values.data ?? join(digitsFolder(), 'data', 'digits', 'digits.csv.gz'),
      serving: values.serving ?? join(digitsFolder(), 'serve'),
    },
    (epoch) => say({ event: 'epoch', ...epoch }),
  );
  if (values.report !== undefined) writeFileSync(values.report, `${JSON.stringify(report, null, 2)}\n`, { flag: 'wx' });
  say({ event: 'finished', accuracy: report.accuracy });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    main(process.argv.slice(2));
  } catch (error) {
    const code = error instanceof CustodyError ? error.code : 'INTERNAL';
    process.stderr.write(
      `${JSON.stringify({ code, message: error instanceof Error ? error.message : String(error) })}\n`,
    );
    process.exitCode = exitCodeOf(code);
  }
}
