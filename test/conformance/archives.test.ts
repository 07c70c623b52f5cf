import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { execaSync } from 'execa';
import { describe, expect, it } from 'vitest';
import type { ArtifactReader, Report } from '../../formats/scan/reader.js';
import { TarReader } from '../../formats/scan/tar.js';
import { findDirectory, readDirectory, TAIL_BYTES } from '../../formats/scan/zip-directory.js';
import { ZipReader } from '../../formats/scan/zip.js';
import { pax, tar, zip, zip64, type TarMember, type ZipMember } from '../support/artifacts.js';
import { seeded } from '../support/pickle-programs.js';

const python = process.env['CUSTODY_PYTHON'];
const ORACLE = resolve('test/support/archive-oracle.py');
/** CUSTODY_FUZZ_RUNS makes a night of it. */
const RUNS = Number(process.env['CUSTODY_FUZZ_RUNS'] ?? 3000);
const below = seeded(Number(process.env['CUSTODY_FUZZ_SEED'] ?? 1));

type Files = readonly (readonly [name: string, content: string])[];

function oracle(archives: readonly Buffer[]): readonly (readonly [zip: Files | null, tar: Files | null])[] {
  const input = archives.map((each) => each.toString('hex')).join('\n');
  const { stdout } = execaSync(python ?? '', ['-I', ORACLE], { input, maxBuffer: 1 << 28 });
  return stdout.split('\n').map((line) => JSON.parse(line) as [Files | null, Files | null]);
}

/** The files that a reader of ours comes to; `null` where it has anything against the archive. */
function filesOf(
  bytes: Buffer,
  make: (report: Report, open: (report: Report) => ArtifactReader & { format(): 'text' }) => ArtifactReader | null,
): Files | null {
  const found: [string, string][] = [];
  let isRefused = false;
  let name: string | null = null;
  const report: Report = (_at, _rule, message) => {
    if (message.endsWith(': told')) name = message.slice('in '.length, -': told'.length);
    else isRefused = true;
  };
  const reader = make(report, (inner) => {
    const hash = createHash('sha256');
    inner(0, 'malformed', 'told');
    const told = name ?? '';
    return {
      add: (chunk) => void hash.update(chunk),
      end: () => void found.push([told, hash.digest('hex')]),
      format: () => 'text',
    };
  });
  if (reader === null) return null;
  for (let at = 0; at < bytes.length; at += 700) reader.add(bytes.subarray(at, at + 700));
  reader.end();
  return isRefused ? null : found;
}

const zipFiles = (bytes: Buffer): Files | null =>
  filesOf(bytes, (report, open) => {
    const place = findDirectory(bytes.subarray(-TAIL_BYTES), bytes.length);
    if (place === null) return null;
    const directory = bytes.subarray(place.offset, place.offset + place.size);
    readDirectory(directory, place, report);
    return new ZipReader(report, { place, directory, size: bytes.length, open });
  });
const tarFiles = (bytes: Buffer): Files | null =>
  filesOf(bytes, (report, open) => new TarReader(report, { size: bytes.length, open }));

const content = Buffer.from('the same again and again, '.repeat(8));
const member = (name: string, more: Partial<ZipMember> = {}): ZipMember => ({ name, bytes: content, ...more });
const entry = (name: string, more: Partial<TarMember> = {}): TarMember => ({ name, bytes: content, ...more });
const ZIPS = [
  zip([member('a.txt'), member('b/c.txt', { deflated: true })]),
  zip64(zip([member('a.txt'), member('é.txt', { flags: 0x800 })])),
  zip([member('é.txt')]),
  zip([member('a.txt', { extra: Buffer.from('4642040000000000', 'hex') })]),
  zip([member('archive/data.pkl', { bytes: Buffer.from('N.') }), member('archive/version')]),
];
const TARS = [
  tar([entry('a.txt'), entry('b/c.txt'), entry('d', { type: '5', bytes: Buffer.alloc(0) })]),
  tar([entry('x', { type: 'x', bytes: pax(['path', 'long/name.txt'], ['mtime', '1']) }), entry('short.txt')]),
  tar([entry('././@LongLink', { type: 'L', bytes: Buffer.from('long/name.txt\0') }), entry('short.txt')]),
  tar([entry('name.txt', { prefix: 'folder' }), entry('z', { bytes: Buffer.alloc(0) })]),
];
const INTERESTING = [0, 1, 8, 0x20, 0x2e, 0x2f, 0x30, 0x31, 0x37, 0x5c, 0x78, 0x7f, 0x80, 0xff];

/** A few bytes of an archive made others, moved, doubled or left out. */
function mutated(bytes: Buffer): Buffer {
  let result = Buffer.from(bytes);
  for (let left = 1 + below(3); left > 0; left -= 1) {
    const at = below(result.length);
    const kind = below(8);
    if (kind < 4) result[at] = INTERESTING[below(INTERESTING.length)] as number;
    else if (kind === 4) result[at] = ((result[at] as number) + (below(2) === 0 ? 1 : 255)) % 256;
    else if (kind === 5) result = Buffer.concat([result.subarray(0, at), result.subarray(at + 1 + below(64))]);
    else if (kind === 6) result = Buffer.concat([result.subarray(0, at), result.subarray(below(at + 1))]);
    else result.set(result.subarray(at, at + 2 + below(30)).reverse(), at);
    if (result.length === 0) return Buffer.from(bytes);
  }
  return result;
}

/** A block whose checksum is right again, so that what was changed in it is read. */
function summed(bytes: Buffer): Buffer {
  for (let at = 0; at + 512 <= bytes.length; at += 512) {
    const block = bytes.subarray(at, at + 512);
    if (block.toString('latin1', 257, 262) !== 'ustar') continue;
    block.fill(0x20, 148, 156);
    block.write(
      `${block
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
      'latin1',
    );
  }
  return bytes;
}

describe.runIf(python !== undefined)('what Python finds in an archive', () => {
  const kinds = [
    ['zipfile', ZIPS, zipFiles, 0, mutated],
    ['tarfile', TARS, tarFiles, 1, (bytes: Buffer) => (below(5) > 0 ? summed(mutated(bytes)) : mutated(bytes))],
  ] as const;

  it.each(kinds)('is what is looked into where nothing is wrong: %s', (_, archives, ours, at) => {
    const theirs = oracle(archives).map((answer) => answer[at]);
    const found = archives.map(ours);
    expect(found.filter((files) => files !== null).length).toBeGreaterThanOrEqual(3);
    found.forEach((files, index) => files !== null && expect(files).toEqual(theirs[index]));
  });

  it.each(kinds)(
    'attack: is never something else in one that has nothing against it: %s',
    (_, archives, ours, at, change) => {
      const changed = Array.from({ length: RUNS }, (_each, index) =>
        change(archives[index % archives.length] as Buffer),
      );
      const theirs = oracle(changed).map((answer) => answer[at]);
      const taken = changed.map(ours);
      const other = changed.flatMap((bytes, index) => {
        const [mine, peers] = [taken[index], theirs[index]];
        // What Python refuses as a whole it does not read otherwise.
        return mine == null || peers == null || JSON.stringify(mine) === JSON.stringify(peers)
          ? []
          : [{ mine, peers, bytes: bytes.toString('hex') }];
      });
      // Of what was changed enough must still be taken, and enough be read otherwise and refused, or nothing was tried.
      expect(taken.filter((files) => files !== null).length).toBeGreaterThan(RUNS / 50);
      expect(theirs.filter((files, index) => files != null && taken[index] == null).length).toBeGreaterThan(RUNS / 50);
      expect(other.slice(0, 3)).toEqual([]);
    },
  );
});
