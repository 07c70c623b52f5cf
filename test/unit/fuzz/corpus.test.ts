import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { keptFor, targetsKept } from '../../../tools/fuzz/corpus.js';
import { Dice, mutated } from '../../../tools/fuzz/mutate.js';
import { faultOf, TARGETS } from '../../../tools/fuzz/targets.js';

/** For each reader, so that all of them together take seconds. */
const FRESH_MS = 250;

/** Readers of bytes or text from outside that no target names, and why. */
const THROUGH_OTHERS: Readonly<Record<string, string>> = {
  decodeUtf8: 'every reader of text begins with it',
  parseConfig: 'parseJson, for a process that reads its own file',
  parsePinnedRoot: 'readPinnedRoot, and one comparison',
  readDirectory: 'scan reads archives by it',
  readNames: 'scan reads pickles by it',
  readOms: 'verifyOms begins with it',
  readSshSignature: 'isSshSignature begins with it',
  readYaml: 'policies and plans are read by it',
  importPoint: 'takes a point that a token has made',
  importSshBlob: 'importSshKey and readSshSignature end with it',
  openNote: 'openCheckpoint begins with it',
};
const READER = /^export (?:async )?function ((?:parse|read|decode|import|open|statedIn|dearmor|lookThrough)\w*)/gm;

function readersIn(folder: string): readonly string[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  return files.flatMap((name) =>
    [...readFileSync(join(folder, name), 'utf8').matchAll(READER)].map(([, reader = '']) => reader),
  );
}

describe('what was found by fuzzing', () => {
  it('is kept for every reader of bytes from outside, and for no other', () => {
    expect([...targetsKept()].sort()).toEqual(Object.keys(TARGETS).sort());
  });

  it('names every reader of formats/, or the target that reads through it', () => {
    const targets = readFileSync('tools/fuzz/targets.ts', 'utf8');
    const isNamed = (reader: string): boolean => new RegExp(`\\b${reader}\\b`).test(targets);
    const readers = readersIn('formats');
    expect(readers.length).toBeGreaterThan(40);
    expect(readers.filter((reader) => !isNamed(reader) && !Object.hasOwn(THROUGH_OTHERS, reader))).toEqual([]);
    expect(Object.keys(THROUGH_OTHERS).filter(isNamed)).toEqual([]);
  });

  it.each(Object.entries(TARGETS))('%s: no input brings out anything but a refusal', async (name, target) => {
    const inputs = keptFor(name);
    expect(inputs.length).toBeGreaterThan(0);
    const faults = [];
    for (const bytes of inputs) {
      const fault = await faultOf(target, bytes);
      if (fault !== null) faults.push({ input: bytes.toString('base64'), fault: fault.message });
    }
    expect(faults).toEqual([]);
  });

  it.each(Object.entries(TARGETS))('%s: nor does any that is made of those now', async (name, target) => {
    const [kept, dice, faults] = [keptFor(name), new Dice(1), [] as object[]];
    const until = Date.now() + FRESH_MS;
    do {
      const bytes = mutated(dice.of(kept), dice.of(kept), dice);
      const fault = await faultOf(target, bytes);
      if (fault !== null) faults.push({ input: bytes.toString('base64'), fault: fault.message });
    } while (Date.now() < until && faults.length === 0);
    expect(faults).toEqual([]);
  });

  it('would tell of a fault', async () => {
    const broken = await faultOf(() => Buffer.alloc(1).readUInt32LE(0), Buffer.alloc(0));
    expect(broken).toBeInstanceOf(RangeError);
  });
});
