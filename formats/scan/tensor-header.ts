import { CustodyError } from '../../domain/errors.js';
import { headerLength, readSafetensorsHeader } from '../safetensors.js';
import type { ArtifactReader, Report } from './reader.js';

/** A header of about 75,000 tensors. */
export const MAX_TENSOR_HEADER = 8 * 1024 * 1024;
const LENGTH_BYTES = 8;

/** The header of a safetensors file: it says of every byte that follows what it is. */
export class TensorHeader implements ArtifactReader {
  private readonly report: Report;
  private readonly size: number;
  private chunks: Buffer[] = [];
  private held = 0;
  private needed = LENGTH_BYTES;
  private isDone = false;

  constructor(report: Report, size: number) {
    this.report = report;
    this.size = size;
  }

  add(chunk: Uint8Array): void {
    let at = 0;
    while (!this.isDone && at < chunk.length) {
      const part = Buffer.from(chunk.subarray(at, at + this.needed - this.held));
      this.chunks.push(part);
      this.held += part.length;
      at += part.length;
      if (this.held === this.needed) this.measure();
    }
  }

  end(): void {
    if (!this.isDone) this.read();
  }

  private measure(): void {
    if (this.needed > LENGTH_BYTES) return this.read();
    try {
      const length = headerLength(Buffer.concat(this.chunks), this.size);
      this.needed += length;
      if (length > MAX_TENSOR_HEADER) {
        this.report(0, 'resource-limit', `its header has ${length} bytes, at most ${MAX_TENSOR_HEADER} are read`);
        this.isDone = true;
      } else if (length === 0) this.read();
    } catch (error) {
      this.tell(error);
    }
  }

  private read(): void {
    this.isDone = true;
    try {
      readSafetensorsHeader(Buffer.concat(this.chunks), this.size);
    } catch (error) {
      this.tell(error);
    }
    this.chunks = [];
  }

  private tell(error: unknown): void {
    if (!(error instanceof CustodyError) || error.code !== 'MALFORMED') throw error;
    this.isDone = true;
    this.report(0, 'malformed', error.message);
  }
}
