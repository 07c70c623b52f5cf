import type { Code } from '../domain/code-review.js';
import { isDigest, type Digest } from '../domain/digest.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import { signedInRole } from '../domain/permission.js';
import type { Policy } from '../domain/policy.js';
import { dependenciesOf, TRAINING_BUILD, trainingBuilder } from '../domain/provenance.js';
import { storeKeys } from '../domain/store-keys.js';
import { canonicalBytes } from '../formats/jcs.js';
import type { PolicyChain, Records } from './records.js';

/** The statement that shows what a commit was used for: how a model was trained with it, or what a release has of it. */
export type UsedBy = { readonly provenance: Digest } | { readonly scan: Digest };

/** That a commit was used, which nobody has to review again. What is there already is left alone. */
export async function recordCode(
  records: Records,
  { repository, commit }: Pick<Code, 'repository' | 'commit'>,
  by: UsedBy,
): Promise<void> {
  const key = storeKeys.code(repository, commit);
  try {
    await records.bucket.createOnce(key, canonicalBytes(by), await records.lock());
  } catch (error) {
    if (!(error instanceof CustodyError) || error.code !== 'STORE_CONFLICT') throw error;
  }
}

/** The commits of a repository of which anybody says that they were used. */
export async function recordedCode(records: Records, repository: string): Promise<ReadonlySet<string>> {
  const prefix = storeKeys.codeOf(repository);
  const found = new Set<string>();
  for await (const key of records.bucket.list(prefix)) found.add(key.slice(prefix.length));
  return found;
}

/** Whose word of a training counts: that of one authority, of any producer, where nothing depends on it, or nobody's. */
export type TrainedBy = { readonly id: string } | 'any producer' | 'nobody';

/**
 * Whether it was: by what a validator has signed, or who may say so of trainings. Other producers sign what they like, and
 * whoever else can write to the store says nothing.
 */
export async function wasAdmitted(
  records: Records,
  code: Pick<Code, 'repository' | 'commit'>,
  { newest }: PolicyChain,
  trainedBy: TrainedBy,
): Promise<boolean> {
  const by = await usedBy(records, code);
  return (
    (trainedBy !== 'nobody' && (await wasTrainedWith(records, code, by?.provenance, newest, trainedBy))) ||
    (await hasPrompts(records, code, by?.scan, newest))
  );
}

async function wasTrainedWith(
  records: Records,
  { repository, commit }: Pick<Code, 'repository' | 'commit'>,
  provenance: Digest | undefined,
  policy: Policy,
  trainedBy: Exclude<TrainedBy, 'nobody'>,
): Promise<boolean> {
  const found =
    provenance === undefined ? null : await records.findGenuine('provenance', storeKeys.statement(provenance));
  if (found === null || !signedInRole({ gate: policy, newest: policy }, found.verified, 'producer')) return false;
  if (trainedBy !== 'any producer' && !found.verified.signers.includes(trainedBy.id)) return false;
  const { buildDefinition, runDetails } = found.verified.predicate;
  // Other producers sign what they like of their own builds.
  if (buildDefinition.buildType !== TRAINING_BUILD || runDetails.builder.id !== trainingBuilder(records.environment))
    return false;
  return dependenciesOf(found.verified.predicate, 'training-code').some(
    (each) => each.name === repository && each.commit === commit && each.reviewers !== undefined,
  );
}

async function hasPrompts(
  records: Records,
  { repository, commit }: Pick<Code, 'repository' | 'commit'>,
  scan: Digest | undefined,
  policy: Policy,
): Promise<boolean> {
  const found = scan === undefined ? null : await records.findGenuine('scan', storeKeys.statement(scan));
  if (found === null || !signedInRole({ gate: policy, newest: policy }, found.verified, 'validator')) return false;
  const { verdict, prompts } = found.verified.predicate;
  return verdict === 'clean' && prompts?.from?.repository === repository && prompts.from.commit === commit;
}

async function usedBy(
  records: Records,
  { repository, commit }: Pick<Code, 'repository' | 'commit'>,
): Promise<{ readonly provenance?: Digest; readonly scan?: Digest } | null> {
  try {
    const said = ((await records.record(storeKeys.code(repository, commit))) ?? {}) as Readonly<
      Record<string, unknown>
    >;
    const digest = (name: 'provenance' | 'scan'): object => {
      const value = said[name];
      return typeof value === 'string' && isDigest(value) ? { [name]: value } : {};
    };
    return { ...digest('provenance'), ...digest('scan') };
  } catch (error) {
    if (error instanceof CustodyError && isPermanent(error.code)) return null;
    throw error;
  }
}
