import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import type { Entry, Flight } from './endpoint.js';
import type { Gateway } from './gateway.js';
import { toCaller, toReplica } from './headers.js';
import type { Limits } from './limits.js';
import { NOBODY, refuse, type Refusal } from './refusal.js';
import type { Target } from './target.js';
import type { Upstreams } from './upstreams.js';

/** A request up to this size is sent on once it is whole: a caller who is slow keeps no replica waiting. */
const WHOLE_BYTES = 64 * 1024;

const ONE_WRITE_BYTES = 16 * 1024;

/** What all exchanges of a data plane share. */
export interface Plane {
  readonly gateway: Gateway;
  readonly upstreams: Upstreams;
  readonly limits: Limits;
}

/** Where a caller stands. */
export interface Place {
  /** Among the weights, 0..99. */
  readonly point: number;
  /** The version in preview that it asks for, and may. */
  readonly preview: string | null;
}

type Controller = Dispatcher.DispatchController;

/** One request on its way to one replica, and the answer on its way back, streaming. */
export class Exchange implements Flight, Dispatcher.DispatchHandler {
  readonly #plane: Plane;
  readonly #incoming: IncomingMessage;
  readonly #outgoing: ServerResponse;
  readonly #target: Target;
  readonly #point: number;
  readonly #preview: string | null;
  #entry: Entry | null = null;
  #epoch = 0;
  #controller: Controller | null = null;
  /** The clock runs from the last byte that the caller has sent: a slow caller is no fault of the release. */
  #sentAt = 0;
  #received = 0;
  /** Bytes of the answer that are still to come; negative where nobody has said how many. */
  #left = -1;
  #failed = false;
  /** The replica has all of the request: from now on it is its turn. */
  #asked = false;
  /** Counted while it still waited. */
  #overdue = false;
  /** Nothing of the replica's is waited for any more. */
  #settled = false;

  constructor(plane: Plane, incoming: IncomingMessage, outgoing: ServerResponse, target: Target, place: Place) {
    this.#plane = plane;
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    this.#target = target;
    this.#point = place.point;
    this.#preview = place.preview;
  }

  /** Of the release that was asked; `null`: none was. */
  get version(): string | null {
    return this.#entry?.version ?? null;
  }

