import { keepFacts, releaseBefore } from '../adapters/release-facts.js';
import type { Records } from '../adapters/records.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { ReleaseName } from '../domain/names.js';
import type { ReleaseFacts } from '../domain/release-facts.js';
import { diffReleases } from '../domain/semantic-diff.js';
import { versionProblem, type ChangePredicate, type Versioning } from '../domain/versioning.js';
import type { SigningKey } from '../formats/keys.js';
import { signStatement } from '../formats/statements.js';

/** What a release changes, against the release before it. VERSION_TOO_SMALL when its version says less than that. */
export async function compareWithBefore(
  records: Records,
  name: ReleaseName,
  facts: ReleaseFacts,
  criteria: Versioning,
): Promise<Omit<ChangePredicate, 'facts'>> {
  const before = await releaseBefore(records, name);
  const change: Omit<ChangePredicate, 'facts'> =
    before === null
      ? { version: name.version, from: null, components: [], changes: [], leastBump: 'none' }
      : {
          version: name.version,
          from: { version: before.facts.version, release: before.release },
          ...diffReleases(before.facts, facts, criteria),
        };
  const problem = versionProblem(change, criteria);
  if (problem === null) return change;
  throw new CustodyError('VERSION_TOO_SMALL', problem, {
    details: { version: name.version, from: before?.facts.version ?? null, leastBump: change.leastBump },
  });
}

/** Signs it, and keeps it and the facts that the next release will be compared with; answers the statement's digest. */
export async function stateChange(
  records: Records,
  key: SigningKey,
  { model, version }: ReleaseName,
  release: Digest,
  facts: ReleaseFacts,
  change: Omit<ChangePredicate, 'facts'>,
): Promise<Digest> {
  const predicate: ChangePredicate = { ...change, facts: await keepFacts(records, facts) };
  return records.keep(signStatement('change', { name: `${model} ${version}`, sha256: release }, predicate, [key]));
}
