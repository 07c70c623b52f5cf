import { CustodyError } from '../../domain/errors.js';
import { digitsData } from './assets.js';
import { imageAt, loadDigits, PIXELS, type Digits } from './training/dataset.mjs';
import { seededRandom } from './training/random.mjs';

export interface LoadOptions {
  /** Where the gateway listens, without a path. */
  readonly url: string;
  readonly model: string;
  readonly ratePerSecond: number;
  /** How many callers the requests come from, each with an id of its own. */
  readonly callers: number;
  readonly signal?: AbortSignal;
  /** The load ends by itself after this many requests. Default 100,000. */
  readonly maxRequests?: number;
  /** The load ends by itself after this time. Default 600. */
  readonly maxSeconds?: number;
  /** Requests under way at once; what would be more is counted as `skipped`. Default 64. */
  readonly maxInFlight?: number;
  readonly timeoutMs?: number;
}

/** Milliseconds from sending to the last byte of the answer. */
export interface Latency {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

export interface ReleaseLoad {
  readonly requests: number;
  /** Answers with a status of 500 and above. */
  readonly failures: number;
  readonly latencyMs: Latency;
}

export interface LoadReport {
  /** Requests that were answered or failed. */
  readonly requests: number;
  readonly byStatus: Readonly<Record<string, number>>;
  /** By the release that the gateway names in `x-custody-release`; "unnamed" without that header. */
  readonly byRelease: Readonly<Record<string, ReleaseLoad>>;
  /** Requests without an HTTP answer, by cause. */
  readonly errors: Readonly<Record<string, number>>;
  /** Not sent, because too many were under way. */
  readonly skipped: number;
  /** Answers whose body and `x-custody-release-version` name different versions. */
  readonly mixed: number;
  /** Images whose label came back right, and all that were answered. */
  readonly labels: { readonly right: number; readonly answered: number };
  readonly latencyMs: Latency;
  readonly seconds: number;
}

export interface Load {
  /** Ends the load, waits for what is under way, and answers the last report. */
  stop(): Promise<LoadReport>;
  report(): LoadReport;
}

const MAX_BATCH = 8;
const TICK_MS = 20;
const SEED = 8;

interface ReleaseCounts {
  requests: number;
  failures: number;
  readonly latencies: number[];
}

/**
 * Sends held-out images to an endpoint at a steady rate, in batches of 1 to 8, whatever the answers are. USAGE when an
 * option is out of bounds.
 */
export function startLoad(options: LoadOptions): Load {
  const {
    ratePerSecond,
    callers,
    maxRequests = 100_000,
    maxSeconds = 600,
    maxInFlight = 64,
    timeoutMs = 5000,
  } = options;
  checkBounds({ ratePerSecond, callers, maxRequests, maxSeconds, maxInFlight, timeoutMs });
  const images = loadDigits(digitsData()).heldOut;
  const random = seededRandom(SEED);
  const url = new URL(`/v2/models/${encodeURIComponent(options.model)}/infer`, options.url);
  const counts = createCounts();
  const underWay = new Set<Promise<void>>();
  const startedAt = performance.now();
  let endedAt: number | null = null;
  let planned = 0;

  const send = (): void => {
    const rows = Array.from({ length: 1 + Math.floor(random() * MAX_BATCH) }, () =>
      Math.floor(random() * images.count),
    );
    const caller = `caller-${Math.floor(random() * callers)}`;
    const request = sendOne(url, caller, images, rows, timeoutMs, counts).finally(() => underWay.delete(request));
    underWay.add(request);
  };
  const tick = (): void => {
    const seconds = (performance.now() - startedAt) / 1000;
    const due = Math.min(maxRequests, Math.floor(Math.min(seconds, maxSeconds) * ratePerSecond));
    for (; planned < due; planned += 1) {
      if (underWay.size < maxInFlight) send();
      else counts.skipped += 1;
    }
    if (planned >= maxRequests || seconds >= maxSeconds) end();
  };
  const timer = setInterval(tick, TICK_MS);
  const end = (): void => {
    clearInterval(timer);
    options.signal?.removeEventListener('abort', end);
    endedAt ??= performance.now();
  };
  options.signal?.addEventListener('abort', end, { once: true });
  if (options.signal?.aborted === true) end();

  const report = (): LoadReport => summarise(counts, ((endedAt ?? performance.now()) - startedAt) / 1000);
  return {
    report,
    stop: async () => {
      end();
      await Promise.all(underWay);
      return report();
    },
  };
}

function createCounts(): {
  byStatus: Map<number, number>;
  byRelease: Map<string, ReleaseCounts>;
  errors: Map<string, number>;
  skipped: number;
  mixed: number;
  right: number;
  answered: number;
} {
  return { byStatus: new Map(), byRelease: new Map(), errors: new Map(), skipped: 0, mixed: 0, right: 0, answered: 0 };
}

type Counts = ReturnType<typeof createCounts>;

async function sendOne(
  url: URL,
  caller: string,
  images: Digits,
  rows: readonly number[],
  timeoutMs: number,
  counts: Counts,
): Promise<void> {
  const data = rows.flatMap((row) => [...imageAt(images, row)]);
  const body = JSON.stringify({
    inputs: [{ name: 'image', shape: [rows.length, PIXELS], datatype: 'FP32', data }],
  });
  const sentAt = performance.now();
  try {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-custody-caller': caller },
      body,
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
    });
    const text = await answer.text();
    const latency = performance.now() - sentAt;
    if (answer.ok) countLabels(counts, answer.headers.get('x-custody-release-version'), text, images, rows);
    increment(counts.byStatus, answer.status);
    countRelease(counts, answer, latency);
  } catch (error) {
    increment(counts.errors, causeOf(error));
  }
}

