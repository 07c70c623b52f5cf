import { numericBytes } from './npy-type.js';
import { PickleReader } from './pickle.js';
import type { ArtifactReader, Report } from './reader.js';

const MAGIC_BYTES = 8;
const MAX_HEADER = 64 * 1024;
const VERSIONS: ReadonlySet<number> = new Set([1, 2, 3]);
/** As every writer writes it; NumPy evaluates whatever literal stands there, and what is written otherwise is refused. */
const HEADER =
  /^\{'descr': *(.+), *'fortran_order': *(?:True|False), *'shape': *\(((?:\d{1,15}, *)*(?:\d{1,15})?)\),? *\} *\n?$/s;

/** A NumPy array of numbers. One of anything else may hold a pickle of objects, which is followed. */
export class NpyReader implements ArtifactReader {
  private readonly report: Report;
  private readonly size: number;
  private head = Buffer.alloc(0);
  private inner: PickleReader | null = null;
  private isData = false;

  constructor(report: Report, size: number) {
    this.report = report;
    this.size = size;
  }

  add(chunk: Uint8Array): void {
    if (this.isData) return this.inner?.add(chunk);
    this.head = Buffer.concat([this.head, chunk]);
    if (this.head.length >= MAGIC_BYTES && !VERSIONS.has(this.head[6] as number)) {
      this.report(6, 'malformed', `it is of the version ${this.head[6]}`);
      this.isData = true;
      return;
    }
    const lengthBytes = this.head[6] === 1 ? 2 : 4;
    const begin = MAGIC_BYTES + lengthBytes;
    if (this.head.length < begin) return;
    const length = this.head.readUIntLE(MAGIC_BYTES, lengthBytes);
    if (length > MAX_HEADER || begin + length > this.size) {
      this.report(MAGIC_BYTES, 'malformed', `its header claims ${length} bytes`);
      this.isData = true;
      return;
    }
    if (this.head.length >= begin + length) this.open(begin, begin + length);
  }

  end(): void {
    if (!this.isData) this.report(0, 'malformed', 'it ends within its header');
    this.inner?.end();
  }

  private open(from: number, to: number): void {
    const header = this.head.subarray(from, to).toString('latin1');
    const rest = this.head.subarray(to);
    this.head = Buffer.alloc(0);
    this.isData = true;
    const [, descr, shape = ''] = HEADER.exec(header) ?? [];
    const bytes = descr === undefined ? null : numericBytes(descr);
    if (bytes !== null) {
      const elements = (shape.match(/\d+/g) ?? []).reduce((product, each) => product * Number(each), 1);
      if (to + elements * bytes !== this.size)
        this.report(to, 'trailing-bytes', `${this.size - to} bytes follow its header, and it has ${elements * bytes}`);
      return;
    }
    this.report(0, 'object-array', 'its elements are no plain numbers: they may be Python objects, in a pickle');
    const report: Report = (offset, rule, message) => this.report(to + offset, rule, message);
    this.inner = new PickleReader(report, { size: this.size - to });
    this.inner.add(rest);
  }
}
