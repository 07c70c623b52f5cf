import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CustodyError } from '../../domain/errors.js';
import { attemptsIn, sayObserved, type Observed } from '../../domain/observed.js';
import type { Traffic } from '../../domain/traffic.js';
import type { ListedFile } from '../../formats/file-list.js';
import { quote } from '../../formats/json.js';
import type { SandboxKind, SandboxLimits } from '../sandbox/port.js';
import { runSandboxed } from '../sandbox/sandbox.js';
import { copyData } from '../source/data.js';
import { writeTree, type CodeTree } from '../git/tree.js';
import type { Recipe } from './recipe.js';
import type { Trainer } from './trainer.js';

const RELEASE = 'release';
const TOLD = 200;

/** What a run is given. */
export interface TrainingInputs {
  readonly recipe: Recipe;
  readonly code: CodeTree;
  readonly hyperparameters: Buffer;
  /** The files of the trainer's data. */
  readonly files: readonly ListedFile[];
  /** A `strace` that watches the run. */
  readonly tracer?: string | undefined;
}

/** How a run went. */
export interface Ran {
  readonly sandbox: SandboxKind;
  readonly observed: Observed;
  /** Of one that had a network. */
  readonly network?: Traffic;
}

/**
 * Runs code in a sandbox without network, but for a proxy to the trainer's destinations, itself, the trainer's mounts and a copy of these files of its data read-only; answers
 * the folder it has written, and what it was seen to do. What it wrote is not looked at. DIGEST_MISMATCH: the data are not the
 * expected ones. SANDBOX_UNAVAILABLE: there is none here. TRAINING_FAILED: the run failed, ran into its limits, or tried what
 * it may not, though nothing came of it. `work` is an empty folder of the caller's.
 */
export async function runTrainer(
  trainer: Trainer & { readonly limits: SandboxLimits },
  { recipe, code, hyperparameters, files, tracer }: TrainingInputs,
  work: string,
  signal?: AbortSignal,
): Promise<Ran & { readonly release: string }> {
  const data = join(work, 'data');
  const config = join(work, 'hyperparameters.json');
  const output = join(work, 'output');
  const { destinations } = trainer;
  const program = join(work, 'code');
  await writeTree(code, program);
  await copyData(trainer.data.folder, files, data);
  await writeFile(config, hyperparameters, { mode: 0o644 });
  await mkdir(output, { mode: 0o755 });
  const result = await runSandboxed({
    command: recipe.command as [string, ...string[]],
    mounts: [
      ...trainer.mounts.map((mount) => ({ ...mount, writable: false })),
      { source: program, target: '/input/code', writable: false },
      { source: data, target: '/input/data', writable: false },
      { source: config, target: '/input/hyperparameters.json', writable: false },
      { source: output, target: '/output', writable: true },
    ],
    cwd: '/tmp',
    env: {},
    limits: trainer.limits,
    ...(destinations === undefined ? {} : { network: { destinations } }),
    ...(tracer === undefined ? {} : { tracer }),
    ...(signal === undefined ? {} : { signal }),
  });
  const { observed, connections, sandbox } = result;
  if (result.ended !== 'exited' || result.exitCode !== 0 || attemptsIn(observed).length > 0) {
    const how = result.ended === 'exited' ? `exit ${result.exitCode ?? result.signal ?? 'unknown'}` : result.ended;
    const said = quote(result.stderr.trim().slice(-TOLD));
    const message = `the training run failed (${how}): ${sayObserved(observed)}. It said ${said}`;
    throw new CustodyError('TRAINING_FAILED', message);
  }
  const network = destinations === undefined ? {} : { network: { destinations, connections } };
  return { release: join(output, RELEASE), sandbox, observed, ...network };
}
