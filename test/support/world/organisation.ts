import { randomBytes } from 'node:crypto';
import { DEVELOPMENT_VERSIONING } from '../../../client/init.js';
import type { Digest } from '../../../domain/digest.js';
import type { DrillRules } from '../../../domain/drill.js';
import type { Authority, OidcIdentity, Policy, Role } from '../../../domain/policy.js';
import type { PredicateName, PredicateOf, SignedEnvelope } from '../../../domain/statements.js';
import { CONSTRUCTS, DATA_FORMATS } from '../../../domain/artifacts.js';
import { isoTime } from '../../../domain/time.js';
import { envelopeDigest } from '../../../formats/dsse.js';
import { generateKey, importPrivateKey, type EnvelopeSigner, type SigningKey } from '../../../formats/keys.js';
import { policyDigest, signPolicy, type PinnedRoot } from '../../../formats/policy.js';
import { sha256 } from '../../../formats/sha256.js';
import { signStatement } from '../../../formats/statements.js';

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
  vera: ['override-authority'],
  vito: ['override-authority'],
  remy: ['reviewer'],
  rolf: ['reviewer'],
  carla: ['consumer'],
  cesar: ['consumer'],
  mona: ['monitor'],
  dana: ['data-steward'],
  dora: ['data-steward'],
} as const satisfies Record<string, readonly Role[]>;

const WORKLOADS = {
  ci: ['requester'],
  trainer: ['producer'],
  intake: ['validator'],
  'release-signer': ['release-signer'],
  control: ['control'],
  serving: ['serving'],
  gateway: ['gateway'],
  api: ['api'],
  siem: ['monitor'],
  driller: ['drill'],
  archive: ['publisher'],
  /** Speaks for the environment before. */
  'test-signer': ['verifier'],
} as const satisfies Record<string, readonly Role[]>;

/** By which tokens `pipeline`, which has no key, is known to the api. */
export const PIPELINE: OidcIdentity = {
  issuer: 'https://tokens.example',
  audience: 'custody',
  claims: { sub: 'repo:acme/digits:ref:refs/heads/main', event_name: 'push' },
};

const ECDSA: ReadonlySet<string> = new Set(['trainer', 'release-signer', 'test-signer']);
const EXTRA = ['alice-2', 'mallory'] as const;

export type KeyName = keyof typeof PEOPLE | keyof typeof WORKLOADS | (typeof EXTRA)[number];

/** A statement that was signed, with what it says and the digest of its envelope. */
export interface Signed<P> {
  readonly envelope: SignedEnvelope;
  readonly digest: Digest;
  readonly predicate: P;
}

export interface Subject {
  readonly name: string;
  readonly sha256: Digest;
}

/** One signer, or several on one envelope. */
export type Signers = KeyName | readonly KeyName[];

export interface WorldOptions {
  readonly environment?: string;
  /** Changes the first policy before it is signed. */
  readonly policy?: (policy: Policy) => Policy;
  /** Who signs statements with something else than the key made here: `policy` enrols it. */
  readonly signers?: Partial<Record<KeyName, EnvelopeSigner>>;
}

export const nonce = (): string => randomBytes(18).toString('base64url');

export type Organisation = ReturnType<typeof createOrganisation>;

/** People and processes with their keys, and the policy that says what each may do. */
export function createOrganisation({
  environment = 'test',
  policy: change = (p) => p,
  signers = {},
}: WorldOptions = {}) {
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
    subject: Subject,
    predicate: PredicateOf[K],
    by: Signers,
  ): Signed<PredicateOf[K]> {
    const envelope = signStatement(
      name,
      subject,
      predicate,
      (typeof by === 'string' ? [by] : by).map((signer) => signers[signer] ?? keys[signer]),
    );
    return { envelope, digest: envelopeDigest(envelope), predicate };
  }

  /** The policy after `before`, signed by the given root keys. */
  function nextPolicy(
    edit: (policy: Policy) => Policy,
    before: Policy = policy,
    by: readonly EnvelopeSigner[] = [keys['root-a'], keys['root-b']],
  ): { readonly policy: Policy; readonly envelope: SignedEnvelope } {
    const next = edit({ ...before, version: before.version + 1 });
    return { policy: next, envelope: signPolicy(next, by) };
  }

  return { environment, at, keys, pems, policy, policyEnvelope, policyDigest: gate, root, nextPolicy, statement };
}

function byName<T>(names: readonly KeyName[], make: (name: KeyName) => T): Record<KeyName, T> {
  return Object.fromEntries(names.map((name) => [name, make(name)])) as Record<KeyName, T>;
}

/** The policy of an organisation that lets a few people override and deploy in an emergency. */
export function withProvisions(policy: Policy): Policy {
  return {
    ...policy,
    override: { count: 1, withinSeconds: 600, holdsSeconds: 7 * 86_400 },
    emergency: {
      ...policy.emergency,
      deployment: {
        approval: { count: 1, withinSeconds: 600 },
        review: { role: 'reviewer', count: 1, withinSeconds: 3 * 86_400 },
        bakeSeconds: 0.2,
      },
    },
  };
}

/** The policy of an organisation that drills an endpoint: by default the one of digits. */
export const withDrills =
  (change: Partial<DrillRules> = {}) =>
  (policy: Policy): Policy => ({
    ...policy,
    drills: { model: 'digits', everySeconds: 3600, rollbackMs: 1000, killMs: 500, restoreMs: 2000, ...change },
  });

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
      { id: 'pipeline', kind: 'workload', roles: ['requester'], keys: [], oidc: PIPELINE },
    ],
    versioning: DEVELOPMENT_VERSIONING,
    artifacts: { maxFiles: 1000, maxFileBytes: 1024 ** 3, formats: DATA_FORMATS, denied: CONSTRUCTS, scanners: [] },
    validation: {
      suites: [{ suite: 'own', version: '1.0.0', sha256: sha256('the suite'), minimumCases: 3, minimumAccuracy: 0.9 }],
      timeoutSeconds: 60,
    },
    approvals: {
      deploy: { role: 'release-approver', count: 1, withinSeconds: 600 },
      restore: { role: 'operator', count: 2, withinSeconds: 600 },
      retire: { role: 'release-approver', count: 2, withinSeconds: 600 },
      train: { role: 'release-approver', count: 1, withinSeconds: 600 },
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
    retention: { releasesDays: 7, auditDays: 7, statusDays: 1 },
    retirement: { noticeSeconds: 1 },
    emergency: { killResponseSeconds: 5 },
    training: {
      repositories: [{ name: 'digits', branch: 'main', reviewers: 1 }],
      limits: { wallSeconds: 600, cpuSeconds: 600, memoryMb: 4096, outputMb: 256 },
    },
    freshness: { reissueSeconds: 2, lifetimeSeconds: 300, whenStale: 'serve' },
  };
}
