import { checksOf, type FoundCheck, type Permission, type Rules, type VerifiedRelease } from '../domain/authorise.js';
import type { Successor } from '../domain/authorise-base.js';
import type { VerifiedProceed } from '../domain/authorise-proceed.js';
import type { VerifiedRetirement } from '../domain/authorise-retirement.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type {
  HoldEvidence,
  LiftEvidence,
  ProceedEvidence,
  ProvisionalEvidence,
  ReleaseEvidence,
  RetirementEvidence,
  TakingOverEvidence,
} from '../domain/evidence.js';
import type { HeldRelease, HoldPredicate, VerifiedLift } from '../domain/hold.js';
import type { Manifest } from '../domain/manifest.js';
import type { Policy, Role } from '../domain/policy.js';
import type { RequestPredicate, SignedEnvelope, StatusPredicate, Verified } from '../domain/statements.js';
import { omsResources, parseManifest } from './manifest.js';
import { verifyOms } from './oms.js';
import { policyDigest, verifyPolicyChain, type PinnedRoot } from './policy.js';
import { sha256 } from './sha256.js';
import { keyRing, keysOfRole, validAt, verifyStatement } from './statements.js';

/** The policies of an environment, each verified, by digest. */
export interface Policies {
  readonly newest: Policy;
  readonly chain: readonly Policy[];
  /** POLICY_REFUSED when no such policy was ever applied. */
  byDigest(digest: Digest): Policy;
}

export function verifyPolicies(root: PinnedRoot, envelopes: readonly SignedEnvelope[]): Policies {
  const chain = verifyPolicyChain(root, envelopes);
  const newest = chain.at(-1);
  if (newest === undefined) throw new CustodyError('POLICY_REFUSED', 'there is no policy: nothing is allowed');
  const byDigest = new Map(chain.map((policy) => [policyDigest(policy), policy] as const));
  return {
    newest,
    chain,
    byDigest: (digest) => {
      const policy = byDigest.get(digest);
      if (policy === undefined) throw new CustodyError('POLICY_REFUSED', `no applied policy has the digest ${digest}`);
      return policy;
    },
  };
}

/** The rules for a decision on this request: its own policy, and the newest for what was revoked since. */
export function rulesFor(policies: Policies, request: Verified<RequestPredicate>, now: string): Rules {
  return {
    environment: policies.newest.environment,
    gate: policies.byDigest(request.predicate.policy),
    newest: policies.newest,
    now,
  };
}

export interface CheckedRelease {
  readonly release: VerifiedRelease;
  readonly manifest: Manifest;
  readonly rules: Rules;
  readonly status: Verified<StatusPredicate> | null;
  readonly policies: Policies;
}

/** Checks every signature in the evidence. What may then be done, `domain/authorise` decides. */
export function verifyRelease(evidence: ReleaseEvidence, root: PinnedRoot, now: string): CheckedRelease {
  return verifyReleaseUnder(verifyPolicies(root, evidence.policies), evidence, now);
}

/** The same under policies that the caller vouches for: also to see what a policy would mean that is not yet in force. */
export function verifyReleaseUnder(policies: Policies, evidence: ReleaseEvidence, now: string): CheckedRelease {
  const { newest } = policies;
  const ring = keyRing(newest);
  const text = Buffer.from(evidence.manifest, 'utf8');
  const manifest = parseManifest(text);
  const request = verifyStatement(evidence.request, 'request', ring);
  // What bears no time of its own was there when the request that names it was made: its keys must have been valid then.
  const asked = request.predicate.issuedAt;
  const release: VerifiedRelease = {
    release: sha256(text),
    model: manifest.model,
    version: manifest.version,
    producer: signerOf(evidence.bundle, 'producer', newest, manifest, text, asked),
    bundle: sha256(evidence.bundle),
    signer: evidence.signature === null ? null : signerOf(evidence.signature, 'release-signer', newest, manifest, text),
    admission: verifyStatement(evidence.admission, 'request', ring),
    provenance: verifyStatement(evidence.provenance, 'provenance', validAt(ring, asked)),
    testResult: verifyStatement(evidence.testResult, 'testResult', validAt(ring, asked)),
    scan: verifyStatement(evidence.scan, 'scan', validAt(ring, asked)),
    change: verifyStatement(evidence.change, 'change', validAt(ring, asked)),
    promotion:
      evidence.promotion === null
        ? null
        : verifyStatement(evidence.promotion, 'verificationSummary', validAt(ring, asked)),
    request,
    approvals: evidence.approvals.map((approval) => verifyStatement(approval, 'approval', ring)),
    ...verifyProvisional(evidence.provisional, policies),
  };
  const status = evidence.status === null ? null : verifyStatement(evidence.status, 'status', ring);
  return { release, manifest, status, policies, rules: rulesFor(policies, request, now) };
}

