import { createHash } from 'node:crypto';
import { CustodyError } from '../../domain/errors.js';
import type { FileContent, FileFacts, ReleaseFacts, TensorFacts } from '../../domain/release-facts.js';
import type { ComponentKind, Manifest, ManifestFile } from '../../domain/manifest.js';
import { isRead, readContent } from '../../formats/file-facts.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { quote } from '../../formats/json.js';
import {
  headerLength,
  readSafetensorsHeader,
  type SafetensorsHeader,
  type TensorInfo,
} from '../../formats/safetensors.js';
import { sha256 } from '../../formats/sha256.js';
import { SKETCH_PLACES, TensorSketch } from '../../formats/tensor-sketch.js';

/** With more tensors each has a shorter sketch, and beyond the last bound a file is only hashed. */
const MANY_TENSORS = 4096;
const MAX_TENSORS = 131_072;
const FEW_PLACES = 16;
/** Whatever is put together, it holds no more than what is found in one go. */
const MAX_PLACES = MAX_TENSORS * FEW_PLACES;
const LENGTH_BYTES = 8;

/** What is found out of one file while its bytes pass by, in memory that does not grow with its weights. */
export interface FileReader {
  add(chunk: Buffer): void;
  content(): FileContent;
}

export function releaseFacts(
  { model, version, components, files, serving }: Manifest,
  contents: ReadonlyMap<string, FileContent>,
): ReleaseFacts {
  const digests = new Map(files.map(({ path, sha256: digest }) => [path, digest]));
  const facts = (path: string): FileFacts => ({
    path,
    sha256: digests.get(path) ?? '',
    content: contents.get(path) ?? { kind: 'opaque' },
  });
  return {
    schema: 'https://custody.dev/facts/v1',
    model,
    version,
    components: components.map(({ name, kind, version: own, files: paths }) => ({
      name,
      kind,
      version: own,
      files: [...paths].sort().map(facts),
    })),
    serving,
  };
}

/** What is known of each file, by its path. */
export function contentsOf({ components }: ReleaseFacts): ReadonlyMap<string, FileContent> {
  return new Map(components.flatMap(({ files }) => files.map(({ path, content }) => [path, content] as const)));
}

/** Whether what was found of files at different times may be kept as one. */
export function mayBeJoined(contents: Iterable<FileContent>): boolean {
  let [tensors, places] = [0, 0];
  for (const content of contents) {
    if (content.kind !== 'tensors') continue;
    tensors += content.tensors.length;
    for (const { measure } of content.tensors) places += measure?.sketch.length ?? 0;
  }
  return tensors <= MAX_TENSORS && places <= MAX_PLACES;
}

/** A file that is read whole, since it is small, or not at all. */
export class TextReader implements FileReader {
  private readonly file: ManifestFile;
  private readonly kind: ComponentKind;
  private readonly chunks: Buffer[] = [];

  constructor(file: ManifestFile, kind: ComponentKind) {
    this.file = file;
    this.kind = kind;
  }

  add(chunk: Buffer): void {
    if (isRead(this.kind, this.file.size)) this.chunks.push(Buffer.from(chunk));
  }

  content(): FileContent {
    if (!isRead(this.kind, this.file.size)) return { kind: 'opaque' };
    return readContent(this.kind, this.file.path, Buffer.concat(this.chunks));
  }
}

/** How many tensors of a release have been read: it bounds what is kept of them, however many files they lie in. */
export interface TensorCount {
  tensors: number;
}

/** Digest and measure of each tensor, in the order of their bytes, which cover the data without a hole. */
class TensorReader {
  private readonly header: SafetensorsHeader;
  private readonly places: number;
  private readonly facts: TensorFacts[] = [];
  private readonly sketch = new TensorSketch();
  private hash = createHash('sha256');
  private at = 0;

  constructor(header: SafetensorsHeader, places: number) {
    this.header = header;
    this.places = places;
    this.begin();
  }

  /** The next bytes after the header. */
  add(data: Buffer): void {
    for (let from = 0; from < data.length;) {
      const { end } = this.current();
      if (this.at >= end) {
        this.finish();
        continue;
      }
      const part = data.subarray(from, from + end - this.at);
      this.hash.update(part);
      this.sketch.add(part);
      from += part.length;
      this.at += part.length;
    }
  }

  tensors(): readonly TensorFacts[] {
    while (this.facts.length < this.header.tensors.length) this.finish();
    return this.facts;
  }

