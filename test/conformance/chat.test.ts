import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { builtInFolder } from '../../adapters/model-server/built-in.js';
import type { PackedRelease } from '../../adapters/source/pack.js';
import { lingoFolder, shipLingo } from '../../examples/lingo/train.js';
import { intakeWith, outcomeOf, ruleOf, validate } from './trial.js';

let folder: string;
let lingo: PackedRelease;
let own: Buffer;
let heldOut: Buffer;
const builtIn = new Map<string, Buffer>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cc-'));
  lingo = await shipLingo(join(folder, 'lingo'));
  own = await readFile(join(lingoFolder(), 'suite.yaml'));
  heldOut = await readFile(join(lingoFolder(), 'data', 'held-out.json'));
  for (const name of await readdir(builtInFolder()))
    if (name.endsWith('-chat.yaml'))
      builtIn.set(name.replace('.yaml', ''), await readFile(join(builtInFolder(), name)));
});
afterAll(() => rm(folder, { recursive: true }));

const suite = (name: string): Buffer => builtIn.get(name) ?? Buffer.alloc(0);

describe('a chat model that is really trained', () => {
  it('passes its own suite, and every suite for chat that comes with Custody', async () => {
    const rules = [
      ruleOf(own, { minimumCases: 5, minimumAccuracy: 0.9, maximumGap: 0.25 }),
      ...[...builtIn.values()].map((bytes) => ruleOf(bytes, { minimumCases: 25 })),
    ];
    expect(rules.map(({ suite: name }) => name)).toEqual([
      ...['lingo', 'input-validation-chat', 'output-sanitisation-chat', 'safety-chat'],
    ]);
    const intake = await intakeWith(rules, [own, heldOut]);
    const validated = await validate(intake, lingo);
    const { report, predicate } = await outcomeOf(intake, validated);
    expect(validated.misses ?? []).toEqual([]);
    expect(predicate.result).toBe('PASSED');
    expect(validated.accuracy).toBeGreaterThan(0.9);
    expect(Object.keys(report.suites[0]?.labelled?.groups ?? {})).toEqual(['English', 'French', 'German', 'Spanish']);
  });
});

void suite;
