import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CustodyError } from '../../domain/errors.js';
import { attemptsIn, observedTogether, sayObserved, type Observed } from '../../domain/observed.js';
import { andTraffic, type Traffic } from '../../domain/traffic.js';
import type { ListedFile } from '../../formats/file-list.js';
import { quote } from '../../formats/json.js';
import type { SandboxKind, SandboxLimits } from '../sandbox/port.js';
import { limitsAfter } from '../sandbox/proxy.js';
import { runSandboxed } from '../sandbox/sandbox.js';
import { MANIFEST_FILE } from '../../domain/manifest.js';
import { copyData } from '../source/data.js';
import type { SourceRelease } from '../source/folder.js';
import { copyRelease } from '../source/inspect.js';
import { writeTree, type CodeTree } from '../git/tree.js';
import type { Stage } from './recipe.js';
import type { Trainer } from './trainer.js';

const TOLD = 200;

/** What a run is given. */
export interface TrainingInputs {
  readonly stage: Stage;
  /** What the stage before has written. */
  readonly checkpoint: { readonly folder: string; readonly files: readonly ListedFile[] } | null;
  /** What the stages before had of what the proxy gives to a run. */
  readonly earlier: Traffic['connections'];
  readonly code: CodeTree;
  readonly hyperparameters: Buffer;
  /** The files of the trainer's data. */
  readonly files: readonly ListedFile[];
  /** Releases, each with the name of the folder that it finds them in. */
  readonly models: readonly { readonly place: string; readonly source: SourceRelease }[];
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

/** How those of all stages went, as of one run. */
export function ranTogether(stages: readonly Pick<Ran, 'observed' | 'network'>[], last: Ran): Ran {
  const { sandbox, network } = last;
  const all = [...stages, last];
  const observed = observedTogether(all.map((each) => each.observed));
  const connections = all.flatMap((each) => each.network?.connections ?? []);
  return { sandbox, observed, ...(network === undefined ? {} : { network: { ...network, connections } }) };
}

/**
 * Runs code in a sandbox without network, but for a proxy to the trainer's destinations; itself, the trainer's mounts, and copies
 * of these files of its data and of these releases read-only. Answers the folder it has written to, and what it was seen to do.
 * What it wrote is not looked at. DIGEST_MISMATCH: data or a release are not the expected ones. SANDBOX_UNAVAILABLE: there is none here. TRAINING_FAILED: the run failed, ran into its limits, or tried what
 * it may not, though nothing came of it. `work` is an empty folder of the caller's.
 */
export async function runStage(
  trainer: Trainer & { readonly limits: SandboxLimits },
  { stage, checkpoint, earlier, code, hyperparameters, files, models, tracer }: TrainingInputs,
  work: string,
  signal?: AbortSignal,
): Promise<Ran & { readonly output: string }> {
  const data = join(work, 'data');
  const config = join(work, 'hyperparameters.json');
  const output = join(work, 'output');
  const { destinations } = trainer;
  const reading = signal === undefined ? {} : { signal };
  const program = join(work, 'code');
  await writeTree(code, program);
  await copyData(trainer.data.folder, files, data);
  const used = join(work, 'models');
  await mkdir(used, { mode: 0o755 });
  for (const { place, source } of models) await copyRelease(source, join(used, place), MANIFEST_FILE, reading);
  const before = join(work, 'checkpoint');
  if (checkpoint !== null) await copyData(checkpoint.folder, checkpoint.files, before);
  await writeFile(config, hyperparameters, { mode: 0o644 });
  await mkdir(output, { mode: 0o755 });
  const result = await runSandboxed({
    command: stage.command as [string, ...string[]],
    mounts: [
      ...trainer.mounts.map((mount) => ({ ...mount, writable: false })),
      { source: program, target: '/input/code', writable: false },
      { source: data, target: '/input/data', writable: false },
      { source: config, target: '/input/hyperparameters.json', writable: false },
      ...(models.length === 0 ? [] : [{ source: used, target: '/input/models', writable: false }]),
      ...(checkpoint === null ? [] : [{ source: before, target: '/input/checkpoint', writable: false }]),
      { source: output, target: '/output', writable: true },
    ],
    cwd: '/tmp',
    env: {},
    limits: trainer.limits,
    ...(destinations === undefined ? {} : { network: { destinations, limits: limitsAfter(earlier) } }),
    ...(tracer === undefined ? {} : { tracer }),
    ...reading,
  });
  const { observed, connections, sandbox } = result;
  if (result.ended !== 'exited' || result.exitCode !== 0 || attemptsIn(observed).length > 0) {
    const how = result.ended === 'exited' ? `exit ${result.exitCode ?? result.signal ?? 'unknown'}` : result.ended;
    const said = quote(result.stderr.trim().slice(-TOLD));
    const seen = `${sayObserved(observed)}${andTraffic(destinations, connections)}`;
    const message = `the stage ${stage.name} of the training run failed (${how}): ${seen}. It said ${said}`;
    throw new CustodyError('TRAINING_FAILED', message);
  }
  const network = destinations === undefined ? {} : { network: { destinations, connections } };
  return { output, sandbox, observed, ...network };
}
