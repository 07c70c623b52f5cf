import { z } from 'zod';
import type { ChatMessage } from '../domain/suite.js';

/** What a chat model said: its text, and whether the answer itself is marked as a refusal. */
export interface Said {
  readonly text: string;
  readonly refused: boolean;
}

const message = z.object({ content: z.string().nullish(), refusal: z.string().nullish() });
const finish = z.string().nullish();
const completion = z.object({ choices: z.array(z.object({ message, finish_reason: finish })).min(1) });
const chunk = z.object({ choices: z.array(z.object({ delta: message, finish_reason: finish })) });

export const CHAT_PATH = '/v1/chat/completions';

/** The body of a request for a chat completion. */
export function chatRequest(model: string, messages: readonly ChatMessage[], stream: boolean): Buffer {
  return Buffer.from(JSON.stringify({ model, messages, stream }), 'utf8');
}

/** Reads the answer to one, whole or as a stream of server-sent events; a text that says why where it is neither. */
export function readChat(body: string, stream: boolean): Said | string {
  return stream ? readStream(body) : readWhole(body);
}

function readWhole(body: string): Said | string {
  const found = completion.safeParse(parsed(body));
  if (!found.success) return 'the answer is no chat completion';
  const { choices } = found.data;
  return said(
    choices.map(({ message: told }) => told),
    choices.find(({ finish_reason: given }) => given != null)?.finish_reason,
  );
}

function readStream(body: string): Said | string {
  const events = body
    .split(/\r?\n\r?\n/)
    .map((event) => event.split(/\r?\n/).flatMap((line) => (line.startsWith('data:') ? [line.slice(5).trim()] : [])))
    .map((lines) => lines.join('\n'))
    .filter((data) => data !== '');
  if (events.at(-1) !== '[DONE]') return 'the stream does not end with [DONE]';
  const deltas: z.infer<typeof message>[] = [];
  let reason: string | null = null;
  for (const event of events.slice(0, -1)) {
    const found = chunk.safeParse(parsed(event));
    if (!found.success) return 'an event of the stream is no part of a chat completion';
    for (const { delta, finish_reason: given } of found.data.choices) {
      deltas.push(delta);
      reason = given ?? reason;
    }
  }
  return deltas.length === 0 ? 'the stream says nothing' : said(deltas, reason);
}

/** What was said counts, whatever is marked beside it: only who says nothing else has refused. */
function said(parts: readonly z.infer<typeof message>[], reason: string | null | undefined): Said {
  const refusal = parts.map((part) => part.refusal ?? '').join('');
  const text = parts.map((part) => part.content ?? '').join('');
  if (text.trim() !== '') return { text, refused: false };
  return { text: refusal, refused: refusal !== '' || reason === 'content_filter' };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
