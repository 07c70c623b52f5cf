export interface Arguments {
  readonly positional: readonly Node[];
  readonly named: readonly { readonly name: string; readonly value: Node; readonly at: number }[];
  /** `*x` or `**x`: what is given is known at run time only. */
  readonly isSpread: boolean;
}

/** An expression. `at` counts characters, `depth` how many expressions are inside one another. */
export type Node = { readonly at: number; readonly depth: number } & (
  | { readonly kind: 'constant' }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'list' | 'choice' | 'compare' | 'concat' | 'slice'; readonly items: readonly Node[] }
  | { readonly kind: 'math'; readonly operator: string; readonly items: readonly Node[] }
  | { readonly kind: 'member'; readonly of: Node; readonly name: string }
  | { readonly kind: 'index'; readonly of: Node; readonly key: Node }
  | { readonly kind: 'call'; readonly of: Node; readonly args: Arguments }
  /** Without `of` it is of the text of a block. */
  | { readonly kind: 'filter'; readonly of: Node | null; readonly name: string; readonly args: Arguments }
  | { readonly kind: 'test'; readonly of: Node; readonly name: string; readonly args: Arguments }
);

/** A node before it has its place. */
export type NodeShape<N = Node> = N extends Node ? Omit<N, 'at' | 'depth'> : never;

/** How deep each of the expressions is that it is made of. */
export function* depthsWithin(shape: NodeShape): Generator<number> {
  if ('items' in shape) for (const { depth } of shape.items) yield depth;
  if ('of' in shape && shape.of !== null) yield shape.of.depth;
  if ('key' in shape) yield shape.key.depth;
  if (!('args' in shape)) return;
  for (const { depth } of shape.args.positional) yield depth;
  for (const { value } of shape.args.named) yield value.depth;
}