function countRelease(counts: Counts, answer: Response, latency: number): void {
  const name = answer.headers.get('x-custody-release') ?? 'unnamed';
  const release = counts.byRelease.get(name) ?? { requests: 0, failures: 0, latencies: [] };
  counts.byRelease.set(name, release);
  release.requests += 1;
  if (answer.status >= 500) release.failures += 1;
  release.latencies.push(latency);
}

function countLabels(
  counts: Counts,
  version: string | null,
  text: string,
  images: Digits,
  rows: readonly number[],
): void {
  const body = JSON.parse(text) as { model_version?: string; outputs?: { name: string; data: unknown[] }[] };
  if (version !== null && version !== body.model_version) counts.mixed += 1;
  const labels = body.outputs?.find(({ name }) => name === 'label')?.data ?? [];
  counts.answered += rows.length;
  counts.right += rows.filter((row, at) => labels[at] === String(images.labels[row])).length;
}

function summarise(counts: Counts, seconds: number): LoadReport {
  const releases = [...counts.byRelease].map(([name, { requests, failures, latencies }]): [string, ReleaseLoad] => [
    name,
    { requests, failures, latencyMs: percentiles(latencies) },
  ]);
  const total = (values: Iterable<number>): number => [...values].reduce((sum, value) => sum + value, 0);
  return {
    requests: total(counts.byStatus.values()) + total(counts.errors.values()),
    byStatus: Object.fromEntries(counts.byStatus),
    byRelease: Object.fromEntries(releases),
    errors: Object.fromEntries(counts.errors),
    skipped: counts.skipped,
    mixed: counts.mixed,
    labels: { right: counts.right, answered: counts.answered },
    latencyMs: percentiles([...counts.byRelease.values()].flatMap(({ latencies }) => latencies)),
    seconds,
  };
}

/** Nearest-rank percentiles; all 0 where nothing was measured. */
function percentiles(latencies: readonly number[]): Latency {
  const sorted = Float64Array.from(latencies).sort();
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}

function increment<K>(counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** The system's own code, such as ECONNREFUSED, else the kind of the error, such as TimeoutError. */
function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error as { cause?: { code?: unknown } };
  return typeof cause?.code === 'string' ? cause.code : error.name;
}

function checkBounds(options: Record<string, number>): void {
  for (const [name, value] of Object.entries(options)) {
    if (!(value > 0 && value <= 1_000_000)) {
      throw new CustodyError(
        'USAGE',
        `the load option ${name} is ${value}, expected a number above 0, at most 1,000,000`,
      );
    }
  }
}
