import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { TrainingReport } from '../../../examples/digits/training/model-card.mjs';
import { trainRelease, type TrainingInputs } from '../../../examples/digits/training/train.mjs';

export const DIGITS = 'examples/digits';
export const TRAINING = join(DIGITS, 'training');
export const DATA = join(DIGITS, 'data', 'digits', 'digits.csv.gz');

export function trainVersion(version: string, out: string, changes: Partial<TrainingInputs> = {}): TrainingReport {
  return trainRelease({
    config: join(TRAINING, 'hyperparameters', `${version}.json`),
    data: DATA,
    out,
    ...changes,
  });
}

export interface RunningServer {
  readonly url: string;
  readonly ready: { port?: number; socket?: string };
  readonly child: ChildProcess;
  stop(): Promise<number | null>;
}

export async function serve(
  release: string,
  version: string,
  extra: string[] = ['--port', '0'],
): Promise<RunningServer> {
  const child = spawn(process.execPath, ['serve.mjs', '--name', 'digits', '--version', version, ...extra], {
    cwd: resolve(release),
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const ready = JSON.parse(line) as { port?: number; socket?: string };
  return {
    url: `http://127.0.0.1:${ready.port}`,
    ready,
    child,
    stop: async () => {
      const exited = once(child, 'exit') as Promise<[number | null]>;
      child.kill('SIGTERM');
      return (await exited)[0];
    },
  };
}

export function inferBody(images: readonly (readonly number[])[]): string {
  return JSON.stringify({
    inputs: [{ name: 'image', shape: [images.length, 64], datatype: 'FP32', data: images.flat() }],
  });
}
