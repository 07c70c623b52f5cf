// What is asked and answered: OpenAI's chat completions, whole or as a stream of events.
const MAX_MESSAGES = 50;
const MAX_CHARACTERS = 8000;
const ROLES = new Set(['system', 'developer', 'user', 'assistant']);
/** Taken and passed over: this model has nothing to sample. */
const NUMBERS = { temperature: [0, 2], top_p: [0, 1], presence_penalty: [-2, 2], frequency_penalty: [-2, 2] };
const COUNTS = { max_tokens: 100_000, max_completion_tokens: 100_000, seed: Number.MAX_SAFE_INTEGER, n: 1 };
const MEMBERS = new Set([
  'model',
  'messages',
  'stream',
  'stop',
  'user',
  ...Object.keys(NUMBERS),
  ...Object.keys(COUNTS),
]);

/** A request that is the caller's fault. */
export class RequestError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Reads the body of a request for a completion. The messages of errors say nothing of what was sent. */
export function parseChat(text, name) {
  const body = parse(text);
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw wrong('the body must be an object');
  if (Object.keys(body).some((key) => !MEMBERS.has(key))) throw wrong('the body has a member that is not known');
  if (typeof body.model !== 'string') throw wrong('model must be a text');
  if (body.model !== name) throw new RequestError(404, 'this server has no such model');
  for (const [key, [least, most]] of Object.entries(NUMBERS))
    if (key in body && !(Number.isFinite(body[key]) && body[key] >= least && body[key] <= most))
      throw wrong(`${key} must be a number from ${least} to ${most}`);
  for (const [key, most] of Object.entries(COUNTS))
    if (key in body && !(Number.isInteger(body[key]) && body[key] >= 1 && body[key] <= most))
      throw wrong(`${key} must be a whole number from 1 to ${most}`);
  if ('stream' in body && typeof body.stream !== 'boolean') throw wrong('stream must be true or false');
  const { messages } = body;
  if (!Array.isArray(messages) || messages.length === 0 || messages.length > MAX_MESSAGES)
    throw wrong(`messages must be 1 to ${MAX_MESSAGES} messages`);
  for (const message of messages) checkMessage(message);
  if (messages.at(-1).role !== 'user') throw wrong('the last message must be of the user');
  return { messages, stream: body.stream === true };
}

function checkMessage(message) {
  if (typeof message !== 'object' || message === null || Array.isArray(message))
    throw wrong('a message must be an object');
  if (!ROLES.has(message.role)) throw wrong('a message must have a role that is known');
  const { content } = message;
  if (typeof content !== 'string' || content.trim() === '') throw wrong('a message must have a text as its content');
  if (content.length > MAX_CHARACTERS) throw wrong(`a message has at most ${MAX_CHARACTERS} characters`);
  if (!content.isWellFormed()) throw wrong('a message must be well-formed Unicode');
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw wrong('the body must be JSON');
  }
}

function wrong(message) {
  return new RequestError(400, message);
}

export function completion(name, text, refusal) {
  return {
    id: 'chatcmpl-lingo',
    object: 'chat.completion',
    created: 0,
    model: name,
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: text, refusal: refusal ? text : null },
        finish_reason: 'stop',
      },
    ],
    usage: { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 },
  };
}

/** The same as server-sent events, word by word. */
export function* events(name, text) {
  const part = (delta, finish) =>
    `data: ${JSON.stringify({ id: 'chatcmpl-lingo', object: 'chat.completion.chunk', created: 0, model: name, choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
  yield part({ role: 'assistant', content: '' }, null);
  for (const word of text.split(/(?<= )/)) yield part({ content: word }, null);
  yield part({}, 'stop');
  yield 'data: [DONE]\n\n';
}
