import type { Digest } from '../domain/digest.js';
import type { ReleaseCounters } from '../domain/gateway.js';

/** Each bucket ends 5 % above the one before: the last one lies beyond eight hours. */
const GROWTH = 1.05;
const SMALLEST_MS = 0.1;
const BUCKETS = 400;
const LOG_GROWTH = Math.log(GROWTH);

/** What has been seen of one release under one revision, in constant memory. */
export class Counters {
  readonly revision: number;
  readonly release: Digest;
  readonly version: string;
  requests = 0;
  failures = 0;
  slow = 0;
  /** What counts as slow. */
  readonly limitMs: number;
  readonly #histogram = new Uint32Array(BUCKETS);

  constructor(of: { readonly revision: number; readonly release: Digest; readonly version: string }, limitMs: number) {
    this.revision = of.revision;
    this.release = of.release;
    this.version = of.version;
    this.limitMs = limitMs;
  }

  /** One request, with its time to the first byte or to its failure. */
  count(ms: number, failed: boolean): void {
    this.requests += 1;
    if (failed) this.failures += 1;
    if (ms > this.limitMs) this.slow += 1;
    const bucket = ms <= SMALLEST_MS ? 0 : Math.ceil(Math.log(ms / SMALLEST_MS) / LOG_GROWTH);
    const at = Math.min(bucket, BUCKETS - 1);
    this.#histogram[at] = (this.#histogram[at] ?? 0) + 1;
  }

  /** One request, counted before, has failed after all: its answer had begun well and broke off, or was overdue. */
  brokeOff(): void {
    this.failures += 1;
  }

  /** Upper end of the bucket that holds the 95th percentile (nearest rank), in milliseconds. */
  p95Ms(): number {
    let left = Math.ceil(this.requests * 0.95);
    for (let bucket = 0; left > 0 && bucket < BUCKETS; bucket += 1) {
      left -= this.#histogram[bucket] ?? 0;
      if (left <= 0) return SMALLEST_MS * GROWTH ** bucket;
    }
    return 0;
  }

  snapshot(): ReleaseCounters {
    const { revision, release, version, requests, failures, slow } = this;
    return { revision, release, version, requests, failures, slow, p95Ms: this.p95Ms() };
  }
}
