import { progressOf } from '../adapters/dossier.js';
import { factsOf, statedFacts, triedReleases, type KnownRelease } from '../adapters/release-facts.js';
import type { Records } from '../adapters/records.js';
import type { Rules } from '../domain/authorise.js';
import { compressedByItself, compressedFrom, type Evidence } from '../domain/compression.js';
import { suitesFor } from '../domain/criteria.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import type { Ingested } from '../domain/lifecycle.js';
import type { ReleaseName } from '../domain/names.js';
import { parentOf, type Parent } from '../domain/parent.js';
import { holdsRole, type SuiteRule } from '../domain/policy.js';
import { flawInProvenance } from '../domain/provenance.js';

/** The release that another one is a smaller form of, with the result that it passed with and the suites of that time. */
export interface ParentResult extends Parent {
  readonly testResult: Digest;
  readonly rules: readonly SuiteRule[];
}

/**
 * The parent that a release declares, which must have passed its own suites; `null` where it declares none and its tensors
 * show none. POLICY_REFUSED: they show one that it does not declare.
 */
export async function parentResult(
  records: Records,
  name: ReleaseName,
  ingested: Ingested,
  rules: Rules,
): Promise<ParentResult | null> {
  const { verified } = await records.get('provenance', ingested.provenance);
  const flaw = flawInProvenance({ release: ingested.release, producer: ingested.producer }, verified, rules);
  if (flaw !== null) throw new CustodyError(flaw.code, flaw.reason);
  const parent = parentOf(verified.predicate);
  if (parent !== null) return resultOf(records, parent);
  const evidence = await evidenceOf(records, name, ingested);
  if (evidence === null) return null;
  throw new CustodyError(
    'POLICY_REFUSED',
    `${name.model} ${name.version} is ${evidence.how}, and its provenance names no release that it was made from: ` +
      `${evidence.says}. Declare it with \`custody pack --parent <folder> --compression ${evidence.how}\``,
    { details: { how: evidence.how } },
  );
}

async function resultOf(records: Records, parent: Parent): Promise<ParentResult> {
  const title = `its parent, ${parent.model} ${parent.version},`;
  const { admission, ingested, validated } = await progressOf(records, parent);
  if (admission === undefined || ingested === undefined || validated === undefined)
    throw new CustodyError('POLICY_REFUSED', `${title} has not been validated here: let it be released first`);
  if (ingested.release !== parent.release)
    throw new CustodyError('DIGEST_MISMATCH', `${title} is the release ${ingested.release}, not ${parent.release}`);
  const { verified } = await records.get('testResult', validated.testResult);
  const policies = await records.policies();
  const { newest } = policies;
  if (!verified.signers.some((id) => holdsRole(newest, newest, id, 'validator')) || verified.subject !== parent.release)
    throw new CustodyError(
      'NOT_AUTHORISED',
      `the test result of ${title} is not by a validator, or of another release`,
    );
  if (verified.predicate.result !== 'PASSED')
    throw new CustodyError(
      'VALIDATION_FAILED',
      `${title} has not passed: ${verified.predicate.failedTests.join(', ')}`,
    );
  const request = await records.get('request', admission.request);
  const gate = policies.byDigest(request.verified.predicate.policy);
  return { ...parent, testResult: validated.testResult, rules: suitesFor(gate, parent.model) };
}

/** What the tensors of a release show, by themselves and beside those of every release that has been tried. */
async function evidenceOf(records: Records, name: ReleaseName, ingested: Ingested): Promise<Evidence | null> {
  const own = await statedFacts(records, name, ingested);
  const alone = compressedByItself(own.facts);
  if (alone !== null) return alone;
  for await (const other of triedReleases(records)) {
    const known = await knownFacts(records, other);
    const isItself = known === null || known.release === own.release;
    const evidence = isItself ? null : compressedFrom(own.facts, known.facts);
    if (evidence !== null) return evidence;
  }
  return null;
}

/** `null` for records that no validator stands for: whoever can write them must not keep others from being tried. */
async function knownFacts(records: Records, name: ReleaseName): Promise<KnownRelease | null> {
  try {
    return await factsOf(records, name);
  } catch (error) {
    if (error instanceof CustodyError && isPermanent(error.code)) return null;
    throw error;
  }
}
