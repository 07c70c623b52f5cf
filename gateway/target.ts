/** Which model a request is for, and what of its path the release is asked for. */
export interface Target {
  readonly model: string;
  /** Path and query. */
  readonly path: string;
}

/**
 * Names, dots within and dashes: no other form of a segment that a model server could read as another path. So neither
 * `..` nor `%2e` nor `//` gets anywhere.
 */
const SEGMENT = '/[A-Za-z0-9_][A-Za-z0-9_.~:-]*';
const QUERY = '(?:\\?[!-"$-~]*)?';
const MODEL = '([a-z0-9][a-z0-9-]{0,62})';
const INFERENCE = new RegExp(`^/v2/models/${MODEL}(?:${SEGMENT})*/?${QUERY}$`);
const CHAT = new RegExp(`^/${MODEL}/v1(?:${SEGMENT})+/?${QUERY}$`);

/**
 * `/v2/models/<model>/…` goes on as it came (Open Inference Protocol), `/<model>/v1/…` without the model in front (OpenAI's
 * API, whose base URL is then `…/<model>/v1`). The path alone says which model: no body is read for it, which two readers could
 * understand in two ways. `null` for anything else.
 */
export function targetOf(url: string): Target | null {
  const inference = INFERENCE.exec(url);
  if (inference !== null) return { model: inference[1] ?? '', path: url };
  const chat = CHAT.exec(url);
  if (chat === null) return null;
  const model = chat[1] ?? '';
  return { model, path: url.slice(model.length + 1) };
}
