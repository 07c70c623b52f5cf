import type { ReportedResult, ValidationReport } from '../domain/report.js';
import { escaped } from './markup.js';

/**
 * A validation as JUnit XML, as CI reads it (the schema of Jenkins' xunit plugin): a test suite for each suite, a test case for
 * each criterion. What failed is a failure, what could not be found out an error; what was tolerated passes, and says so.
 */
export function junitReport({ model, version, release, results, suites }: ValidationReport): string {
  const groups = suites.map(({ rule }) =>
    suiteOf(
      rule,
      results.filter(({ suite }) => suite === rule.suite),
    ),
  );
  const title = escaped(`${model} ${version}, release ${release}`);
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="${title}" ${counts(results)}>`,
    ...groups,
    '</testsuites>',
    '',
  ].join('\n');
}

function suiteOf(rule: ValidationReport['suites'][number]['rule'], results: readonly ReportedResult[]): string {
  const name = escaped(`${rule.suite} ${rule.version}`);
  return [
    `  <testsuite name="${name}" ${counts(results)} skipped="0">`,
    `    <properties><property name="sha256" value="${rule.sha256}"/></properties>`,
    ...results.map(caseOf),
    '  </testsuite>',
  ].join('\n');
}

function caseOf({ id, suite, verdict, says, tolerated }: ReportedResult): string {
  const open = `    <testcase name="${escaped(id)}" classname="${escaped(suite)}"`;
  const text = escaped(says ?? '');
  if (tolerated) return `${open}><system-out>tolerated: ${text}</system-out></testcase>`;
  if (verdict === 'passed') return text === '' ? `${open}/>` : `${open}><system-out>${text}</system-out></testcase>`;
  const kind = verdict === 'failed' ? 'failure' : 'error';
  return `${open}><${kind} type="${verdict}" message="${text}">${text}</${kind}></testcase>`;
}

function counts(results: readonly ReportedResult[]): string {
  const of = (wanted: ReportedResult['verdict']): number =>
    results.filter(({ verdict, tolerated }) => verdict === wanted && !tolerated).length;
  return `tests="${results.length}" failures="${of('failed')}" errors="${of('inconclusive')}"`;
}
