import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { giveFolder, giveTree } from '../../../client/stack/folders.js';
import { replaceFile } from '../../../client/files.js';

const [BEFORE, NOW, OTHER] = [61_999, 62_000, 62_001];

let host: string;
let zone: string;
beforeEach((context) => {
  if (process.getuid?.() !== 0) context.skip('only root gives files to others');
  host = mkdtempSync(join(tmpdir(), 'custody-folders-'));
  const made = host;
  onTestFinished(() => rmSync(made, { recursive: true }));
  zone = join(host, 'zones', 'intake');
  mkdirSync(join(zone, 'state', 'deep'), { recursive: true });
  for (const file of ['config.json', 'state/a', 'state/deep/b']) writeFileSync(join(zone, file), file);
  for (const name of ['', ...readdirSync(zone, { recursive: true, encoding: 'utf8' })])
    chownSync(join(zone, name), BEFORE, BEFORE);
});

/** What another environment has, and a link to which stands in a zone's folder. */
function victim(name: string): string {
  const folder = join(host, name);
  mkdirSync(folder);
  chmodSync(folder, 0o750);
  writeFileSync(join(folder, 'key'), 'secret', { mode: 0o600 });
  for (const path of [folder, join(folder, 'key')]) chownSync(path, OTHER, OTHER);
  return folder;
}

function expectUntouched(folder: string): void {
  expect(statSync(folder)).toMatchObject({ uid: OTHER, gid: OTHER });
  expect(statSync(folder).mode & 0o777).toBe(0o750);
  expect(statSync(join(folder, 'key'))).toMatchObject({ uid: OTHER, gid: OTHER });
}

describe('a folder that changes hands', () => {
  test('does so with all that is in it', () => {
    giveTree(zone, NOW, 0o711);
    const names = readdirSync(zone, { recursive: true, encoding: 'utf8' });
    expect(names.sort()).toEqual(['config.json', 'state', 'state/a', 'state/deep', 'state/deep/b']);
    for (const name of ['', ...names]) expect(lstatSync(join(zone, name))).toMatchObject({ uid: NOW, gid: NOW });
    expect(statSync(zone).mode & 0o777).toBe(0o711);
  });

  test('is made where there is none', () => {
    giveTree(join(host, 'zones', 'vault'), NOW, 0o700);
    giveFolder(join(host, 'sockets', 'vault-open'), { uid: NOW, gid: OTHER, mode: 0o2750 });
    expect(statSync(join(host, 'zones', 'vault'))).toMatchObject({ uid: NOW, gid: NOW });
    expect(statSync(join(host, 'sockets', 'vault-open'))).toMatchObject({ uid: NOW, gid: OTHER });
    expect(statSync(join(host, 'sockets', 'vault-open')).mode & 0o7777).toBe(0o2750);
  });

  test.each(['state', 'gone'])('attack: a link in its place, to %s, is refused by name and not followed', (to) => {
    const target = to === 'gone' ? join(host, to) : victim(to);
    const own = join(zone, 'state');
    rmSync(own, { recursive: true });
    symlinkSync(target, own);
    for (const give of [
      () => giveTree(own, NOW, 0o700),
      () => giveFolder(own, { uid: NOW, gid: NOW, mode: 0o700 }),
      () => giveFolder(own, { uid: null, gid: null, mode: 0o700 }),
    ])
      expect(give).toThrow(
        expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(own) as string }),
      );
    if (to === 'gone') expect(existsSync(target)).toBe(false);
    else expectUntouched(target);
  });

  test('attack: a link in it changes hands, and what it names does not', () => {
    const target = victim('prod');
    symlinkSync(target, join(zone, 'state', 'folder'));
    symlinkSync(join(target, 'key'), join(zone, 'state', 'file'));
    giveTree(zone, NOW, 0o700);
    expectUntouched(target);
    for (const link of ['folder', 'file']) expect(lstatSync(join(zone, 'state', link)).uid).toBe(NOW);
  });

  test("attack: another name of somebody else's file is refused; of its own, it is not", () => {
    linkSync(join(zone, 'state', 'a'), join(zone, 'state', 'again'));
    giveTree(zone, NOW, 0o700);
    expect(statSync(join(zone, 'state', 'again')).uid).toBe(NOW);
    const target = victim('prod');
    linkSync(join(target, 'key'), join(zone, 'state', 'key'));
    const next = NOW + 16;
    expect(() => giveTree(zone, next, 0o700)).toThrow(/state\/key is another name/);
    expectUntouched(target);
  });

  test('what was interrupted is gone on with: a folder is the new owner’s only when all in it is', () => {
    const hurdle = victim('prod');
    linkSync(join(hurdle, 'key'), join(zone, 'state', 'deep', 'z'));
    expect(() => giveTree(zone, NOW, 0o700)).toThrow();
    for (const half of ['', 'state', 'state/deep']) expect(statSync(join(zone, half)).uid).toBe(BEFORE);
    rmSync(join(zone, 'state', 'deep', 'z'));
    giveTree(zone, NOW, 0o700);
    for (const name of ['', 'state', 'state/a', 'state/deep/b']) expect(statSync(join(zone, name)).uid).toBe(NOW);
  });
});

describe("a file that is replaced in somebody else's folder", () => {
  test('is its owner’s, and leaves nothing beside it', () => {
    replaceFile(join(zone, 'config.json'), 'new', { mode: 0o400, owner: NOW });
    expect(statSync(join(zone, 'config.json'))).toMatchObject({ uid: NOW, gid: NOW });
    expect(statSync(join(zone, 'config.json')).mode & 0o777).toBe(0o400);
    expect(readdirSync(zone).sort()).toEqual(['config.json', 'state']);
  });

  test('attack: a link in its place, or in that of the file it comes by, hands nothing over', () => {
    const key = join(victim('prod'), 'key');
    const file = join(zone, 'config.json');
    rmSync(file);
    symlinkSync(key, file);
    symlinkSync(key, `${file}.${process.pid}.partial`);
    lchownSync(file, BEFORE, BEFORE);
    replaceFile(file, 'new', { mode: 0o400, owner: NOW });
    expect(readFileSync(key, 'utf8')).toBe('secret');
    expectUntouched(join(host, 'prod'));
    expect(lstatSync(file).isFile()).toBe(true);
  });
});
