import { readdirSync, readFileSync } from 'node:fs';

/** Every process that a process has started, and those that they have; all of a sandbox are under the one that built it. */
export function descendants(pid: number): number[] {
  const found: number[] = [];
  const open = [pid];
  for (let parent = open.pop(); parent !== undefined; parent = open.pop()) {
    const children = childrenOf(parent);
    found.push(...children);
    open.push(...children);
  }
  return found;
}

/** The name of a process that is alive; `null` once it has ended. */
export function nameIfAlive(pid: number): string | null {
  const stat = readProc(`/proc/${pid}/stat`);
  const parts = stat === null ? null : /^\d+ \((.*)\) (\S)/s.exec(stat);
  return parts === null || parts[2] === 'Z' || parts[2] === 'X' ? null : (parts[1] as string);
}

function childrenOf(pid: number): number[] {
  const tasks = ifThere(() => readdirSync(`/proc/${pid}/task`)) ?? [];
  return tasks.flatMap((task) => {
    const children = readProc(`/proc/${pid}/task/${task}/children`) ?? '';
    return children.split(' ').filter(Boolean).map(Number);
  });
}

/** What a file of /proc holds; `null`: the process has ended, or is another user's. */
export function readProc(path: string): string | null {
  return ifThere(() => readFileSync(path, 'utf8'));
}

/** `null` where a process has ended, or is another user's. */
export function ifThere<T>(look: () => T): T | null {
  try {
    return look();
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
}
