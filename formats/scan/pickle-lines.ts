import { utf8 } from './pickle-ops.js';

/** Of a longer line only the beginning is looked at. */
export const MAX_LINE_BYTES = 4096;
const NEWLINE = 0x0a;
/** Lines are short: so many bytes are looked at here before a search by the engine is worth its call. */
const SHORT_LINE = 48;

/** Where the line ends that begins at `from`; -1: not before `end`. */
export function lineEnd(bytes: Uint8Array, from: number, end: number): number {
  const near = Math.min(end, from + SHORT_LINE);
  for (let at = from; at < near; at += 1) if (bytes[at] === NEWLINE) return at;
  return near === end ? -1 : bytes.indexOf(NEWLINE, near);
}

/** What two lines say, where what follows them begins, and how many ends of lines are still to come. */
export interface Names {
  readonly module: string;
  readonly name: string;
  readonly next: number;
  readonly unread: number;
}

/**
 * The two lines of an import; `null`: the rest of them is in the next chunk. `isLast`: there is no next chunk, and of a line
 * that has no end pickle.py cuts its last byte off instead. No allowed name is so long that it would be cut here.
 */
export function readNames(bytes: Uint8Array, from: number, end: number, isLast: boolean): Names | null {
  const first = readLine(bytes, from, end, isLast);
  if (first === null) return null;
  const { text: module, next, unread } = first;
  if (first.isCut) return { module, name: unread < 0 ? '' : '…', next, unread: unread + 1 };
  const second = readLine(bytes, next, end, isLast);
  if (second === null) return null;
  return { module, name: second.text, next: second.next, unread: Math.max(0, second.unread) };
}

interface Line {
  readonly text: string;
  readonly next: number;
  /** Whether it is not the whole line that is told. */
  readonly isCut: boolean;
  /** Ends of lines that are still to come; -1: there will be none. */
  readonly unread: number;
}

function readLine(bytes: Uint8Array, from: number, end: number, isLast: boolean): Line | null {
  const newline = lineEnd(bytes, from, end);
  const [to, next] = newline < 0 ? [end, end] : [newline, newline + 1];
  if (to - from > MAX_LINE_BYTES) {
    const text = `${utf8(bytes, from, from + MAX_LINE_BYTES)}…`;
    return { text, next, isCut: true, unread: newline < 0 ? 1 : 0 };
  }
  if (newline >= 0) return { text: utf8(bytes, from, to), next, isCut: false, unread: 0 };
  return isLast ? { text: utf8(bytes, from, Math.max(from, end - 1)), next, isCut: true, unread: -1 } : null;
}
