/** Who is shown what a document holds, each with the byte at which it begins. */
export interface JsonVisitor {
  /**
   * Each object, and `under` which key it stands. In place of an object within there is `undefined`, and in place of an array of
   * more than a few elements.
   */
  onObject(this: void, members: ReadonlyMap<string, unknown>, offset: () => number, under: string): void;
  /** Each text that is no key. */
  onText(this: void, text: string, offset: () => number): void;
}
