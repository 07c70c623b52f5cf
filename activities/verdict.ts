import type { Records } from '../adapters/records.js';
import { suiteTitle, type JudgedSuite } from '../domain/criteria.js';
import type { Validated } from '../domain/lifecycle.js';
import { isolationName } from '../domain/isolation.js';
import { remedyOf } from '../domain/override.js';
import { PARENT_RESULT } from '../domain/parent.js';
import { accuracyOf, missesOf, resultsOf, testsOf, type ValidationReport } from '../domain/report.js';
import type { TestResultPredicate } from '../domain/statements.js';
import { canonicalBytes } from '../formats/jcs.js';
import type { SigningKey } from '../formats/keys.js';
import { renderReports } from '../formats/reports.js';
import { sha256 } from '../formats/sha256.js';
import { signStatement } from '../formats/statements.js';
import type { Trial } from './trial.js';
import type { Candidate } from './validate.js';

type Resource = TestResultPredicate['configuration'][number];

const named = (name: string, digest: string): Resource => ({ name, digest: { sha256: digest } });
/** What the UI shows of what has failed. */
const MAX_MISSES = 20;

/** Keeps the reports, signs what they come to, and keeps that. */
export async function conclude(
  records: Records,
  key: SigningKey,
  { name, ingested, rules, policy, parent }: Candidate,
  { isolation, limits }: Trial,
  judged: readonly JudgedSuite[],
): Promise<Validated> {
  const { release } = ingested;
  const suites = judged.map(({ rule, run }) => ({ rule, cases: run.cases, labelled: run.labelled }));
  const results = resultsOf(judged);
  const tests = testsOf(results);
  const failed = tests.failedTests;
  const accuracy = accuracyOf(suites);
  const remedy = failed.length === 0 ? null : remedyOf(failed, rules.gate);
  const linked = parent === null ? null : withoutRules(parent);
  const report: ValidationReport = {
    schema: 'https://custody.dev/validation-report/v1',
    ...{ release, ...name, policy, isolation, limits: { ...limits }, parent: linked },
    ...{ verdict: failed.length === 0 ? 'PASSED' : 'FAILED', results, suites, accuracy, remedy },
  };
  const kept: Resource[] = [];
  for (const [title, bytes] of renderReports(report)) kept.push(named(title, await records.keepBytes(bytes)));
  const predicate: TestResultPredicate = {
    result: report.verdict,
    configuration: [
      ...judged.flatMap(({ rule, suite }) => [
        named(suiteTitle(rule), rule.sha256),
        ...(suite.accuracy === undefined ? [] : [named(`data of ${suiteTitle(rule)}`, suite.accuracy.sha256)]),
      ]),
      ...(parent === null
        ? []
        : [
            named(`parent ${parent.model} ${parent.version}, ${parent.how}`, parent.release),
            named(PARENT_RESULT, parent.testResult),
          ]),
      named(isolationName(isolation), sha256(canonicalBytes({ isolation, limits: { ...limits } }))),
      ...kept,
    ],
    ...tests,
  };
  const subject = { name: `${name.model} ${name.version}`, sha256: release };
  const testResult = await records.keep(signStatement('testResult', subject, predicate, [key]));
  const outcome = { testResult, passed: tests.passedTests.length, failed, accuracy };
  return remedy === null ? outcome : { ...outcome, misses: listed(missesOf(results)), remedy };
}

function listed(misses: readonly string[]): readonly string[] {
  if (misses.length <= MAX_MISSES) return misses;
  return [...misses.slice(0, MAX_MISSES), `and ${misses.length - MAX_MISSES} more: see the report`];
}

function withoutRules({ model, version, release, how, testResult }: NonNullable<Candidate['parent']>) {
  return { model, version, release, how, testResult };
}
