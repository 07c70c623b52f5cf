import { impossibility, judge, type JudgedAnswer, type JudgedCandidate } from '../../domain/assertion.js';
import {
  withModel,
  type CaseResult,
  type LabelledData,
  type Suite,
  type SuiteCase,
  type SuiteRun,
} from '../../domain/suite.js';
import { CHAT_PATH, chatRequest, readChat } from '../../formats/openai-chat.js';
import type { Answer, Asked } from './ask.js';
import { askUntilEnded, isSilence, type Ask } from './asking.js';
import type { IsolatedServer } from './isolated.js';
import { measureAccuracy } from './labelled-run.js';
import { boundedSearch } from './search.js';

export const REQUEST_TIMEOUT_MS = 30_000;

export interface RunOptions {
  readonly signal?: AbortSignal;
  readonly onCase?: () => void;
}

/**
 * Puts a running candidate through a suite and its labelled rows. Whatever goes unanswered has not passed. A client that stalls
 * does so beside the others, as it would in service, and has come to its end before the cases that follow it.
 */
export async function runSuite(
  server: Pick<IsolatedServer, 'socket' | 'ended'>,
  { suite, data }: { readonly suite: Suite; readonly data: LabelledData | null },
  { model, prompts }: Pick<JudgedCandidate, 'model' | 'prompts'>,
  { signal, onCase }: RunOptions = {},
): Promise<SuiteRun> {
  const ask = askUntilEnded(server);
  const run = (each: SuiteCase): Promise<CaseResult> => runCase(ask, each, { model, prompts, search: boundedSearch });
  const stalling = new Map(
    suite.cases
      .slice(0, -1)
      .filter(stalls)
      .map((each) => [each, run(each)]),
  );
  // Waited for in its turn, which comes after it may have failed.
  for (const started of stalling.values()) started.catch(() => undefined);
  const cases: CaseResult[] = [];
  for (const each of suite.cases) {
    signal?.throwIfAborted();
    cases.push(await (stalling.get(each) ?? run(each)));
    onCase?.();
  }
  if (suite.accuracy === undefined || data === null) return { cases, labelled: null };
  const { batch } = suite.accuracy;
  return { cases, labelled: await measureAccuracy(ask, { protocol: suite.protocol, batch, data, model, signal }) };
}

function stalls({ request }: SuiteCase): boolean {
  return request.kind === 'http' && request.stall === true;
}

async function runCase(
  ask: Ask,
  { id, kind, weight, request, expect }: SuiteCase,
  candidate: JudgedCandidate,
): Promise<CaseResult> {
  const about = { id, kind, weight };
  const impossible = impossibility(expect);
  if (impossible !== null)
    return { ...about, verdict: 'inconclusive', failure: `no candidate could pass this case: ${impossible}` };
  const limits = expect.flatMap((each) => (each.kind === 'max-ms' ? [each.most] : []));
  const timeoutMs = Math.min(REQUEST_TIMEOUT_MS, ...limits);
  const answer = await ask({ ...requestOf(request, candidate.model), timeoutMs });
  if (isSilence(answer)) return { ...about, verdict: answer.verdict, failure: answer.why };
  const read = understood(request, answer);
  if (typeof read === 'string') return { ...about, verdict: 'failed', failure: read };
  return { ...about, ...judge(expect, read, candidate) };
}

function requestOf(request: SuiteCase['request'], model: string): Omit<Asked, 'timeoutMs'> {
  if (request.kind === 'chat') {
    const body = chatRequest(model, withModel(request.messages, model), request.stream);
    return { method: 'POST', path: CHAT_PATH, body };
  }
  const { method, path, stall = false } = request;
  return { method, path: withModel(path, model), body: bodyOf(request, model), stalls: stall };
}

function bodyOf(request: Extract<SuiteCase['request'], { kind: 'http' }>, model: string): Buffer | null {
  const { body, rawBody, fill, padTo = 0 } = request;
  if (rawBody === undefined)
    return body === undefined ? null : Buffer.from(JSON.stringify(withModel(body, model)), 'utf8');
  // A function, so that no `$` in the text means anything.
  const filled = fill === undefined ? rawBody : rawBody.replace('{fill}', () => fill.text.repeat(fill.times));
  const bytes = Buffer.from(withModel(filled, model), 'utf8');
  return Buffer.concat([bytes, Buffer.alloc(Math.max(0, padTo - bytes.length), ' ')]);
}

/** What the model says in an answer; a text says why it cannot be told. */
function understood(request: SuiteCase['request'], { status, body, ms }: Answer): JudgedAnswer | string {
  const plain = { status, body, ms };
  if (request.kind !== 'chat' || status !== 200) return { ...plain, text: body, refused: false };
  const said = readChat(body, request.stream);
  return typeof said === 'string' ? said : { ...plain, ...said };
}
