import { chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { claimIds, IDS_OF_A_STACK } from '../../../client/stack/ids.js';
import { MEMBERS } from '../../../client/stack/users.js';

let host: string;
let registry: string;
beforeEach(() => {
  host = mkdtempSync(join(tmpdir(), 'custody-ids-'));
  registry = join(host, 'ids');
  const made = host;
  onTestFinished(() => rmSync(made, { recursive: true }));
});

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
});
