import { execaSync } from 'execa';
import { describe, expect, it } from 'vitest';
import type { ReportedResult, ValidationReport } from '../../domain/report.js';
import { junitReport } from '../../formats/report-junit.js';

const python = process.env['CUSTODY_PYTHON'];
/** Everything that junitparser finds in a report, as CI systems that use it show it. */
const READ = `
import json, sys
from junitparser import JUnitXml
report = JUnitXml.fromstring(sys.stdin.buffer.read())
print(json.dumps([{
    "name": suite.name, "tests": suite.tests, "failures": suite.failures, "errors": suite.errors, "skipped": suite.skipped,
    "cases": [[case.classname, case.name, [[type(r).__name__, r.type, r.message, r.text] for r in case.result], case.system_out] for case in suite],
} for suite in report]))
`;
const NASTY = '</failure><script> & "quoted" \' \u001b[2J \u202e \ufffe ]]> \ud800';

const result = (
  id: string,
  verdict: ReportedResult['verdict'],
  says: string | null,
  tolerated = false,
): ReportedResult => ({
  ...{ id, suite: 'own', verdict, says, tolerated },
});
const report: ValidationReport = {
  schema: 'https://custody.dev/validation-report/v1',
  ...{
    release: 'a'.repeat(64),
    model: 'digits',
    version: '1.0.0',
    policy: 'b'.repeat(64),
    isolation: 'unshare',
    limits: {},
  },
  ...{ parent: null, verdict: 'FAILED', accuracy: null, remedy: null },
  results: [
    result('contract/own/good', 'passed', null),
    result('safety/own/bad', 'failed', NASTY),
    result('safety/own/odd', 'inconclusive', 'nobody knows'),
    result('quality/own/small', 'failed', 'a little', true),
  ],
  suites: [
    { rule: { suite: 'own', version: '1.2.3', sha256: 'e'.repeat(64), minimumCases: 3 }, cases: [], labelled: null },
    { rule: { suite: 'empty', version: '1.0.0', sha256: 'f'.repeat(64), minimumCases: 1 }, cases: [], labelled: null },
  ],
};

describe.runIf(python !== undefined)('somebody else’s reader of JUnit XML', () => {
  it('finds each suite, case and verdict, and what was said of it, whatever that is', () => {
    const { stdout } = execaSync(python ?? '', ['-I', '-c', READ], { input: junitReport(report) });
    const shown = NASTY.replace(/[\u001b\u202e\ufffe\ud800]/g, (char) => `\\u{${char.charCodeAt(0).toString(16)}}`);
    expect(JSON.parse(stdout)).toEqual([
      {
        ...{ name: 'own 1.2.3', tests: 4, failures: 1, errors: 1, skipped: 0 },
        cases: [
          ['own', 'contract/own/good', [], null],
          ['own', 'safety/own/bad', [['Failure', 'failed', shown, shown]], null],
          ['own', 'safety/own/odd', [['Error', 'inconclusive', 'nobody knows', 'nobody knows']], null],
          ['own', 'quality/own/small', [], 'tolerated: a little'],
        ],
      },
      { name: 'empty 1.0.0', tests: 0, failures: 0, errors: 0, skipped: 0, cases: [] },
    ]);
  });
});
