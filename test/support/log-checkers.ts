import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Other people's implementations that check our log. */

const run = promisify(execFile);

export const ACCEPTED = "Successfully fsck'd";
export const REFUSED = 'fsck failed';

/** What Tessera's checker says of a log; it exits with 0 whatever it finds. */
export async function fsck(url: string, vkeyFile: string): Promise<string> {
  // With one worker, it waits for ever once that has found a difference.
  const args = ['-ui=false', '-N=4', '-storage_url', url, '-public_key', vkeyFile];
  try {
    const { stdout, stderr } = await run(found('CUSTODY_FSCK'), args, { timeout: 20_000 });
    return stdout + stderr;
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    return `${stdout}${stderr}\n${String(error)}`;
  }
}

interface Change {
  readonly path: string;
  readonly at: number;
  readonly by: number;
}

/** What tools/tlog answers: `golang.org/x/mod` and Tessera's fsck as a library. */
export interface TlogAnswer {
  readonly size: number;
  readonly root: string;
  readonly proved: number;
  readonly consistent: readonly number[];
  readonly flipped: number;
  readonly missed: { readonly xmod: readonly Change[]; readonly tessera: readonly Change[] };
}

export interface TlogAsked {
  /** Files with earlier checkpoints. */
  readonly earlier?: readonly string[];
  readonly prove?: number;
  readonly every?: number;
  readonly random?: number;
}

export async function tlog(folder: string, vkeyFile: string, asked: TlogAsked): Promise<TlogAnswer> {
  const flags = Object.entries(asked).map(([name, value]) => `-${name}=${String(value)}`);
  const { stdout } = await run(found('CUSTODY_TLOG'), [...flags, folder, vkeyFile]);
  return JSON.parse(stdout) as TlogAnswer;
}

function found(variable: string): string {
  const executable = process.env[variable];
  if (executable === undefined) throw new Error(`${variable} names no program: run the tests with npm test`);
  return executable;
}
