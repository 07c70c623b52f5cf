import { join } from 'node:path';
import type { Records } from '../adapters/records.js';
import { reviewedCode, type CommitOf, type FurtherReviews, type ReviewedCode } from '../adapters/reviewed-code.js';
import { CustodyError } from '../domain/errors.js';
import { quote } from '../formats/json.js';
import type { SigningKey } from '../formats/keys.js';
import { holderOf } from '../formats/statements.js';

/** What a zone needs to take something from git. */
export interface Repositories {
  readonly records: Records;
  /** Where the repositories of the policy are: paths, or addresses that git can fetch from. */
  readonly repositories: Readonly<Record<string, string>>;
  /** Reviews that nobody has signed. */
  readonly further: FurtherReviews;
  /** The key of the zone, where it trains: what it has signed of trainings counts. */
  readonly producerKey?: SigningKey;
}

/**
 * A commit that the rules of now allow to use, fetched into the folder `work`. What reviewers said of it is kept: statements
 * name it. POLICY_REFUSED, NOT_AUTHORISED, INPUT_UNSAFE as of `reviewedCode`.
 */
export async function codeOf(
  { records, repositories, further, producerKey }: Repositories,
  { repository, commit }: Pick<CommitOf, 'repository' | 'commit'>,
  { work, signal }: { readonly work: string; readonly signal: AbortSignal | undefined },
): Promise<ReviewedCode> {
  const address = named(repositories, repository, 'address of the repository');
  const own =
    producerKey === undefined ? undefined : holderOf((await records.policies()).newest, 'producer', producerKey);
  const trainedBy = own === undefined ? ('nobody' as const) : { id: own };
  const options = { keeps: true, further, trainedBy, ...(signal === undefined ? {} : { signal }) };
  const found = await reviewedCode(records, { repository, address, commit }, join(work, 'clone'), options);
  for (const { envelope } of found.reviews) await records.keep(envelope);
  return found;
}

/** What this zone was configured with under a name. POLICY_REFUSED where it was not. */
export function named<T>(known: Readonly<Record<string, T>>, name: string, what: string): T {
  const found = Object.hasOwn(known, name) ? known[name] : undefined;
  if (found !== undefined) return found;
  throw new CustodyError('POLICY_REFUSED', `this zone has no ${what} ${quote(name)}`);
}
