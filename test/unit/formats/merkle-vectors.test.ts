import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { verifyConsistency, verifyInclusion } from '../../../formats/tlog.js';

interface Vector {
  readonly file: string;
  readonly wantErr: boolean;
  readonly proof: readonly string[];
  readonly [more: string]: unknown;
}

const vectors = JSON.parse(readFileSync(new URL('fixtures/merkle.json', import.meta.url), 'utf8')) as Vector[];
const hash = (text: unknown): Buffer => Buffer.from(String(text), 'base64');

/** Whether we take the proof; `null`: it is of a subtree that begins elsewhere, and no log of ours has such proofs. */
function taken({ file, proof, ...vector }: Vector): boolean | null {
  const path = proof.map(hash);
  const [from = NaN, to = NaN] = [vector['start'], vector['end']].map((each) =>
    each === undefined ? NaN : Number(each),
  );
  const [kind] = file.split('/');
  switch (kind) {
    case 'inclusion':
      return verifyInclusion(
        Number(vector['leafIdx']),
        Number(vector['treeSize']),
        hash(vector['leafHash']),
        hash(vector['root']),
        path,
      );
    case 'subtreeinclusion':
      // A subtree that begins at 0 is a tree.
      if (from !== 0) return null;
      return verifyInclusion(Number(vector['leafIdx']), to, hash(vector['leafHash']), hash(vector['root']), path);
    case 'consistency':
      return verifyConsistency(
        Number(vector['size1']),
        Number(vector['size2']),
        hash(vector['root1']),
        hash(vector['root2']),
        path,
      );
    default:
      if (from !== 0) return null;
      return verifyConsistency(to, Number(vector['size']), hash(vector['root1']), hash(vector['root2']), path);
  }
}

/** Where a root is no hash at all, or stands for no entry: no log of ours ever says that. */
const STRICTER = [
  'consistency/additional/sizes-are-equal-one-and-proof-is-empty',
  'subtreeconsistency/additional/sizes-are-equal-one-and-proof-is-empty',
  'subtreeconsistency/additional/subtree-is-empty-sizes-are-equal-zero-subtree-root-valid-tree-root-random-proof-is-empty',
];

describe("Merkle proofs of other people's tests", () => {
  const judged = vectors.map((vector) => ({ vector, ours: taken(vector) }));
  const filesWhere = (wantErr: boolean, ours: boolean): string[] =>
    judged.filter((each) => each.vector.wantErr === wantErr && each.ours === ours).map(({ vector }) => vector.file);

  test('are all there', () => {
    expect(vectors).toHaveLength(518);
    expect(judged.filter(({ ours }) => ours !== null)).toHaveLength(399);
  });

  test('attack: none is taken that they refuse, whatever of it is changed, too much, too little or in another place', () => {
    expect(filesWhere(true, true)).toEqual([]);
    expect(filesWhere(true, false)).toHaveLength(373);
  });

  test('all are taken that they take, but for three that are of no log', () => {
    expect(filesWhere(false, false)).toEqual(STRICTER);
    expect(filesWhere(false, true)).toHaveLength(23);
  });
});
