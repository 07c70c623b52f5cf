import { spawn, type ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { CustodyError } from '../../domain/errors.js';

export interface ProcessSpec {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  /** Takes what the process writes to stderr. */
  readonly logFile: string;
  /** Resolves when it answers, and gives up at the signal; without it, a line of JSON with `ready` on stdout says so. */
  readonly ready?: (signal: AbortSignal) => Promise<void>;
}

const FIRST_BACKOFF_MS = 100;
const LONGEST_BACKOFF_MS = 5_000;
const STOP_MS = 15_000;
const LOG_TAIL = 2_000;

interface Running {
  readonly spec: ProcessSpec;
  child: ChildProcess;
  backoff: number;
  restart: NodeJS.Timeout | null;
}

/** Starts processes, starts again what dies, and stops all it started, by their own process ids. */
export class Supervisor extends EventEmitter<{
  restarted: [name: string, pid: number];
  died: [name: string, how: string];
}> {
  readonly #running = new Map<string, Running>();
  #stopping = false;

  /**
   * Starts a process and waits until it is ready. INTERNAL with the end of its log when it dies before; INTERRUPTED once all
   * has been stopped.
   */
  async start(spec: ProcessSpec): Promise<void> {
    if (this.#stopping) throw new CustodyError('INTERRUPTED', `${spec.name} is not started any more`);
    const child = this.#spawn(spec);
    const running: Running = { spec, child, backoff: FIRST_BACKOFF_MS, restart: null };
    this.#running.set(spec.name, running);
    const died = new Promise<never>((_, fail) => {
      child.once('error', fail);
      child.once('exit', (code, signal) =>
        fail(
          new CustodyError(
            'INTERNAL',
            `${spec.name} ended with ${signal ?? code} before it was ready:\n${tailOf(spec.logFile)}`,
          ),
        ),
      );
    });
    const given = new AbortController();
    try {
      const ready = spec.ready === undefined ? readyLine(child) : spec.ready(given.signal);
      await Promise.race([ready, died]);
    } catch (error) {
      given.abort();
      this.#running.delete(spec.name);
      child.kill('SIGKILL');
      throw error;
    }
    died.catch(() => undefined);
    if (child.exitCode !== null || child.signalCode !== null) this.#again(running);
    else child.once('exit', () => this.#again(running));
  }

  pids(): Readonly<Record<string, number>> {
    const pids = [...this.#running].map(([name, { child }]) => [name, child.pid ?? 0] as const);
    return Object.fromEntries(pids);
  }

  /** Ends this one, and does not start it again. */
  async end(name: string): Promise<void> {
    const running = this.#running.get(name);
    if (running === undefined) return;
    this.#running.delete(name);
    if (running.restart !== null) clearTimeout(running.restart);
    await end(running.child);
  }

  /** Ends every process, last started first; what does not end in time is killed. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const { restart } of this.#running.values()) if (restart !== null) clearTimeout(restart);
    for (const { child } of [...this.#running.values()].reverse()) await end(child);
  }

  #spawn(spec: ProcessSpec): ChildProcess {
    const [command, ...args] = spec.command;
    const log = openSync(spec.logFile, 'a', 0o600);
    // In a session of its own: Ctrl-C reaches the supervisor alone, which ends them in order.
    const child = spawn(command, args, { env: { ...spec.env }, stdio: ['pipe', 'pipe', log], detached: true });
    closeSync(log);
    child.stdout?.on('error', () => undefined);
    return child;
  }

  #again(running: Running): void {
    if (this.#stopping || this.#running.get(running.spec.name) !== running) return;
    const { spec, child } = running;
    this.emit('died', spec.name, String(child.signalCode ?? child.exitCode));
    running.restart = setTimeout(() => {
      const next = this.#spawn(spec);
      const startedAt = Date.now();
      running.child = next;
      running.restart = null;
      next.stdout?.resume();
      next.once('error', () => this.#again(running));
      next.once('exit', () => {
        running.backoff =
          Date.now() - startedAt > LONGEST_BACKOFF_MS
            ? FIRST_BACKOFF_MS
            : Math.min(running.backoff * 2, LONGEST_BACKOFF_MS);
        this.#again(running);
      });
      this.emit('restarted', spec.name, next.pid ?? 0);
    }, running.backoff);
  }
}

function readyLine(child: ChildProcess): Promise<void> {
  const lines = createInterface({ input: child.stdout as Readable });
  return new Promise((resolve) => {
    lines.on('line', (line) => {
      if (line.startsWith('{"ready":true')) resolve();
    });
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.stdin?.end();
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await ended;
  clearTimeout(late);
}

function tailOf(file: string): string {
  return readFileSync(file, 'utf8').slice(-LOG_TAIL);
}