  private current(): TensorInfo {
    const info = this.header.tensors[this.facts.length];
    if (info === undefined) throw new CustodyError('INTERNAL', 'there is data beyond the last tensor');
    return info;
  }

  private begin(): void {
    const info = this.header.tensors[this.facts.length];
    if (info === undefined) return;
    this.hash = createHash('sha256');
    this.sketch.begin(info.dtype);
  }

  private finish(): void {
    const { name, dtype, shape } = this.current();
    const measure = this.sketch.measure(this.places);
    this.facts.push({ name, dtype, shape, sha256: this.hash.digest('hex'), measure });
    this.begin();
  }
}

/** A safetensors file: MALFORMED, with its name, where it is none by its content. */
export class SafetensorsReader implements FileReader {
  private readonly file: ManifestFile;
  private readonly count: TensorCount;
  private readonly chunks: Buffer[] = [];
  private held = 0;
  private needed = LENGTH_BYTES;
  private header: SafetensorsHeader | null = null;
  private data: TensorReader | null = null;

  constructor(file: ManifestFile, count: TensorCount) {
    this.file = file;
    this.count = count;
  }

  add(chunk: Buffer): void {
    let at = 0;
    while (this.header === null && at < chunk.length) at += this.take(chunk.subarray(at));
    if (at < chunk.length) this.data?.add(chunk.subarray(at));
  }

  content(): FileContent {
    this.header ??= this.named(() => readSafetensorsHeader(Buffer.concat(this.chunks), this.file.size));
    if (this.data === null) return { kind: 'opaque' };
    const rest = sha256(canonicalBytes(this.header.metadata));
    return { kind: 'tensors', tensors: this.data.tensors(), rest };
  }

  /** Keeps the beginning of the file, as far as its header reaches; answers how many bytes of the chunk belong to it. */
  private take(chunk: Buffer): number {
    const part = Buffer.from(chunk.subarray(0, this.needed - this.held));
    this.chunks.push(part);
    this.held += part.length;
    if (this.held < this.needed) return part.length;
    const whole = Buffer.concat(this.chunks.splice(0));
    this.chunks.push(whole);
    if (this.needed === LENGTH_BYTES) this.needed += this.named(() => headerLength(whole, this.file.size));
    if (this.held === this.needed) this.begin(this.named(() => readSafetensorsHeader(whole, this.file.size)));
    return part.length;
  }

  private begin(header: SafetensorsHeader): void {
    this.header = header;
    this.chunks.length = 0;
    this.count.tensors += header.tensors.length;
    const { tensors } = this.count;
    if (tensors <= MAX_TENSORS)
      this.data = new TensorReader(header, tensors > MANY_TENSORS ? FEW_PLACES : SKETCH_PLACES);
  }

  private named<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof CustodyError) || error.code !== 'MALFORMED') throw error;
      throw new CustodyError('MALFORMED', `${quote(this.file.path)}: ${error.message}`, {
        details: { path: this.file.path },
        cause: error,
      });
    }
  }
}

/** Reads a file as what it is by its first bytes, whatever its name and whatever part it is declared to be of. */
export class ContentReader implements FileReader {
  private readonly file: ManifestFile;
  private readonly kind: ComponentKind;
  private readonly count: TensorCount;
  private head = Buffer.alloc(0);
  private reader: FileReader | null = null;

  constructor(file: ManifestFile, kind: ComponentKind, count: TensorCount) {
    this.file = file;
    this.kind = kind;
    this.count = count;
  }

  add(chunk: Buffer): void {
    if (this.reader !== null) return this.reader.add(chunk);
    this.head = Buffer.concat([this.head, chunk]);
    if (this.head.length > LENGTH_BYTES) this.chosen().add(this.head);
  }

  content(): FileContent {
    if (this.reader === null) this.chosen().add(this.head);
    return this.chosen().content();
  }

  private chosen(): FileReader {
    this.reader ??= isSafetensors(this.head, this.file.size)
      ? new SafetensorsReader(this.file, this.count)
      : new TextReader(this.file, this.kind);
    return this.reader;
  }
}

function isSafetensors(head: Buffer, size: number): boolean {
  if (head.length <= LENGTH_BYTES || head[LENGTH_BYTES] !== 0x7b) return false;
  try {
    return headerLength(head.subarray(0, LENGTH_BYTES), size) > 0;
  } catch (error) {
    if (error instanceof CustodyError && error.code === 'MALFORMED') return false;
    throw error;
  }
}
