import type { ArtifactFormat, RuleId } from '../../domain/artifacts.js';
import { PickleReader } from './pickle.js';
import type { ArtifactReader, Report } from './reader.js';
import { HEAD_BYTES, Hdf5Watch, hidesPdf, isTarHeader } from './sniff.js';
import { findLaxEnd, TAIL_BYTES } from './zip-directory.js';

/** What a pickle reader tells of bytes that would run something before they break off. */
const ACTS: ReadonlySet<RuleId> = new Set<RuleId>(['unsafe-global', 'dynamic-import', 'unsafe-call', 'extension-code']);

/**
 * Looks for a second format in a file that begins like `found`. Readers begin elsewhere than at the first byte: of a zip at
 * the end, of HDF5 at each power of two, of a PDF anywhere near the beginning; and a pickle may begin like anything.
 */
export class SecondFormat implements ArtifactReader {
  private readonly report: Report;
  private readonly size: number;
  private readonly found: ArtifactFormat | null;
  private readonly hdf5: Hdf5Watch | null;
  private readonly pickle: PickleReader | null;
  private acts = false;
  private head = Buffer.alloc(0);
  private tail = Buffer.alloc(0);

  constructor(report: Report, size: number, found: ArtifactFormat | null) {
    this.report = report;
    this.size = size;
    this.found = found;
    this.hdf5 =
      found === 'hdf5' ? null : new Hdf5Watch((offset) => report(offset, 'polyglot', 'it is an HDF5 file as well'));
    const told: Report = (_offset, rule) => void (this.acts ||= ACTS.has(rule));
    // What begins like no format is followed as a pickle anyway; `PK` is a persistent id, where loaders of pickles stop.
    const isOther = found !== null && found !== 'pickle' && found !== 'zip';
    this.pickle = isOther ? new PickleReader(told, { size }) : null;
  }

  add(chunk: Uint8Array): void {
    if (this.head.length < HEAD_BYTES)
      this.head = Buffer.concat([this.head, chunk.subarray(0, HEAD_BYTES - this.head.length)]);
    this.hdf5?.add(chunk);
    this.pickle?.add(chunk);
    if (this.found === 'zip') return;
    if (chunk.length >= TAIL_BYTES) this.tail = Buffer.from(chunk.subarray(-TAIL_BYTES));
    else this.tail = Buffer.concat([this.tail, chunk]).subarray(-TAIL_BYTES);
  }

  end(): void {
    const { size, found } = this;
    const end = found === 'zip' ? null : findLaxEnd(this.tail, size);
    if (end !== null) this.report(end, 'polyglot', 'it is a zip archive as well');
    const pdf = found === 'pdf' ? -1 : hidesPdf(this.head);
    if (pdf >= 0) this.report(pdf, 'polyglot', 'it is a PDF as well');
    if (found !== 'tar' && isTarHeader(this.head.subarray(0, 512)))
      this.report(0, 'polyglot', 'it is a tar archive as well');
    this.pickle?.end();
    if (this.isPickle()) this.report(0, 'polyglot', 'it is a pickle as well, which imports or calls something');
  }

  /** The name of a tar's first entry can look like an import: elsewhere an import that nothing follows is one, too. */
  private isPickle(): boolean {
    const { pickle, found } = this;
    if (pickle === null) return false;
    if (pickle.isExceeded) return true;
    if (found === 'tar') return pickle.calls > 0 || (pickle.ended > 0 && pickle.imports > 0);
    // A loader that is asked for a name which no module can have has ended there.
    if (pickle.imports > 0) return pickle.possibleImports > 0;
    return this.acts || pickle.calls > 0;
  }
}