  start(): void {
    this.#outgoing.on('close', () => this.#closed());
    const { 'content-length': length, 'transfer-encoding': encoding } = this.#incoming.headers;
    if (length === undefined && encoding === undefined) return this.#send(null);
    if (Number(length ?? 0) > this.#plane.limits.maxBodyBytes) return this.#tooLarge();
    this.#gather(length);
  }

  abort(refusal: Refusal): void {
    this.#settle();
    this.#refuse(refusal);
  }

  look(now: number): void {
    const entry = this.#entry;
    if (entry === null || !this.#asked || this.#settled || this.#overdue || this.#outgoing.headersSent) return;
    const waited = now - this.#sentAt;
    if (waited <= entry.counters.limitMs) return;
    this.#overdue = true;
    entry.endpoint.overdue(entry, now, waited);
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    if (this.#settled) controller.abort(new Error('nobody waits for it any more'));
  }

  onResponseStart(_: Controller, status: number, headers: IncomingHttpHeaders): void {
    const entry = this.#entry;
    // Whatever is said before the answer itself is for this hop.
    if (entry === null || this.#settled || status < 200) return;
    this.#failed = status >= 500;
    this.#count(entry, performance.now(), this.#failed);
    const length = headers['content-length'];
    if (length !== undefined) this.#left = Number(length);
    this.#endWithAnswer();
    this.#outgoing.writeHead(status, toCaller(headers, entry.says));
    // A stream may take its time for the first event.
    if (length === undefined) this.#outgoing.flushHeaders();
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    if (this.#settled) return;
    this.#left -= chunk.length;
    if (this.#left === 0) return this.#finish(chunk);
    if (this.#outgoing.write(chunk)) return;
    controller.pause();
    this.#outgoing.once('drain', () => controller.resume());
  }

  onResponseEnd(): void {
    if (this.#settled) return;
    this.#settled = true;
    if (!this.#outgoing.writableEnded) this.#outgoing.end();
  }

  onResponseError(_: Controller, error: Error): void {
    const entry = this.#entry;
    if (entry === null || this.#settled) return;
    // What breaks off on the caller's side says nothing of the release.
    if (this.#incoming.errored !== null) return this.#callerLeft();
    this.#settled = true;
    const now = performance.now();
    if (!this.#outgoing.headersSent) this.#count(entry, now, true);
    else if (!this.#failed) entry.endpoint.brokeOff(entry, this.#epoch, now);
    const reason = `release ${entry.version} gave no answer: ${error.message}`;
    this.#refuse({ status: 502, code: 'UPSTREAM_FAILED', reason }, entry.names);
  }

  /** A part of an answer is followed by nothing. */
  #refuse(refusal: Refusal, names: readonly string[] = []): void {
    this.#endWithAnswer();
    if (this.#outgoing.headersSent) this.#outgoing.destroy();
    else refuse(this.#outgoing, refusal, names);
  }

  /** Where this process is to stop, the caller's connection ends with its answer. */
  #endWithAnswer(): void {
    if (this.#plane.gateway.isDraining) this.#outgoing.shouldKeepAlive = false;
  }

  /** As one text with the headers before it, a small answer is one write of the system instead of two. */
  #finish(last: Buffer): void {
    if (last.length > ONE_WRITE_BYTES) this.#outgoing.end(last);
    else this.#outgoing.end(last.toString('latin1'), 'latin1');
  }

  /** Reads until the request is whole, or too large to wait for: then what is here goes on, and the rest as it comes. */
  #gather(length: string | undefined): void {
    const chunks: Buffer[] = [];
    const incoming = this.#incoming;
    const take = (chunk: Buffer): void => {
      this.#received += chunk.length;
      chunks.push(chunk);
      if (this.#received <= WHOLE_BYTES) return;
      incoming.off('data', take).off('end', whole).pause();
      this.#send(Readable.from(this.#rest(chunks), { objectMode: false }), length);
    };
    const whole = (): void => this.#send(chunks.length === 1 ? (chunks[0] ?? null) : Buffer.concat(chunks));
    incoming.on('data', take).on('end', whole);
  }

  async *#rest(first: readonly Buffer[]): AsyncGenerator<Buffer> {
    yield* first;
    for await (const chunk of this.#incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      this.#received += chunk.length;
      if (this.#received > this.#plane.limits.maxBodyBytes) return this.#tooLarge();
      this.#sentAt = performance.now();
      yield chunk;
    }
    this.#asked = true;
  }

  /** Decides which release is asked, at the last moment, and asks it. */
  #send(body: Buffer | Readable | null, length?: string): void {
    if (this.#settled) return;
    const { gateway, upstreams, limits } = this.#plane;
    const now = Date.now();
    const { model, path } = this.#target;
    const choice = gateway.choose(model, this.#point, now, this.#preview);
    if ('status' in choice) return this.abort(choice);
    const replica = choice.pool.pick(now);
    if (replica === null) return this.abort(NOBODY);
    this.#entry = choice;
    this.#epoch = choice.breaker.epoch;
    choice.endpoint.flights.add(this);
    this.#sentAt = performance.now();
    this.#asked = !(body instanceof Readable);
    const headers = toReplica(this.#incoming.rawHeaders);
    if (length !== undefined) headers.push('content-length', length);
    upstreams.to(replica, choice.release).dispatch(
      {
        method: this.#incoming.method ?? 'GET',
        path,
        headers,
        body,
        headersTimeout: limits.silenceMs,
        bodyTimeout: limits.silenceMs,
      },
      this,
    );
  }

  /** The answer is out, whole, or the connection to the caller is gone. */
  #closed(): void {
    this.#entry?.endpoint.flights.delete(this);
    if (!this.#outgoing.writableFinished) this.#callerLeft();
  }

  /** Somebody who gave up waiting counts only where the wait was longer than the release may take. */
  #callerLeft(): void {
    const entry = this.#entry;
    if (this.#settled) return;
    this.#settle();
    if (entry === null || !this.#asked || this.#outgoing.headersSent) return;
    const now = performance.now();
    if (now - this.#sentAt > entry.counters.limitMs) this.#count(entry, now, false);
  }

  #count(entry: Entry, now: number, failed: boolean): void {
    const waited = now - this.#sentAt;
    if (this.#overdue) entry.endpoint.ended(entry, this.#epoch, now, waited, failed);
    else entry.endpoint.count(entry, this.#epoch, now, waited, failed);
  }

  #tooLarge(): void {
    const reason = `the request is larger than ${this.#plane.limits.maxBodyBytes} bytes`;
    this.abort({ status: 413, code: 'TOO_LARGE', reason });
  }

  #settle(): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#controller?.abort(new Error('nobody waits for it any more'));
  }
}
