import type { ArtifactFormat } from '../../domain/artifacts.js';
import { BytePlaces } from '../utf8.js';
import { checkTemplate, isTemplate } from './jinja.js';
import { checkJson, MAX_JSON_DOCUMENT } from './json-constructs.js';
import { PickleReader } from './pickle.js';
import { formatOfMessage, isSentencePiece } from './protobuf.js';
import type { ArtifactReader, Report } from './reader.js';

/** Control characters that no text has: all but tab, line feed, vertical tab, form feed and carriage return. */
const NO_TEXT = /[\0-\x08\x0e-\x1f]/;
const PYTHON_TAG = /!!python\/|tag:yaml\.org,2002:python\//g;
/** What may lie at the end of one chunk and go on in the next. */
const OVERLAP = 4096;
/** More than are kept of one file. */
const MAX_TOLD = 200;
/** What a document of JSON begins with, other than a template that begins with a brace. */
const OBJECT = /^\ufeff?\s*\{(?!\s*[{%#])/;
const ARRAY = /^\ufeff?\s*\[/;

/**
 * A file that does not begin with any magic number: text, JSON, a SentencePiece model, a protobuf message, a pickle of the
 * first protocols, which is text too, or nothing that is known.
 */
export class PlainReader implements ArtifactReader {
  private readonly report: Report;
  private readonly size: number;
  private readonly decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  private readonly pickle: PickleReader;
  private readonly inPickle: Parameters<Report>[] = [];
  /** As a pickle it is more than may be followed: what comes after that could do anything. */
  private isBeyond = false;
  private isText = true;
  private guess: 'text' | 'object' | 'array' | 'message' | 'unknown' | null = null;
  private message: ArtifactFormat | null = null;
  /** The whole file, where it has to be read whole. */
  private held: Buffer | null = null;
  private heldBytes = 0;
  /** One template that reaches the interpreter is enough. */
  private isTold = false;
  private overlap = '';
  private overlapAt = 0;
  private result: ArtifactFormat = 'unknown';

  constructor(report: Report, size: number) {
    this.report = report;
    this.size = size;
    this.pickle = new PickleReader(
      (...told) => {
        if (this.inPickle.length < MAX_TOLD) this.inPickle.push(told);
        this.isBeyond ||= told[1] === 'resource-limit';
      },
      { size },
    );
  }

  format(): ArtifactFormat {
    return this.result;
  }

  add(chunk: Uint8Array): void {
    this.pickle.add(chunk);
    const text = this.decode(chunk);
    if (this.guess === null) this.begin(chunk, text);
    if (this.held !== null)
      this.heldBytes += Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).copy(this.held, this.heldBytes);
    if (text !== null && this.held === null) this.look(text);
  }

  end(): void {
    this.pickle.end();
    if (this.isText && this.decode(null) === null) this.isText = false;
    const { ended, imports, calls } = this.pickle;
    const wouldRun = this.isBeyond || calls > 0 || (ended > 0 && imports > 0);
    if (wouldRun || (!this.isText && ended > 0)) {
      this.inPickle.forEach((told) => this.report(...told));
      this.result = 'pickle';
    } else this.result = this.conclude();
  }

  private begin(chunk: Uint8Array, text: string | null): void {
    if (text === null) {
      this.message = formatOfMessage(chunk);
      this.guess = this.message === null ? 'unknown' : 'message';
    } else this.guess = OBJECT.test(text) ? 'object' : ARRAY.test(text) ? 'array' : 'text';
    const isWhole = this.guess === 'object' || this.guess === 'array' || this.message === 'tokenizer';
    if (!isWhole) return;
    // Asked for at once, since the parts and their sum would need twice the memory.
    if (this.size <= MAX_JSON_DOCUMENT) this.held = Buffer.allocUnsafeSlow(this.size);
    else this.report(0, 'resource-limit', `of ${this.size} bytes, at most ${MAX_JSON_DOCUMENT} are looked through`);
  }

  private conclude(): ArtifactFormat {
    const whole = this.held?.subarray(0, this.heldBytes) ?? null;
    this.held = null;
    if (this.guess === 'message' && this.message !== null) {
      if (this.message !== 'tokenizer' || whole === null) return this.message;
      return isSentencePiece(whole) ? 'tokenizer' : 'unknown';
    }
    if (!this.isText) return this.size === 0 ? 'text' : 'unknown';
    if (this.guess !== 'object' && this.guess !== 'array') return 'text';
    if (whole === null) return 'json';
    const problem = checkJson(whole, this.report);
    if (problem === null) return 'json';
    if (this.guess === 'array') {
      this.look(whole.toString('utf8'));
      return 'text';
    }
    this.report(0, 'malformed', problem);
    return 'json';
  }

  /** The next characters; `null`: it is no text. Without a chunk, whether the last character was whole. */
  private decode(chunk: Uint8Array | null): string | null {
    if (!this.isText) return null;
    try {
      const text = chunk === null ? this.decoder.decode() : this.decoder.decode(chunk, { stream: true });
      if (!NO_TEXT.test(text)) return text;
    } catch {
      // The decoder says nothing but that it is no UTF-8.
    }
    this.isText = false;
    return null;
  }

  private look(text: string): void {
    const window = this.overlap + text;
    const places = new BytePlaces(window);
    const byteAt = (at: number): number => this.overlapAt + places.before(at);
    if (!this.isTold && isTemplate(window))
      checkTemplate(window, (at, rule, message) => {
        this.isTold = true;
        this.report(byteAt(at), rule, message);
      });
    for (const { index } of window.matchAll(PYTHON_TAG))
      this.report(byteAt(index), 'unsafe-yaml', 'a YAML tag that makes a loader build any Python object');
    const kept = window.slice(-OVERLAP);
    this.overlapAt += Buffer.byteLength(window.slice(0, window.length - kept.length));
    this.overlap = kept;
  }
}
