import { z } from 'zod';
import { isDigest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import { PERSON_ROLES, WORKLOAD_ROLES, type Policy, type Role } from '../domain/policy.js';
import { isIsoTime } from '../domain/time.js';
import { DEMANDS } from '../domain/versioning.js';
import { importPublicKey, type PublicKey } from './keys.js';

const seconds = (max: number): z.ZodNumber => z.number().positive().max(max);
const time = z.string().refine(isIsoTime, 'expected a time like 2027-06-30T00:00:00.000Z');
const YEAR = 366 * 86_400;

const key = z.strictObject({
  pem: z.string().refine((pem) => publicKeyOf(pem) !== null, 'not an Ed25519, P-256 or P-384 public key in PEM'),
  validFrom: time.exactOptional(),
  validUntil: time.exactOptional(),
});

const authority = z
  .strictObject({
    id: z.string().regex(/^[a-z0-9][a-z0-9.-]{0,62}$/, 'lower-case letters, digits, dots and dashes'),
    kind: z.enum(['person', 'workload']),
    roles: z.array(z.enum([...new Set<Role>([...PERSON_ROLES, ...WORKLOAD_ROLES])])).min(1),
    keys: z.array(key).min(1).max(16),
  })
  .refine(
    ({ kind, roles }) => {
      const allowed: readonly string[] = kind === 'person' ? PERSON_ROLES : WORKLOAD_ROLES;
      return roles.every((role) => allowed.includes(role));
    },
    { message: 'a person cannot hold a workload role, nor a workload a role of people', path: ['roles'] },
  );

const quorum = z.strictObject({
  role: z.enum(PERSON_ROLES),
  count: z.int().min(1).max(20),
  withinSeconds: seconds(YEAR),
});

const demand = z.enum(DEMANDS);
const versioning = z.strictObject({
  components: z.strictObject({ added: demand, removed: demand }),
  tensors: z.strictObject({ added: demand, removed: demand, shape: demand, dtype: demand }),
  weights: demand,
  vocabulary: z.strictObject({ added: demand, removed: demand, reordered: demand }),
  config: z.strictObject({
    default: demand,
    keys: z.record(z.string().min(1).max(200), demand).refine((keys) => Object.keys(keys).length <= 200, 'at most 200'),
  }),
  prompts: demand,
  guardrails: demand,
  dependencies: z.strictObject({ added: demand, removed: demand, major: demand, minor: demand, patch: demand }),
  serving: demand,
  documentation: demand,
  other: demand,
});

/** A policy as it stands in the signed bytes. */
export const policySchema: z.ZodType<Policy> = z
  .strictObject({
    version: z.int().min(1),
    environment: z.string().regex(/^[a-z][a-z0-9-]{0,15}$/),
    expires: time,
    rootThreshold: z.int().min(1).max(20),
    authorities: z.array(authority).min(1).max(1000),
    versioning,
    artifacts: z.strictObject({ maxFiles: z.int().min(1).max(100_000), maxFileBytes: z.int().min(1) }),
    validation: z.strictObject({
      suite: z.string().refine(isDigest, 'expected a SHA-256 in 64 lower-case hex digits'),
      minimumCases: z.int().min(1),
      minimumAccuracy: z.number().min(0).max(1),
      timeoutSeconds: seconds(86_400),
      always: z
        .array(z.string().regex(/^[\x21-\x7e]{1,200}$/, 'the name of a criterion, in which * stands for anything'))
        .max(1000)
        .exactOptional(),
    }),
    override: z
      .strictObject({ count: z.int().min(1).max(20), withinSeconds: seconds(YEAR), holdsSeconds: seconds(YEAR) })
      .exactOptional(),
    approvals: z.strictObject({ deploy: quorum, restore: quorum, retire: quorum }),
    rollout: z.strictObject({
      steps: z
        .array(z.strictObject({ weight: z.int().min(1).max(100), bakeSeconds: seconds(30 * 86_400) }))
        .min(1)
        .max(32)
        .refine(ascending, 'weights must rise, and the last must be 100'),
      triggers: z.strictObject({
        minimumSamples: z.int().min(1),
        maxErrorRate: z.number().min(0).max(1),
        maxLatencyMs: z.number().positive(),
      }),
      stepTimeoutSeconds: seconds(YEAR),
      deployWithinSeconds: seconds(YEAR),
    }),
    rollback: z.strictObject({ warmReleases: z.int().min(0).max(16) }),
    retention: z.strictObject({
      releasesDays: z.number().positive().max(36_500),
      auditDays: z.number().positive().max(36_500),
      statusDays: z.number().positive().max(36_500),
    }),
    retirement: z.strictObject({ noticeSeconds: seconds(YEAR) }),
    emergency: z.strictObject({
      killResponseSeconds: seconds(3600),
      deployment: z
        .strictObject({
          approval: z.strictObject({ count: z.int().min(1).max(20), withinSeconds: seconds(YEAR) }),
          review: quorum,
          bakeSeconds: seconds(30 * 86_400),
        })
        .exactOptional(),
    }),
    freshness: z
      .strictObject({
        reissueSeconds: seconds(86_400),
        lifetimeSeconds: seconds(30 * 86_400),
        whenStale: z.enum(['serve', 'stop']),
      })
      .refine(({ reissueSeconds, lifetimeSeconds }) => lifetimeSeconds > reissueSeconds, {
        message: 'must exceed reissueSeconds',
        path: ['lifetimeSeconds'],
      }),
  })
  .superRefine(({ authorities, rootThreshold, approvals, override, emergency }, context) => {
    const problem = (message: string, ...path: (string | number)[]): void =>
      context.addIssue({ code: 'custom', message, path });
    const ids = authorities.map(({ id }) => id);
    ids.forEach((id, at) => {
      if (ids.indexOf(id) !== at) problem(`the id ${id} stands twice`, 'authorities', at, 'id');
    });
    const owners = new Map<string, string>();
    authorities.forEach((held, at) =>
      held.keys.forEach(({ pem }, index) => {
        const keyId = publicKeyOf(pem)?.keyId;
        if (keyId === undefined) return;
        const owner = owners.get(keyId);
        if (owner !== undefined)
          problem(`this key is already ${owner}'s: a key has one owner`, 'authorities', at, 'keys', index);
        owners.set(keyId, held.id);
      }),
    );
    const roots = authorities.filter(({ roles }) => roles.includes('root')).length;
    if (roots < rootThreshold) problem(`only ${roots} authorities hold the role root`, 'rootThreshold');
    const demandHolders = (role: Role, count: number, ...path: string[]): void => {
      const holders = authorities.filter(({ roles }) => roles.includes(role)).length;
      if (holders < count) problem(`only ${holders} people hold the role ${role}`, ...path, 'count');
    };
    for (const [act, { role, count }] of Object.entries(approvals)) demandHolders(role, count, 'approvals', act);
    if (override !== undefined) demandHolders('override-authority', override.count, 'override');
    const { deployment } = emergency;
    if (deployment === undefined) return;
    const { approval, review } = deployment;
    demandHolders('security-authority', approval.count, 'emergency', 'deployment', 'approval');
    demandHolders(review.role, review.count, 'emergency', 'deployment', 'review');
  });

const MAX_KNOWN_KEYS = 10_000;
const known = new Map<string, PublicKey | null>();

/** The key of this PEM; `null` where it is none. Checking a point takes milliseconds: once per key is enough. */
export function publicKeyOf(pem: string): PublicKey | null {
  const found = known.get(pem);
  if (found !== undefined) return found;
  const key = readKey(pem);
  if (known.size >= MAX_KNOWN_KEYS) known.clear();
  known.set(pem, key);
  return key;
}

function readKey(pem: string): PublicKey | null {
  try {
    return importPublicKey(pem);
  } catch (error) {
    if (error instanceof CustodyError && error.code === 'MALFORMED') return null;
    throw error;
  }
}

function ascending(steps: readonly { readonly weight: number }[]): boolean {
  return steps.every((step, at) => step.weight > (steps[at - 1]?.weight ?? 0)) && steps.at(-1)?.weight === 100;
}
