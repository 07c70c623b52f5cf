import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readerIn } from '../../adapters/scan/isolated.js';

const PROGRAMS = 'bundled/programs';
let compiled: string;

beforeAll(async () => {
  compiled = await mkdtemp(join(tmpdir(), 'custody-reader-'));
  await cp(resolve('dist', PROGRAMS), join(compiled, PROGRAMS), { recursive: true });
});
afterAll(() => rm(compiled, { recursive: true }));

describe('the digest of what reads the files of a release', () => {
  it('is that of the same bytes wherever they lie, and of no others', async () => {
    const before = await readerIn(compiled);
    expect(before).toBe(await readerIn(resolve('dist')));
    for (const name of (await readdir(join(compiled, PROGRAMS))).filter((each) => each.endsWith('.js'))) {
      const path = join(compiled, PROGRAMS, name);
      const bytes = await readFile(path);
      await writeFile(path, Buffer.concat([bytes, Buffer.from('\n')]));
      expect(await readerIn(compiled), name).not.toBe(before);
      await writeFile(path, bytes);
    }
    expect(await readerIn(compiled)).toBe(before);
  });

  it('attack: covers every library, since the program that scans takes nothing from elsewhere', async () => {
    const beside = new Set(await readdir(join(compiled, PROGRAMS)));
    const seen = new Set<string>();
    const visit = async (name: string): Promise<void> => {
      if (seen.has(name)) return;
      seen.add(name);
      const text = await readFile(join(compiled, PROGRAMS, name), 'utf8');
      for (const [, from = ''] of text.matchAll(/^(?:import|export)\b[^;'"]*["']([^"']+)["'];?$/gm)) {
        if (isBuiltin(from)) continue;
        expect(beside, `${name} imports ${from}`).toContain(from.replace('./', ''));
        await visit(from.replace('./', ''));
      }
    };
    await visit('scan.js');
    expect(seen.size).toBeGreaterThan(3);
  });
});
