import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CHANGES, type Change } from '../../../domain/audit.js';

function textsIn(folder: string, ending: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => readFileSync(join(folder, name), 'utf8'));
}

/** Those of the changes that stand in none of the texts. */
function missingIn(texts: readonly string[]): Change[] {
  return CHANGES.filter((change) => !texts.some((text) => text.includes(`'${change}'`)));
}

describe('every change that the log can tell of', () => {
  test('is recorded by somebody who sees it: control, its desk, or a zone that reports to it', () => {
    expect(missingIn([...textsIn('activities', '.ts'), ...textsIn('adapters', '.ts')])).toEqual([]);
  });

  test('is expected of the log by a test', () => {
    const tiers = ['unit', 'workflow', 'conformance', 'e2e'];
    expect(missingIn(tiers.flatMap((tier) => textsIn(join('test', tier), '.test.ts')))).toEqual([]);
  });
});
