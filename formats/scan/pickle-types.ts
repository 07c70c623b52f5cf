import type { ImportReporter } from './pickle-import-report.js';
import type { RecentBytes } from './pickle-names.js';
import { type PickleStack, VALUE } from './pickle-stack.js';

/** NumPy's names of numbers, truth values and texts. Elements of others are objects, or are made up of several members. */
const PLAIN = /^[<>=|]?(?:b1|[iu][1248]|f(?:2|4|8|12|16)|c(?:8|16|24|32)|[SU]\d{1,9})$/;
/** As what `(name, align, copy)` and the state of a type have. */
const [NAME_PARTS, STATE_PARTS] = [3, 8];
/** How the flags are written that come last: none, or that NumPy fills new arrays with zeros. Others make elements pointers. */
const FLAGS = ['K\0', 'K\b', 'I0\n', 'I8\n'].map((flags) => Buffer.from(flags));

/**
 * What the last `count` values are, put together by the opcode at `at`, where that is how NumPy itself writes one of its plain
 * types; `null` for anything else. The state of a type says where the members of an element lie, how large it is and whether it
 * is a pointer, and arrays believe it: with another state than these, bytes of the file become the addresses of objects.
 */
export function typePart(
  stack: PickleStack,
  count: number,
  at: number,
  { imported, recent }: { readonly imported: ImportReporter; readonly recent: RecentBytes },
): number | null {
  if (count !== NAME_PARTS && count !== STATE_PARTS) return null;
  const isInert = (place: number): boolean => stack.valueAt(count - 1 - place) === VALUE.inert;
  const isNumber = (place: number): boolean => isInert(place) || stack.valueAt(count - 1 - place) === VALUE.telling;
  const textAt = (place: number): string | null => imported.textOf(stack.valueAt(count - 1 - place), at);
  if (count === NAME_PARTS) return isInert(1) && isInert(2) && PLAIN.test(textAt(0) ?? '') ? VALUE.typeName : null;
  const isPlain = isInert(0) && textAt(1) !== null && isInert(2) && isInert(3) && isInert(4);
  // Flags that were fetched from the memo could be any number.
  const isLast = isInert(7) && stack.kept[stack.depth - 1] === 0;
  const hasNoPointers = isLast && FLAGS.some((flags) => recent.before(at, flags.length).equals(flags));
  return isPlain && isNumber(5) && isNumber(6) && hasNoPointers ? VALUE.typeState : null;
}
