import type { PickleMachine } from './pickle-machine.js';
import { latin1, OP } from './pickle-ops.js';

export const MAX_NAME_BYTES = 4096;

/** An opcode of the first protocols, whose argument is the text from `from` to `to`. */
export function doLine(
  machine: PickleMachine,
  op: number,
  bytes: Uint8Array,
  from: number,
  to: number,
  where: number,
): void {
  switch (op) {
    case OP.STRING:
    case OP.UNICODE: {
      const isQuoted = op === OP.STRING && to - from >= 2;
      if (to - from > MAX_NAME_BYTES) machine.longString();
      else if (op === OP.STRING && !isQuoted) machine.broken = 'a string without quotes';
      else if (bytes.subarray(from, to).includes(0x5c)) machine.longString();
      else machine.string(bytes, isQuoted ? from + 1 : from, isQuoted ? to - 1 : to);
      break;
    }
    case OP.PERSID:
      machine.persistentId(where, false);
      break;
    case OP.GET:
    case OP.PUT: {
      const index = Number(latin1(bytes, from, to));
      if (!Number.isSafeInteger(index) || index < 0) machine.broken = 'a place in the memo that is no number';
      else if (op === OP.GET) machine.get(index);
      else machine.put(index);
      break;
    }
    default:
      if (/^[\s+-]?[\d.infaNIFT]/.test(latin1(bytes, from, Math.min(to, from + 8)))) machine.data();
      else machine.broken = 'a number that is none';
  }
}

/** An opcode whose argument is a number of fixed width. */
export function doNumber(machine: PickleMachine, op: number, value: number, where: number): void {
  switch (op) {
    case OP.BINGET:
    case OP.LONG_BINGET:
      return machine.get(value);
    case OP.BINPUT:
    case OP.LONG_BINPUT:
      return machine.put(value);
    case OP.EXT1:
    case OP.EXT2:
    case OP.EXT4:
      return machine.extension(where, value);
    default:
      return machine.data();
  }
}
