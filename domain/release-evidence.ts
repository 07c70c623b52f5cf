import { baseOf } from './base.js';
import { casesOf, demandedOf, suitesFor, tolerates } from './criteria.js';
import type { Digest } from './digest.js';
import { isolationProblem, isolationsIn } from './isolation.js';
import { lifecycleId } from './names.js';
import { failureLifted, type VerifiedOverride } from './override.js';
import { PARENT_RESULT, parentOf, type Parent } from './parent.js';
import { denied, signedInRole, type Permission, type Rules } from './permission.js';
import { holdsRole } from './policy.js';
import { comesRightly } from './promotion.js';
import { flawInProvenance } from './provenance.js';
import type { Provisional } from './provisional.js';
import type { VerificationSummaryPredicate } from './provisional-predicates.js';
import { scanProblem, type ScanPredicate } from './scan.js';
import type { ProvenancePredicate, RequestPredicate, TestResultPredicate, Verified } from './statements.js';
import { versionProblem, type ChangePredicate } from './versioning.js';
import { isAskedBy, mayAskFor } from './vouching.js';

/** What stands behind a release, every signature in it checked. */
export interface VerifiedRelease extends Provisional {
  readonly release: Digest;
  readonly model: string;
  readonly version: string;
  /** Whose signature the release came with. */
  readonly producer: string;
  /** Digest of that signature. */
  readonly bundle: Digest;
  /** Whose release signature it bears; `null` before it was signed. */
  readonly signer: string | null;
  readonly admission: Verified<RequestPredicate>;
  /** How it was made. */
  readonly provenance: Verified<ProvenancePredicate>;
  readonly testResult: Verified<TestResultPredicate>;
  /** What its files are. */
  readonly scan: Verified<ScanPredicate>;
  readonly change: Verified<ChangePredicate>;
  /** What the environment that it comes from has found. */
  readonly promotion: Verified<VerificationSummaryPredicate> | null;
}

const HOLDS: Permission = { allowed: true, approvers: [] };

/** Whether the request is to deploy this very release, and by control. */
export function requestHolds(release: VerifiedRelease, rules: Rules): Permission {
  const { request } = release;
  const asked = request.predicate;
  const about = lifecycleId(release);
  if (asked.action.kind !== 'deploy') return denied('REPLAYED', 'the approved request is not for a deployment');
  if (asked.environment !== rules.environment)
    return denied('REPLAYED', `the request is for environment ${asked.environment}`);
  if (asked.release !== release.release || request.subject !== release.release)
    return denied('REPLAYED', 'the request is about another release');
  if (asked.workflowId !== about || asked.model !== release.model || asked.version !== release.version)
    return denied('REPLAYED', `the request belongs to ${asked.workflowId}, not to ${about}`);
  return signedInRole(rules, request, 'control')
    ? HOLDS
    : denied('NOT_AUTHORISED', 'the request was not made by control');
}

/** Whether whoever may ask for it has asked for this release in the first place. */
export function admissionHolds(release: VerifiedRelease, rules: Rules): Permission {
  const { admission, request } = release;
  const asked = request.predicate;
  const started = admission.predicate;
  const about = lifecycleId(release);
  if (asked.evidence['admission'] !== admission.digest) return denied('REPLAYED', 'the start request is another one');
  if (started.action.kind !== 'release' || started.workflowId !== about || started.environment !== rules.environment)
    return denied('REPLAYED', 'the start request asks for something else');
  if (!isAskedBy(rules, admission, started.requester) || started.requester !== asked.requester)
    return denied('NOT_AUTHORISED', 'the requester, and nobody else, must have signed the start request');
  if (!mayAskFor(rules, started.requester))
    return denied('NOT_AUTHORISED', `${started.requester} may not ask for releases`);
  return started.evidence['riskAssessment'] === asked.evidence['riskAssessment']
    ? HOLDS
    : denied('REPLAYED', 'the start request names another risk assessment, or none');
}

/** Whether the signature that it came with is the one that the request names, by whoever may produce. */
export function producerHolds({ request, producer, bundle }: VerifiedRelease, rules: Rules): Permission {
  const asked = request.predicate;
  if (asked.evidence['bundle'] !== bundle)
    return denied('REPLAYED', 'the approved request names another signature by the producer');
  return asked.producer === producer && holdsRole(rules.gate, rules.newest, producer, 'producer')
    ? HOLDS
    : denied('NOT_AUTHORISED', `${producer} is not the release's authorised producer`);
}

/** Where it comes from: the summary that the request names, judged as of when that was made. */
export function promotionHolds(about: VerifiedRelease, rules: Rules): Permission {
  const { request, promotion } = about;
  if (request.predicate.evidence['promotion'] !== promotion?.digest)
    return denied('REPLAYED', 'the approved request names another verification summary');
  return comesRightly({ ...about, at: request.predicate.issuedAt }, rules, promotion);
}

/** How the release was made: the statement that the request names, by its producer, about these bytes. */
export function provenanceHolds({ release, producer, provenance, request }: VerifiedRelease, rules: Rules): Permission {
  if (request.predicate.evidence['provenance'] !== provenance.digest)
    return denied('REPLAYED', 'the approved request names another provenance');
  const flaw = flawInProvenance({ release, producer }, provenance, rules);
  return flaw === null ? { allowed: true, approvers: [] } : denied(flaw.code, flaw.reason);
}

/** What its files are: judged anew, by the rules that the request was made under. */
export function scanHolds({ release, version, request, scan, provenance }: VerifiedRelease, rules: Rules): Permission {
  if (request.predicate.evidence['scan'] !== scan.digest)
    return denied('REPLAYED', 'the approved request names another scan');
  if (scan.predicate.takenFrom?.release !== baseOf(provenance.predicate)?.release)
    return denied('REPLAYED', 'the scan takes files over from another release than its producer builds on');
  return contentHolds({ release, version }, rules, scan);
}

