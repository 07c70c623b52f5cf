import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { leafHash, rootOver } from '../../../formats/tlog.js';
import {
  TiledTree,
  bundlePath,
  decodeBundle,
  encodeBundle,
  hashesOfTile,
  indexPath,
  parseIndexPath,
  parseTilePath,
  tilePath,
} from '../../../formats/tlog-tiles.js';

const malformed = expect.objectContaining({ code: 'MALFORMED' }) as Error;

describe('tile paths', () => {
  test('are those of the specification', () => {
    expect(indexPath(1234067)).toBe('x001/x234/067');
    expect([0, 999, 1000].map(indexPath)).toEqual(['000', '999', 'x001/000']);
    expect(tilePath(1, 70_000, 3)).toBe('tile/1/x070/000.p/3');
    expect(bundlePath(5)).toBe('tile/entries/005');
  });

  test('are read back to what they were made of', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat(6), fc.integer({ min: 1, max: 256 }), (index, level, width) => {
        expect(parseIndexPath(indexPath(index))).toBe(index);
        expect(parseTilePath(tilePath(level, index, width))).toEqual({ level, index, width });
        expect(parseTilePath(bundlePath(index, width))).toEqual({ level: 'entries', index, width });
      }),
    );
  });

  test.each([
    'tile/0/0',
    'tile/0/0000',
    'tile/0/x000/001',
    'tile/0/001.p/0',
    'tile/0/001.p/256',
    'tile/0/001.p/01',
    'tile/00/001',
    'tile/7/001',
    'tile/data/001',
    'tile/0/../001',
    'tile/0/001/',
    'tile/0/',
    'checkpoint',
    '/tile/0/001',
    '',
  ])('are nothing else: "%s"', (path) => {
    expect(parseTilePath(path)).toBeNull();
  });
});

describe('entry bundles', () => {
  test('give back what was put in', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 256 }), (arrays) => {
        const entries = arrays.map((bytes) => Buffer.from(bytes));
        expect(decodeBundle(encodeBundle(entries), 'bundle')).toEqual(entries);
      }),
    );
    expect(encodeBundle([Buffer.from('ab'), Buffer.alloc(0)]).toString('hex')).toBe('000261620000');
  });

  test('are refused when they end early, hold too much, or an entry is too long', () => {
    for (const hex of ['00', '0002', '000261'])
      expect(() => decodeBundle(Buffer.from(hex, 'hex'), 'b')).toThrow(malformed);
    expect(() => decodeBundle(Buffer.alloc(2 * 257), 'b')).toThrow(malformed);
    expect(() => encodeBundle([Buffer.alloc(65_536)])).toThrow(malformed);
    expect(decodeBundle(encodeBundle([Buffer.alloc(65_535)]), 'b')).toHaveLength(1);
  });
});

describe('a tree in tiles', () => {
  test('answers full tiles at level 0, and every tile of the levels above as it grows', () => {
    const tree = new TiledTree();
    const leaves = Array.from({ length: 256 * 256 + 256 }, (_, at) => leafHash(Buffer.from(String(at))));
    const tiles = leaves.flatMap((leaf) => tree.append(leaf));
    const shape = tiles.map(({ level, index, width }) => tilePath(level, index, width));
    expect(shape.slice(0, 4)).toEqual(['tile/0/000', 'tile/1/000.p/1', 'tile/0/001', 'tile/1/000.p/2']);
    expect(shape.slice(-5)).toEqual(['tile/0/255', 'tile/1/000', 'tile/2/000.p/1', 'tile/0/256', 'tile/1/001.p/1']);
    const [first, second] = tiles;
    expect(hashesOfTile(first?.bytes ?? Buffer.alloc(0))).toEqual(leaves.slice(0, 256));
    expect(second?.bytes.equals(rootOver(leaves.slice(0, 256)))).toBe(true);
    expect(tree.root().equals(rootOver(leaves))).toBe(true);
  });

  test('can begin with the roots of full tiles', () => {
    const leaves = Array.from({ length: 600 }, (_, at) => leafHash(Buffer.from(String(at))));
    const tree = new TiledTree();
    tree.append(rootOver(leaves.slice(0, 256)), 1);
    tree.append(rootOver(leaves.slice(256, 512)), 1);
    for (const leaf of leaves.slice(512)) expect(tree.append(leaf)).toEqual([]);
    expect(tree.size).toBe(600);
    expect(tree.root().equals(rootOver(leaves))).toBe(true);
  });
});
