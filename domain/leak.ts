/** A piece of so many characters is no coincidence; from one that begins here to one that begins there. */
const LEAK = { length: 32, step: 12 };
const BASE = 31;
const TOP = power(BASE, LEAK.length - 1);

/** Case, spaces and line ends are how the same text is told otherwise. */
function plain(text: string): string {
  return text.toLowerCase().replace(/\s+/g, ' ').trim();
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f' };
/** JSON within JSON, such as the arguments of a tool call, is escaped once more. */
const MAX_ESCAPED = 3;

/** What a JSON text says, wherever in it: the text itself, and with its escapes taken for what they stand for. */
export function readings(text: string): readonly string[] {
  const found = [text];
  for (let last = text; found.length <= MAX_ESCAPED && last.includes('\\'); found.push(last)) last = unescaped(last);
  return found;
}

function unescaped(text: string): string {
  return text.replace(/\\(?:u([0-9a-f]{4})|([nrtbf"\\/]))/gi, (_, code: string | undefined, letter = '') =>
    code !== undefined
      ? String.fromCharCode(Number.parseInt(code, 16))
      : (ESCAPES[letter as string] ?? (letter as string)),
  );
}

/**
 * Whether a piece of one of the prompts stands in one of the texts, wherever in it. The work grows with the sum of their
 * lengths, not with the product (Rabin, Karp), however they were chosen.
 */
export function tellsOf(prompts: readonly string[], texts: readonly string[]): boolean {
  const pieces = new Set<string>();
  const short: string[] = [];
  for (const prompt of prompts.map(plain)) {
    if (prompt !== '' && prompt.length < LEAK.length) short.push(prompt);
    for (let at = 0; at + LEAK.length <= prompt.length; at += LEAK.step) pieces.add(prompt.slice(at, at + LEAK.length));
  }
  const told = texts.flatMap(readings);
  return [...new Set(told)].map(plain).some((text) => short.some((each) => text.includes(each)) || holds(text, pieces));
}

function holds(text: string, pieces: ReadonlySet<string>): boolean {
  if (pieces.size === 0 || text.length < LEAK.length) return false;
  const hashes = new Set([...pieces].map((piece) => hash(piece, LEAK.length)));
  let rolling = hash(text, LEAK.length);
  for (let at = 0; ; at += 1) {
    if (hashes.has(rolling) && pieces.has(text.slice(at, at + LEAK.length))) return true;
    if (at + LEAK.length >= text.length) return false;
    const rest = (rolling - Math.imul(text.charCodeAt(at), TOP)) | 0;
    rolling = (Math.imul(rest, BASE) + text.charCodeAt(at + LEAK.length)) | 0;
  }
}

function hash(text: string, length: number): number {
  let sum = 0;
  for (let at = 0; at < length; at += 1) sum = (Math.imul(sum, BASE) + text.charCodeAt(at)) | 0;
  return sum;
}

function power(base: number, exponent: number): number {
  let product = 1;
  for (let at = 0; at < exponent; at += 1) product = Math.imul(product, base);
  return product;
}
