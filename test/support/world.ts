import { randomBytes } from 'node:crypto';
import type { Digest } from '../../domain/digest.js';
import type { ReleaseEvidence, RetirementEvidence, RouteDelivery } from '../../domain/evidence.js';
import type { ComponentKind, Manifest } from '../../domain/manifest.js';
import { endpointId, lifecycleId } from '../../domain/names.js';
import type { Authority, Policy, Role } from '../../domain/policy.js';
import {
  planStep,
  promote,
  restored,
  rollbackTo,
  stableOf,
  withdraw,
  type RouteIntent,
  type RoutingDocument,
} from '../../domain/routing.js';
import type {
  ApprovalPredicate,
  KillPredicate,
  NoticePredicate,
  PredicateName,
  PredicateOf,
  ReplicaPredicate,
  RequestAction,
  RequestPredicate,
  RollbackPredicate,
  SignedEnvelope,
  StatusPredicate,
  TestResultPredicate,
} from '../../domain/statements.js';
import { isoTime, plusSeconds } from '../../domain/time.js';
import { envelopeDigest } from '../../formats/dsse.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { generateKey, importPrivateKey, type SigningKey } from '../../formats/keys.js';
import { manifestBytes, omsResources } from '../../formats/manifest.js';
import { signOms } from '../../formats/oms.js';
import { policyDigest, signPolicy, type PinnedRoot } from '../../formats/policy.js';
import { writeSafetensors } from '../../formats/safetensors.js';
import { sha256 } from '../../formats/sha256.js';
import { signStatement } from '../../formats/statements.js';

/** Who there is, what each may do, and with which kind of key. `alice-2` is alice's second key; `mallory` is a stranger. */
const PEOPLE = {
  'root-a': ['root'],
  'root-b': ['root'],
  alice: ['release-approver'],
  bob: ['release-approver'],
  oscar: ['operator'],
  olga: ['operator'],
  otto: ['operator'],
  rita: ['requester'],
  ada: ['auditor'],
  sam: ['security-authority'],
} as const satisfies Record<string, readonly Role[]>;

const WORKLOADS = {
  ci: ['requester'],
  trainer: ['producer'],
  intake: ['validator'],
  'release-signer': ['release-signer'],
  control: ['control'],
  serving: ['serving'],
  gateway: ['gateway'],
} as const satisfies Record<string, readonly Role[]>;

const ECDSA: ReadonlySet<string> = new Set(['trainer', 'release-signer']);
const EXTRA = ['alice-2', 'mallory'] as const;

export type KeyName = keyof typeof PEOPLE | keyof typeof WORKLOADS | (typeof EXTRA)[number];

/** A statement that was signed, with what it says and the digest of its envelope. */
export interface Signed<P> {
  readonly envelope: SignedEnvelope;
  readonly digest: Digest;
  readonly predicate: P;
}

export interface Release {
  readonly name: { readonly model: string; readonly version: string };
  /** The release digest. */
  readonly release: Digest;
  readonly manifest: Manifest;
  readonly manifestText: string;
  /** Everything but `custody.json`, by path. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** The producer's model signature, as text. */
  readonly bundle: string;
  readonly admission: Signed<RequestPredicate>;
  readonly testResult: Signed<TestResultPredicate>;
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
  readonly after?: Route | null;
  readonly producedBy?: KeyName;
  readonly signedBy?: KeyName | null;
  readonly admission?: Partial<RequestPredicate>;
  readonly admissionBy?: KeyName;
  readonly testResult?: Partial<TestResultPredicate>;
  readonly testedBy?: KeyName;
  /** The release that the test result is about. */
  readonly tested?: Digest;
  readonly request?: Partial<RequestPredicate>;
  readonly requestBy?: KeyName;
  readonly approvals?: (request: Signed<RequestPredicate>) => readonly Signed<ApprovalPredicate>[];
  readonly evidence?: Partial<ReleaseEvidence>;
}

/** A routing document, and what control would deliver to a gateway for it. */
export interface Route {
  readonly digest: Digest;
  readonly document: RoutingDocument;
  readonly envelope: SignedEnvelope;
  readonly request: Signed<RequestPredicate> | null;
  readonly approvals: readonly Signed<ApprovalPredicate>[];
  readonly delivery: RouteDelivery;
}

interface RouteOptions {
  readonly by?: KeyName;
  readonly document?: Partial<RoutingDocument>;
  readonly request?: Signed<RequestPredicate> | null;
  readonly approvals?: readonly Signed<ApprovalPredicate>[];
  readonly isNewest?: boolean;
}

