/** Numbers, truth values, times and durations of fixed size, in the only spelling that NumPy's own writer has. */
const NUMERIC =
  /^'(?:[<>=|]?[iu]([1248])|[|]b(1)|[<>=]?f([248]|12|16)|[<>=]?c(8|16|24|32)|[<>=]?[mM](8)(?:\[\d*[A-Za-z]{1,2}\])?)'/;
/** The name of a member: nothing that has to be unescaped. */
const NAME = /^'[^'\\\0-\x1f]*'/;
const MAX_DEPTH = 8;

/** How many bytes an element has whose type is written so; `null`: it is not known to be numbers and nothing else. */
export function numericBytes(descr: string): number | null {
  const reader = new TypeReader(descr);
  const bytes = reader.type(0);
  return bytes !== null && reader.isAtEnd() ? bytes : null;
}

class TypeReader {
  private rest: string;

  constructor(descr: string) {
    this.rest = descr.trim();
  }

  isAtEnd(): boolean {
    return this.rest === '';
  }

  /** A plain type, or a list of members. */
  type(depth: number): number | null {
    const plain = this.takes(NUMERIC);
    if (plain !== null) return Number(plain.slice(1).find((size) => size !== undefined));
    if (depth > MAX_DEPTH || this.takes(/^\[/) === null) return null;
    let sum = 0;
    do {
      const bytes = this.member(depth + 1);
      if (bytes === null) return null;
      sum += bytes;
    } while (this.takes(/^, *(?=\()/) !== null);
    return this.takes(/^,? *\]/) === null ? null : sum;
  }

  /** `('name', type)` or `('name', type, (2, 3))`. */
  private member(depth: number): number | null {
    if (this.takes(/^\(/) === null || this.takes(NAME) === null || this.takes(/^, */) === null) return null;
    const bytes = this.type(depth);
    if (bytes === null) return null;
    const shape = this.takes(/^, *\(((?:\d{1,9}, *)*(?:\d{1,9})?)\)/)?.[1] ?? '';
    if (this.takes(/^,? *\)/) === null) return null;
    return (shape.match(/\d+/g) ?? []).reduce((product, each) => product * Number(each), bytes);
  }

  private takes(pattern: RegExp): RegExpExecArray | null {
    const match = pattern.exec(this.rest);
    if (match !== null) this.rest = this.rest.slice(match[0].length);
    return match;
  }
}
