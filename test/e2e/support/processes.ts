import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** What reading a process answers that has ended meanwhile. */
const GONE = ['ENOENT', 'ESRCH', 'EACCES', 'EPERM'];

/** Processes that work on a state folder: it is in their arguments, their environment, or is where they are. */
export function processesOf(state: string): readonly string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => about(pid).some((text) => text.includes(state)))
    .map((pid) => `${pid} ${attempt(() => readFileSync(join('/proc', pid, 'cmdline'), 'utf8')).replaceAll('\0', ' ')}`);
}

/** Ids of the servers that answer as this version of a model. */
export function modelServersOf(model: string, version: string): readonly number[] {
  const words = ['', 'serve.mjs', ''].join('\0');
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      const command = attempt(() => readFileSync(join('/proc', pid, 'cmdline'), 'utf8'));
      return command.includes(words) && command.endsWith(`--name\0${model}\0--version\0${version}\0`);
    })
    .map(Number);
}

function about(pid: string): readonly string[] {
  const of = (name: string): string => join('/proc', pid, name);
  return [
    attempt(() => readFileSync(of('cmdline'), 'utf8')),
    attempt(() => readFileSync(of('environ'), 'utf8')),
    attempt(() => readlinkSync(of('cwd'))),
  ];
}

function attempt(read: () => string): string {
  try {
    return read();
  } catch (error) {
    if (GONE.includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}
