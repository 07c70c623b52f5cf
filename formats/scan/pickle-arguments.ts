import { MAX_LINE_BYTES } from './pickle-lines.js';
import type { PickleMachine } from './pickle-machine.js';
import { OP } from './pickle-ops.js';
import { VALUE } from './pickle-stack.js';

const DIGITS = String.raw`\d[\d_]*`;
/** What any of CPython's parsers takes for a number, and a little more: a walker that gives up first would hide the rest. */
const INTEGER = new RegExp(String.raw`^\s*[+-]?(?:0[xX][\da-fA-F_]+|0[oObB][\d_]+|${DIGITS})\s*L?\s*$`);
const FLOAT = new RegExp(
  String.raw`^\s*[+-]?(?:(?:${DIGITS}(?:\.(?:${DIGITS})?)?|\.${DIGITS})(?:[eE][+-]?${DIGITS})?|inf(?:inity)?|nan)\s*$`,
  'i',
);
const NUMBER_BEGINS = /^[\s\d_.+\-xXoObBa-fA-F]*$/;
const INDEX = /^\s*[+-]?\d+(?:_\d+)*\s*$/;

/** An opcode of the first protocols, whose argument is the text from `from` to `to`, and which stands at `where`. */
export function doLine(
  machine: PickleMachine,
  op: number,
  bytes: Uint8Array,
  from: number,
  to: number,
  where: number,
): void {
  switch (op) {
    case OP.UNICODE:
      if (to - from > MAX_LINE_BYTES || bytes.subarray(from, to).includes(0x5c)) machine.longString();
      else machine.string(bytes, from, to, where);
      break;
    case OP.STRING:
      doString(machine, bytes, from, to, where);
      break;
    case OP.PERSID:
      machine.persistentId(where, false);
      break;
    case OP.GET:
    case OP.PUT: {
      const index = indexOf(bytes, from, to);
      if (goesOnAsNumber(bytes, from, to))
        machine.exceed(`a place in the memo that is given by ${MAX_LINE_BYTES} characters`);
      else if (index === null) machine.breakOff('a place in the memo that is no number');
      else if (op === OP.GET) machine.get(index);
      else machine.put(index, where);
      break;
    }
    default:
      if (isDigits(bytes, from, to) || isNumber(op, bytes, from, to))
        machine.data(op === OP.FLOAT || to - from < 3 ? VALUE.inert : VALUE.telling);
      else machine.breakOff('a number that is none');
  }
}

function doString(machine: PickleMachine, bytes: Uint8Array, from: number, to: number, where: number): void {
  if (to - from > MAX_LINE_BYTES) return machine.longString();
  // Old loaders pass over blanks after the closing quote.
  let end = to;
  while (end > from && (bytes[end - 1] as number) <= 0x20) end -= 1;
  const quote = bytes[from];
  const isQuoted = end - from >= 2 && (quote === 0x22 || quote === 0x27) && bytes[end - 1] === quote;
  if (!isQuoted) machine.breakOff('a string without quotes');
  else if (end < to || bytes.subarray(from, to).includes(0x5c)) machine.longString();
  else machine.string(bytes, from + 1, to - 1, where);
}

function isDigits(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at += 1) {
    const byte = bytes[at] as number;
    if (byte < 0x30 || byte > 0x39) return false;
  }
  return to > from;
}

function isNumber(op: number, bytes: Uint8Array, from: number, to: number): boolean {
  const text = cString(bytes, from, Math.min(to, from + MAX_LINE_BYTES));
  if (goesOnAsNumber(bytes, from, to)) return true;
  // Nothing at all before a NUL is zero to the C library.
  if (text === '') return to > from;
  return (op === OP.FLOAT ? FLOAT : INTEGER).test(text);
}

/** Whether a number may be longer than what is kept of it. */
function goesOnAsNumber(bytes: Uint8Array, from: number, to: number): boolean {
  if (to - from <= MAX_LINE_BYTES) return false;
  const text = cString(bytes, from, from + MAX_LINE_BYTES);
  return text.length === MAX_LINE_BYTES && NUMBER_BEGINS.test(text);
}

/** As C reads it, up to a NUL, which to pickle.py is no number. */
function cString(bytes: Uint8Array, from: number, to: number): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('latin1');
  const nul = text.indexOf('\0');
  return nul < 0 ? text : text.slice(0, nul);
}

/** Of any size, as pickle.py keeps the memo in a dictionary; `null`: it is no number that could be one. */
function indexOf(bytes: Uint8Array, from: number, to: number): number | bigint | null {
  if (to - from <= 9 && isDigits(bytes, from, to)) {
    let index = 0;
    for (let at = from; at < to; at += 1) index = index * 10 + (bytes[at] as number) - 0x30;
    return index;
  }
  const text = cString(bytes, from, Math.min(to, from + MAX_LINE_BYTES));
  if (!INDEX.test(text)) return null;
  const digits = text.replace(/[\s_+]/g, '');
  if (/^-0*[1-9]/.test(digits)) return null;
  const index = BigInt(digits.replace('-', ''));
  return index <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(index) : index;
}
