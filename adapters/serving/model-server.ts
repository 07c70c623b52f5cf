import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { CustodyError } from '../../domain/errors.js';
import type { ReleaseName } from '../../domain/names.js';
import { READY_PATH, type Protocol } from '../../domain/protocol.js';
import { checkShape, parseJson, quote } from '../../formats/json.js';
import { cleanEnvironment, type Confinement } from './confine.js';

export const HOST = '127.0.0.1';
const READY_WITHIN_MS = 120_000;
const HEALTH_WITHIN_MS = 1000;
/** For the requests that a server has when this host is to stop, or what it runs must not. */
export const STOP_WITHIN_MS = 10_000;
/** For those that it has when it has only left the routes: as long as gateways wait, unless told otherwise, for a silent replica. */
export const DRAIN_WITHIN_MS = 60_000;
const MAX_READY_LINE = 64 * 1024;
/** For stderr to be read to its end; a child that it has left may keep it open. */
const LAST_WORDS_WITHIN_MS = 500;
const TAIL_CHARACTERS = 2000;

const readySchema = z.looseObject({ ready: z.literal(true), port: z.int().min(1).max(65_535) });

/** A running model server that has answered once. */
export interface ModelServer {
  readonly pid: number;
  readonly port: number;
  /** Settles when the process has ended, with how. */
  readonly ended: Promise<string>;
  /** Whether it answers that it is ready. */
  healthy(): Promise<boolean>;
  /**
   * Lets running requests finish for so long, then kills; answers once it is gone, its children included. Asked again while it
   * ends, the shorter time counts.
   */
  stop(withinMs: number): Promise<void>;
  kill(): void;
}

export interface Launch {
  readonly name: ReleaseName;
  /** The release folder: its working directory. */
  readonly folder: string;
  readonly command: readonly string[];
  readonly protocol: Protocol;
  readonly confinement: Confinement;
  /** Goes into its environment. */
  readonly mark: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** Starts a model server on a free port of loopback. MODEL_SERVER_FAILED when it ends or does not answer in time. */
export async function startModelServer(launch: Launch): Promise<ModelServer> {
  const { confinement, name, folder } = launch;
  const [program = '', ...args] = [
    ...confinement.prefix,
    ...launch.command.map((word, at) => (at === 0 && word === 'node' ? process.execPath : word)),
    ...['--port', '0', '--name', name.model, '--version', name.version],
  ];
  const child = spawn(program, args, {
    ...confinement.user,
    cwd: folder,
    env: cleanEnvironment(launch.mark),
    // A group of its own, so that what it starts ends with it.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const tail = tailOf(child.stderr);
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`it cannot be started: ${error.message}`));
    child.once('exit', (code, signal) => {
      killGroup(child);
      resolve(signal === null ? `it ended with code ${code}` : `${signal} ended it`);
    });
  });
  const failed = (problem: string): CustodyError =>
    new CustodyError(
      'MODEL_SERVER_FAILED',
      `the model server of ${name.model} ${name.version}: ${problem}${tail.lastWords()}`,
    );

  const patience = AbortSignal.any([launch.signal, AbortSignal.timeout(READY_WITHIN_MS)]);
  const overdue = once(patience, 'abort').then(() => Promise.reject(failed('it was not ready in time')));
  overdue.catch(() => {});
  try {
    const died = ended.then(async (how) => {
      await Promise.race([tail.ended, delay(LAST_WORDS_WITHIN_MS)]);
      throw failed(how);
    });
    died.catch(() => {});
    if (patience.aborted) throw failed('it was stopped before it was ready');
    const port = await Promise.race([readyPort(child.stdout), died, overdue]);
    const server = serverOf(child, port, READY_PATH[launch.protocol], ended);
    if (!(await server.healthy())) throw failed('it says that it is ready, and does not answer so');
    return server;
  } catch (error) {
    kill(child);
    await ended;
    throw error instanceof CustodyError && error.code === 'MALFORMED' ? failed(error.message) : error;
  }
}

function serverOf(child: ChildProcess, port: number, ready: string, ended: Promise<string>): ModelServer {
  // A second signal would end a server that finishes what it has on the first.
  let isAsked = false;
  return {
    pid: child.pid ?? 0,
    port,
    ended,
    healthy: () => answersReady(port, ready),
    kill: () => kill(child),
    stop: async (withinMs) => {
      if (!isAsked) child.kill('SIGTERM');
      isAsked = true;
      const timer = setTimeout(() => kill(child), withinMs);
      await ended;
      clearTimeout(timer);
    },
  };
}

async function answersReady(port: number, path: string): Promise<boolean> {
  try {
    const answer = await fetch(`http://${HOST}:${port}${path}`, {
      signal: AbortSignal.timeout(HEALTH_WITHIN_MS),
      redirect: 'manual',
    });
    await answer.body?.cancel();
    return answer.status === 200;
  } catch {
    // Refused, cut off or too late: in each case it does not answer.
    return false;
  }
}

/** Its first line; what it writes afterwards is read and dropped, so that it never blocks. */
function readyPort(stdout: Readable): Promise<number> {
  return new Promise((resolve, reject) => {
    let line: Buffer | null = Buffer.alloc(0);
    stdout.on('data', (bytes: Buffer) => {
      if (line === null) return;
      line = Buffer.concat([line, bytes]);
      const end = line.indexOf('\n');
      if (end < 0 && line.length <= MAX_READY_LINE) return;
      const text = line.subarray(0, end < 0 ? 0 : end);
      line = null;
      try {
        resolve(checkShape(readySchema, parseJson(text, 'its ready line'), 'its ready line').port);
      } catch (error) {
        reject(error);
      }
    });
  });
}

/** What it wrote last; of that, what looks like a reason. */
function tailOf(stderr: Readable): { readonly lastWords: () => string; readonly ended: Promise<unknown> } {
  let tail = '';
  stderr.on('data', (bytes: Buffer) => {
    tail = (tail + bytes.toString('utf8')).slice(-TAIL_CHARACTERS);
  });
  const lastWords = (): string => {
    const lines = tail.split('\n').filter((each) => /\S/.test(each));
    const line = lines.findLast((each) => /error/i.test(each)) ?? lines.at(-1);
    return line === undefined ? '' : `, its last words: ${quote(line)}`;
  };
  // A pipe that breaks has ended too.
  return { lastWords, ended: once(stderr, 'end').catch(() => null) };
}

/** Only while it lives: its id may be another's afterwards. */
function kill(child: ChildProcess): void {
  if (child.exitCode === null && child.signalCode === null) killGroup(child);
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
