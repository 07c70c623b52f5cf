import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import { builtInFolder } from '../adapters/model-server/built-in.js';
import { CONSTRUCTS, DATA_FORMATS } from '../domain/artifacts.js';
import { CustodyError } from '../domain/errors.js';
import type { Authority, Policy, Role, SuiteRule } from '../domain/policy.js';
import type { Protocol } from '../domain/protocol.js';
import type { Suite } from '../domain/suite.js';
import { isoTime } from '../domain/time.js';
import { generateKey, importPrivateKey, type KeyAlgorithm } from '../formats/keys.js';
import { parsePolicyYaml, policyJsonSchema, signPolicy, type PinnedRoot } from '../formats/policy.js';
import { sha256 } from '../formats/sha256.js';
import { parseSuite } from '../formats/suite.js';
import { replaceFile } from './files.js';
import type { Layout } from './stack/layout.js';

const YEAR_MS = 365 * 86_400_000;
/** Signs what Alertmanager tells the api. */
export const ALERT_KEY = 'alertmanager';
/** Orders drills. */
export const DRILL_KEY = 'drill';

interface Member {
  readonly id: string;
  readonly kind: Authority['kind'];
  readonly roles: readonly Role[];
  readonly algorithm?: KeyAlgorithm;
}

/** The people and workloads of a development environment. In production every one of them makes a key of their own. */
const MEMBERS: readonly Member[] = [
  { id: 'rosa', kind: 'person', roles: ['root'] },
  { id: 'alice', kind: 'person', roles: ['release-approver'] },
  { id: 'bob', kind: 'person', roles: ['release-approver'] },
  { id: 'oscar', kind: 'person', roles: ['operator'] },
  { id: 'olga', kind: 'person', roles: ['operator'] },
  { id: 'otto', kind: 'person', roles: ['operator', 'requester'] },
  { id: 'vera', kind: 'person', roles: ['override-authority'] },
  { id: 'sam', kind: 'person', roles: ['security-authority'] },
  { id: 'rita', kind: 'person', roles: ['reviewer'] },
  { id: 'ada', kind: 'person', roles: ['auditor'] },
  { id: 'theo', kind: 'person', roles: ['requester'] },
  { id: 'dana', kind: 'person', roles: ['data-steward'] },
  { id: 'mona', kind: 'person', roles: ['monitor'] },
  { id: 'archive', kind: 'workload', roles: ['publisher'] },
  { id: 'ci', kind: 'workload', roles: ['requester'] },
  { id: 'trainer', kind: 'workload', roles: ['producer'], algorithm: 'ecdsa-p256' },
  { id: 'intake', kind: 'workload', roles: ['validator'] },
  { id: 'release-signer', kind: 'workload', roles: ['release-signer'], algorithm: 'ecdsa-p256' },
  { id: 'control', kind: 'workload', roles: ['control'] },
  { id: 'api', kind: 'workload', roles: ['api'] },
  { id: ALERT_KEY, kind: 'workload', roles: ['monitor'] },
  { id: 'serving', kind: 'workload', roles: ['serving'] },
  { id: DRILL_KEY, kind: 'workload', roles: ['drill'] },
];
/** The log's own key: no authority, its public half is what verifiers pin. */
export const AUDIT_KEY = 'audit-log';
/** The one before, until it has handed the log over. */
export const PREVIOUS_AUDIT_KEY = 'audit-log.previous';
/** What editors check the policy.yaml beside it against. */
const POLICY_SCHEMA = 'policy.schema.json';

export interface InitOptions {
  readonly environment: string;
  /** The suite that every release must pass. */
  readonly suite: string;
}

/**
 * Makes the keys, the pinned root and the first, signed policy of a development environment. What is there is left alone:
 * a second run changes nothing. Answers the policy's path.
 */
export function initialise(layout: Layout, { environment, suite }: InitOptions): { readonly created: boolean } {
  if (existsSync(layout.root)) return { created: false };
  chmodSync(layout.folder('keys'), 0o700);
  const authorities = MEMBERS.map(({ id, kind, roles, algorithm = 'ed25519' }) => {
    const { publicPem } = writeKey(layout.key(id), algorithm);
    return { id, kind, roles, keys: [{ pem: publicPem }] };
  });
  writeKey(layout.key(AUDIT_KEY), 'ed25519');
  replaceFile(layout.alertToken, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 });

  const policy = developmentPolicy(environment, authorities, developmentSuites(readFileSync(suite)));
  replaceFile(layout.path(POLICY_SCHEMA), `${JSON.stringify(policyJsonSchema(), null, 2)}\n`);
  const yaml = `# yaml-language-server: $schema=./${POLICY_SCHEMA}\n${stringify(policy, { lineWidth: 0 })}`;
  const file = layout.path('policy.yaml');
  replaceFile(file, yaml);
  const { value: checked } = parsePolicyYaml(yaml, file);
  const rosa = importPrivateKey(readFileSync(layout.key('rosa'), 'utf8'));
  mkdirSync(dirname(layout.policy(1)), { recursive: true });
  replaceFile(layout.policy(1), `${JSON.stringify(signPolicy(checked, [rosa]))}\n`);
  const root: PinnedRoot = { environment, rootKeys: [rosa.pem], threshold: 1 };
  // Last, because its presence says that the rest is there.
  replaceFile(layout.root, `${JSON.stringify(root, null, 2)}\n`);
  return { created: true };
}

