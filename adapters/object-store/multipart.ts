import { createHash } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import type { Digest } from '../../domain/digest.js';
import { CustodyError } from '../../domain/errors.js';
import type { UploadOptions } from './port.js';
import { failure, type S3Session } from './s3-session.js';
import { textOf } from './xml.js';

const PART_BYTES = 16 * 1024 * 1024;
const IN_FLIGHT = 2;
const MAX_PARTS = 10_000;
const PART_ATTEMPTS = 3;
const RETRY_MS = 250;
const SILENCE_MS = 60_000;

export interface Uploaded {
  readonly size: number;
  readonly digest: Digest;
  readonly versionId: string | null;
  /** Why it is not known whether the object under the key is this one; `null` when it is. */
  readonly doubt: CustodyError | null;
}

interface Part {
  readonly number: number;
  readonly etag: string;
}

/** Not Promise.race against one promise for all: that would keep every chunk until the signal is dropped. */
function nextUnless<T>(iterator: AsyncIterator<T>, signal: AbortSignal): Promise<IteratorResult<T>> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    iterator
      .next()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', stop));
  });
}

/** Ends as soon as the signal does, even while the source is silent. */
async function* until<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  let ended = false;
  try {
    for (;;) {
      signal.throwIfAborted();
      const next = await nextUnless(iterator, signal);
      if (next.done === true) {
        ended = true;
        return;
      }
      yield next.value;
    }
  } finally {
    // Not awaited: a source that hangs would hold the failure back. What it throws at its end no longer matters.
    if (!ended) iterator.return?.().catch(() => undefined);
  }
}

function putPart(url: string, body: Buffer, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const send = url.startsWith('https:') ? https.request : http.request;
    const request = send(url, { method: 'PUT', headers: { 'content-length': body.length }, signal }, (response) => {
      const chunks: Buffer[] = [];
      response.on('error', reject);
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const { statusCode: status = 0, headers } = response;
        const text = Buffer.concat(chunks).toString('utf8');
        if (status === 200 && headers.etag !== undefined) resolve(headers.etag);
        else if (status >= 500 || status === 408 || status === 429)
          reject(new CustodyError('STORE_UNAVAILABLE', `the store answered an upload with ${status}`));
        else reject(failure('upload', { status, code: textOf(text, 'Code') ?? '', text }));
      });
    });
    request.on('error', reject);
    request.setTimeout(SILENCE_MS, () =>
      request.destroy(new CustodyError('STORE_UNAVAILABLE', 'the store was silent during an upload')),
    );
    request.end(body);
  });
}

/** One upload: its parts in bounded memory, at most two on their way while a third is filled. */
class Multipart {
  private readonly session: S3Session;
  private readonly bucket: string;
  private readonly key: string;
  private readonly id: string;
  private readonly stop = new AbortController();
  private readonly onTheWay = new Set<Promise<void>>();
  private readonly buffers: Buffer[] = [];
  private readonly parts: Part[] = [];
  private count = 0;
  private stored = 0;

  constructor(session: S3Session, bucket: string, key: string, id: string) {
    this.session = session;
    this.bucket = bucket;
    this.key = key;
    this.id = id;
  }

  async sendAll(body: AsyncIterable<Buffer>, options: UploadOptions): Promise<{ size: number; digest: Digest }> {
    const signal =
      options.signal === undefined ? this.stop.signal : AbortSignal.any([this.stop.signal, options.signal]);
    const hash = createHash('sha256');
    let buffer = this.buffer();
    let filled = 0;
    let size = 0;
    const ship = async (): Promise<void> => {
      this.ship(buffer, filled, signal, options);
      if (this.onTheWay.size >= IN_FLIGHT) await Promise.race(this.onTheWay);
      signal.throwIfAborted();
      buffer = this.buffer();
      filled = 0;
    };
    try {
      for await (const chunk of until(body, signal)) {
        hash.update(chunk);
        size += chunk.length;
        for (let from = 0; from < chunk.length;) {
          const copied = chunk.copy(buffer, filled, from);
          from += copied;
          filled += copied;
          if (filled === PART_BYTES) await ship();
        }
      }
      // An empty body is one empty part.
      if (filled > 0 || this.count === 0) await ship();
    } catch (error) {
      this.stop.abort(error);
      throw error;
    } finally {
      await Promise.all(this.onTheWay);
    }
    signal.throwIfAborted();
    return { size, digest: hash.digest('hex') };
  }

