/** Somebody else's text in quotes, safe in a message: no control, bidi or invisible characters, at most 200 characters. */
export function quote(text: string): string {
  return `"${printable(text)}"`;
}

/** The same without quotes. */
export function printable(text: string): string {
  const short = text.length > 200 ? `${text.slice(0, 200)}…` : text;
  return short.replace(/[\p{C}\u2028\u2029]/gu, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
}
