import type { Digest } from '../../../domain/digest.js';
import {
  NOT_PROVISIONAL,
  type ProvisionalEvidence,
  type ReleaseEvidence,
  type RetirementEvidence,
} from '../../../domain/evidence.js';
import type { Manifest } from '../../../domain/manifest.js';
import { lifecycleId, type ReleaseName } from '../../../domain/names.js';
import { MAY_SERVE, verifierId } from '../../../domain/promotion.js';
import { dependency } from '../../../domain/provenance.js';
import { stableOf, type RoutingDocument } from '../../../domain/routing.js';
import type {
  AcknowledgementPredicate,
  ApprovalPredicate,
  NoticePredicate,
  ProvenancePredicate,
  RequestAction,
  RequestPredicate,
  TestResultPredicate,
  VulnerabilityPredicate,
  WaiverPredicate,
} from '../../../domain/statements.js';
import { plusSeconds } from '../../../domain/time.js';
import type { VerificationSummaryPredicate } from '../../../domain/provisional-predicates.js';
import type { ScanPredicate } from '../../../domain/scan.js';
import type { ChangePredicate } from '../../../domain/versioning.js';
import { manifestBytes, omsResources } from '../../../formats/manifest.js';
import { signOms } from '../../../formats/oms.js';
import { sha256 } from '../../../formats/sha256.js';
import { defaultFiles, filesOf, manifestOf } from './files.js';
import type { KeyName, Organisation, Signed, Signers } from './organisation.js';
import { firstOf, type Words } from './words.js';

/** The cases and criteria of the organisation's suite. */
export const PASSED = [
  ...['contract/own/latency', 'safety/own/robustness', 'quality/own/tone'],
  ...['cases/own>=3', 'accuracy/own>=0.9'],
] as const;

const PLACES = {
  source: 'file:///releases',
  bundle: 'file:///releases.sigstore',
  provenance: 'file:///releases.provenance.json',
};

export interface Release {
  readonly name: ReleaseName;
  /** The release digest. */
  readonly release: Digest;
  readonly manifest: Manifest;
  readonly manifestText: string;
  /** Everything but `custody.json`, by path. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** The producer's model signature, as text. */
  readonly bundle: string;
  readonly admission: Signed<RequestPredicate>;
  readonly provenance: Signed<ProvenancePredicate>;
  readonly testResult: Signed<TestResultPredicate>;
  readonly scan: Signed<ScanPredicate>;
  readonly change: Signed<ChangePredicate>;
  /** The deploy request. */
  readonly request: Signed<RequestPredicate>;
  readonly approvals: readonly Signed<ApprovalPredicate>[];
  readonly evidence: ReleaseEvidence;
}

/** What a release is made of where it is not to be the plain, complete one. */
export interface ReleaseOptions {
  readonly model?: string;
  readonly version?: string;
  readonly files?: Readonly<Record<string, Buffer | string>>;
  readonly command?: readonly string[];
  /** The routing document in force when deployment is asked for; by default there is none. */
  readonly after?: { readonly document: RoutingDocument } | null;
  readonly producedBy?: KeyName;
  readonly signedBy?: KeyName | null;
  readonly admission?: Partial<RequestPredicate>;
  readonly admissionBy?: Signers;
  readonly provenance?: (usual: ProvenancePredicate) => ProvenancePredicate;
  readonly provenanceBy?: Signers;
  /** The release that the provenance is about. */
  readonly made?: Digest;
  readonly testResult?: Partial<TestResultPredicate>;
  readonly testedBy?: KeyName;
  /** The release that the test result is about. */
  readonly tested?: Digest;
  /** What its files are; by default safetensors, JSON and text. */
  readonly scan?: Partial<ScanPredicate>;
  readonly scannedBy?: KeyName;
  /** The release that was scanned. */
  readonly scanned?: Digest;
  /** What the release changes; by default there is no release before it. */
  readonly change?: Partial<ChangePredicate>;
  readonly changedBy?: KeyName;
  /** The release that the statement of what it changes is about. */
  readonly changed?: Digest;
  readonly request?: Partial<RequestPredicate>;
  readonly requestBy?: Signers;
  /** The release that is the deploy request's subject. */
  readonly requested?: Digest;
  readonly approvals?: (request: Signed<RequestPredicate>) => readonly Signed<ApprovalPredicate>[];
  /** What the environment before has found; without it, nothing was asked of one. */
  readonly promotion?: (made: Pick<Release, 'name' | 'release'>) => Signed<VerificationSummaryPredicate>;
  /** What the deployment provisionally rests on, and how its request names it. */
  readonly rests?: (made: Untried) => Rests;
  readonly evidence?: Partial<ReleaseEvidence>;
}

/** A release before anyone was asked to deploy it. */
export type Untried = Pick<Release, 'name' | 'release' | 'testResult'> & { readonly requester: string };

export interface Rests {
  readonly names: Readonly<Record<string, Digest>>;
  readonly provisional: ProvisionalEvidence;
}

