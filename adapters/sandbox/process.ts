import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readdirSync } from 'node:fs';
import { Server } from 'node:net';
import type { Duplex, Readable } from 'node:stream';
import { CustodyError } from '../../domain/errors.js';
import { readProc } from './processes.js';

const TAIL_BYTES = 64 * 1024;
const CLOSE_ON_EXEC = 0o2000000;
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

export interface Listener {
  readonly onOutput?: ((chunk: { stream: 'stdout' | 'stderr'; bytes: Buffer }) => void) | undefined;
  /** What is written on descriptor 4, which the command does not get. */
  readonly onLog?: ((bytes: Buffer) => void) | undefined;
  /** Gets a socket that listens inside: without one, the command is not run. */
  readonly onListener?: ((server: Server) => void) | undefined;
  /** The sandbox stands, and waits until this has returned. */
  readonly onStart?: (pid: number) => void;
  /** The command has ended, and what it has left behind has not. */
  readonly onEnd?: (pid: number) => void;
}

/** Starts a program in a process group of its own, with nothing on stdin, and is told on descriptor 3 how far it is. */
export function startProcess([program, ...args]: readonly string[], listener: Listener): RunningProcess {
  const { onOutput, onLog, onListener } = listener;
  const log = onLog === undefined ? 'ignore' : 'pipe';
  const pipes: StdioPipe[] = [
    'ignore',
    'pipe',
    'pipe',
    'pipe',
    log,
    ...(onListener === undefined ? [] : ['ipc' as const]),
  ];
  const child = withoutInherited(pipes, (stdio) =>
    spawn(program as string, args, { cwd: '/', env: TOOL_ENV, detached: true, stdio }),
  );
  if (onLog !== undefined) (child.stdio[4] as Readable).on('data', onLog);
  const stdout = keepTail(child.stdout as Readable, (bytes) => onOutput?.({ stream: 'stdout', bytes }));
  const stderr = keepTail(child.stderr as Readable, (bytes) => onOutput?.({ stream: 'stderr', bytes }));
  let failure: unknown;
  const hasStarted = followSteps(child, listener, (error) => {
    failure = error;
    killGroup(child);
  });
  const ended = new Promise<EndedProcess>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode, signal) => {
      if (failure !== undefined) return reject(failure);
      resolve({ started: hasStarted(), exitCode, signal, stdout: stdout(), stderr: stderr() });
    });
  });
  return { ended, kill: () => killGroup(child) };
}

/** The first thing that is said there; nothing else is listened to. Whoever has said it may end then. */
function takeListener(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve) => {
    child.once('message', (_, handle) => (child.send('taken', (error) => void error), resolve(handle)));
    child.once('disconnect', () => resolve(null));
  });
}

type StdioPipe = 'ignore' | 'pipe' | 'ipc' | number;

/** Puts /dev/null in the place of every descriptor that whoever started this process has left to it and to all that it starts. */
function withoutInherited(pipes: readonly StdioPipe[], start: (stdio: StdioPipe[]) => ChildProcess): ChildProcess {
  const nothing = openSync('/dev/null', 'r');
  try {
    const stdio = [...pipes];
    for (const name of readdirSync('/proc/self/fd')) {
      const fd = Number(name);
      if (fd < pipes.length || isClosedOnExec(fd)) continue;
      while (stdio.length <= fd) stdio.push('ignore');
      stdio[fd] = nothing;
    }
    return start(stdio);
  } finally {
    closeSync(nothing);
  }
}

function isClosedOnExec(fd: number): boolean {
  const info = readProc(`/proc/self/fdinfo/${fd}`);
  return info === null || (parseInt(/^flags:\s*(\d+)/m.exec(info)?.[1] ?? '0', 8) & CLOSE_ON_EXEC) !== 0;
}

/**
 * Answers each step, so that it is followed by the next. The command cannot reach the other end, but through a process of its
 * own user; whatever it would say there comes after the first step, and costs it its end.
 */
function followSteps(child: ChildProcess, listener: Listener, fail: (error: unknown) => void): () => boolean {
  const { onStart, onEnd, onListener } = listener;
  const listening = onListener === undefined ? null : takeListener(child);
  const start = async (pid: number): Promise<void> => {
    const server = await listening;
    if (server instanceof Server) onListener?.(server);
    else if (listening !== null)
      throw new CustodyError('SANDBOX_UNAVAILABLE', 'no socket of the sandbox came for its proxy');
    onStart?.(pid);
  };
  let step = Promise.resolve();
  const steps = child.stdio[3] as Duplex;
  const lines = ['ready\n', 'ready\nended\n'];
  let heard = '';
  let done = 0;
  steps.on('data', (bytes: Buffer) => {
    if (heard.length < 64) heard += bytes.toString('latin1');
    while (done < lines.length && heard.startsWith(lines[done] as string)) {
      const act = done === 0 ? start : onEnd;
      done += 1;
      step = step.then(() => act?.(child.pid as number)).then(() => void steps.write('go\n'), fail);
    }
  });
  // It was killed meanwhile, which its end says.
  steps.on('error', () => steps.destroy());
  return () => done > 0;
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
