import { progressOf } from '../adapters/dossier.js';
import { factsOf, statedFacts, releasesWith, type KnownRelease } from '../adapters/release-facts.js';
import type { Records } from '../adapters/records.js';
import type { Rules } from '../domain/authorise.js';
import { compressedByItself, compressedFrom, type Evidence } from '../domain/compression.js';
import { suitesFor } from '../domain/criteria.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import type { Ingested } from '../domain/lifecycle.js';
import { lineageFlaw, type Ancestor, type StatedLineage } from '../domain/lineage.js';
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
 * The parent that a release declares, which must evidently be its parent and have passed its own suites; `null` where it
 * declares none, and neither its tensors nor its documents show one. POLICY_REFUSED: they show one that it does not declare,
 * or do not show the one that it does.
 */
export async function parentResult(
  records: Records,
  name: ReleaseName,
  ingested: Ingested,
  rules: Rules,
  stated: StatedLineage,
): Promise<ParentResult | null> {
  const { verified } = await records.get('provenance', ingested.provenance);
  const flaw = flawInProvenance({ release: ingested.release, producer: ingested.producer }, verified, rules);
  if (flaw !== null) throw new CustodyError(flaw.code, flaw.reason);
  const own = await statedFacts(records, name, ingested);
  const title = `${name.model} ${name.version}`;
  const parent = parentOf(verified.predicate);
  if (parent !== null) {
    const result = await resultOf(records, parent);
    const problem = lineageFlaw(name, parent, await ancestorsOf(records, own), stated);
    if (problem === null) return result;
    throw new CustodyError('POLICY_REFUSED', `${title}: ${problem}`, { details: { how: parent.how } });
  }
  const evidence =
    compressedByItself(own.facts) ?? settingsOf(stated) ?? (await ancestorsOf(records, own))[0]?.evidence;
  if (evidence === undefined) return null;
  throw new CustodyError(
    'POLICY_REFUSED',
    `${title} is ${evidence.how}, and its provenance names no release that it was made from: ` +
      `${evidence.says}. Declare it with \`custody pack --parent <folder> --compression ${evidence.how}\``,
    { details: { how: evidence.how } },
  );
}

function settingsOf({ compressed: [first] }: StatedLineage): Evidence | null {
  return first === undefined
    ? null
    : { how: 'quantised', says: `${first.file} sets ${first.setting}`, isMeasured: false };
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

/** Every release that has been tried and whose tensors this one has in a smaller form. */
async function ancestorsOf(records: Records, own: KnownRelease): Promise<readonly Ancestor[]> {
  const found: Ancestor[] = [];
  for await (const other of releasesWith(records, 'validated')) {
    const known = await knownFacts(records, other);
    if (known === null || known.release === own.release) continue;
    const evidence = compressedFrom(own.facts, known.facts);
    if (evidence !== null) found.push({ ...other, release: known.release, evidence });
  }
  return found;
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
