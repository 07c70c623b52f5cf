import { request } from 'undici';
import { z } from 'zod';
import { CustodyError } from '../../domain/errors.js';
import type { MetricAnswer, Series } from '../../domain/metrics.js';
import { checkShape, parseJson } from '../../formats/json.js';
import type { MetricSource } from './port.js';

export interface PrometheusOptions {
  /** With the path before `/api/v1/query`, where there is one. */
  readonly url: string;
  /** Sent as a bearer token. */
  readonly token?: string | undefined;
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 5_000;
/** Of an answer: a query that is answered with more is one that was not aggregated. */
const MAX_BYTES = 1024 * 1024;
const MAX_SERIES = 100;
/** An answer for another moment than the one asked for comes out of somebody's cache. */
const MAX_AGE_SECONDS = 2;

const sample = z.tuple([z.number(), z.string()]);
const answerSchema = z.object({
  status: z.literal('success'),
  data: z.object({
    resultType: z.string(),
    result: z.unknown(),
  }),
});
const vectorSchema = z.array(z.object({ metric: z.record(z.string(), z.string()), value: sample })).max(MAX_SERIES);
const errorSchema = z.object({ status: z.literal('error'), errorType: z.string(), error: z.string() });

/** Instant queries to a Prometheus, or whatever speaks its HTTP API v1, each with a bound on time and size. */
export function createPrometheus({ url, token, timeoutMs = TIMEOUT_MS }: PrometheusOptions): MetricSource {
  const target = new URL('api/v1/query', url.endsWith('/') ? url : `${url}/`);
  return {
    ask: async (query) => {
      try {
        return await ask(target, token, query, timeoutMs);
      } catch (error) {
        return { kind: 'unknown', reason: `Prometheus ${whyOf(error, timeoutMs)}` };
      }
    },
  };
}

async function ask(target: URL, token: string | undefined, query: string, timeoutMs: number): Promise<MetricAnswer> {
  const time = Date.now() / 1000;
  const { statusCode, headers, body } = await request(target, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      accept: 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: new URLSearchParams({
      query,
      time: time.toFixed(3),
      timeout: `${timeoutMs}ms`,
      limit: String(MAX_SERIES + 1),
    }).toString(),
    // All of it, the last byte too: an answer that trickles never ends.
    signal: AbortSignal.timeout(timeoutMs),
  });
  const text = await readAll(body);
  const type = String(headers['content-type'] ?? 'nothing');
  if (!/^application\/json(;|$)/i.test(type)) throw new Unusable(`answered ${statusCode} with ${type}, not JSON`);
  const said = parseJson(text, 'the answer', { maxBytes: MAX_BYTES });
  if (statusCode !== 200) {
    const { errorType, error } = checkShape(errorSchema, said, 'the answer');
    throw new Unusable(`answered ${statusCode}: ${errorType}: ${error.slice(0, 200)}`);
  }
  const { resultType, result } = checkShape(answerSchema, said, 'the answer').data;
  if (resultType !== 'vector') throw new Unusable(`answered with a ${resultType.slice(0, 20)}, not with a vector`);
  return { kind: 'series', series: checkShape(vectorSchema, result, 'the answer').map((each) => fresh(each, time)) };
}

function fresh({ metric, value: [at, text] }: z.infer<typeof vectorSchema>[number], time: number): Series {
  if (Math.abs(at - time) > MAX_AGE_SECONDS) throw new Unusable(`answered for ${at}, not for ${time.toFixed(3)}`);
  return { labels: metric, value: numberOf(text) };
}

/** As Prometheus writes samples: `+Inf` and `NaN` too. What is no number is no number here either. */
function numberOf(text: string): number {
  if (text === '+Inf' || text === 'Inf') return Infinity;
  if (text === '-Inf') return -Infinity;
  return /^[-+]?[0-9.]+(e[-+]?[0-9]+)?$/i.test(text) ? Number(text) : NaN;
}

async function readAll(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    // Leaving the loop ends the connection: what is left of the answer is not waited for.
    if (size > MAX_BYTES) throw new Unusable(`answered with more than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

class Unusable extends Error {}

function whyOf(error: unknown, timeoutMs: number): string {
  if (error instanceof Unusable) return error.message;
  if (error instanceof CustodyError) return `answered with what is none: ${error.message.slice(0, 200)}`;
  if (error instanceof Error && error.name === 'TimeoutError') return `did not answer within ${timeoutMs} ms`;
  return `cannot be reached: ${error instanceof Error ? error.message : String(error)}`;
}