/**
 * What has been checked, in order, before a release is opened, loaded, started again or called sound: the signatures, without
 * which there is no `CheckedRelease`, and then what they amount to. The first that fails is why `authoriseLoading` refuses.
 */
export function checksToLoad({ release, manifest, status, policies, rules }: CheckedRelease): readonly FoundCheck[] {
  const { approvals, promotion } = release;
  const statements = [release.admission, release.provenance, release.testResult, release.scan, release.change];
  const count = statements.length + 1 + approvals.length + [status, promotion].filter((each) => each !== null).length;
  return [
    {
      name: 'policy chain',
      ok: true,
      code: null,
      detail: `from the pinned root to version ${policies.newest.version}, each signed by the one before`,
    },
    { name: 'statements', ok: true, code: null, detail: `${count} signatures verify, with keys that were valid then` },
    {
      name: 'manifest',
      ok: true,
      code: null,
      detail: `is the release ${release.release}: ${manifest.files.length} files, each by its SHA-256`,
    },
    ...checksOf('load', { release, status }, rules),
  ];
}

/** Checks every signature in what a deployment provisionally rests on. */
export function verifyProvisional(
  { override, emergency }: ProvisionalEvidence,
  policies: Policies,
): Pick<VerifiedRelease, 'override' | 'emergency'> {
  const ring = keyRing(policies.newest);
  const lifting = override === null ? null : verifyStatement(override.request, 'request', ring);
  const statements = override?.statements.map((each) => verifyStatement(each, 'override', ring)) ?? [];
  const review = emergency?.review ?? null;
  return {
    override:
      lifting === null ? null : { request: lifting, gate: policies.byDigest(lifting.predicate.policy), statements },
    emergency:
      emergency === null
        ? null
        : {
            assessment: verifyStatement(emergency.assessment, 'riskAssessment', ring),
            review:
              review === null
                ? null
                : {
                    request: verifyStatement(review.request, 'request', ring),
                    approvals: review.approvals.map((each) => verifyStatement(each, 'approval', ring)),
                  },
          },
  };
}

/** Checks every signature in what a plan goes on by after a step that pauses. */
export function verifyProceed(proceed: ProceedEvidence | null, policies: Policies): VerifiedProceed | null {
  if (proceed === null) return null;
  const ring = keyRing(policies.newest);
  const request = verifyStatement(proceed.request, 'request', ring);
  return {
    request,
    gate: policies.byDigest(request.predicate.policy),
    approvals: proceed.approvals.map((each) => verifyStatement(each, 'approval', ring)),
  };
}

/** The release to come in the evidence of a taking over; its base is verified by itself. */
export function verifySuccessor(
  evidence: Omit<TakingOverEvidence, 'base'>,
  policies: Policies,
  now: string,
): { readonly successor: Successor; readonly manifest: Manifest; readonly rules: Rules } {
  const ring = keyRing(policies.newest);
  const text = Buffer.from(evidence.manifest, 'utf8');
  const manifest = parseManifest(text);
  const admission = verifyStatement(evidence.admission, 'request', ring);
  const successor: Successor = {
    release: sha256(text),
    model: manifest.model,
    version: manifest.version,
    producer: signerOf(evidence.bundle, 'producer', policies.newest, manifest, text),
    admission,
    provenance: verifyStatement(evidence.provenance, 'provenance', ring),
  };
  return { successor, manifest, rules: rulesFor(policies, admission, now) };
}

