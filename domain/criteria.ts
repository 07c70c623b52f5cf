import type { Policy, SuiteRule } from './policy.js';
import type { TestResultPredicate } from './statements.js';
import { SUITE_GROUPS, type CaseResult, type Suite, type SuiteGroup, type SuiteRun, type Verdict } from './suite.js';

/** One threshold that was fixed before the run, and what was found: what an override would have to lift. */
export interface Criterion {
  /** `<group>/<suite>/<case>`, or `<measure>/<suite><comparison><threshold>`. */
  readonly id: string;
  readonly suite: string;
  readonly verdict: Verdict;
  /** What was found, and by how much it misses; `null` for a case that passed. */
  readonly says: string | null;
}

/** A suite with the rule that fixes it and what came of it. */
export interface JudgedSuite {
  readonly rule: SuiteRule;
  readonly suite: Suite;
  readonly run: SuiteRun;
  /** It is asked for by the policy that the parent passed under: what it tolerated, the policy in force may not. */
  readonly isOfParent?: boolean;
}

/** The suites that a release of a model must pass: those of its own, and those of the model that it was made from. */
export function suitesFor({ validation }: Policy, ...models: readonly string[]): readonly SuiteRule[] {
  return validation.suites.filter((rule) => rule.models?.some((model) => models.includes(model)) ?? true);
}

export function suiteTitle({ suite, version }: Pick<SuiteRule, 'suite' | 'version'>): string {
  return `suite ${suite} ${version}`;
}

/** Which criteria a rule sets, by name: each must stand in a test result, as passed or as failed. */
export function demandedOf(rule: SuiteRule): readonly string[] {
  const { suite, minimumCases, groups = {}, minimumAccuracy, minimumRows, minimumGroupRows, maximumGap } = rule;
  const byGroup = SUITE_GROUPS.flatMap((group) => {
    const set = groups[group];
    return [
      ...(set?.minimumCases === undefined ? [] : [`cases/${suite}/${group}>=${set.minimumCases}`]),
      ...(isTolerant(rule, group) ? [`${group}/${suite}>=${set?.minimumShare ?? 1}`] : []),
    ];
  });
  return [
    `cases/${suite}>=${minimumCases}`,
    ...byGroup,
    ...(minimumAccuracy === undefined ? [] : [`accuracy/${suite}>=${minimumAccuracy}`]),
    ...(minimumRows === undefined ? [] : [`rows/${suite}>=${minimumRows}`]),
    ...(minimumGroupRows === undefined ? [] : [`rows/${suite}/group>=${minimumGroupRows}`]),
    ...(maximumGap === undefined ? [] : [`gap/${suite}<=${maximumGap}`]),
  ];
}

/** Whether some cases of a group may fail: then its share is the criterion, and not each case. */
function isTolerant({ groups }: SuiteRule, group: SuiteGroup): boolean {
  return (groups?.[group]?.minimumShare ?? 1) < 1;
}

/** Whether a failure of this case may be outweighed by others of its group. */
export function tolerates(rule: SuiteRule, criterion: string): boolean {
  const [group, suite] = criterion.split('/');
  return suite === rule.suite && SUITE_GROUPS.some((known) => known === group && isTolerant(rule, known));
}

export function caseName(suite: string, { kind, id }: Pick<CaseResult, 'kind' | 'id'>): string {
  return `${kind}/${suite}/${id}`;
}

/** Cases of a test result that count for a suite, by their names. */
export function casesOf({ passedTests, warnedTests = [], failedTests }: TestResultPredicate, suite: string): number {
  const names = [...passedTests, ...warnedTests, ...failedTests];
  return names.filter((name) => SUITE_GROUPS.some((group) => name.startsWith(`${group}/${suite}/`))).length;
}

/** Every criterion of a suite with its verdict, and the cases that are none because their group may miss some. */
export function weigh(judged: JudgedSuite): {
  readonly criteria: readonly Criterion[];
  readonly tolerated: Criterion[];
} {
  const { rule, run } = judged;
  const tolerated: Criterion[] = [];
  const criteria: Criterion[] = [];
  for (const result of run.cases) {
    const { verdict, failure } = result;
    const criterion = { id: caseName(rule.suite, result), suite: rule.suite, verdict, says: failure };
    (verdict !== 'passed' && isTolerant(rule, result.kind) ? tolerated : criteria).push(criterion);
  }
  return { criteria: [...criteria, ...thresholds(judged)], tolerated };
}

