import { hash } from 'node:crypto';
import { CustodyError } from '../domain/errors.js';

export const HASH_SIZE = 32;

/** The hash of a tree without entries. */
export const EMPTY_ROOT = digestOf(Buffer.alloc(0));

const LARGEST_HASHED = 1024;
const [leaf, node] = [Buffer.alloc(1 + LARGEST_HASHED), Buffer.alloc(1 + 2 * HASH_SIZE)];
leaf[0] = 0;
node[0] = 1;

/** MTH({d}) of RFC 6962, section 2.1. */
export function leafHash(entry: Uint8Array): Buffer {
  return Buffer.from(leafText(entry), 'binary');
}

/** The same of many, one hash after the other. */
export function leafHashes(entries: readonly Uint8Array[]): Buffer {
  const hashes = Buffer.allocUnsafe(entries.length * HASH_SIZE);
  entries.forEach((entry, at) => hashes.write(leafText(entry), at * HASH_SIZE, 'binary'));
  return hashes;
}

function leafText(entry: Uint8Array): string {
  if (entry.length > LARGEST_HASHED) return digestText(Buffer.concat([leaf.subarray(0, 1), entry]));
  leaf.set(entry, 1);
  return digestText(leaf.subarray(0, 1 + entry.length));
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  if (left.length !== HASH_SIZE || right.length !== HASH_SIZE)
    throw new CustodyError('INTERNAL', `hashes of ${left.length} and ${right.length} bytes are none of a tree`);
  node.set(left, 1);
  node.set(right, 1 + HASH_SIZE);
  return digestOf(node);
}

function digestOf(bytes: Uint8Array): Buffer {
  return Buffer.from(digestText(bytes), 'binary');
}

/** As text, which is to be made bytes again: Node makes that in a third of the time that it takes for a buffer of its own. */
function digestText(bytes: Uint8Array): string {
  return hash('sha256', bytes, 'binary');
}

/** The root over hashes that lie one after the other, as many as a power of two: faster than `rootOver`. */
export function rootOfComplete(hashes: Buffer): Buffer {
  const work = Buffer.from(hashes);
  for (let width = work.length / 2; width >= HASH_SIZE; width /= 2)
    for (let at = 0; at < width; at += HASH_SIZE) {
      node.set(work.subarray(2 * at, 2 * at + 2 * HASH_SIZE), 1);
      work.write(digestText(node), at, 'binary');
    }
  return Buffer.from(work.subarray(0, HASH_SIZE));
}

