import { CustodyError } from '../../domain/errors.js';
import {
  judge,
  withModel,
  type AccuracyCheck,
  type CaseResult,
  type LabelledData,
  type Suite,
} from '../../domain/suite.js';
import { askModelServer, type Answer, type Asked } from './ask.js';
import type { IsolatedServer } from './isolated.js';

const REQUEST_TIMEOUT_MS = 30_000;

export interface SuiteRun {
  readonly cases: readonly CaseResult[];
  /** Rows whose label came back right, of all rows. */
  readonly right: number;
  readonly rows: number;
  /** Why rows got no answer: the first problem, `null` when all had one. */
  readonly unanswered: string | null;
}

export interface RunOptions {
  readonly signal?: AbortSignal;
  readonly onCase?: () => void;
}

/** Puts a running candidate through a suite and its labelled rows. Whatever goes unanswered has failed. */
export async function runSuite(
  server: Pick<IsolatedServer, 'socket' | 'ended'>,
  { suite, data }: { readonly suite: Suite; readonly data: LabelledData },
  model: string,
  { signal, onCase }: RunOptions = {},
): Promise<SuiteRun> {
  const ask = askUntilEnded(server);
  const cases: CaseResult[] = [];
  for (const { id, request, expect } of suite.cases) {
    signal?.throwIfAborted();
    const answer = await ask({
      method: request.method,
      path: withModel(request.path, model),
      body: bodyOf(request),
      timeoutMs: REQUEST_TIMEOUT_MS,
    });
    cases.push({ id, failure: typeof answer === 'string' ? answer : judge(expect, answer, model) });
    onCase?.();
  }
  return { cases, ...(await measureAccuracy(ask, suite.accuracy, data, model, signal)) };
}

/** An answer, or why there is none. */
type Ask = (asked: Asked) => Promise<Answer | string>;

/** After the server has ended, every further request fails at once. */
function askUntilEnded({ socket, ended }: Pick<IsolatedServer, 'socket' | 'ended'>): Ask {
  const death = ended.then(
    (how) => `the model server ended: ${how}`,
    (error: unknown) => `the model server ended: ${String(error)}`,
  );
  return async (asked) => {
    try {
      return await askModelServer(socket, asked);
    } catch (error) {
      if (!(error instanceof CustodyError) || error.code !== 'MODEL_SERVER_FAILED') throw error;
      const refused = (error.cause as NodeJS.ErrnoException | undefined)?.code;
      return refused === 'ECONNREFUSED' || refused === 'ENOENT' ? death : error.message;
    }
  };
}

function bodyOf({ body, rawBody, padTo = 0 }: Suite['cases'][number]['request']): Buffer | null {
  if (rawBody !== undefined) {
    const bytes = Buffer.from(rawBody, 'utf8');
    return Buffer.concat([bytes, Buffer.alloc(Math.max(0, padTo - bytes.length), ' ')]);
  }
  return body === undefined ? null : Buffer.from(JSON.stringify(body), 'utf8');
}

async function measureAccuracy(
  ask: Ask,
  { batch }: AccuracyCheck,
  { input, output, rows }: LabelledData,
  model: string,
  signal: AbortSignal | undefined,
): Promise<Omit<SuiteRun, 'cases'>> {
  let right = 0;
  let unanswered: string | null = null;
  for (let from = 0; from < rows.length; from += batch) {
    signal?.throwIfAborted();
    const part = rows.slice(from, from + batch);
    const data = part.flatMap(({ values }) => values);
    const shape = [part.length, data.length / part.length];
    const answer = await ask({
      method: 'POST',
      path: `/v2/models/${model}/infer`,
      body: Buffer.from(JSON.stringify({ inputs: [{ name: input, shape, datatype: 'FP32', data }] })),
      timeoutMs: REQUEST_TIMEOUT_MS,
    });
    const labels = typeof answer === 'string' ? answer : labelsOf(answer, output, part.length);
    if (typeof labels === 'string') unanswered ??= labels;
    else right += part.filter(({ label }, at) => labels[at] === label).length;
  }
  return { right, rows: rows.length, unanswered };
}

function labelsOf({ status, text }: Answer, output: string, count: number): readonly unknown[] | string {
  if (status !== 200) return `status ${status}`;
  try {
    const { outputs } = JSON.parse(text) as { outputs?: unknown };
    const tensors: readonly unknown[] = Array.isArray(outputs) ? outputs : [];
    const tensor = tensors.find((found) => (found as { name?: unknown } | null)?.name === output);
    const data = (tensor as { data?: unknown } | undefined)?.data;
    return Array.isArray(data) && data.length === count ? (data as unknown[]) : `no ${count} labels in ${output}`;
  } catch {
    return 'the answer is not JSON';
  }
}