export interface WorldOptions {
  readonly environment?: string;
  /** Changes the first policy before it is signed. */
  readonly policy?: (policy: Policy) => Policy;
}

export type World = ReturnType<typeof createWorld>;

export const nonce = (): string => randomBytes(18).toString('base64url');

/**
 * A small organisation: keys, a signed policy, and builders of everything people and processes sign. All is valid unless
 * it is asked to be otherwise. Times are near the real now, since processes check freshness by their own clock.
 */
export function createWorld({ environment = 'test', policy: change = (p) => p }: WorldOptions = {}) {
  const base = Date.now();
  const at = (seconds: number): string => isoTime(base + seconds * 1000);
  const names = [...Object.keys(PEOPLE), ...Object.keys(WORKLOADS), ...EXTRA] as KeyName[];
  const pems = byName(names, (name) => generateKey(ECDSA.has(name) ? 'ecdsa-p256' : 'ed25519'));
  const keys = byName(names, (name): SigningKey => importPrivateKey(pems[name].privatePem));
  const policy = change(firstPolicy(environment, at(86_400), pems));
  const policyEnvelope = signPolicy(policy, [keys['root-a'], keys['root-b']]);
  const gate = policyDigest(policy);
  const root: PinnedRoot = {
    environment,
    rootKeys: [pems['root-a'].publicPem, pems['root-b'].publicPem],
    threshold: 2,
  };

  function statement<K extends PredicateName>(
    name: K,
    subject: { readonly name: string; readonly sha256: Digest },
    predicate: PredicateOf[K],
    ...by: KeyName[]
  ): Signed<PredicateOf[K]> {
    const envelope = signStatement(
      name,
      subject,
      predicate,
      by.map((signer) => keys[signer]),
    );
    return { envelope, digest: envelopeDigest(envelope), predicate };
  }

  /** The policy after `before`, signed by the given root keys. */
  function nextPolicy(
    edit: (policy: Policy) => Policy,
    before: Policy = policy,
    by: readonly SigningKey[] = [keys['root-a'], keys['root-b']],
  ): { readonly policy: Policy; readonly envelope: SignedEnvelope } {
    const next = edit({ ...before, version: before.version + 1 });
    return { policy: next, envelope: signPolicy(next, by) };
  }

  function request(
    about: { readonly name: string; readonly sha256: Digest },
    predicate: Pick<RequestPredicate, 'model' | 'workflowId' | 'action' | 'requester'> & Partial<RequestPredicate>,
    ...by: KeyName[]
  ): Signed<RequestPredicate> {
    const issuedAt = predicate.issuedAt ?? at(-40);
    return statement(
      'request',
      about,
      {
        requestId: `${predicate.action.kind}-${randomBytes(4).toString('hex')}`,
        nonce: nonce(),
        environment,
        version: null,
        release: null,
        evidence: {},
        policy: gate,
        producer: null,
        expiresAt: plusSeconds(issuedAt, 600),
        ...predicate,
        issuedAt,
      },
      ...by,
    );
  }

  /** One person's approval, or with `decision: 'reject'` the contrary. */
  function approve(
    asked: Signed<RequestPredicate>,
    by: KeyName | readonly KeyName[],
    overrides: Partial<ApprovalPredicate> & { readonly subject?: Digest } = {},
  ): Signed<ApprovalPredicate> {
    const { subject = asked.digest, ...predicate } = overrides;
    const { requestId, workflowId, expiresAt } = asked.predicate;
    return statement(
      'approval',
      { name: requestId, sha256: subject },
      {
        requestId,
        nonce: nonce(),
        environment: asked.predicate.environment,
        workflowId,
        decision: 'approve',
        reason: 'looks right',
        issuedAt: at(-30),
        expiresAt,
        ...predicate,
      },
      ...(typeof by === 'string' ? [by] : by),
    );
  }

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
    const subject = { name: lifecycleId(name), sha256: digest };
    const requester = options.admission?.requester ?? options.admissionBy ?? 'ci';

    const action: RequestAction = { kind: 'release', source: 'file:///releases', bundle: 'file:///releases.sigstore' };
    const admission = request(
      { name: lifecycleId(name), sha256: sha256(lifecycleId(name)) },
      { ...name, workflowId: lifecycleId(name), action, requester, issuedAt: at(-50), ...options.admission },
      options.admissionBy ?? 'ci',
    );
    const testResult = statement(
      'testResult',
      { name: title, sha256: options.tested ?? digest },
      {
        result: 'PASSED',
        configuration: [{ name: 'suite.yaml', digest: { sha256: policy.validation.suite } }],
        passedTests: ['accuracy', 'latency', 'robustness'],
        failedTests: [],
        ...options.testResult,
      },
      options.testedBy ?? 'intake',
    );
    const deploy = deployRequest(
      { name, release: digest, bundle, admission, testResult, requester },
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
      testResult: testResult.envelope,
      request: deploy.envelope,
      approvals: approvals.map(({ envelope }) => envelope),
      status: status().envelope,
      ...options.evidence,
    };
    const manifestText = bytes.toString('utf8');
    const made = { name, release: digest, manifest, manifestText, files, bundle, admission, testResult };
    return { ...made, request: deploy, approvals, evidence };

    /** What control makes of a validated release: the request that people approve. */
    function deployRequest(
      of: Pick<Release, 'name' | 'release' | 'bundle' | 'admission' | 'testResult'> & { readonly requester: string },
      after: Route | null,
      overrides: Partial<RequestPredicate> = {},
      by: KeyName = 'control',
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
            testResult: of.testResult.digest,
          },
          requester: of.requester,
          producer: 'trainer',
          ...overrides,
        },
        by,
      );
    }
  }

  function deployAction(after: Route | null): Extract<RequestAction, { kind: 'deploy' }> {
    const stable = stableOf(after?.document ?? null)?.release ?? null;
    const { steps, deployWithinSeconds } = policy.rollout;
    return {
      kind: 'deploy',
      from: { revision: after?.document.revision ?? 0, stable },
      plan: stable === null ? steps.slice(-1) : steps,
      deployBefore: plusSeconds(at(-40), 600 + deployWithinSeconds),
    };
  }

  /** A status document: fresh, with nothing revoked and nothing killed. */
  function status(overrides: Partial<StatusPredicate> = {}, by: KeyName = 'control'): Signed<StatusPredicate> {
    const now = Date.now();
    return statement(
      'status',
      { name: 'status', sha256: sha256(`status ${now}`) },
      {
        environment,
        version: now,
        issuedAt: isoTime(now),
        expiresAt: isoTime(now + policy.freshness.lifetimeSeconds * 1000),
        revoked: [],
        kills: [],
        ...overrides,
      },
      by,
    );
  }

  function order(model: string): { name: string; sha256: Digest } {
    return { name: endpointId(model), sha256: sha256(endpointId(model)) };
  }

  function kill(by: KeyName = 'oscar', overrides: Partial<KillPredicate> = {}): Signed<KillPredicate> {
    const model = overrides.model ?? 'digits';
    const times = { issuedAt: at(-10), expiresAt: at(590) };
    const said = { environment, model, nonce: nonce(), reason: 'it answers nonsense', ...times, ...overrides };
    return statement('kill', order(model), said, by);
  }

  function rollbackOrder(by: KeyName = 'oscar', overrides: Partial<RollbackPredicate> = {}): Signed<RollbackPredicate> {
    const model = overrides.model ?? 'digits';
    const times = { issuedAt: at(-10), expiresAt: at(590) };
    const said = { environment, model, nonce: nonce(), target: null, reason: 'it was better', ...times, ...overrides };
    return statement('rollback', order(model), said, by);
  }

  /** Where serving runs a release; short-lived, as serving's own are. */
  function replica(
    of: Pick<Release, 'name' | 'release'>,
    overrides: Partial<ReplicaPredicate> = {},
    by: KeyName = 'serving',
  ): Signed<ReplicaPredicate> {
    const now = Date.now();
    const times = { issuedAt: isoTime(now), expiresAt: isoTime(now + 10_000) };
    const said = { environment, ...of.name, host: '127.0.0.1', port: 8080, ...times, ...overrides };
    return statement('replica', { name: lifecycleId(of.name), sha256: of.release }, said, by);
  }

  function restoreRequest(
    current: Pick<Route, 'document'>,
    kills: readonly Digest[],
    overrides: Partial<RequestPredicate> = {},
    by: KeyName = 'oscar',
  ): Signed<RequestPredicate> {
    const { model, revision } = current.document;
    const action: RequestAction = { kind: 'restore', kills, revision };
    const said = { model, workflowId: endpointId(model), action, requester: by, ...overrides };
    return request(order(model), said, by);
  }

  /** A retirement that was asked for by rita, approved by alice and bob, and whose notice period is over. */
  function retirement(
    of: Release,
    options: {
      readonly request?: Partial<RequestPredicate>;
      readonly requestBy?: KeyName;
      readonly approvals?: (request: Signed<RequestPredicate>) => readonly Signed<ApprovalPredicate>[];
      readonly notice?: Partial<NoticePredicate>;
      readonly noticeBy?: KeyName;
      readonly noticed?: Digest;
    } = {},
  ): {
    readonly request: Signed<RequestPredicate>;
    readonly approvals: readonly Signed<ApprovalPredicate>[];
    readonly notice: Signed<NoticePredicate>;
    readonly evidence: RetirementEvidence;
  } {
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
        requester: by,
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
    };
    return { request: asked, approvals, notice, evidence };
  }

  /** Signs the document that follows `current`; the next one is made a second later than the one before. */
  function route(current: Route | null, intent: RouteIntent, model: string, options: RouteOptions = {}): Route {
    const { request: asked = null, approvals = [] } = options;
    const document: RoutingDocument = {
      environment,
      model,
      revision: (current?.document.revision ?? 0) + 1,
      previous: current?.digest ?? null,
      ...intent,
      policy: asked?.predicate.policy ?? gate,
      issuedAt: current === null ? at(-20) : plusSeconds(current.document.issuedAt, 1),
      ...options.document,
    };
    const subject = { name: endpointId(model), sha256: sha256(canonicalBytes(document)) };
    const { envelope, digest } = statement('route', subject, document, options.by ?? 'control');
    const delivery: RouteDelivery = {
      policies: [policyEnvelope],
      document: envelope,
      request: asked?.envelope ?? null,
      approvals: approvals.map((approval) => approval.envelope),
      isNewest: options.isNewest ?? true,
    };
    return { digest, document, envelope, request: asked, approvals, delivery };
  }

  /**
   * One step of a release's plan. Step 0 asks anew where the release's own request is for another revision than `current`;
   * later steps go on with the request of the step before.
   */
  function routePlan(
    current: Route | null,
    of: Release,
    options: RouteOptions & { readonly step?: number } = {},
  ): Route {
    const step = options.step ?? 0;
    const { request: asked, approvals } = groundsOf(current, of, step);
    const grounds = { request: options.request ?? asked, approvals: options.approvals ?? approvals };
    const { action } = grounds.request.predicate;
    const planned = action.kind === 'deploy' ? action.plan[step] : undefined;
    const target = { release: of.release, version: of.name.version, weight: planned?.weight ?? 100 };
    const position = { request: grounds.request.digest, step };
    const { rollout, rollback } = policy;
    const before = current?.document ?? null;
    const intent = planStep(before, target, position, rollout.triggers, rollback.warmReleases);
    return route(current, intent, of.name.model, { ...options, ...grounds });
  }

  function groundsOf(
    current: Route | null,
    of: Release,
    step: number,
  ): { request: Signed<RequestPredicate>; approvals: readonly Signed<ApprovalPredicate>[] } {
    if (step > 0 && current?.request != null) return { request: current.request, approvals: current.approvals };
    const { action } = of.request.predicate;
    if (action.kind === 'deploy' && action.from.revision === (current?.document.revision ?? 0)) return of;
    const subject = { name: lifecycleId(of.name), sha256: of.release };
    const asked = request(
      subject,
      { ...of.request.predicate, nonce: nonce(), action: deployAction(current) },
      'control',
    );
    return { request: asked, approvals: [approve(asked, 'alice')] };
  }

  const routes = {
    route,
    routePlan,
    promote: (current: Route, options?: RouteOptions) =>
      route(current, promote(current.document), current.document.model, options),
    rollback: (
      current: Route,
      target: Digest | null = stableOf(current.document)?.release ?? null,
      options?: RouteOptions,
    ) => route(current, rollbackTo(current.document, target), current.document.model, options),
    withdraw: (current: Route, gone: Digest, options?: RouteOptions) =>
      route(current, withdraw(current.document, gone), current.document.model, options),
    /** Lifts these orders, as oscar asked and olga and otto agreed. */
    restored: (current: Route, kills: readonly Signed<KillPredicate>[], options: RouteOptions = {}) => {
      const digests = kills.map(({ digest }) => digest);
      const asked = options.request ?? restoreRequest(current, digests);
      const approvals = options.approvals ?? [approve(asked, 'olga'), approve(asked, 'otto')];
      const orders = kills.map(({ digest, predicate }) => ({ order: digest, until: predicate.expiresAt }));
      const intent = restored(current.document, orders, asked.digest, at(0));
      return route(current, intent, current.document.model, { ...options, request: asked, approvals });
    },
    /** A release that serves all callers, through all the steps of its plan: the deliveries in order. */
    inService: (of: Release, current: Route | null = null): Route[] => {
      const chain: Route[] = [];
      const last = (): Route | null => chain.at(-1) ?? current;
      const steps = deployAction(current).plan.length;
      for (let step = 0; step < steps; step += 1) chain.push(routePlan(last(), of, { step }));
      const end = last();
      if (end !== null) chain.push(routes.promote(end));
      return chain;
    },
  };

  const made = { environment, at, keys, pems, policy, policyEnvelope, policyDigest: gate, root, nextPolicy };
  const words = { statement, request, approve, release, status, kill, rollbackOrder, replica };
  return { ...made, ...words, restoreRequest, retirement, ...routes };
}

