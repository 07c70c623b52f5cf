import { findDocument } from '../adapters/model-server/built-in.js';
import type { Records } from '../adapters/records.js';
import type { Rules } from '../domain/authorise.js';
import { suitesFor, suiteTitle } from '../domain/criteria.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { ReleaseName } from '../domain/names.js';
import type { SuiteRule } from '../domain/policy.js';
import type { LabelledData, Suite } from '../domain/suite.js';
import { canonicalBytes } from '../formats/jcs.js';
import { parseLabelledData } from '../formats/labelled-data.js';
import { parseSuite } from '../formats/suite.js';

/** A suite as the policy fixed it, with all that it names by digest. */
export interface Measure {
  readonly rule: SuiteRule;
  readonly suite: Suite;
  readonly data: LabelledData | null;
  /** Files of a command, by path. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** The policy in force does not ask for it: the parent passed it under an older one. */
  readonly isOfParent: boolean;
}

/**
 * What a release is to be measured by. From the policy that its request names on, everything was fixed. POLICY_REFUSED: a newer
 * policy sets other suites or thresholds, so that the run would be worth nothing; a suite calls itself otherwise than the
 * policy says; there is none for this model. DIGEST_MISMATCH: its bytes have changed.
 */
export async function readMeasures(
  records: Records,
  folders: readonly string[],
  { model }: ReleaseName,
  { gate, newest }: Pick<Rules, 'gate' | 'newest'>,
  parent: { readonly model: string; readonly rules: readonly SuiteRule[] } | null,
): Promise<readonly Measure[]> {
  const models = [model, ...(parent === null ? [] : [parent.model])];
  const rules = suitesFor(gate, ...models);
  if (!canonicalBytes(rules).equals(canonicalBytes(suitesFor(newest, ...models))))
    throw new CustodyError(
      'POLICY_REFUSED',
      `suites or thresholds have changed since the request was made: policy ${newest.version} is in force, ` +
        `and it names policy ${gate.version}. Ask for the release again`,
      { details: { asked: gate.version, newest: newest.version } },
    );
  if (rules.length === 0)
    throw new CustodyError('POLICY_REFUSED', `policy ${gate.version} names no suite for the model ${model}`);
  const asked = new Set(rules.map(demands));
  // What its parent passed under another policy, by the thresholds of that one.
  const inherited = (parent?.rules ?? []).filter((rule) => !asked.has(demands(rule)));
  const own = await Promise.all(rules.map((rule) => readMeasure(records, folders, rule)));
  const older = await Promise.all(inherited.map((rule) => readMeasure(records, folders, rule)));
  return [...own, ...older.map(asOfParent)];
}

/** What a rule asks for, whichever models it is for. */
function demands(rule: SuiteRule): string {
  return canonicalBytes({ ...rule, models: null }).toString('utf8');
}

/** Under a name of its own, which no policy can give: its criteria stand beside those of the policy in force. */
function asOfParent(measure: Measure): Measure {
  const { suite, version } = measure.rule;
  return { ...measure, rule: { ...measure.rule, suite: `${suite}@${version}` }, isOfParent: true };
}

async function readMeasure(records: Records, folders: readonly string[], rule: SuiteRule): Promise<Measure> {
  const find = (digest: Digest): Promise<Buffer> => findDocument(records, folders, digest);
  const suite = parseSuite(await find(rule.sha256));
  if (suite.suite !== rule.suite || suite.version !== rule.version)
    throw new CustodyError(
      'POLICY_REFUSED',
      `the policy names the ${suiteTitle(rule)}, and it is the ${suiteTitle(suite)}`,
    );
  const data = suite.accuracy === undefined ? null : parseLabelledData(await find(suite.accuracy.sha256));
  const files = new Map<string, Buffer>();
  for (const { path, sha256 } of suite.command?.files ?? []) files.set(path, await find(sha256));
  return { rule, suite, data, files, isOfParent: false };
}