  private buffer(): Buffer {
    return this.buffers.pop() ?? Buffer.allocUnsafeSlow(PART_BYTES);
  }

  /** Never rejects: what fails stops the whole upload through its signal. */
  private ship(buffer: Buffer, length: number, signal: AbortSignal, { onProgress }: UploadOptions): void {
    this.count += 1;
    const number = this.count;
    const sent = this.send(number, buffer.subarray(0, length), signal)
      .then((etag) => {
        this.parts.push({ number, etag });
        this.buffers.push(buffer);
        this.stored += length;
        onProgress?.(this.stored);
      })
      .catch((error: unknown) => this.stop.abort(this.session.explained(error)));
    const tracked = sent.finally(() => this.onTheWay.delete(tracked));
    this.onTheWay.add(tracked);
  }

  private async send(number: number, body: Buffer, signal: AbortSignal): Promise<string> {
    if (number > MAX_PARTS)
      throw new CustodyError('INPUT_UNSAFE', `${this.key} is larger than ${MAX_PARTS} parts of ${PART_BYTES} bytes`);
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await putPart(await this.session.partUrl(this.bucket, this.key, this.id, number), body, signal);
      } catch (error) {
        const reason = this.session.explained(error);
        const mayPass = reason instanceof CustodyError && reason.code === 'STORE_UNAVAILABLE';
        if (!mayPass || signal.aborted || attempt === PART_ATTEMPTS) throw error;
        await delay(RETRY_MS * attempt, undefined, { signal });
      }
    }
  }

  /** Answers the version id, or why the outcome is unknown. */
  async complete(): Promise<{ versionId: string | null; doubt: CustodyError | null }> {
    const list = this.parts
      .sort((a, b) => a.number - b.number)
      .map(({ number, etag }) => `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag></Part>`);
    const body = `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${list.join('')}</CompleteMultipartUpload>`;
    const what = `complete the upload of ${this.key}`;
    try {
      const answer = await this.session.text({
        method: 'POST',
        bucket: this.bucket,
        key: this.key,
        query: { uploadId: this.id },
        headers: { 'if-none-match': '*', 'content-type': 'application/xml' },
        body,
        patient: true,
      });
      const versionId = answer.headers['x-amz-version-id'];
      // S3 may answer 200 and put the error into the body; a second Complete of the same upload has no version id.
      const clear = answer.status === 200 && textOf(answer.text, 'Error') === null && typeof versionId === 'string';
      return clear ? { versionId, doubt: null } : { versionId: null, doubt: failure(what, answer) };
    } catch (error) {
      if (error instanceof CustodyError && error.code === 'STORE_UNAVAILABLE') return { versionId: null, doubt: error };
      throw error;
    }
  }

  async abort(): Promise<void> {
    const request = { method: 'DELETE', bucket: this.bucket, key: this.key, query: { uploadId: this.id } } as const;
    const answer = await this.session.text(request);
    if (answer.status >= 300 && answer.status !== 404) throw failure(`abort the upload of ${this.key}`, answer);
  }
}

/** Sends a stream as one multipart upload. What fails before the completion leaves nothing readable. */
export async function uploadParts(
  session: S3Session,
  bucket: string,
  key: string,
  lockHeaders: Readonly<Record<string, string>>,
  body: AsyncIterable<Buffer>,
  options: UploadOptions,
): Promise<Uploaded> {
  options.signal?.throwIfAborted();
  const created = await session.text({ method: 'POST', bucket, key, query: { uploads: '' }, headers: lockHeaders });
  const id = textOf(created.text, 'UploadId');
  if (created.status !== 200 || id === null) throw failure(`begin the upload of ${key}`, created);
  const upload = new Multipart(session, bucket, key, id);
  let sent: { size: number; digest: Digest };
  try {
    sent = await upload.sendAll(body, options);
  } catch (error) {
    // Parts that stay because this fails too are readable to nobody; the first failure is the one to report.
    await upload.abort().catch(() => undefined);
    throw error;
  }
  const completed = await upload.complete();
  if (completed.doubt !== null) await upload.abort().catch(() => undefined);
  return { ...sent, ...completed };
}
