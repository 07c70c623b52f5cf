import type { Report } from './reader.js';

const OPCODE_BYTES = 9;

/**
 * The frames of protocol 4 and later. Loaders differ in what they do with an opcode that does not lie within one frame, so
 * that a file could be two pickles; no pickler writes one.
 */
export class Frames {
  private readonly report: Report;
  private readonly size: number;
  /** Where the frame ends that is open, or was. */
  private end = -1;
  isOpen = false;

  constructor(report: Report, size: number) {
    this.report = report;
    this.size = size;
  }

  opcode(where: number, length: number): void {
    if (where >= this.end) this.isOpen = false;
    else if (where + length > this.end) {
      this.report(where, 'frame-boundary', `an opcode goes beyond its frame, which ends at byte ${this.end}`);
      this.isOpen = false;
    }
  }

  /** Where the open frame ends in a chunk that begins at `base` and has `length` bytes. */
  endWithin(base: number, length: number): number {
    return Math.min(length, this.end - base);
  }

  begin(where: number, length: number): void {
    if (this.isOpen) this.report(where, 'frame-boundary', 'a frame begins within another one');
    this.end = where + OPCODE_BYTES + length;
    this.isOpen = true;
    if (this.end > this.size)
      this.report(where, 'frame-boundary', `a frame of ${length} bytes goes beyond the end of the file`);
  }

  stop(where: number): void {
    if (this.isOpen && this.end > where + 1)
      this.report(where, 'frame-boundary', `it stops within a frame, which ends at byte ${this.end}`);
    this.isOpen = false;
  }
}