export function verifyRetirement(
  evidence: RetirementEvidence,
  root: PinnedRoot,
  now: string,
): { readonly retirement: VerifiedRetirement; readonly manifest: Manifest; readonly rules: Rules } {
  const policies = verifyPolicies(root, evidence.policies);
  const ring = keyRing(policies.newest);
  const text = Buffer.from(evidence.manifest, 'utf8');
  const manifest = parseManifest(text);
  const request = verifyStatement(evidence.request, 'request', ring);
  const retirement: VerifiedRetirement = {
    release: sha256(text),
    model: manifest.model,
    version: manifest.version,
    request,
    approvals: evidence.approvals.map((approval) => verifyStatement(approval, 'approval', ring)),
    notice: verifyStatement(evidence.notice, 'notice', ring),
    laterNotices: evidence.laterNotices.map((each) => verifyStatement(each, 'notice', ring)),
    acknowledgements: evidence.acknowledgements.map((each) => verifyStatement(each, 'acknowledgement', ring)),
    waivers: evidence.waivers.map((each) => verifyStatement(each, 'waiver', ring)),
    vulnerability:
      evidence.vulnerability === null ? null : verifyStatement(evidence.vulnerability, 'vulnerability', ring),
  };
  return { retirement, manifest, rules: rulesFor(policies, request, now) };
}

/** A hold under the rules of now: whoever gives it must be allowed to at this moment. */
export function verifyHold(
  evidence: HoldEvidence,
  root: PinnedRoot,
  now: string,
): { readonly about: HeldRelease; readonly hold: Verified<HoldPredicate>; readonly rules: Rules } {
  const { newest } = verifyPolicies(root, evidence.policies);
  return {
    about: releaseIn(evidence.manifest),
    hold: verifyStatement(evidence.hold, 'hold', keyRing(newest)),
    rules: { environment: newest.environment, gate: newest, newest, now },
  };
}

export function verifyLift(
  evidence: LiftEvidence,
  root: PinnedRoot,
  now: string,
): { readonly lift: VerifiedLift; readonly rules: Rules } {
  const policies = verifyPolicies(root, evidence.policies);
  const ring = keyRing(policies.newest);
  const request = verifyStatement(evidence.request, 'request', ring);
  const approvals = evidence.approvals.map((approval) => verifyStatement(approval, 'approval', ring));
  return { lift: { ...releaseIn(evidence.manifest), request, approvals }, rules: rulesFor(policies, request, now) };
}

/** Which release a manifest is of. */
export function releaseIn(text: string): HeldRelease {
  const { model, version } = parseManifest(Buffer.from(text, 'utf8'));
  return { model, version, release: sha256(text) };
}

/**
 * The authority of this role behind a model signature over exactly the manifest's files and the manifest itself, with a
 * key that was valid at `at`; without it, with any key of the policy.
 */
export function signerOf(
  bundle: string,
  role: Role,
  policy: Policy,
  manifest: Manifest,
  text: Buffer,
  at: string | null = null,
): string {
  const held = at === null ? keysOfRole(policy, role) : validAt(keysOfRole(policy, role), at);
  const { keyId } = verifyOms(
    Buffer.from(bundle, 'utf8'),
    held.map(({ key }) => key),
    omsResources(manifest, text),
  );
  const owner = held.find(({ key }) => key.keyId === keyId)?.owner;
  if (owner === undefined)
    throw new CustodyError('NOT_AUTHORISED', `nobody with the role ${role} has signed the model`);
  return owner;
}

/** Throws a denial as the error it is. */
export function demand(permission: Permission): readonly string[] {
  if (permission.allowed) return permission.approvers;
  throw new CustodyError(permission.code, permission.reason);
}
