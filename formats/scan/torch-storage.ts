import type { ArtifactReader } from './reader.js';

/** With its version, what no numbers begin like by chance. */
const NPY = Buffer.from('\x93NUMPY', 'latin1');
const HEAD_BYTES = NPY.length + 2;

/**
 * Bytes of a tensor within a PyTorch zip, which PyTorch never takes for anything else: numbers may begin like most formats. To
 * NumPy the same zip is one of arrays, and it looks at how each entry begins.
 */
export class TorchStorage implements ArtifactReader {
  private head = Buffer.alloc(0);
  private inner: ArtifactReader | null = null;
  private isTold = false;
  private readonly openArray: () => ArtifactReader;

  constructor(openArray: () => ArtifactReader) {
    this.openArray = openArray;
  }

  add(chunk: Uint8Array): void {
    if (this.isTold) return this.inner?.add(chunk);
    const needed = HEAD_BYTES - this.head.length;
    this.head = Buffer.concat([this.head, chunk.subarray(0, needed)]);
    if (this.head.length < HEAD_BYTES) return;
    this.isTold = true;
    const [major = 0, minor = 0] = this.head.subarray(NPY.length);
    if (!this.head.subarray(0, NPY.length).equals(NPY) || major === 0 || major > 3 || minor !== 0) return;
    this.inner = this.openArray();
    this.inner.add(this.head);
    this.inner.add(chunk.subarray(needed));
  }

  end(): void {
    this.inner?.end();
  }
}
