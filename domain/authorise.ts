import { casesOf, demandedOf, suitesFor, tolerates } from './criteria.js';
import type { Digest } from './digest.js';
import { isolationProblem, isolationsIn } from './isolation.js';
import { lifecycleId } from './names.js';
import { failureLifted, type VerifiedOverride } from './override.js';
import { PARENT_RESULT, parentOf, type Parent } from './parent.js';
import {
  denied,
  isToCome,
  policyInForce,
  quorumReached,
  rightlyAsked,
  signedInRole,
  type Permission,
  type Rules,
} from './permission.js';
import { holdsRole } from './policy.js';
import { flawInProvenance } from './provenance.js';
import { deployQuorum, stands, type Provisional } from './provisional.js';
import type {
  ProvenancePredicate,
  RequestPredicate,
  StatusPredicate,
  TestResultPredicate,
  Verified,
} from './statements.js';
import { scanProblem, type ScanPredicate } from './scan.js';
import { outsideValidity, plusSeconds } from './time.js';
import { versionProblem, type ChangePredicate } from './versioning.js';
import { isAskedBy, mayAskFor } from './vouching.js';

export { denied, policyInForce, quorumReached, signedInRole, type Permission, type Rules } from './permission.js';

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
}

/** Before the release key signs: request, evidence and quorum, all about these very bytes. */
export function authoriseSigning(release: VerifiedRelease, rules: Rules): Permission {
  const inForce = policyInForce(rules);
  return inForce.allowed ? releaseApproved(release, rules) : inForce;
}

/** Before people are asked to approve: everything that signing will demand, but for their answer. */
export function authoriseAsking(release: VerifiedRelease, rules: Rules): Permission {
  const inForce = policyInForce(rules);
  return inForce.allowed ? evidenceHolds(release, rules) : inForce;
}

/** Before a key of the release is handed out, and before it is loaded: approved, signed, and freshly not revoked. */
export function authoriseLoading(
  release: VerifiedRelease,
  rules: Rules,
  status: Verified<StatusPredicate> | null,
): Permission {
  const signed = rightlySigned(release, rules);
  if (!signed.allowed) return signed;
  const standing = notRevoked(release.release, rules, status);
  return standing.allowed ? releaseApproved(release, rules) : standing;
}

/** All that loading demands but "not revoked": what becomes of a release under other rules. */
export function signedAndApproved(release: VerifiedRelease, rules: Rules): Permission {
  const signed = rightlySigned(release, rules);
  return signed.allowed ? releaseApproved(release, rules) : signed;
}

function rightlySigned({ signer }: VerifiedRelease, rules: Rules): Permission {
  if (signer === null) return denied('UNSIGNED', 'it bears no release signature');
  if (holdsRole(rules.gate, rules.newest, signer, 'release-signer')) return { allowed: true, approvers: [] };
  return denied('NOT_AUTHORISED', `${signer} may not sign releases`);
}

/** "Not revoked" counts only from a status document that control has signed and that is still fresh. */
export function notRevoked(release: Digest, rules: Rules, status: Verified<StatusPredicate> | null): Permission {
  if (status === null) return denied('STATUS_STALE', 'there is no status document');
  if (status.predicate.environment !== rules.environment)
    return denied('REPLAYED', `the status document is for environment ${status.predicate.environment}`);
  if (!status.signers.some((id) => holdsRole(rules.newest, rules.newest, id, 'control')))
    return denied('NOT_AUTHORISED', `${status.signers.join(', ')} may not issue the status document`);
  const { issuedAt, expiresAt } = status.predicate;
  const latest = plusSeconds(issuedAt, rules.newest.freshness.lifetimeSeconds);
  const outside = outsideValidity({ issuedAt, expiresAt: expiresAt < latest ? expiresAt : latest }, rules.now);
  if (outside !== null) return denied('STATUS_STALE', `the status document is ${outside}`);
  if (status.predicate.revoked.includes(release)) return denied('REVOKED', 'the release has been revoked');
  return { allowed: true, approvers: [] };
}

function releaseApproved(release: VerifiedRelease, rules: Rules): Permission {
  const holds = evidenceHolds(release, rules);
  if (!holds.allowed) return holds;
  const quorum = deployQuorum(rules.gate, release.request.predicate);
  if (quorum === null) return denied('POLICY_REFUSED', 'the policy knows no emergency deployment');
  return quorumReached(rules, release.request, release.approvals, quorum);
}

