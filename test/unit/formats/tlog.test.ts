import { createHash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  EMPTY_ROOT,
  Frontier,
  leafHash,
  nodeHash,
  proveConsistency,
  proveInclusion,
  verifyConsistency,
  verifyInclusion,
} from '../../../formats/tlog.js';

/** The eight entries that Certificate Transparency's own tests use, and the roots of the trees of the first 0 to 8. */
const ENTRIES = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
const ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

/** MTH, word for word. */
function naiveRoot(leaves: readonly Buffer[]): Buffer {
  const [first] = leaves;
  if (first === undefined) return createHash('sha256').digest();
  if (leaves.length === 1) return first;
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return nodeHash(naiveRoot(leaves.slice(0, k)), naiveRoot(leaves.slice(k)));
}

const leavesOf = (count: number) => Array.from({ length: count }, (_, at) => leafHash(Buffer.from(String(at))));
const readerOf = (leaves: readonly Buffer[]) => (height: number, index: number) =>
  naiveRoot(leaves.slice(index * 2 ** height, (index + 1) * 2 ** height));

function frontierOf(leaves: readonly Buffer[]): Frontier {
  const frontier = new Frontier();
  for (const leaf of leaves) frontier.append(leaf);
  return frontier;
}

describe('the tree of RFC 6962', () => {
  test('has the roots of the published vectors', () => {
    const frontier = new Frontier();
    const roots = [frontier.root().toString('hex')];
    for (const entry of ENTRIES) {
      frontier.append(leafHash(Buffer.from(entry, 'hex')));
      roots.push(frontier.root().toString('hex'));
    }
    expect(roots).toEqual(ROOTS);
    expect(EMPTY_ROOT.toString('hex')).toBe(ROOTS[0]);
  });

  test('has the inclusion proof of the published vectors', async () => {
    const leaves = ENTRIES.map((entry) => leafHash(Buffer.from(entry, 'hex')));
    const proof = await proveInclusion(5, 8, readerOf(leaves));
    expect(proof.map((hash) => hash.toString('hex'))).toEqual([
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ]);
  });

  test('grows to the root of the whole, entry by entry or by complete subtrees', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 5 }), (count, height) => {
        const leaves = leavesOf(count);
        const root = naiveRoot(leaves);
        expect(frontierOf(leaves).root().equals(root)).toBe(true);
        const bySubtrees = new Frontier();
        const width = 2 ** height;
        for (let at = 0; at + width <= count; at += width)
          bySubtrees.append(naiveRoot(leaves.slice(at, at + width)), height);
        for (const leaf of leaves.slice(bySubtrees.size)) bySubtrees.append(leaf);
        expect(bySubtrees.root().equals(root)).toBe(true);
      }),
    );
  });

  test('refuses a subtree where none of its size can begin', () => {
    const frontier = frontierOf(leavesOf(1));
    expect(() => frontier.append(leafHash(Buffer.alloc(0)), 1)).toThrow(expect.objectContaining({ code: 'INTERNAL' }));
  });

  test('proves every entry of every small tree, and no other leaf, index, size or root', async () => {
    for (let size = 1; size <= 40; size++) {
      const leaves = leavesOf(size);
      const root = naiveRoot(leaves);
      for (const [index, leaf] of leaves.entries()) {
        const proof = await proveInclusion(index, size, readerOf(leaves));
        expect(verifyInclusion(index, size, leaf, root, proof), `${index} of ${size}`).toBe(true);
        expect(verifyInclusion(index, size, leafHash(Buffer.from('x')), root, proof)).toBe(false);
        expect(verifyInclusion(index, size, leaf, leaf.equals(root) ? EMPTY_ROOT : leaf, proof)).toBe(false);
        expect(verifyInclusion(index, size, leaf, root, [...proof, root])).toBe(false);
        expect(verifyInclusion(index, size, leaf, root, [root, ...proof])).toBe(false);
        if (proof.length > 0) {
          expect(verifyInclusion(index, size, leaf, root, proof.slice(1))).toBe(false);
          expect(verifyInclusion(index, size, leaf, root, proof.slice(0, -1))).toBe(false);
        }
        for (const other of [index - 1, index + 1, size, -1, 0.5])
          if (other !== index) expect(verifyInclusion(other, size, leaf, root, proof)).toBe(false);
      }
    }
  });

  test('shows that every small tree begins with every smaller one, and with no other', async () => {
    for (let to = 0; to <= 40; to++) {
      const leaves = leavesOf(to);
      const rootTo = naiveRoot(leaves);
      for (let from = 0; from <= to; from++) {
        const rootFrom = naiveRoot(leaves.slice(0, from));
        const proof = await proveConsistency(from, to, readerOf(leaves));
        expect(verifyConsistency(from, to, rootFrom, rootTo, proof), `${from} in ${to}`).toBe(true);
        expect(verifyConsistency(from, to, rootFrom, rootTo, [...proof, rootTo])).toBe(false);
        expect(verifyConsistency(from, to, randomBytes(32), rootTo, proof)).toBe(false);
        // Every tree begins with the empty one, so there the larger root proves nothing and is not looked at.
        if (from > 0) expect(verifyConsistency(from, to, rootFrom, randomBytes(32), proof)).toBe(false);
        if (proof.length > 0) {
          expect(verifyConsistency(from, to, rootFrom, rootTo, proof.slice(1))).toBe(false);
          expect(verifyConsistency(from, to, rootFrom, rootTo, proof.slice(0, -1))).toBe(false);
          expect(verifyConsistency(from - 1, to, rootFrom, rootTo, proof)).toBe(false);
        }
        expect(verifyConsistency(to + 1, to, rootFrom, rootTo, proof)).toBe(false);
      }
    }
  });

  test('refuses a proof with any bit flipped', async () => {
    const leaves = leavesOf(21);
    const root = naiveRoot(leaves);
    const inclusion = await proveInclusion(13, 21, readerOf(leaves));
    const consistency = await proveConsistency(13, 21, readerOf(leaves));
    const flip = (proof: Buffer[], which: number, bit: number) =>
      proof.map((hash, at) => {
        const copy = Buffer.from(hash);
        if (at === which) copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        return copy;
      });
    fc.assert(
      fc.property(fc.nat(4), fc.nat(255), (which, bit) => {
        const leaf = leaves[13] ?? EMPTY_ROOT;
        expect(verifyInclusion(13, 21, leaf, root, flip(inclusion, which % inclusion.length, bit))).toBe(false);
        const bad = flip(consistency, which % consistency.length, bit);
        expect(verifyConsistency(13, 21, naiveRoot(leaves.slice(0, 13)), root, bad)).toBe(false);
      }),
    );
  });

  test('answers no proof for what is not there', async () => {
    const refused = expect.objectContaining({ code: 'USAGE' }) as Error;
    await expect(proveInclusion(3, 3, readerOf(leavesOf(3)))).rejects.toThrow(refused);
    await expect(proveConsistency(4, 3, readerOf(leavesOf(3)))).rejects.toThrow(refused);
  });
});
