import type { Arguments } from './jinja-nodes.js';

/** What a value can be: any number of these. Of a container, the kinds of all that is in it are its own, too. */
export const KIND = {
  /** Numbers, truth values, none. */
  number: 1,
  /** A text that stands in the template and names nothing of the interpreter. */
  literal: 2,
  /** Something within what the caller gave. */
  data: 4,
  /** What the caller gave, itself. */
  root: 8,
  /** A text, or what else is made at run time of what the template says. */
  made: 16,
  /** A variable that somebody else gives, such as a special token of the tokenizer. */
  free: 32,
  container: 64,
  generator: 128,
  /** A function, a macro, a loop. */
  object: 256,
  namespace: 512,
} as const;
export type Kind = number;

export const TEXTS = KIND.literal | KIND.made | KIND.free;

/** What a call or a filter is given. */
export interface Given {
  readonly kind: Kind;
  readonly positional: readonly Kind[];
  readonly named: readonly (readonly [name: string, kind: Kind])[];
}

/** As a list of its own. */
export function listed(kind: Kind): Kind {
  const part = (kind & ~KIND.generator) | KIND.container;
  return (kind & KIND.literal) !== 0 && (kind & KIND.container) === 0 ? (part & ~KIND.literal) | KIND.made : part;
}

/** Of a text of the caller's, what is left of it is the caller's. */
export function trimmed(kind: Kind, given: Kind): Kind {
  return kind !== 0 && given === 0 && (kind & ~(KIND.data | KIND.number)) === 0 ? kind : KIND.made;
}

/** What the filter map makes of each. */
export function mapped(kind: Kind, { positional, named }: Arguments): Kind {
  const isAttribute = positional.length === 0 && named.length === 1;
  return isAttribute && (kind & TEXTS) === 0 ? listed(kind) : KIND.made;
}
