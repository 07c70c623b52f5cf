import type { WriteStream } from 'node:tty';
import { bad, faint, good, heading, plain } from '../output.js';
import type { Line } from './tree.js';

const TONES: Readonly<Record<Line['tone'], (text: string) => string>> = {
  heading,
  good,
  bad,
  faint,
  plain: (text) => text,
};

export interface Canvas {
  draw(lines: readonly Line[]): void;
}

/** Draws over what it drew before, as large as the terminal is. */
export class TerminalCanvas implements Canvas {
  readonly #out: Pick<WriteStream, 'write' | 'columns' | 'rows'>;
  #height = 0;

  constructor(out: Pick<WriteStream, 'write' | 'columns' | 'rows'>) {
    this.#out = out;
  }

  draw(lines: readonly Line[]): void {
    // Some terminals say that they have none.
    const columns = this.#out.columns || 80;
    const rows = this.#out.rows || 24;
    const room = Math.max(1, rows - 1);
    const fitting = lines.length <= room ? lines : lines.slice(0, room - 1);
    const left = lines.length - fitting.length;
    const drawn = fitting.map(({ text, tone }) => TONES[tone](cut(plain(text), columns)));
    if (left > 0) drawn.push(faint(cut(`… ${left} more lines`, columns)));
    const back = this.#height === 0 ? '' : `\u001b[${this.#height}A`;
    this.#out.write(`${back}\r\u001b[J${drawn.join('\n')}\n`);
    this.#height = drawn.length;
  }
}

/** Where nobody draws over anything: a line when something has come to be, and one when it is over. */
export class LogCanvas implements Canvas {
  readonly #write: (text: string) => void;
  readonly #now: () => string;
  #known = new Set<string>();

  constructor(write: (text: string) => void, now: () => string) {
    this.#write = write;
    this.#now = now;
  }

  draw(lines: readonly Line[]): void {
    const facts = new Set(lines.map(({ fact }) => fact));
    for (const fact of this.#known) if (!facts.has(fact)) this.#write(`${this.#now()} no more: ${plain(fact)}\n`);
    for (const { fact, text } of lines) if (!this.#known.has(fact)) this.#write(`${this.#now()} ${plain(text)}\n`);
    this.#known = facts;
  }
}

function cut(text: string, columns: number): string {
  const characters = [...text];
  return characters.length <= columns ? text : `${characters.slice(0, columns - 1).join('')}…`;
}
