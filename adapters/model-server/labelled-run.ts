import type { Protocol } from '../../domain/protocol.js';
import type { LabelledData, LabelledResult, LabelledRow } from '../../domain/suite.js';
import { CHAT_PATH, chatRequest, readChat } from '../../formats/openai-chat.js';
import type { Answer } from './ask.js';
import { isSilence, type Ask, type Silence } from './asking.js';

const REQUEST_TIMEOUT_MS = 30_000;

interface Measuring {
  readonly protocol: Protocol;
  readonly batch: number;
  readonly data: LabelledData;
  readonly model: string;
  readonly signal: AbortSignal | undefined;
}

/** The labels of some rows, or why there are none: a text where they were asked for. */
type Told = readonly unknown[] | string | Silence;

/** Asks for the label of every row. A row that is not answered is not right. */
export async function measureAccuracy(ask: Ask, measuring: Measuring): Promise<LabelledResult> {
  const { protocol, data, signal } = measuring;
  const size = protocol === 'openai-chat' ? 1 : measuring.batch;
  const groups = new Map<string, { right: number; rows: number }>();
  let right = 0;
  let untried = 0;
  let unanswered: string | null = null;
  for (let from = 0; from < data.rows.length; from += size) {
    signal?.throwIfAborted();
    const rows = data.rows.slice(from, from + size);
    const told = await (protocol === 'openai-chat' ? askChat : askTensor)(ask, measuring, rows);
    const labels = isSilence(told) ? told.why : told;
    if (isSilence(told) && told.verdict === 'inconclusive') untried += rows.length;
    if (typeof labels === 'string') unanswered ??= labels;
    rows.forEach(({ label, group }, at) => {
      const isRight = typeof labels !== 'string' && labels[at] === label;
      right += Number(isRight);
      if (group === null) return;
      const counted = groups.get(group) ?? { right: 0, rows: 0 };
      groups.set(group, { right: counted.right + Number(isRight), rows: counted.rows + 1 });
    });
  }
  return { right, rows: data.rows.length, groups: Object.fromEntries([...groups].sort()), untried, unanswered };
}

async function askTensor(
  ask: Ask,
  { data: { input, output }, model }: Measuring,
  rows: readonly LabelledRow[],
): Promise<Told> {
  const data = rows.flatMap(({ values }) => (typeof values === 'string' ? [] : values));
  const shape = [rows.length, data.length / rows.length];
  const answer = await ask({
    method: 'POST',
    path: `/v2/models/${model}/infer`,
    body: Buffer.from(JSON.stringify({ inputs: [{ name: input, shape, datatype: 'FP32', data }] })),
    timeoutMs: REQUEST_TIMEOUT_MS,
  });
  return isSilence(answer) ? answer : labelsOf(answer, output, rows.length);
}

function labelsOf({ status, body }: Answer, output: string, count: number): readonly unknown[] | string {
  if (status !== 200) return `status ${status ?? 'none'}`;
  try {
    const { outputs } = JSON.parse(body) as { outputs?: unknown };
    const tensors: readonly unknown[] = Array.isArray(outputs) ? outputs : [];
    const tensor = tensors.find((found) => (found as { name?: unknown } | null)?.name === output);
    const data = (tensor as { data?: unknown } | undefined)?.data;
    return Array.isArray(data) && data.length === count ? (data as unknown[]) : `no ${count} labels in ${output}`;
  } catch {
    return 'the answer is not JSON';
  }
}

/** A chat model has said the label whose word, alone of all labels, stands in its answer. */
async function askChat(ask: Ask, { data, model }: Measuring, [row]: readonly LabelledRow[]): Promise<Told> {
  const text = typeof row?.values === 'string' ? row.values : '';
  const body = chatRequest(model, [{ role: 'user', content: text }], false);
  const answer = await ask({ method: 'POST', path: CHAT_PATH, body, timeoutMs: REQUEST_TIMEOUT_MS });
  if (isSilence(answer)) return answer;
  if (answer.status !== 200) return `status ${answer.status ?? 'none'}`;
  const said = readChat(answer.body, false);
  if (typeof said === 'string') return said;
  const words = new Set(said.text.toLowerCase().split(/[^\p{L}\p{N}-]+/u));
  const labels = new Set(data.rows.map(({ label }) => label));
  const named = [...labels].filter((label) => words.has(label.toLowerCase()));
  return named.length === 1 ? named : ['none, or several'];
}
