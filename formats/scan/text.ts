import type { ArtifactFormat } from '../../domain/artifacts.js';
import { checkDocument, type DocumentOptions } from './document.js';
import { MAX_JSON_DOCUMENT } from './json-constructs.js';
import { PickleReader } from './pickle.js';
import { formatOfMessage, isSentencePiece } from './protobuf.js';
import type { ArtifactReader, Report } from './reader.js';

/** Control characters that no text has: all but tab, line feed, vertical tab, form feed and carriage return. */
const NO_TEXT = /[\0-\x08\x0e-\x1f]/;
/** What is said of it as a pickle is kept until it turns out to be one: more than any file is reported with. */
const MAX_HELD = 200;
const ANONYMOUS: DocumentOptions = { name: '', holdsCode: false };

/**
 * A file that does not begin with any magic number: text, JSON, a SentencePiece model, a protobuf message, a pickle of the
 * first protocols, which is text too, or nothing that is known. A text is held as a whole, up to a bound.
 */
export class PlainReader implements ArtifactReader {
  private readonly report: Report;
  private readonly size: number;
  private readonly options: DocumentOptions;
  private readonly decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  private readonly pickle: PickleReader;
  private readonly inPickle: Parameters<Report>[] = [];
  private isText = true;
  private isBegun = false;
  private message: ArtifactFormat | null = null;
  /** The whole file, where it has to be read whole. */
  private held: Buffer | null = null;
  private read = 0;
  private result: ArtifactFormat = 'unknown';

  constructor(report: Report, size: number, options: DocumentOptions = ANONYMOUS) {
    this.report = report;
    this.size = size;
    this.options = options;
    this.pickle = new PickleReader((...told) => void (this.inPickle.length < MAX_HELD && this.inPickle.push(told)), {
      size,
    });
  }

  format(): ArtifactFormat {
    return this.result;
  }

  add(chunk: Uint8Array): void {
    this.pickle.add(chunk);
    if (this.isText && !this.isDecoded(chunk)) this.isText = false;
    if (!this.isBegun) {
      this.isBegun = true;
      if (!this.isText) this.message = formatOfMessage(chunk);
      const isWhole = this.isText || this.message === 'tokenizer';
      if (isWhole && this.size <= MAX_JSON_DOCUMENT) this.held = Buffer.alloc(this.size);
    }
    if (!this.isText && this.message !== 'tokenizer') this.held = null;
    this.held?.set(chunk.subarray(0, Math.max(0, this.size - this.read)), Math.min(this.read, this.size));
    this.read += chunk.length;
  }

  end(): void {
    this.pickle.end();
    if (this.isText && !this.isDecoded(null)) this.isText = false;
    const { ended, imports, calls, isExceeded } = this.pickle;
    const wouldRun = calls > 0 || (ended > 0 && imports > 0);
    // Beyond a limit nobody has looked: that it is nothing but text cannot be told.
    if (wouldRun || isExceeded || (!this.isText && ended > 0)) {
      this.inPickle.forEach((told) => this.report(...told));
      this.result = 'pickle';
    } else this.result = this.conclude();
    this.held = null;
  }

  private conclude(): ArtifactFormat {
    if (this.size === 0) return 'text';
    const { message } = this;
    if (!this.isText && message !== 'tokenizer') return message ?? 'unknown';
    if (this.held === null) {
      this.report(0, 'resource-limit', `of ${this.size} bytes, at most ${MAX_JSON_DOCUMENT} are looked through`);
      return message ?? 'text';
    }
    if (message !== null) return isSentencePiece(this.held) ? 'tokenizer' : 'unknown';
    return checkDocument(this.released(), this.options, this.report);
  }

  /** The text, whose bytes are not held any longer. */
  private released(): string {
    const text = this.held?.toString('utf8', 0, this.read) ?? '';
    this.held = null;
    return text;
  }

  /** Whether the next characters are text; without a chunk, whether the last one was whole. */
  private isDecoded(chunk: Uint8Array | null): boolean {
    try {
      return !NO_TEXT.test(chunk === null ? this.decoder.decode() : this.decoder.decode(chunk, { stream: true }));
    } catch {
      // The decoder says nothing but that it is no UTF-8.
      return false;
    }
  }
}
