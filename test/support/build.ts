import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import ts from 'typescript';

/** Compiles these folders of the sources into `target`/dist, beside the installed packages, without checking types. */
export function compileInto(target: string, folders: readonly string[]): void {
  const compilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    verbatimModuleSyntax: true,
  };
  for (const folder of folders) {
    for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.ts')) continue;
      const source = join(folder, name);
      const { outputText } = ts.transpileModule(readFileSync(source, 'utf8'), { compilerOptions, fileName: source });
      const compiled = join(target, 'dist', source.replace(/\.ts$/, '.js'));
      mkdirSync(dirname(compiled), { recursive: true });
      writeFileSync(compiled, outputText);
    }
  }
  writeFileSync(join(target, 'package.json'), JSON.stringify({ type: 'module' }));
  symlinkSync(join(process.cwd(), 'node_modules'), join(target, 'node_modules'));
}

export interface Started<R> {
  readonly process: ChildProcess;
  /** The line with which it said that it was ready. */
  readonly ready: R;
  /** What it wrote to stderr so far. */
  log(): string;
  /** Sends the signal and answers how the process ended: its exit code, or the signal that ended it. */
  end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals | null>;
}

/** Starts a process of the product and waits until it says that it is ready; fails with its log when it ends before. */
export async function startProcess<R>(main: string, config: string): Promise<Started<R>> {
  const child = spawn(process.execPath, [main, config], { stdio: ['pipe', 'pipe', 'pipe'] });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text));
  const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  const line = await Promise.race([once(createInterface(child.stdout), 'line') as Promise<[string]>, ended]);
  if (typeof line[0] !== 'string') throw new Error(`${main} ended before it was ready: ${log}`);
  return {
    process: child,
    ready: JSON.parse(line[0]) as R,
    log: () => log,
    end: async (signal) => {
      child.kill(signal);
      const [code, by] = await ended;
      return code ?? by;
    },
  };
}
