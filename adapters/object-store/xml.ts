const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };

function unescape(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(lt|gt|quot|apos|amp));/gi, (whole, hex, decimal, name) => {
    if (typeof name === 'string') return ENTITIES[name.toLowerCase()] ?? whole;
    const point = typeof hex === 'string' ? Number.parseInt(hex, 16) : Number(decimal);
    return point <= 0x10ffff ? String.fromCodePoint(point) : whole;
  });
}

export interface XmlElement {
  readonly name: string;
  readonly inner: string;
}

/** The elements of these names in document order. For S3's answers, in which they never nest in themselves. */
export function elementsOf(xml: string, ...names: readonly string[]): XmlElement[] {
  const pattern = new RegExp(`<(${names.join('|')})(?:\\s[^>]*)?>([\\s\\S]*?)</\\1>`, 'g');
  return [...xml.matchAll(pattern)].map(([, name = '', inner = '']) => ({ name, inner }));
}

/** The text of the first element of this name; `null` when there is none. */
export function textOf(xml: string, name: string): string | null {
  const [first] = elementsOf(xml, name);
  return first === undefined ? null : unescape(first.inner);
}
