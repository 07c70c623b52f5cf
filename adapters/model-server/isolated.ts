import { spawn } from 'node:child_process';
import { link, lstat, mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CustodyError } from '../../domain/errors.js';
import type { Isolation } from '../../domain/isolation.js';
import { READY_PATH, type Protocol } from '../../domain/protocol.js';
import { quote } from '../../formats/json.js';
import type { SandboxLimits } from '../sandbox/port.js';
import { runSandboxed } from '../sandbox/sandbox.js';
import { askModelServer } from './ask.js';

export interface Ending {
  readonly how: string;
  /** It was ended at the limit of its wall time, and may have done nothing wrong. */
  readonly isTimeUp: boolean;
}

export interface IsolatedServer {
  readonly isolation: Isolation;
  /** Where it answers: a unix socket, since it has no network. */
  readonly socket: string;
  /** Resolves with how the server ended, once it has. */
  readonly ended: Promise<Ending>;
  /** Ends the server; answers when nothing of it runs any more. */
  stop(): Promise<void>;
}

export interface IsolatedOptions {
  /** The verified release, readable for other users (mode o+rX); the server can only read it. */
  readonly release: string;
  /** The manifest's serving command; the options that say where and under which name are added. */
  readonly command: readonly string[];
  readonly protocol: Protocol;
  readonly model: string;
  readonly version: string;
  /** A private folder of the caller's, with a short path: a unix socket has room for about 100 characters. */
  readonly work: string;
  readonly limits: SandboxLimits;
  /** What keeps it from the rest of the host. */
  readonly isolation: Isolation;
  readonly signal?: AbortSignal;
}

const RELEASE = '/release';
const SOCKETS = '/run/model';
const SOCKET_NAME = 'socket';
const READY_EVERY_MS = 20;
const READY_TIMEOUT_MS = 1000;
/** Characters of what a server said last. */
const TAIL = 200;

/**
 * Starts a model server on the release, without network and with the release read-only where the host allows a sandbox, and
 * answers once it says that it is ready. MODEL_SERVER_FAILED when it ends, or is not ready within the limits' wall time.
 */
export async function startIsolated(options: IsolatedOptions): Promise<IsolatedServer> {
  const { isolation } = options;
  const sockets = join(options.work, 'sockets');
  await mkdir(sockets, { mode: 0o700 });
  const stopping = new AbortController();
  const signal = AbortSignal.any([stopping.signal, ...(options.signal === undefined ? [] : [options.signal])]);
  const run = isolation === 'none' ? runPlainly : runIsolated;
  let hasEnded = false;
  const ended = run({ ...options, signal }, sockets, isolation).finally(() => (hasEnded = true));
  // Whoever waits for it sees the failure; a server that nobody waits for must not end the process.
  ended.catch(() => undefined);
  const stop = async (): Promise<void> => {
    stopping.abort();
    await ended.catch((error: unknown) => {
      if (!isInterruption(error)) throw error;
    });
  };
  const socket = join(options.work, SOCKET_NAME);
  const own = join(sockets, SOCKET_NAME);
  try {
    await untilReady({ own, socket }, READY_PATH[options.protocol], () => hasEnded);
    if (hasEnded) throw new CustodyError('MODEL_SERVER_FAILED', `the model server ended at once: ${(await ended).how}`);
    return { isolation, socket, ended, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function untilReady(
  { own, socket }: { readonly own: string; readonly socket: string },
  path: string,
  hasEnded: () => boolean,
): Promise<void> {
  while (!hasEnded()) {
    if ((await pin(own, socket)) && (await isReady(socket, path))) return;
    await delay(READY_EVERY_MS);
  }
}

async function isReady(socket: string, path: string): Promise<boolean> {
  try {
    const asked = { method: 'GET', path, body: null, timeoutMs: READY_TIMEOUT_MS };
    return (await askModelServer(socket, asked)).status === 200;
  } catch (error) {
    if (!(error instanceof CustodyError) || error.code !== 'MODEL_SERVER_FAILED') throw error;
    return false;
  }
}

/**
 * Gives the server's socket a second name, where the server cannot reach it: under its own it could put a link to any socket
 * of the host, whenever it likes, and have somebody else answer for it. Answers whether there is one yet.
 */
async function pin(own: string, socket: string): Promise<boolean> {
  await rm(socket, { force: true });
  try {
    await link(own, socket);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw new CustodyError('MODEL_SERVER_FAILED', `the model server's socket cannot be used: ${String(cause)}`, {
      cause,
    });
  }
  if ((await lstat(socket)).isSocket()) return true;
  await rm(socket);
  throw new CustodyError('MODEL_SERVER_FAILED', 'the model server has put something else where its socket should be');
}

type Run = IsolatedOptions & { readonly signal: AbortSignal };

async function runIsolated(options: Run, sockets: string, isolation: Isolation): Promise<Ending> {
  const [program = '', ...args] = served(options, `${SOCKETS}/${SOCKET_NAME}`);
  const result = await runSandboxed({
    command: [program, ...args],
    mounts: [
      { source: options.release, target: RELEASE, writable: false },
      { source: sockets, target: SOCKETS, writable: true },
    ],
    cwd: RELEASE,
    env: {},
    limits: options.limits,
    signal: options.signal,
    ...(isolation === 'none' ? {} : { sandbox: isolation }),
  });
  const how = result.ended === 'exited' ? `exit ${result.exitCode ?? result.signal ?? 'unknown'}` : result.ended;
  return {
    how: `${how}, saying ${quote(result.stderr.trim().slice(-TAIL))}`,
    isTimeUp: result.ended === 'wall-limit',
  };
}

/** Its own process group, an empty environment and a wall clock: all that is left without a sandbox. */
async function runPlainly(options: Run, sockets: string): Promise<Ending> {
  const [program = '', ...args] = served(options, join(sockets, SOCKET_NAME));
  const child = spawn(program, args, {
    cwd: options.release,
    env: { PATH: `${dirname(process.execPath)}:/usr/bin:/bin` },
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString('utf8')).slice(-2 * TAIL);
  });
  const kill = (): void => {
    if (child.pid !== undefined) killGroup(child.pid);
  };
  let isTimeUp = false;
  const wall = setTimeout(() => {
    isTimeUp = true;
    kill();
  }, options.limits.wallSeconds * 1000);
  options.signal.addEventListener('abort', kill, { once: true });
  if (options.signal.aborted) kill();
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', (cause) =>
        reject(new CustodyError('MODEL_SERVER_FAILED', `cannot start ${program}: ${cause.message}`, { cause })),
      );
      // What it started may hold its output open: the group goes as soon as its first process has.
      child.once('exit', kill);
      child.once('close', (code, signal) =>
        resolve({
          how: `exit ${code ?? signal ?? 'unknown'}, saying ${quote(stderr.trim().slice(-TAIL))}`,
          isTimeUp,
        }),
      );
    });
  } finally {
    clearTimeout(wall);
    options.signal.removeEventListener('abort', kill);
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function served({ command, model, version }: IsolatedOptions, socket: string): string[] {
  return [...command, '--socket', socket, '--name', model, '--version', version];
}

function isInterruption(error: unknown): boolean {
  return error instanceof CustodyError && error.code === 'INTERRUPTED';
}
