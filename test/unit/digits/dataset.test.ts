import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLASSES, imageAt, loadDigits, parseDigits } from '../../../examples/digits/training/dataset.mjs';

const DATA = 'examples/digits/data';
const CSV = join(DATA, 'digits', 'digits.csv.gz');
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'custody-dataset-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('the digits data set', () => {
  it('splits into 1,400 images to train with and 397 held out, every digit in both', () => {
    const { training, heldOut } = loadDigits(CSV);
    expect([training.count, heldOut.count]).toEqual([1400, 397]);
    for (const { labels } of [training, heldOut]) expect(new Set(labels).size).toBe(CLASSES);
  });

  it('splits the same way every time, each row on one side only', () => {
    const { training, heldOut } = loadDigits(CSV);
    expect(loadDigits(CSV).heldOut).toEqual(heldOut);
    const images = (digits: typeof training): string[] =>
      Array.from({ length: digits.count }, (_, row) => imageAt(digits, row).join());
    const trained = new Set(images(training));
    expect(images(heldOut).filter((image) => trained.has(image))).toEqual([]);
  });

  it('has a held-out file that is exactly what the split gives', async () => {
    const { heldOut } = loadDigits(CSV);
    const file = JSON.parse(await readFile(join(DATA, 'held-out.json'), 'utf8')) as { cases: unknown[] };
    const expected = Array.from(heldOut.labels, (label, row) => ({
      image: [...imageAt(heldOut, row)],
      label: String(label),
    }));
    expect(file).toEqual({ input: 'image', output: 'label', cases: expected });
  });

  it('has a checksum file that names both files as they are', async () => {
    const lines = (await readFile(join(DATA, 'SHA256SUMS'), 'utf8')).trim().split('\n');
    expect(lines.map((line) => line.slice(66))).toEqual(['digits/digits.csv.gz', 'held-out.json']);
    for (const line of lines) {
      const bytes = await readFile(join(DATA, line.slice(66)));
      expect(createHash('sha256').update(bytes).digest('hex')).toBe(line.slice(0, 64));
    }
  });

  it('attack: one changed byte is a digest mismatch before anything is unpacked', async () => {
    const bytes = await readFile(CSV);
    bytes[1000] = (bytes[1000] as number) ^ 1;
    const path = join(folder, 'changed.csv.gz');
    await writeFile(path, bytes);
    expect(() => loadDigits(path)).toThrow(/changed\.csv\.gz has the SHA-256 .* restore the original/);
    expect(() => loadDigits(join(folder, 'absent'))).toThrow(/absent/);
  });

  it('refuses rows of another width, values out of range and texts, naming the line', () => {
    const row = (changes: Record<number, string>): string =>
      Array.from({ length: 65 }, (_, at) => changes[at] ?? '1').join(',');
    expect(parseDigits(`${row({})}\n${row({ 64: '9' })}\n`).labels).toEqual(Uint8Array.of(1, 9));
    for (const bad of [
      '1,2,3',
      `${row({})},1`,
      row({ 3: '17' }),
      row({ 64: '10' }),
      row({ 0: '-1' }),
      row({ 5: '1e1' }),
      row({ 5: '' }),
    ]) {
      expect(() => parseDigits(`${row({})}\n${bad}\n`)).toThrow(/^line 2 of the digits data set/);
    }
  });
});
