import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile, chmod } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { expectedBytes, localPath, openRegular, readChunks, readSmall } from '../../../adapters/source/file.js';
import { copyRelease } from '../../../adapters/source/inspect.js';
import { packRelease } from '../../../adapters/source/pack.js';
import { parseManifest } from '../../../formats/manifest.js';
import { sha256 } from '../../../formats/sha256.js';
import { DESCRIPTION, FILES, writeFiles } from '../ingest/intake.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'custody-source-'));
  await writeFiles(folder, FILES);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('packing a release', () => {
  it('writes the manifest of the files, the same bytes each time, and readable for a sandbox', async () => {
    await chmod(join(folder, 'config.json'), 0o600);
    const first = await packRelease(folder, DESCRIPTION);
    const text = await readFile(join(folder, 'custody.json'));
    expect(parseManifest(text)).toEqual(first.manifest);
    expect(first.release).toBe(sha256(text));
    expect((await packRelease(folder, DESCRIPTION)).release).toBe(first.release);
    expect(first.manifest.components.map(({ version }) => version)).toEqual(['1.0.0', '1.0.0']);
    expect((await stat(join(folder, 'config.json'))).mode & 0o777).toBe(0o644);
    await writeFile(join(folder, 'config.json'), '{}');
    expect((await packRelease(folder, DESCRIPTION)).release).not.toBe(first.release);
  });

  it('refuses a file that belongs to no component, and a link', async () => {
    await writeFile(join(folder, 'extra'), 'x');
    await expect(packRelease(folder, DESCRIPTION)).rejects.toMatchObject({ code: 'MALFORMED' });
    await rm(join(folder, 'extra'));
    await symlink('config.json', join(folder, 'extra'));
    await expect(packRelease(folder, DESCRIPTION)).rejects.toMatchObject({ code: 'INPUT_UNSAFE' });
  });
});

describe('copying a release', () => {
  it('copies every file, read-only', async () => {
    const packed = await packRelease(folder, DESCRIPTION);
    const target = join(folder, '..', 'copy-' + sha256(folder).slice(0, 8));
    await copyRelease(packed, target, 'custody.json');
    for (const path of [...Object.keys(FILES), 'custody.json'])
      expect(await readFile(join(target, path))).toEqual(await readFile(join(folder, path)));
    expect((await stat(join(target, 'config.json'))).mode & 0o777).toBe(0o444);
    await rm(target, { recursive: true });
  });

  it('attack: a file that is not what the manifest says is not copied to its end', async () => {
    const packed = await packRelease(folder, DESCRIPTION);
    await writeFile(join(folder, 'config.json'), '{"hidden":6}\n');
    const parent = await mkdtemp(join(tmpdir(), 'custody-copy-'));
    const copying = copyRelease(packed, join(parent, 'copy'), 'custody.json');
    await expect(copying).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    await rm(parent, { recursive: true });
  });
});

describe('reading a file', () => {
  it('reads chunks in order, however they fall, with the next one on its way', async () => {
    const bytes = Buffer.alloc(3 * 1024 * 1024 + 17);
    for (let at = 0; at < bytes.length; at += 1) bytes[at] = (at * 31) % 251;
    await writeFile(join(folder, 'large'), bytes);
    const { handle, size } = await openRegular(join(folder, 'large'));
    const chunks: Buffer[] = [];
    for await (const chunk of readChunks(handle, size)) chunks.push(Buffer.from(chunk));
    await handle.close();
    expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
    expect(chunks.map(({ length }) => length)).toEqual([2 ** 20, 2 ** 20, 2 ** 20, 17]);
  });

  it('attack: a file that grows is read no further than one byte beyond what was expected', async () => {
    await writeFile(join(folder, 'growing'), Buffer.alloc(4 * 1024 * 1024));
    const { handle } = await openRegular(join(folder, 'growing'));
    let read = 0;
    for await (const chunk of readChunks(handle, 1000)) read += chunk.length;
    await handle.close();
    expect(read).toBe(1001);
    await expect(readSmall(join(folder, 'growing'), 1000)).rejects.toMatchObject({ code: 'INPUT_UNSAFE' });
  });

  it('attack: bytes of the right size with another hash fail before the iteration ends', async () => {
    const expected = { path: 'config.json', size: 13, sha256: sha256('something else') };
    const read = async (): Promise<void> => {
      for await (const chunk of expectedBytes(join(folder, 'config.json'), expected)) void chunk;
    };
    await expect(read()).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  it('attack: a folder, a device and a link are not files', async () => {
    await mkdir(join(folder, 'sub'));
    await symlink('config.json', join(folder, 'link'));
    for (const path of [join(folder, 'sub'), '/dev/zero', join(folder, 'link')])
      await expect(openRegular(path)).rejects.toMatchObject({ code: 'INPUT_UNSAFE' });
    await expect(openRegular(join(folder, 'absent'))).rejects.toMatchObject({ code: 'INPUT_MISSING' });
  });
});

describe('the place of a source', () => {
  it('is a file URL or an absolute path, and nothing else', () => {
    expect(localPath('file:///a/b%20c')).toBe('/a/b c');
    expect(localPath('/a/b')).toBe('/a/b');
    for (const bad of ['file://host/a', 'file:///a%2fb', 's3://bucket/a', 'relative/path', '', 'file:a'])
      expect(() => localPath(bad)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});