export interface RetirementOptions {
  readonly request?: Partial<RequestPredicate>;
  readonly requestBy?: Signers;
  readonly approvals?: (request: Signed<RequestPredicate>) => readonly Signed<ApprovalPredicate>[];
  readonly notice?: Partial<NoticePredicate>;
  readonly noticeBy?: KeyName;
  readonly noticed?: Digest;
  readonly laterNotices?: (request: Signed<RequestPredicate>) => readonly Signed<NoticePredicate>[];
  readonly acknowledgements?: (request: Signed<RequestPredicate>) => readonly Signed<AcknowledgementPredicate>[];
  readonly waivers?: (request: Signed<RequestPredicate>) => readonly Signed<WaiverPredicate>[];
  readonly vulnerability?: Signed<VulnerabilityPredicate>;
}

export interface SignedRetirement {
  readonly request: Signed<RequestPredicate>;
  readonly approvals: readonly Signed<ApprovalPredicate>[];
  readonly notice: Signed<NoticePredicate>;
  readonly evidence: RetirementEvidence;
}

/** Releases from their start request to the status document, and the ends of releases. */
export function createReleases(organisation: Organisation, words: Words) {
  const { environment, at, keys, policy, policyEnvelope, statement } = organisation;
  const { request, approve } = words;

  function release(options: ReleaseOptions = {}): Release {
    const name = { model: options.model ?? 'digits', version: options.version ?? '1.0.0' };
    const files = filesOf(options.files ?? defaultFiles(name.version));
    const manifest = manifestOf(name, files, options.command ?? ['node', 'serve.mjs']);
    const bytes = manifestBytes(manifest);
    const digest = sha256(bytes);
    const resources = omsResources(manifest, bytes);
    const title = `${name.model} ${name.version}`;
    const bundle = signOms(title, resources, keys[options.producedBy ?? 'trainer']).toString('utf8');
    const signer = options.signedBy === undefined ? 'release-signer' : options.signedBy;
    const subject = { name: lifecycleId(name), sha256: options.requested ?? digest };
    const requester = options.admission?.requester ?? firstOf(options.admissionBy ?? 'ci');

    const action: RequestAction = { kind: 'release', ...PLACES };
    const admission = request(
      { name: lifecycleId(name), sha256: sha256(lifecycleId(name)) },
      { ...name, workflowId: lifecycleId(name), action, requester, issuedAt: at(-50), ...options.admission },
      options.admissionBy ?? 'ci',
    );
    const usual: ProvenancePredicate = {
      buildDefinition: {
        buildType: 'urn:custody:build:declared:v1',
        externalParameters: { ...name },
        resolvedDependencies: [dependency('training-data', 'data.csv', { sha256: sha256('the training data') })],
      },
      runDetails: {
        builder: { id: 'urn:custody:builder:pack' },
        metadata: { invocationId: 'run-1', startedOn: at(-120), finishedOn: at(-60) },
      },
    };
    const provenance = statement(
      'provenance',
      { name: title, sha256: options.made ?? digest },
      options.provenance?.(usual) ?? usual,
      options.provenanceBy ?? options.producedBy ?? 'trainer',
    );
    const testResult = statement(
      'testResult',
      { name: title, sha256: options.tested ?? digest },
      {
        result: 'PASSED',
        configuration: [
          { name: 'suite own 1.0.0', digest: { sha256: policy.validation.suites[0]?.sha256 ?? '' } },
          { name: 'isolation: bubblewrap', digest: { sha256: sha256('its limits') } },
        ],
        passedTests: [...PASSED],
        failedTests: [],
        ...options.testResult,
      },
      options.testedBy ?? 'intake',
    );
    const scan = statement(
      'scan',
      { name: title, sha256: options.scanned ?? digest },
      {
        version: name.version,
        verdict: 'clean',
        formats: [
          { format: 'safetensors', files: 1 },
          { format: 'json', files: 1 },
          { format: 'text', files: 2 },
        ],
        scanners: [],
        tolerated: [],
        findings: [],
        more: 0,
        isolation: 'bubblewrap',
        report: sha256('the report'),
        ...options.scan,
      },
      options.scannedBy ?? 'intake',
    );
    const change = statement(
      'change',
      { name: title, sha256: options.changed ?? digest },
      {
        version: name.version,
        facts: sha256('the facts'),
        from: null,
        components: [],
        changes: [],
        leastBump: 'none',
        ...options.change,
      },
      options.changedBy ?? 'intake',
    );
    const promotion = options.promotion?.({ name, release: digest }) ?? null;
    const rests = options.rests?.({ name, release: digest, testResult, requester });
    const deploy = deployRequest(
      { name, release: digest, bundle, admission, provenance, testResult, scan, change, requester },
      options.after ?? null,
      options.request,
      options.requestBy,
    );
    const approvals = options.approvals?.(deploy) ?? [approve(deploy, 'alice')];
    const evidence: ReleaseEvidence = {
      policies: [policyEnvelope],
      manifest: bytes.toString('utf8'),
      bundle,
      signature: signer === null ? null : signOms(title, resources, keys[signer]).toString('utf8'),
      admission: admission.envelope,
      provenance: provenance.envelope,
      testResult: testResult.envelope,
      scan: scan.envelope,
      change: change.envelope,
      promotion: promotion?.envelope ?? null,
      request: deploy.envelope,
      approvals: approvals.map(({ envelope }) => envelope),
      provisional: rests?.provisional ?? NOT_PROVISIONAL,
      status: words.status().envelope,
      ...options.evidence,
    };
    const manifestText = bytes.toString('utf8');
    const made = {
      scan,
      change,
      name,
      release: digest,
      manifest,
      manifestText,
      files,
      bundle,
      admission,
      provenance,
      testResult,
    };

    return { ...made, request: deploy, approvals, evidence };

    /** What control makes of a validated release: the request that people approve. */
    function deployRequest(
      of: Pick<
        Release,
        'name' | 'release' | 'bundle' | 'admission' | 'provenance' | 'testResult' | 'scan' | 'change'
      > & {
        readonly requester: string;
      },
      after: { readonly document: RoutingDocument } | null,
      overrides: Partial<RequestPredicate> = {},
      by: Signers = 'control',
    ): Signed<RequestPredicate> {
      return request(
        subject,
        {
          ...of.name,
          workflowId: lifecycleId(of.name),
          release: of.release,
          action: deployAction(after),
          evidence: {
            admission: of.admission.digest,
            manifest: of.release,
            bundle: sha256(of.bundle),
            provenance: of.provenance.digest,
            testResult: of.testResult.digest,
            scan: of.scan.digest,
            change: of.change.digest,
            ...(promotion === null ? {} : { promotion: promotion.digest }),
            ...rests?.names,
          },
          requester: of.requester,
          producer: 'trainer',
          ...overrides,
        },
        by,
      );
    }
  }

  function deployAction(
    after: { readonly document: RoutingDocument } | null,
  ): Extract<RequestAction, { kind: 'deploy' }> {
    const stable = stableOf(after?.document ?? null)?.release ?? null;
    const { steps, deployWithinSeconds } = policy.rollout;
    return {
      kind: 'deploy',
      from: { revision: after?.document.revision ?? 0, stable },
      plan: stable === null ? steps.slice(-1) : steps,
      deployBefore: plusSeconds(at(-40), 600 + deployWithinSeconds),
    };
  }

  /** What the environment before says of a release. */
  function summary(
    of: Pick<Release, 'name' | 'release'>,
    change: Partial<VerificationSummaryPredicate> = {},
    by: Signers = 'test-signer',
  ): Signed<VerificationSummaryPredicate> {
    const subject = { name: lifecycleId(of.name), sha256: of.release };
    const usual: VerificationSummaryPredicate = {
      verifier: { id: verifierId('before') },
      timeVerified: at(-60),
      resourceUri: lifecycleId(of.name),
      policy: { uri: 'policies/000000001', digest: { sha256: sha256('the policy before') } },
      inputAttestations: [],
      verificationResult: 'PASSED',
      verifiedLevels: [MAY_SERVE],
    };
    return statement('verificationSummary', subject, { ...usual, ...change }, by);
  }

  /** A retirement that was asked for by rita, approved by alice and bob, and whose notice period is over. */
  function retirement(of: Release, options: RetirementOptions = {}): SignedRetirement {
    const { name, release: digest } = of;
    const by = options.requestBy ?? 'rita';
    const { noticeSeconds } = policy.retirement;
    const subject = { name: lifecycleId(name), sha256: digest };
    const asked = request(
      subject,
      {
        ...name,
        workflowId: lifecycleId(name),
        release: digest,
        action: { kind: 'retire', reason: 'replaced', noticeSeconds },
        requester: firstOf(by),
        ...options.request,
      },
      by,
    );
    const approvals = options.approvals?.(asked) ?? [approve(asked, 'alice'), approve(asked, 'bob')];
    const notice = statement(
      'notice',
      { name: lifecycleId(name), sha256: options.noticed ?? digest },
      {
        environment,
        ...name,
        consumers: [],
        retiresAt: plusSeconds(at(-20), noticeSeconds),
        request: asked.digest,
        issuedAt: at(-20),
        ...options.notice,
      },
      options.noticeBy ?? 'control',
    );
    const evidence: RetirementEvidence = {
      policies: [policyEnvelope],
      manifest: of.manifestText,
      request: asked.envelope,
      approvals: approvals.map(({ envelope }) => envelope),
      notice: notice.envelope,
      laterNotices: (options.laterNotices?.(asked) ?? []).map(({ envelope }) => envelope),
      acknowledgements: (options.acknowledgements?.(asked) ?? []).map(({ envelope }) => envelope),
      waivers: (options.waivers?.(asked) ?? []).map(({ envelope }) => envelope),
      vulnerability: options.vulnerability?.envelope ?? null,
    };
    return { request: asked, approvals, notice, evidence };
  }

  return { release, deployAction, retirement, summary };
}