/** Whether the request is about this release, and all that it names is there, by whoever may say so. */
export function evidenceHolds(release: VerifiedRelease, rules: Rules): Permission {
  const { admission, request, producer } = release;
  const asked = request.predicate;
  const about = lifecycleId(release);
  if (asked.action.kind !== 'deploy') return denied('REPLAYED', 'the approved request is not for a deployment');
  if (asked.environment !== rules.environment)
    return denied('REPLAYED', `the request is for environment ${asked.environment}`);
  if (asked.release !== release.release || request.subject !== release.release)
    return denied('REPLAYED', 'the request is about another release');
  if (asked.workflowId !== about || asked.model !== release.model || asked.version !== release.version)
    return denied('REPLAYED', `the request belongs to ${asked.workflowId}, not to ${about}`);
  if (!signedInRole(rules, request, 'control')) return denied('NOT_AUTHORISED', 'the request was not made by control');

  const started = admission.predicate;
  if (asked.evidence['admission'] !== admission.digest) return denied('REPLAYED', 'the start request is another one');
  if (started.action.kind !== 'release' || started.workflowId !== about || started.environment !== rules.environment)
    return denied('REPLAYED', 'the start request asks for something else');
  if (!isAskedBy(rules, admission, started.requester) || started.requester !== asked.requester)
    return denied('NOT_AUTHORISED', 'the requester, and nobody else, must have signed the start request');
  if (!mayAskFor(rules, started.requester))
    return denied('NOT_AUTHORISED', `${started.requester} may not ask for releases`);

  if (started.evidence['riskAssessment'] !== asked.evidence['riskAssessment'])
    return denied('REPLAYED', 'the start request names another risk assessment, or none');

  if (asked.evidence['bundle'] !== release.bundle)
    return denied('REPLAYED', 'the approved request names another signature by the producer');
  if (asked.producer !== producer || !holdsRole(rules.gate, rules.newest, producer, 'producer'))
    return denied('NOT_AUTHORISED', `${producer} is not the release's authorised producer`);

  const made = provenanceHolds(release, rules);
  if (!made.allowed) return made;
  const scanned = scanHolds(release, rules);
  if (!scanned.allowed) return scanned;
  const tested = validationHolds(release, rules);
  if (!tested.allowed) return tested;
  const versioned = versionHolds(release, rules);
  return versioned.allowed ? stands(release, rules) : versioned;
}

/** How the release was made: the statement that the request names, by its producer, about these bytes. */
function provenanceHolds({ release, producer, provenance, request }: VerifiedRelease, rules: Rules): Permission {
  if (request.predicate.evidence['provenance'] !== provenance.digest)
    return denied('REPLAYED', 'the approved request names another provenance');
  const flaw = flawInProvenance({ release, producer }, provenance, rules);
  return flaw === null ? { allowed: true, approvers: [] } : denied(flaw.code, flaw.reason);
}

/** What its files are: judged anew, by the rules that the request was made under. */
function scanHolds({ release, version, request, scan }: VerifiedRelease, rules: Rules): Permission {
  if (request.predicate.evidence['scan'] !== scan.digest)
    return denied('REPLAYED', 'the approved request names another scan');
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

function validationHolds(about: VerifiedRelease, rules: Rules): Permission {
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
function versionHolds({ release, version, request, change }: VerifiedRelease, rules: Rules): Permission {
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

/** A request that a person signed: by its own requester, with the right to ask, for this environment and workflow. */
export function personAsks(
  rules: Rules,
  request: Verified<RequestPredicate>,
  kind: RequestPredicate['action']['kind'],
  workflowId: string,
): Permission {
  const asked = request.predicate;
  if (asked.action.kind !== kind) return denied('REPLAYED', `the request is to ${asked.action.kind}, not to ${kind}`);
  if (asked.environment !== rules.environment)
    return denied('REPLAYED', `the request is for environment ${asked.environment}`);
  if (asked.workflowId !== workflowId) return denied('REPLAYED', `the request is for workflow ${asked.workflowId}`);
  if (isToCome(asked.issuedAt, rules.now))
    return denied('EXPIRED', `the request says it was made at ${asked.issuedAt}, which is to come`);
  if (!isAskedBy(rules, request, asked.requester))
    return denied('NOT_AUTHORISED', `${asked.requester}, and nobody else, must have signed the request`);
  if (!mayAskFor(rules, asked.requester) && !signedInRole(rules, request, 'operator'))
    return denied('NOT_AUTHORISED', `${asked.requester} may not ask for this`);
  const { restore, retire } = rules.gate.approvals;
  if (kind === 'restore') return rightlyAsked(rules, request, restore);
  if (kind === 'retire') return rightlyAsked(rules, request, retire);
  return { allowed: true, approvers: [] };
}
