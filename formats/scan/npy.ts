import { PickleReader } from './pickle.js';
import type { ArtifactReader, Report } from './reader.js';

const MAGIC_BYTES = 8;
const MAX_HEADER = 64 * 1024;
/** A type, or one member of a structured type, whose elements are Python objects. */
const OBJECT_TYPE = /['"][<>|=]?O\d*['"]/;

/** A NumPy array: one whose elements are objects holds a pickle, which is followed. */
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
    if (!OBJECT_TYPE.test(header)) return;
    this.report(0, 'object-array', 'its elements are Python objects, in a pickle');
    const report: Report = (offset, rule, message) => this.report(to + offset, rule, message);
    this.inner = new PickleReader(report, { size: this.size - to });
    this.inner.add(rest);
  }
}