function writeKey(file: string, algorithm: KeyAlgorithm): { readonly publicPem: string } {
  const { privatePem, publicPem } = generateKey(algorithm);
  replaceFile(file, privatePem, { mode: 0o600 });
  return { publicPem };
}

/** What a retrained or rewritten model demands of its version, as far as callers notice. */
export const DEVELOPMENT_VERSIONING: Policy['versioning'] = {
  components: { added: 'minor', removed: 'major' },
  tensors: { added: 'minor', removed: 'minor', shape: 'minor', dtype: 'minor' },
  weights: 'minor',
  vocabulary: { added: 'minor', removed: 'major', reordered: 'major' },
  config: {
    default: 'minor',
    // What callers send, and what they are answered.
    keys: { input: 'major', 'architecture.inputs': 'major', 'architecture.outputs': 'major' },
  },
  prompts: 'minor',
  guardrails: 'minor',
  dependencies: { added: 'minor', removed: 'minor', major: 'minor', minor: 'minor', patch: 'patch' },
  serving: 'minor',
  documentation: 'patch',
  other: 'major',
};

const BUILT_IN: Readonly<Record<Protocol, string>> = {
  'open-inference-v2': 'input-validation-inference.yaml',
  'openai-chat': 'input-validation-chat.yaml',
};

/** The suite of the model that a development environment is set up for, and what every endpoint of its kind must bear. */
function developmentSuites(bytes: Buffer): readonly SuiteRule[] {
  const own = parseSuite(bytes);
  const rule = ({ suite, version }: Suite, of: Buffer): SuiteRule => ({
    ...{ suite, version, sha256: sha256(of), minimumCases: 20 },
  });
  const measured = own.accuracy === undefined ? {} : { minimumAccuracy: own.accuracy.floor, minimumRows: 20 };
  const builtIn = readFileSync(join(builtInFolder(), BUILT_IN[own.protocol]));
  return [{ ...rule(own, bytes), ...measured }, rule(parseSuite(builtIn), builtIn)];
}

/** Short times, so that a whole life fits into minutes. */
export function developmentPolicy(
  environment: string,
  authorities: readonly Authority[],
  suites: readonly SuiteRule[],
): Policy {
  const hour = 3600;
  return {
    version: 1,
    environment,
    expires: isoTime(Date.now() + YEAR_MS),
    rootThreshold: 1,
    authorities,
    versioning: DEVELOPMENT_VERSIONING,
    artifacts: {
      maxFiles: 10_000,
      maxFileBytes: 256 * 2 ** 30,
      formats: DATA_FORMATS,
      denied: CONSTRUCTS,
      scanners: [],
    },
    validation: { suites, timeoutSeconds: 300, always: ['safety/*'] },
    override: { count: 1, withinSeconds: hour, holdsSeconds: 7 * 24 * hour },
    approvals: {
      deploy: { role: 'release-approver', count: 1, withinSeconds: 24 * hour },
      restore: { role: 'operator', count: 2, withinSeconds: hour },
      retire: { role: 'release-approver', count: 2, withinSeconds: 24 * hour },
      train: { role: 'release-approver', count: 1, withinSeconds: 24 * hour },
    },
    rollout: {
      steps: [
        { weight: 10, bakeSeconds: 3 },
        { weight: 50, bakeSeconds: 3 },
        { weight: 100, bakeSeconds: 3 },
      ],
      triggers: {
        ...{ minimumSamples: 20, maxErrorRate: 0.05, maxLatencyMs: 1000 },
        comparison: { maxFalseAlarmRate: 0.01, tolerance: 0.01 },
      },
      breaker: {
        ...{ windowSeconds: 10, minimumSamples: 50, maxErrorRate: 0.5, maxLatencyMs: 10_000 },
        ...{ consecutiveFailures: 20, openSeconds: 5, probes: 3 },
      },
      stepTimeoutSeconds: 120,
      deployWithinSeconds: hour,
    },
    rollback: { warmReleases: 2 },
    retention: { releasesDays: 7, auditDays: 7, statusDays: 1 },
    retirement: { noticeSeconds: 10, waiver: 'security-authority' },
    emergency: {
      killResponseSeconds: 5,
      deployment: {
        approval: { count: 1, withinSeconds: hour },
        review: { role: 'reviewer', count: 1, withinSeconds: 72 * hour },
        bakeSeconds: 3,
      },
    },
    inventory: { unknownCallers: 'record' },
    training: {
      repositories: [{ name: 'digits', branch: 'main', reviewers: 1 }],
      limits: { wallSeconds: 600, cpuSeconds: 1200, memoryMb: 4096, outputMb: 1024 },
    },
    freshness: { reissueSeconds: 20, lifetimeSeconds: 300, whenStale: 'stop' },
  };
}

/** The key of somebody, from a file. INPUT_MISSING says what to do. */
export function readKey(file: string): ReturnType<typeof importPrivateKey> {
  if (!existsSync(file)) throw new CustodyError('INPUT_MISSING', `there is no key file ${file}: name one with --key`);
  return importPrivateKey(readFileSync(file, 'utf8'));
}
