import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { claimIds as claimOf, IDS_OF_A_STACK } from '../../../client/stack/ids.js';
import { MEMBERS } from '../../../client/stack/users.js';

let host: string;
let registry: string;
beforeEach(() => {
  host = mkdtempSync(join(tmpdir(), 'custody-ids-'));
  registry = join(host, 'ids');
  const made = host;
  onTestFinished(() => rmSync(made, { recursive: true }));
});

/** On a host where no process has one. */
const claimIds = (state: string, from: string): number => claimOf(state, from, () => []);

function stack(name: string): string {
  const state = join(host, name);
  mkdirSync(join(state, 'zones', 'control'), { recursive: true });
  return state;
}

describe('the ids of a stack', () => {
  test('are its own, and the same at every start', () => {
    const [test, prod] = [stack('test'), stack('prod')];
    const first = claimIds(test, registry);
    const second = claimIds(prod, registry);
    expect(Math.abs(second - first)).toBeGreaterThanOrEqual(IDS_OF_A_STACK);
    expect(IDS_OF_A_STACK).toBeGreaterThanOrEqual(MEMBERS.length + 6);
    expect(claimIds(test, registry)).toBe(first);
    expect(claimIds(prod, registry)).toBe(second);
  });

  test('are free once its folder is gone', () => {
    const gone = stack('gone');
    const first = claimIds(gone, registry);
    rmSync(gone, { recursive: true });
    expect(claimIds(stack('next'), registry)).toBe(first);
  });

  test.runIf(process.getuid?.() === 0)('are those of its folders where the registry was lost', () => {
    const [before, other] = [stack('before'), stack('other')];
    claimIds(other, registry);
    const first = claimIds(before, registry);
    chownSync(join(before, 'zones', 'control'), first, first);
    rmSync(registry, { recursive: true });
    expect(claimIds(before, registry)).toBe(first);
  });

  test('attack: two stacks of before, with the same ids, have different ones from now on', () => {
    const [a, b] = [stack('a'), stack('b')];
    if (process.getuid?.() === 0) for (const each of [a, b]) chownSync(join(each, 'zones', 'control'), 61_200, 61_200);
    expect(claimIds(a, registry)).not.toBe(claimIds(b, registry));
  });

  test('attack: one that somebody is about to write down is not taken', () => {
    mkdirSync(registry);
    writeFileSync(join(registry, '0'), '');
    expect(claimIds(stack('next'), registry)).toBe(61_200 + IDS_OF_A_STACK);
  });

  test('attack: a stack that is named by a link is no second one', () => {
    const state = stack('prod');
    const first = claimIds(state, registry);
    symlinkSync(state, join(host, 'link'));
    expect(claimIds(join(host, 'link'), registry)).toBe(first);
    expect(readdirSync(registry)).toEqual(['0']);
  });

  test('attack: of two that take over the ids of one that is gone, one gets them', () => {
    const gone = stack('gone');
    const first = claimIds(gone, registry);
    rmSync(gone, { recursive: true });
    const [a, b] = [stack('a'), stack('b')];
    // What `a` leaves while it looks again at whether the holder is gone.
    writeFileSync(join(registry, '0.next'), a);
    expect(claimIds(b, registry)).toBe(first + IDS_OF_A_STACK);
    expect(claimIds(a, registry)).toBe(first);
    expect(readdirSync(registry).sort()).toEqual(['0', '1']);
  });

  test.runIf(process.getuid?.() === 0)('attack: a process that outlived its stack is nobody in the next', async () => {
    const slot = 200;
    const uid = 61_200 + slot * IDS_OF_A_STACK + 3;
    const child = spawn('setpriv', ['--reuid', `${uid}`, '--regid', `${uid}`, '--clear-groups', '--', 'cat']);
    const ended = once(child, 'exit');
    child.stdin.write('here\n');
    await once(child.stdout, 'data');
    const state = stack('next');
    chownSync(join(state, 'zones', 'control'), uid, uid);
    expect(claimOf(state, registry)).not.toBe(uid - 3);
    child.stdin.end();
    await ended;
    rmSync(registry, { recursive: true });
    expect(claimOf(state, registry)).toBe(uid - 3);
  });

  test.runIf(process.getuid?.() === 0).each([
    ['others may write to', () => chmodSync(registry, 0o777)],
    ['is a link', () => (rmSync(registry, { recursive: true }), symlinkSync(host, registry))],
    ['is of somebody else', () => chownSync(registry, 62_000, 62_000)],
  ])('attack: a registry that %s is none', (_, spoil) => {
    const state = stack('prod');
    mkdirSync(registry);
    spoil();
    expect(() => claimIds(state, registry)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });
});
