import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { describe, expect, it } from 'vitest';
import { ERROR_CODES } from '../../../domain/errors.js';

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly summary: string; readonly runbook: string };
}
interface Rules {
  readonly groups: readonly { readonly rules: readonly Rule[] }[];
}
interface RuleTests {
  readonly tests: readonly { readonly name: string }[];
}

const read = (file: string): unknown => parse(readFileSync(`deploy/prometheus/${file}`, 'utf8'));
const rules = (read('rules.yml') as Rules).groups.flatMap((group) => group.rules);
const tried = (read('rules.test.yml') as RuleTests).tests.map(({ name }) => name);

/** The headings of a page as the anchors that GitHub makes of them, each with the text below it. */
function sectionsOf(page: string): ReadonlyMap<string, string> {
  const parts = readFileSync(page, 'utf8').split(/^#+ (.+)$/m);
  const sections = new Map<string, string>();
  for (let at = 1; at < parts.length; at += 2)
    sections.set(
      (parts[at] ?? '')
        .toLowerCase()
        .replaceAll(/[^\w -]/g, '')
        .replaceAll(' ', '-'),
      parts[at + 1] ?? '',
    );
  return sections;
}

it('there are alarms', () => expect(rules.length).toBeGreaterThan(10));

describe.each(rules)('$alert', ({ alert, expr, annotations: { summary, runbook } }) => {
  it('names what to read, and it is there', () => {
    const [page = '', anchor = ''] = runbook.split('#');
    expect(anchor).toBe(alert.toLowerCase());
    expect(sectionsOf(page).get(anchor)?.trim().length ?? 0).toBeGreaterThan(100);
    expect(summary).toMatch(/./);
  });

  it('is tried for ringing, and for keeping quiet', () => {
    expect(tried).toEqual(expect.arrayContaining([`${alert} rings`, `${alert} keeps quiet`]));
  });

  it('names only error codes that there are', () => {
    for (const [, pattern = ''] of expr.matchAll(/code=~?"([^"]+)"/g))
      for (const word of pattern.split('|'))
        expect(
          ERROR_CODES.filter((code) => new RegExp(`^${word}$`).test(code)),
          word,
        ).not.toEqual([]);
  });
});

it('no runbook is about an alarm that there is not', () => {
  const anchors = [...sectionsOf('docs/operations.md').keys()].filter((anchor) => /^custody[a-z]/.test(anchor));
  expect(anchors.toSorted()).toEqual(rules.map(({ alert }) => alert.toLowerCase()).toSorted());
});