/** The largest power of two smaller than `n`, for n > 1: where RFC 6962 splits a tree. */
function splitOf(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

/** The root over hashes of neighbouring subtrees of one size; the last may be smaller. */
export function rootOver(hashes: readonly Buffer[]): Buffer {
  const frontier = new Frontier();
  for (const hash of hashes) frontier.append(hash);
  return frontier.root();
}

/** A tree as its complete subtrees, largest first: all that the next root needs. */
export class Frontier {
  private count = 0;
  private readonly peaks: { readonly height: number; readonly hash: Buffer }[] = [];

  get size(): number {
    return this.count;
  }

  /**
   * Adds a leaf hash, or the root of a complete subtree of 2^height entries that begins at a multiple of its size. Answers the
   * roots of the subtrees that are complete with it, that one's first: each is one level higher than the one before.
   */
  append(hash: Buffer, height = 0): Buffer[] {
    if (hash.length !== HASH_SIZE) throw new CustodyError('INTERNAL', `a hash has 32 bytes, not ${hash.length}`);
    const width = 2 ** height;
    if (this.count % width !== 0)
      throw new CustodyError('INTERNAL', `a subtree of ${width} entries cannot begin at ${this.count}`);
    const complete = [hash];
    let top = { height, hash };
    for (let last = this.peaks.at(-1); last?.height === top.height; last = this.peaks.at(-1)) {
      this.peaks.pop();
      top = { height: top.height + 1, hash: nodeHash(last.hash, top.hash) };
      complete.push(top.hash);
    }
    this.peaks.push(top);
    this.count += width;
    return complete;
  }

  root(): Buffer {
    const hashes = this.peaks.map(({ hash }) => hash);
    return hashes.length === 0 ? EMPTY_ROOT : hashes.reduceRight((right, left) => nodeHash(left, right));
  }
}

/** Gives the root of the complete subtree of entries index·2^height up to (index+1)·2^height. */
export type NodeReader = (height: number, index: number) => Buffer | Promise<Buffer>;

/** MTH(D[0:size]) of RFC 6962, section 2.1, of any tree that begins with those entries. */
export async function rootAt(size: number, read: NodeReader): Promise<Buffer> {
  return size === 0 ? EMPTY_ROOT : hashOfRange(0, size, read);
}

/** PATH(index, D[size]) of RFC 6962, section 2.1.1: from the leaf's sibling up. */
export async function proveInclusion(index: number, size: number, read: NodeReader): Promise<Buffer[]> {
  if (!isCount(size) || !isCount(index) || index >= size)
    throw new CustodyError('USAGE', `a tree of ${size} entries has no entry ${index}`);
  return hashesOf(stepsToLeaf(index, size), read);
}

/** PROOF(from, D[to]) of RFC 6962, section 2.1.2. */
export async function proveConsistency(from: number, to: number, read: NodeReader): Promise<Buffer[]> {
  if (!isCount(from) || !isCount(to) || from > to)
    throw new CustodyError('USAGE', `a tree of ${to} entries does not contain one of ${from}`);
  if (from === 0 || from === to) return [];
  const { steps, seed } = stepsToPrefix(from, to);
  const path = await hashesOf(steps, read);
  return seed === null ? path : [await hashOfRange(seed.lo, seed.hi, read), ...path];
}

/** True when the proof is exactly the path from this leaf to this root: no hash less, none more. */
export function verifyInclusion(
  index: number,
  size: number,
  leaf: Buffer,
  root: Buffer,
  proof: readonly Buffer[],
): boolean {
  if (!isCount(size) || !isCount(index) || index >= size || !areHashes([leaf, root, ...proof])) return false;
  const steps = stepsToLeaf(index, size);
  if (proof.length !== steps.length) return false;
  return climb(leaf, steps, proof).equals(root);
}

/** True when the proof shows that the tree of `to` entries begins with the tree of `from` entries. */
export function verifyConsistency(
  from: number,
  to: number,
  rootFrom: Buffer,
  rootTo: Buffer,
  proof: readonly Buffer[],
): boolean {
  if (!isCount(from) || !isCount(to) || from > to || !areHashes([rootFrom, rootTo, ...proof])) return false;
  if (from === to) return proof.length === 0 && rootFrom.equals(rootTo);
  if (from === 0) return proof.length === 0 && rootFrom.equals(EMPTY_ROOT);
  const { steps, seed } = stepsToPrefix(from, to);
  if (proof.length !== steps.length + (seed === null ? 0 : 1)) return false;
  const start = seed === null ? rootFrom : proof[0];
  if (start === undefined) return false;
  const path = seed === null ? proof : proof.slice(1);
  const isOld = steps.map(({ side }) => side === 'left');
  const old = climb(
    start,
    steps.filter((_, at) => isOld[at]),
    path.filter((_, at) => isOld[at]),
  );
  return old.equals(rootFrom) && climb(start, steps, path).equals(rootTo);
}

/** A sibling on the way up: the entries from `lo` to before `hi`, on that side of where one comes from. */
interface Step {
  readonly side: 'left' | 'right';
  readonly lo: number;
  readonly hi: number;
}

function stepsToLeaf(index: number, size: number): Step[] {
  const steps: Step[] = [];
  let [lo, hi] = [0, size];
  while (hi - lo > 1) {
    const middle = lo + splitOf(hi - lo);
    if (index < middle) {
      steps.unshift({ side: 'right', lo: middle, hi });
      hi = middle;
    } else {
      steps.unshift({ side: 'left', lo, hi: middle });
      lo = middle;
    }
  }
  return steps;
}

/** `seed`: the subtree that ends where the smaller tree does; `null` when it is the whole smaller tree. */
function stepsToPrefix(from: number, to: number): { steps: Step[]; seed: { lo: number; hi: number } | null } {
  const steps: Step[] = [];
  let [lo, hi] = [0, to];
  while (hi !== from) {
    const middle = lo + splitOf(hi - lo);
    if (from <= middle) {
      steps.unshift({ side: 'right', lo: middle, hi });
      hi = middle;
    } else {
      steps.unshift({ side: 'left', lo, hi: middle });
      lo = middle;
    }
  }
  return { steps, seed: lo === 0 ? null : { lo, hi } };
}

function climb(start: Buffer, steps: readonly Step[], path: readonly Buffer[]): Buffer {
  return path.reduce(
    (hash, sibling, at) => (steps[at]?.side === 'left' ? nodeHash(sibling, hash) : nodeHash(hash, sibling)),
    start,
  );
}

async function hashesOf(steps: readonly Step[], read: NodeReader): Promise<Buffer[]> {
  const hashes: Buffer[] = [];
  for (const { lo, hi } of steps) hashes.push(await hashOfRange(lo, hi, read));
  return hashes;
}

async function hashOfRange(lo: number, hi: number, read: NodeReader): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let at = lo; at < hi;) {
    let height = 0;
    while (at % 2 ** (height + 1) === 0 && at + 2 ** (height + 1) <= hi) height += 1;
    parts.push(await read(height, at / 2 ** height));
    at += 2 ** height;
  }
  return parts.reduceRight((right, left) => nodeHash(left, right));
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function areHashes(hashes: readonly Buffer[]): boolean {
  return hashes.every((hash) => hash.length === HASH_SIZE);
}