function byName<T>(names: readonly KeyName[], make: (name: KeyName) => T): Record<KeyName, T> {
  return Object.fromEntries(names.map((name) => [name, make(name)])) as Record<KeyName, T>;
}

function firstPolicy(
  environment: string,
  expires: string,
  pems: Readonly<Record<KeyName, { readonly publicPem: string }>>,
): Policy {
  const authority =
    (kind: Authority['kind']) =>
    ([id, roles]: [string, readonly Role[]]): Authority => ({
      id,
      kind,
      roles,
      keys: (id === 'alice' ? ['alice', 'alice-2'] : [id]).map((key) => ({ pem: pems[key as KeyName].publicPem })),
    });
  return {
    version: 1,
    environment,
    expires,
    rootThreshold: 2,
    authorities: [
      ...Object.entries(PEOPLE).map(authority('person')),
      ...Object.entries(WORKLOADS).map(authority('workload')),
    ],
    artifacts: { maxFiles: 1000, maxFileBytes: 1024 ** 3 },
    validation: { suite: sha256('the suite'), minimumCases: 3, minimumAccuracy: 0.9, timeoutSeconds: 60 },
    approvals: {
      deploy: { role: 'release-approver', count: 1, withinSeconds: 600 },
      restore: { role: 'operator', count: 2, withinSeconds: 600 },
      retire: { role: 'release-approver', count: 2, withinSeconds: 600 },
    },
    rollout: {
      steps: [
        { weight: 10, bakeSeconds: 0.2 },
        { weight: 50, bakeSeconds: 0.2 },
        { weight: 100, bakeSeconds: 0.2 },
      ],
      triggers: { minimumSamples: 20, maxErrorRate: 0.1, maxLatencyMs: 1000 },
      stepTimeoutSeconds: 30,
      deployWithinSeconds: 600,
    },
    rollback: { warmReleases: 2 },
    retention: { releasesDays: 1, auditDays: 1, statusDays: 1 },
    retirement: { noticeSeconds: 1 },
    emergency: { killResponseSeconds: 5 },
    freshness: { reissueSeconds: 2, lifetimeSeconds: 300, whenStale: 'serve' },
  };
}

