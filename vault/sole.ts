import { randomUUID } from 'node:crypto';
import { link, readdir, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { CustodyError } from '../domain/errors.js';
import { checkShape, parseJson } from '../formats/json.js';
import { ensureFolder, readIfThere, removeDurably } from './files.js';

/** A process id is given again after its process has ended; with its start it names one process. */
const schema = z.strictObject({ pid: z.int().min(1), started: z.string().nullable() });
type Owner = z.infer<typeof schema>;

/**
 * Makes this process the folder's only vault until it ends; CONFIG_INVALID while another one lives. Lock files are
 * numbered: the living process with the highest number owns the folder. A number is taken by a link, which only one can
 * make, and only above an owner that is dead; whoever then sees a higher number has lost. The last file is never removed, so
 * numbers only go up. Processes are told apart by pid: one host and one pid namespace.
 */
export async function becomeSole(state: string): Promise<void> {
  const folder = join(state, 'lock');
  await ensureFolder(folder);
  const mine = join(folder, `${process.pid}-${randomUUID()}`);
  await writeFile(mine, JSON.stringify({ pid: process.pid, started: await startOf(process.pid) }), { mode: 0o600 });
  try {
    for (;;) {
      const highest = Math.max(0, ...(await numbers(folder)));
      const owner = highest === 0 ? null : await readOwner(join(folder, String(highest)));
      if (owner !== null && (await isAlive(owner)))
        throw new CustodyError(
          'CONFIG_INVALID',
          `the vault with the process id ${owner.pid} already uses ${state}: stop it, or give this one a folder of its own`,
          { details: { pid: owner.pid } },
        );
      const number = highest + 1;
      if (!(await taken(mine, join(folder, String(number))))) continue;
      const all = await numbers(folder);
      for (const other of all) if (other < number) await removeDurably(join(folder, String(other)));
      if (Math.max(...all) === number) return;
      await removeDurably(join(folder, String(number)));
    }
  } finally {
    await unlink(mine);
  }
}

async function numbers(folder: string): Promise<number[]> {
  return (await readdir(folder)).filter((name) => /^\d+$/.test(name)).map(Number);
}

/** Whether the link could be made: it cannot when the number is somebody's already. */
async function taken(mine: string, path: string): Promise<boolean> {
  try {
    await link(mine, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** `null` for a file that a power failure has emptied: its process is gone. */
async function readOwner(path: string): Promise<Owner | null> {
  const bytes = await readIfThere(path);
  if (bytes === null || bytes.length === 0) return null;
  return checkShape(schema, parseJson(bytes, path), path);
}

async function isAlive({ pid, started }: Owner): Promise<boolean> {
  let foreign = false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    foreign = true;
  }
  const now = await startOf(pid);
  // Some systems hide the processes of other users.
  return now === started || (foreign && now === null);
}

/** When a process started, in clock ticks since boot; `null` where there is no /proc, or the process has ended. */
async function startOf(pid: number): Promise<string | null> {
  const stat = await readIfThere(`/proc/${pid}/stat`);
  if (stat === null) return null;
  // The second field is the command in parentheses, which may itself hold spaces and parentheses.
  const [state, ...fields] = stat
    .subarray(stat.lastIndexOf(')') + 2)
    .toString('utf8')
    .split(' ');
  return state === 'Z' ? null : (fields[18] ?? null);
}
