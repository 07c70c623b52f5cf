import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { CustodyError } from '../../domain/errors.js';

/** In the environment of every process that this host starts for a release: its value is one host's own secret. */
export const MARK = 'CUSTODY_SERVING_HOST';
const GONE_WITHIN_MS = 5000;
/** What reading a process answers that has ended meanwhile or is somebody else's. */
const NOT_READABLE = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM']);

/**
 * Kills what an earlier run of this host left behind, children of model servers included, and nothing else: a process is
 * ours when its environment bears our mark, so a process id that was used again is never mistaken for one. Needs `/proc`;
 * answers the ids.
 */
export async function killOrphans(mark: string): Promise<number[]> {
  const killed = await marked(mark);
  const deadline = Date.now() + GONE_WITHIN_MS;
  for (let left = killed; left.length > 0; left = await marked(mark)) {
    for (const pid of left) kill(pid);
    if (Date.now() > deadline)
      throw new CustodyError('MODEL_SERVER_FAILED', `processes of an earlier run do not end: ${left.join(', ')}`);
    await delay(10);
  }
  return killed;
}

async function marked(mark: string): Promise<number[]> {
  const entries = await readdir('/proc').catch(unreadable);
  const pids = (entries ?? []).filter((name) => /^[1-9]\d*$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(unreadable);
      return environment?.split('\0').includes(`${MARK}=${mark}`) === true ? pid : null;
    }),
  );
  return found.filter((pid) => pid !== null && pid !== process.pid) as number[];
}

function unreadable(error: unknown): null {
  if (NOT_READABLE.has((error as NodeJS.ErrnoException).code ?? '')) return null;
  throw error;
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
