import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { checksumOf } from '../../../adapters/source/checksum.js';
import { encodeFileList, fileListDigest, parseFileList } from '../../../formats/file-list.js';
import { sha256 } from '../../../formats/sha256.js';

const folder = mkdtempSync(join(tmpdir(), 'custody-list-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const PATHS = ['b.csv', 'a/é.txt', 'a.txt', 'Z', 'a b', '😀', 'ﬀ'];
const data = join(folder, 'data');
mkdirSync(join(data, 'a'), { recursive: true });
for (const path of PATHS) writeFileSync(join(data, path), `of ${path}`);
const files = PATHS.map((path) => ({ path, sha256: sha256(readFileSync(join(data, path))) }));
const list = encodeFileList(files);

describe('a list of files', () => {
  it('is what sha256sum reads, and in-toto hashes', async () => {
    writeFileSync(join(folder, 'list'), list);
    expect(execFileSync('sha256sum', ['--check', '--strict', join(folder, 'list')], { cwd: data }).toString()).toMatch(
      /^(.+: OK\n){7}$/,
    );
    expect(await checksumOf(data)).toEqual({ dirHash: fileListDigest(files) });
  });

  it('comes back as it was, in the order of bytes', () => {
    expect(parseFileList(list, 'it').map(({ path }) => path)).toEqual([
      'Z',
      'a b',
      'a.txt',
      'a/é.txt',
      'b.csv',
      'ﬀ',
      '😀',
    ]);
    expect(encodeFileList(parseFileList(list, 'it'))).toEqual(list);
  });

  const digest = sha256('x');
  it.each([
    ['nothing', ''],
    ['a last line without an end', `${digest}  a`],
    ['an empty line', `${digest}  a\n\n`],
    ['one space', `${digest} a\n`],
    ['a star for binary files', `${digest} *a\n`],
    ['capital digits', `${digest.toUpperCase()}  a\n`],
    ['a path that climbs', `${digest}  ../a\n`],
    ['an absolute path', `${digest}  /a\n`],
    ['a carriage return', `${digest}  a\r\n`],
    ['one path twice', `${digest}  a\n${digest}  a\n`],
    ['another order', `${digest}  b\n${digest}  a\n`],
  ])('attack: with %s is none', (_, text) => {
    expect(() => parseFileList(Buffer.from(text), 'it')).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
  });

  it('attack: that is no UTF-8 is none', () => {
    const bytes = Buffer.concat([Buffer.from(`${digest}  `), Buffer.from([0xff, 0x0a])]);
    expect(() => parseFileList(bytes, 'it')).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
  });
});
