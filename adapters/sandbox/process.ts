import { spawn, type ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';

const TAIL_BYTES = 64 * 1024;
/** For the tools that build the sandbox; the command gets an environment of its own. */
const TOOL_ENV = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };

export interface RunningProcess {
  readonly ended: Promise<EndedProcess>;
  /** Kills the whole process group. */
  kill(): void;
}

export interface EndedProcess {
  /** Whether the command was reached; if not, building the sandbox failed. */
  readonly started: boolean;
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts a program in a process group of its own, with nothing on stdin and `ready` expected on descriptor 3. */
export function startProcess(
  [program, ...args]: readonly string[],
  onOutput: ((chunk: { stream: 'stdout' | 'stderr'; bytes: Buffer }) => void) | undefined,
): RunningProcess {
  const child = spawn(program as string, args, {
    cwd: '/',
    env: TOOL_ENV,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  const stdout = keepTail(child.stdout as Readable, (bytes) => onOutput?.({ stream: 'stdout', bytes }));
  const stderr = keepTail(child.stderr as Readable, (bytes) => onOutput?.({ stream: 'stderr', bytes }));
  const status = keepTail(child.stdio[3] as Readable, () => {});
  const ended = new Promise<EndedProcess>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode, signal) => {
      resolve({ started: status() === 'ready\n', exitCode, signal, stdout: stdout(), stderr: stderr() });
    });
  });
  return { ended, kill: () => killGroup(child) };
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  process.kill(-child.pid, 'SIGKILL');
}

function keepTail(stream: Readable, onChunk: (bytes: Buffer) => void): () => string {
  let chunks: Buffer[] = [];
  let size = 0;
  stream.on('data', (bytes: Buffer) => {
    chunks.push(bytes);
    size += bytes.length;
    if (size > 2 * TAIL_BYTES) {
      chunks = [Buffer.concat(chunks).subarray(-TAIL_BYTES)];
      size = TAIL_BYTES;
    }
    onChunk(bytes);
  });
  return () => Buffer.concat(chunks).subarray(-TAIL_BYTES).toString('utf8');
}
