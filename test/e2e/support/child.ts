import { spawn, type ChildProcess } from 'node:child_process';
import { compiled } from './product.js';
import { until } from './until.js';

const LINE_SECONDS = 180;
const END_SECONDS = 60;

export type End = number | NodeJS.Signals;

/** A program of ours as somebody starts it in a terminal: in a group of its own, to which Ctrl-C goes. */
export class Child {
  readonly #process: ChildProcess;
  #text = '';
  #answer = '';
  #end: End | null = null;

  constructor(file: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const options = { env: { ...process.env, NO_COLOR: '1', ...env }, detached: true } as const;
    this.#process = spawn(process.execPath, [compiled(file), ...args], {
      ...options,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#answer += text;
      this.#text += text;
    });
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#text += text));
    this.#process.once('close', (code, signal) => (this.#end = signal ?? code ?? 0));
  }

  /** What it wrote to stdout. */
  get answer(): string {
    return this.#answer;
  }

  get text(): string {
    return this.#text;
  }

  /** Waits until it has said this. */
  said(part: string): Promise<unknown> {
    return until(`“${part}”`, LINE_SECONDS, async () => {
      if (this.#text.includes(part)) return true;
      if (this.#end !== null) throw new Error(`it has ended with ${this.#end}:\n${this.#text}`);
      return null;
    });
  }

  signal(name: NodeJS.Signals): void {
    process.kill(-(this.#process.pid ?? 0), name);
  }

  /** How it ended: its exit code, or the signal that ended it. */
  ended(): Promise<End> {
    return until('its end', END_SECONDS, async () => this.#end);
  }
}
