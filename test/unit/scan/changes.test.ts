import { appendFileSync, closeSync, openSync, renameSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readRelease, type SourceRelease } from '../../../adapters/source/folder.js';
import { packRelease } from '../../../adapters/source/pack.js';
import { writeSafetensors } from '../../../formats/safetensors.js';
import { sha256 } from '../../../formats/sha256.js';
import { inspectHere } from '../../support/scan.js';

const MIB = 1024 * 1024;
const weights = writeSafetensors([{ name: 'w', dtype: 'U8', shape: [6 * MIB], data: Buffer.alloc(6 * MIB, 7) }]);

let folder: string;
let release: SourceRelease;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'custody-changes-'));
  const source = join(folder, 'release');
  path = join(source, 'w.safetensors');
  await mkdir(source);
  await writeFile(path, weights);
  await packRelease(source, {
    ...{ model: 'digits', version: '1.0.0' },
    components: [{ name: 'weights', kind: 'weights', files: ['w.safetensors'] }],
    serving: { protocol: 'open-inference-v2', command: ['node', 'serve.mjs'] },
  });
  release = await readRelease(source, { maxFiles: 10, maxFileBytes: 100 * MIB });
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Scans the release; once its first bytes have been read, this happens. */
function scannedWhile(change: () => void) {
  let changed = false;
  return inspectHere(release, {
    onBytes: () => {
      if (!changed) change();
      changed = true;
    },
  });
}

/** What a mapping of the file does, too: the open file has other bytes from now on. */
function overwrite(at: number): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, 'evil', at);
  closeSync(fd);
}

describe('a file that changes while it is scanned', () => {
  it('attack: by bytes at its end is refused', async () => {
    await expect(scannedWhile(() => appendFileSync(path, 'more'))).rejects.toMatchObject({ code: 'INPUT_UNSAFE' });
  });

  it('attack: by being cut short is refused', async () => {
    await expect(scannedWhile(() => truncateSync(path, 5 * MIB))).rejects.toMatchObject({ code: 'INPUT_UNSAFE' });
  });

  it('attack: where it has not been read yet is not what was signed', async () => {
    await expect(scannedWhile(() => overwrite(5 * MIB))).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  it('attack: where it has been read is told by the hash of what was read, and by the next reading', async () => {
    const { files } = await scannedWhile(() => overwrite(100));
    expect(files[0]?.sha256).toBe(sha256(weights));
    await expect(inspectHere(release)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  it('attack: by another one in its place is judged by the bytes of the one that was opened', async () => {
    const swap = (): void => {
      writeFileSync(join(folder, 'other'), Buffer.alloc(weights.length, 'x'));
      renameSync(join(folder, 'other'), path);
    };
    const { files } = await scannedWhile(swap);
    expect(files).toMatchObject([{ sha256: sha256(weights), format: 'safetensors', findings: [] }]);
    await expect(inspectHere(release)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  it('attack: by a link in its place is refused', async () => {
    await rm(path);
    await symlink('/etc/passwd', path);
    await expect(inspectHere(release)).rejects.toMatchObject({ code: 'INPUT_UNSAFE' });
  });
});