function defaultFiles(version: string): Record<string, Buffer | string> {
  const data = Buffer.alloc(16, version);
  return {
    'weights.safetensors': writeSafetensors([{ name: 'weight', dtype: 'F32', shape: [2, 2], data }]),
    'config.json': `{"version":"${version}"}\n`,
    'serve.mjs': 'process.exit(0);\n',
    'README.md': `# ${version}\n`,
  };
}

function filesOf(files: Readonly<Record<string, Buffer | string>>): Map<string, Buffer> {
  return new Map(Object.entries(files).map(([path, content]) => [path, Buffer.from(content)]));
}

const KINDS: readonly [string, ComponentKind][] = [
  ['.safetensors', 'weights'],
  ['.mjs', 'serving'],
  ['.lock.json', 'dependencies'],
  ['.md', 'documentation'],
  ['', 'config'],
];

function manifestOf(
  name: { readonly model: string; readonly version: string },
  files: ReadonlyMap<string, Buffer>,
  command: readonly string[],
): Manifest {
  const byKind = new Map<ComponentKind, string[]>();
  for (const path of files.keys()) {
    const kind = KINDS.find(([ending]) => path.endsWith(ending))?.[1] ?? 'config';
    byKind.set(kind, [...(byKind.get(kind) ?? []), path]);
  }
  return {
    schema: 'https://custody.dev/manifest/v1',
    ...name,
    components: [...byKind].map(([kind, paths]) => ({ name: kind, kind, version: name.version, files: paths })),
    files: [...files].map(([path, bytes]) => ({ path, size: bytes.length, sha256: sha256(bytes) })),
    serving: { protocol: 'open-inference-v2', command },
  };
}
