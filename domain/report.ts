import type { Criterion, JudgedSuite } from './criteria.js';
import { weigh } from './criteria.js';
import type { Digest } from './digest.js';
import type { Isolation } from './isolation.js';
import type { Parent } from './parent.js';
import type { SuiteRule } from './policy.js';
import type { CaseResult, LabelledResult } from './suite.js';

/** What a validation found, in full: kept by its digest, which the signed test result names. */
export interface ValidationReport {
  readonly schema: 'https://custody.dev/validation-report/v1';
  readonly release: Digest;
  readonly model: string;
  readonly version: string;
  /** The policy that fixed the suites and thresholds. */
  readonly policy: Digest;
  readonly isolation: Isolation;
  readonly limits: Readonly<Record<string, number>>;
  /** The release that this one is a smaller form of, and what it came to when it was tried. */
  readonly parent: (Parent & { readonly testResult: Digest }) | null;
  readonly verdict: 'PASSED' | 'FAILED';
  /** Each criterion, in the order of the test result, and then what was tolerated. */
  readonly results: readonly ReportedResult[];
  readonly suites: readonly ReportedSuite[];
  readonly accuracy: number | null;
  /** What an override of what failed would need; `null` where nothing failed. */
  readonly remedy: string | null;
}

export interface ReportedResult extends Criterion {
  /** A case that did not pass, of a group that may miss some. */
  readonly tolerated: boolean;
}

export interface ReportedSuite {
  readonly rule: SuiteRule;
  readonly cases: readonly CaseResult[];
  readonly labelled: LabelledResult | null;
}

/** Each criterion of all suites, and what was tolerated, by a rule of the policy in force. */
export function resultsOf(judged: readonly JudgedSuite[]): readonly ReportedResult[] {
  const weighed = judged.map(weigh);
  const as = (tolerated: boolean) => (criterion: Criterion) => ({ ...criterion, tolerated });
  return [
    ...weighed.flatMap(({ criteria }) => criteria.map(as(false))),
    ...weighed.flatMap(({ tolerated }, at) => (judged[at]?.isOfParent === true ? [] : tolerated.map(as(true)))),
  ];
}

/** How a test result names them. */
export function testsOf(results: readonly ReportedResult[]): {
  readonly passedTests: readonly string[];
  readonly warnedTests?: readonly string[];
  readonly failedTests: readonly string[];
} {
  const ids = (wanted: (result: ReportedResult) => boolean): string[] => results.filter(wanted).map(({ id }) => id);
  const warnedTests = ids(({ tolerated }) => tolerated);
  return {
    passedTests: ids(({ verdict, tolerated }) => verdict === 'passed' && !tolerated),
    ...(warnedTests.length === 0 ? {} : { warnedTests }),
    failedTests: ids(({ verdict, tolerated }) => verdict !== 'passed' && !tolerated),
  };
}

/** What was found of each that failed, and by how much it misses. */
export function missesOf(results: readonly ReportedResult[]): readonly string[] {
  return results
    .filter(({ verdict, tolerated }) => verdict !== 'passed' && !tolerated)
    .map(({ id, verdict, says }) => `${id}: ${verdict === 'inconclusive' ? 'inconclusive, ' : ''}${says ?? ''}`);
}

/** Rows right of all labelled rows; `null` where there are none. */
export function accuracyOf(suites: readonly Pick<ReportedSuite, 'labelled'>[]): number | null {
  const measured = suites.flatMap(({ labelled }) => (labelled === null ? [] : [labelled]));
  const rows = measured.reduce((sum, each) => sum + each.rows, 0);
  return rows === 0 ? null : measured.reduce((sum, each) => sum + each.right, 0) / rows;
}
