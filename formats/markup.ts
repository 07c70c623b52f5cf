const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
/** What XML 1.0 cannot hold, and what turns the direction of text or hides in it. */
const UNPRINTABLE = /[^\P{C}\n\t]|[\u2028\u2029]|[\ufffe\uffff]/gu;

/** Somebody else's text as text in HTML and XML, also between quotes. */
export function escaped(text: string): string {
  return visible(text).replace(/[&<>"']/g, (char) => ENTITIES[char] ?? '');
}

/** The same text with what hides in it spelled out. */
export function visible(text: string): string {
  return text.replace(UNPRINTABLE, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
}