/** Whether a scan shows that the files of this release may come in. */
export function contentHolds(
  { release, version }: Pick<VerifiedRelease, 'release' | 'version'>,
  rules: Rules,
  scan: Verified<ScanPredicate>,
): Permission {
  if (scan.subject !== release || scan.predicate.version !== version)
    return denied('REPLAYED', 'the scan is of another release');
  if (!signedInRole(rules, scan, 'validator'))
    return denied('NOT_AUTHORISED', `${scan.signers.join(', ')} may not say what is in a release`);
  const exposed = isolationProblem([scan.predicate.isolation], rules.gate);
  if (exposed !== null) return denied('POLICY_REFUSED', `the scan ${exposed}`);
  const problem = scanProblem(scan.predicate, rules.gate.artifacts);
  return problem === null ? { allowed: true, approvers: [] } : denied('POLICY_REFUSED', problem);
}

export function validationHolds(about: VerifiedRelease, rules: Rules): Permission {
  const { request, testResult, provenance, override } = about;
  if (request.predicate.evidence['testResult'] !== testResult.digest)
    return denied('REPLAYED', 'the approved request names another test result');
  return resultHolds({ ...about, parent: parentOf(provenance.predicate) }, rules, testResult, override);
}

/** What a test result must be about. */
export interface Tested {
  readonly release: Digest;
  readonly model: string;
  /** The release that it declares to be a smaller form of. */
  readonly parent: Parent | null;
}

/** Whether a test result shows that this release passed the policy's suites, or failed in exactly what an override lifts. */
export function resultHolds(
  { release, model, parent }: Tested,
  rules: Rules,
  result: Verified<TestResultPredicate>,
  override: VerifiedOverride | null,
): Permission {
  if (result.subject !== release) return denied('REPLAYED', 'the test result is about another release');
  if (!signedInRole(rules, result, 'validator'))
    return denied('NOT_AUTHORISED', `${result.signers.join(', ')} may not sign test results`);
  const { result: verdict, configuration, passedTests, warnedTests = [], failedTests } = result.predicate;
  const configured = new Set(configuration.map(({ digest }) => digest.sha256));
  const suites = suitesFor(rules.gate, model, ...(parent === null ? [] : [parent.model]));
  if (suites.length === 0) return denied('VALIDATION_FAILED', `the policy names no suite for the model ${model}`);
  const missing = suites.find(({ sha256 }) => !configured.has(sha256));
  if (missing !== undefined)
    return denied('VALIDATION_FAILED', `the test result is of another suite than the policy fixes: ${missing.suite}`);
  const isLinked = configuration.some(({ name }) => name === PARENT_RESULT);
  if (parent !== null && (!configured.has(parent.release) || !isLinked))
    return denied(
      'VALIDATION_FAILED',
      `the test result is not linked to its parent, ${parent.model} ${parent.version}`,
    );
  const exposed = isolationProblem(isolationsIn(configuration), rules.gate);
  if (exposed !== null) return denied('POLICY_REFUSED', `the test result ${exposed}`);
  const passed = verdict === 'PASSED' && failedTests.length === 0;
  if (passed && override !== null) return denied('REPLAYED', 'nothing has failed that the override could lift');
  if (!passed && !failureLifted(result.predicate, override))
    return denied('VALIDATION_FAILED', 'the validation did not pass, and nobody has lifted exactly what failed');
  const named = [...passedTests, ...warnedTests, ...failedTests];
  const names = new Set(named);
  if (names.size !== named.length) return denied('VALIDATION_FAILED', 'the test result names a case twice');
  const intolerable = warnedTests.find((name) => !suites.some((rule) => tolerates(rule, name)));
  if (intolerable !== undefined)
    return denied('VALIDATION_FAILED', `the policy tolerates no failure of ${intolerable}`);
  const judged = new Set([...passedTests, ...failedTests]);
  for (const rule of suites) {
    const cases = casesOf(result.predicate, rule.suite);
    if (cases < rule.minimumCases)
      return denied('VALIDATION_FAILED', `${cases} cases of ${rule.suite} ran, ${rule.minimumCases} are needed`);
    const unjudged = demandedOf(rule).find((criterion) => !judged.has(criterion));
    if (unjudged !== undefined)
      return denied('VALIDATION_FAILED', `the test result does not say how the release fares at ${unjudged}`);
  }
  return { allowed: true, approvers: [] };
}

/** Whether the version says as much as the changes demand: judged anew, by the criteria that the request was made under. */
export function versionHolds({ release, version, request, change }: VerifiedRelease, rules: Rules): Permission {
  if (request.predicate.evidence['change'] !== change.digest)
    return denied('REPLAYED', 'the approved request names another statement of what has changed');
  return changeHolds({ release, version }, rules, change);
}

/** Whether a statement of what has changed shows that this release may bear its version. */
export function changeHolds(
  { release, version }: Pick<VerifiedRelease, 'release' | 'version'>,
  rules: Rules,
  change: Verified<ChangePredicate>,
): Permission {
  if (change.subject !== release || change.predicate.version !== version)
    return denied('REPLAYED', 'the statement of what has changed is about another release');
  if (!signedInRole(rules, change, 'validator'))
    return denied('NOT_AUTHORISED', `${change.signers.join(', ')} may not say what has changed`);
  const problem = versionProblem(change.predicate, rules.gate.versioning);
  return problem === null ? { allowed: true, approvers: [] } : denied('VERSION_TOO_SMALL', problem);
}