function thresholds({ rule, suite, run }: JudgedSuite): Criterion[] {
  const name = rule.suite;
  const tried = run.cases.filter(({ verdict }) => verdict !== 'inconclusive');
  const found = [atLeast(name, `cases/${name}`, tried.length, rule.minimumCases, 'cases came to a verdict')];
  for (const group of SUITE_GROUPS) {
    const set = rule.groups?.[group];
    if (set?.minimumCases !== undefined) {
      const count = tried.filter(({ kind }) => kind === group).length;
      found.push(atLeast(name, `cases/${name}/${group}`, count, set.minimumCases, 'cases came to a verdict'));
    }
    if (isTolerant(rule, group)) found.push(share(rule, group, run.cases));
  }
  const { labelled } = run;
  const floors = new Set([...defined(rule.minimumAccuracy), ...defined(suite.accuracy?.floor)]);
  // The policy's own floor stands there by its name, also where the suite's is stricter.
  for (const floor of floors) found.push(accuracy(name, floor, labelled));
  const { minimumRows, minimumGroupRows } = rule;
  const untried = labelled?.untried ?? 0;
  if (minimumRows !== undefined)
    found.push(atLeast(name, `rows/${name}`, (labelled?.rows ?? 0) - untried, minimumRows, 'labelled rows were tried'));
  if (minimumGroupRows !== undefined) {
    const rows = Object.values(labelled?.groups ?? {}).map((group) => group.rows);
    // Of which groups those are that were not tried, nobody says.
    const smallest = rows.length === 0 ? 0 : Math.max(0, Math.min(...rows) - untried);
    const of = 'labelled rows of the smallest group were tried';
    found.push(atLeast(name, `rows/${name}/group`, smallest, minimumGroupRows, of));
  }
  if (rule.maximumGap !== undefined) found.push(gap(name, rule.maximumGap, labelled));
  return found;
}

function defined<T>(value: T | undefined): T[] {
  return value === undefined ? [] : [value];
}

function atLeast(suite: string, what: string, found: number, least: number, of: string): Criterion {
  const passed = found >= least;
  const says = passed ? `${found} ${of}` : `${found} ${of}, ${least} are needed: ${least - found} too few`;
  return { id: `${what}>=${least}`, suite, verdict: passed ? 'passed' : 'inconclusive', says };
}

function share(rule: SuiteRule, group: SuiteGroup, cases: readonly CaseResult[]): Criterion {
  const least = rule.groups?.[group]?.minimumShare ?? 1;
  const id = `${group}/${rule.suite}>=${least}`;
  const own = cases.filter(({ kind }) => kind === group);
  const all = own.reduce((sum, { weight }) => sum + weight, 0);
  const of = (wanted: Verdict): number =>
    own.reduce((sum, { weight, verdict }) => sum + (verdict === wanted ? weight : 0), 0);
  if (all === 0) return { id, suite: rule.suite, verdict: 'inconclusive', says: `the suite has no case of ${group}` };
  const found = of('passed') / all;
  if (found >= least) return { id, suite: rule.suite, verdict: 'passed', says: `${percent(found)} by weight passed` };
  const says = `${percent(found)} by weight passed, ${percent(least)} are needed: ${percent(least - found)} too few`;
  const hoped = (of('passed') + of('inconclusive')) / all;
  return { id, suite: rule.suite, verdict: hoped >= least ? 'inconclusive' : 'failed', says };
}

function accuracy(suite: string, floor: number, labelled: SuiteRun['labelled']): Criterion {
  const id = `accuracy/${suite}>=${floor}`;
  if (labelled === null || labelled.rows === 0)
    return { id, suite, verdict: 'inconclusive', says: 'no labelled row was tried' };
  const { right, rows, untried = 0, unanswered } = labelled;
  const found = right / rows;
  if (found >= floor) return { id, suite, verdict: 'passed', says: `${percent(found)} of ${rows} rows are right` };
  const why = unanswered === null ? '' : `; unanswered: ${unanswered}`;
  const miss = `${percent(found)} of ${rows} rows are right, ${percent(floor)} are needed: ${percent(floor - found)} too few`;
  const hoped = (right + untried) / rows;
  return { id, suite, verdict: hoped >= floor ? 'inconclusive' : 'failed', says: `${miss}${why}` };
}

/** The accuracy of the group that fares best, less that of the group that fares worst. */
function gap(suite: string, most: number, labelled: SuiteRun['labelled']): Criterion {
  const id = `gap/${suite}<=${most}`;
  const groups = Object.entries(labelled?.groups ?? {}).map(([name, { right, rows }]) => ({
    name,
    share: right / rows,
  }));
  const [best, ...others] = [...groups].sort((a, b) => b.share - a.share);
  const worst = others.at(-1);
  if (best === undefined || worst === undefined)
    return { id, suite, verdict: 'inconclusive', says: 'the labelled data name fewer than two groups' };
  const found = best.share - worst.share;
  const between = `${percent(best.share)} of ${best.name}, ${percent(worst.share)} of ${worst.name}`;
  const untried = labelled?.untried ?? 0;
  if (untried > 0)
    return { id, suite, verdict: 'inconclusive', says: `${between}, but ${untried} labelled rows were not tried` };
  return found <= most
    ? { id, suite, verdict: 'passed', says: between }
    : { id, suite, verdict: 'failed', says: `${between}: ${percent(found - most)} more apart than ${percent(most)}` };
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(4))} %`;
}
