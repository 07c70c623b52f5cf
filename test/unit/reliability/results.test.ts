import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { EXPERIMENTS, page, type Results } from '../../reliability/support/results.js';

const at = '2026-01-01T00:00:00.000Z';

describe('the page about what was tried', () => {
  const results: Results = {
    soak: { at, seconds: 61, groups: [], figures: [{ what: 'releases', value: 1234, unit: 'in all' }] },
    faults: {
      ...{ at, seconds: 60, figures: [] },
      groups: [
        { what: 'throws', tried: 3, lost: [] },
        { what: 'hangs', tried: 4, lost: ['ingest'] },
      ],
    },
  };

  test('says how many faults were tried, survived and lost, and which', () => {
    const text = page(results);
    expect(text).toContain(`| [${EXPERIMENTS.faults}](#faults) | 7 | 6 | 1 | 2026-01-01, 1 min |`);
    expect(text).toContain('| throws | 3 | 3 | none |\n| hangs | 4 | 3 | ingest |');
    expect(text).toContain('| releases | 1,234 in all |');
    expect(text.indexOf('## faults')).toBeLessThan(text.indexOf('## soak'));
    expect(text).not.toContain('## upgrade');
  });

  test('in the repository is of the results in the repository, and each is of an experiment that there is', () => {
    const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
    const files = readdirSync(new URL('../../reliability', import.meta.url));
    const kept = files.includes('results.json')
      ? (JSON.parse(read('test/reliability/results.json')) as Results)
      : ({} as Results);
    expect(existsSync(new URL('../../../docs/reliability.md', import.meta.url))).toBe(files.includes('results.json'));
    if (files.includes('results.json')) expect(read('docs/reliability.md')).toBe(page(kept));
    for (const name of Object.keys(kept)) expect(files).toContain(`${name}.test.ts`);
    const tests = files.filter((file) => file.endsWith('.test.ts'));
    for (const file of tests) expect(Object.keys(EXPERIMENTS)).toContain(file.replace('.test.ts', ''));
  });
});
