import type { TracedCall } from '../domain/attempts.js';

const HEAD = /^(?:\[pid +\d+\] )?(\w+)\(/;
const RESULT = /^\) += (-?\d+|0x[0-9a-f]+|\?)(?:<[^>]*>)?(?: ([A-Z][A-Z0-9]+))?/;
const SIGNAL = /^(?:\[pid +\d+\] )?--- (SIG\w+) /;
const SIMPLE: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', v: '\v', f: '\f' };

/**
 * A line of `strace -f -y`: one whole call. Everything that the traced program chooses is in it between quotes or angle
 * brackets, escaped, so it can neither end a line nor look like another argument. `null`: no call, or one that did not come back.
 */
export function readTracedCall(line: string): TracedCall | null {
  const head = HEAD.exec(line);
  if (head === null) return null;
  const args = readArguments(line, head[0].length);
  const ended = args === null ? null : RESULT.exec(line.slice(args.end));
  if (args === null || ended === null) return null;
  const [, value = '?', errno] = ended;
  const result = Number(value);
  return {
    name: head[1] as string,
    ...{ text: args.text, paths: args.paths, inner: args.inner },
    result: Number.isNaN(result) ? null : result,
    errno: result === -1 && errno !== undefined ? errno : null,
  };
}

/** The signal that a line tells of. */
export function readTracedSignal(line: string): string | null {
  return SIGNAL.exec(line)?.[1] ?? null;
}

function readArguments(line: string, from: number) {
  let at = from;
  let depth = 0;
  let text = '';
  let base: string | null = null;
  const paths: { path: string; base: string | null }[] = [];
  const inner: string[] = [];
  while (at < line.length) {
    const char = line[at] as string;
    // An angle bracket that opens follows a descriptor, or AT_FDCWD.
    if (char === '"' || (char === '<' && /[\dD]/.test(line[at - 1] ?? ''))) {
      const quoted = readQuoted(line, at + 1, char === '"' ? '"' : '>');
      if (quoted === null) return null;
      if (char === '<') base = quoted.value;
      else if (depth > 0) inner.push(quoted.value);
      else {
        paths.push({ path: quoted.value, base });
        base = null;
      }
      text += char === '"' ? '""' : '';
      at = quoted.end;
      continue;
    }
    if (char === ')' && depth === 0) {
      if (base !== null && paths.length === 0) paths.push({ path: '', base });
      return { text, paths, inner, end: at };
    }
    if ('([{'.includes(char)) depth += 1;
    else if (')]}'.includes(char)) depth -= 1;
    text += char;
    at += 1;
  }
  return null;
}

function readQuoted(line: string, from: number, close: string): { value: string; end: number } | null {
  const bytes: string[] = [];
  for (let at = from; at < line.length; at += 1) {
    const char = line[at] as string;
    if (char === close) return { value: Buffer.from(bytes.join(''), 'latin1').toString('utf8'), end: at + 1 };
    if (char !== '\\') {
      bytes.push(char);
      continue;
    }
    const octal = /^[0-7]{1,3}/.exec(line.slice(at + 1, at + 4))?.[0];
    const next = line[at + 1] ?? '';
    bytes.push(octal === undefined ? (SIMPLE[next] ?? next) : String.fromCharCode(parseInt(octal, 8)));
    at += octal === undefined ? 1 : octal.length;
  }
  return null;
}
