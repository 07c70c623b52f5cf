import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import type { ReportedResult, ValidationReport } from '../../../domain/report.js';
import { REPORTS, renderReports } from '../../../formats/reports.js';

const NASTY = '</td><script>alert(1)</script> & "quoted" \u001b[2J \u202e \ufffe ]]> [a](https://evil.example)\\';
const result = (
  id: string,
  verdict: ReportedResult['verdict'],
  more: Partial<ReportedResult> = {},
): ReportedResult => ({
  ...{ id, suite: 'own', verdict, says: verdict === 'passed' ? null : 'it says why', tolerated: false },
  ...more,
});
const REPORT: ValidationReport = {
  schema: 'https://custody.dev/validation-report/v1',
  ...{ release: 'a'.repeat(64), model: 'digits', version: '1.0.0', policy: 'b'.repeat(64) },
  ...{ isolation: 'bubblewrap', limits: { wallSeconds: 60 } },
  parent: { model: 'large', version: '2.0.0', release: 'c'.repeat(64), how: 'pruned', testResult: 'd'.repeat(64) },
  verdict: 'FAILED',
  results: [
    result('contract/own/good', 'passed'),
    result('safety/own/bad', 'failed', { says: NASTY }),
    result('safety/own/odd', 'inconclusive'),
    result('quality/own/small', 'failed', { tolerated: true }),
    result('accuracy/own>=0.9', 'failed', { says: '88 % of 100 rows are right, 90 % are needed: 2 % too few' }),
  ],
  suites: [
    {
      rule: { suite: 'own', version: '1.2.3', sha256: 'e'.repeat(64), minimumCases: 3 },
      cases: [],
      labelled: { right: 88, rows: 100, groups: { north: { right: 50, rows: 50 } }, unanswered: null },
    },
  ],
  accuracy: 0.88,
  remedy: 'no override can help: safety/own/bad can never be lifted',
};
const made = new Map(renderReports(REPORT).map(([name, bytes]) => [name, bytes.toString('utf8')]));
const text = (name: keyof typeof REPORTS): string => made.get(REPORTS[name]) ?? '';

describe('the page', () => {
  it('shows every criterion with its verdict and what was found, what keeps it from release, and what would help', () => {
    for (const { id } of REPORT.results) expect(text('html')).toContain(id.replace('>', '&gt;'));
    expect(text('html')).toContain('88 % of 100 rows are right, 90 % are needed: 2 % too few');
    expect(text('html')).toContain('What keeps it from release');
    expect(text('html')).toContain('no override can help');
    expect(text('html')).toMatch(/Smaller form \(pruned\) of large 2\.0\.0/);
    expect(text('html')).toContain('<td>north</td><td>50 of 50</td>');
  });

  it('attack: runs nothing and loads nothing, whatever the candidate said', () => {
    expect(text('html')).not.toMatch(/<script|\u001b|\u202e|(?:src|href)=|<a |<link|<img|url\(/);
    expect(text('html')).toContain('&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;quoted&quot;');
    expect(text('html')).toContain("default-src 'none'");
  });
});

describe('JUnit XML', () => {
  it('has a suite for each suite, a case for each criterion, and counts what failed and what went wrong', () => {
    expect(text('junit').split('\n')).toEqual([
      '<?xml version="1.0" encoding="UTF-8"?>',
      `<testsuites name="digits 1.0.0, release ${'a'.repeat(64)}" tests="5" failures="2" errors="1">`,
      '  <testsuite name="own 1.2.3" tests="5" failures="2" errors="1" skipped="0">',
      `    <properties><property name="sha256" value="${'e'.repeat(64)}"/></properties>`,
      '    <testcase name="contract/own/good" classname="own"/>',
      expect.stringMatching(
        /^ {4}<testcase name="safety\/own\/bad" classname="own"><failure type="failed" message=".*<\/failure><\/testcase>$/,
      ),
      '    <testcase name="safety/own/odd" classname="own"><error type="inconclusive" message="it says why">it says why</error></testcase>',
      '    <testcase name="quality/own/small" classname="own"><system-out>tolerated: it says why</system-out></testcase>',
      expect.stringContaining('<testcase name="accuracy/own&gt;=0.9" classname="own"><failure'),
      '  </testsuite>',
      '</testsuites>',
      '',
    ]);
  });

  it('attack: is XML whatever the candidate said', () => {
    const line = text('junit').split('\n')[5] ?? '';
    expect(line).toContain('&lt;/td&gt;&lt;script&gt;');
    expect(line).toContain('\\u{1b}[2J \\u{202e} \\u{fffe} ]]&gt;');
    expect(line.match(/[<>]/g)).toHaveLength(8);
  });
});

/** The schema that OASIS published; draft 4 of JSON Schema, of which it uses nothing that later ones read otherwise. */
function sarifSchema(): object {
  const file = createRequire(import.meta.url).resolve('@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json');
  const schema = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  return Object.fromEntries(Object.entries(schema).filter(([key]) => key !== '$schema' && key !== 'id'));
}

describe('SARIF', () => {
  const isSarif = new Ajv({ strict: false, validateFormats: false, unicodeRegExp: false }).compile(sarifSchema());
  const log = JSON.parse(text('sarif')) as { runs: [{ results: { kind: string; level: string }[] }] };

  it('is what the schema of 2.1.0 asks for', () => {
    expect(isSarif(log), JSON.stringify(isSarif.errors)).toBe(true);
    expect(isSarif({ ...log, runs: [{}] })).toBe(false);
  });

  it('attack: holds no link and nothing hidden, whatever the candidate said', () => {
    expect(text('sarif')).not.toMatch(/\u202e|\ufffe/);
    const told = (log.runs[0].results[1] as unknown as { message: { text: string } }).message.text;
    expect(told).toContain('\\[a\\](https://evil.example)\\\\');
    expect(told).not.toMatch(/(?<!\\)[[\]]/);
  });

  it('has a result for each criterion: errors, what was tolerated as a note, and what passed', () => {
    expect(log.runs[0].results.map(({ kind, level }) => [kind, level])).toEqual([
      ['pass', 'none'],
      ['fail', 'error'],
      ['fail', 'error'],
      ['fail', 'note'],
      ['fail', 'error'],
    ]);
  });
});

it('the same report makes the same bytes in every form', () => {
  expect(renderReports(REPORT)).toEqual(renderReports(structuredClone(REPORT)));
});
