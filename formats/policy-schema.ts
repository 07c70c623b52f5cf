import { z } from 'zod';
import { CONSTRUCTS, DATA_FORMATS, SCANNABLE_FORMATS } from '../domain/artifacts.js';
import { CustodyError } from '../domain/errors.js';
import { MAX_FILES } from '../domain/manifest.js';
import {
  PERSON_ROLES,
  STRATEGIES,
  WORKLOAD_ROLES,
  type AuthorityKey,
  type Policy,
  type Role,
} from '../domain/policy.js';
import { isId, lookOf } from '../domain/names.js';
import { isIsoTime } from '../domain/time.js';
import { DEMANDS } from '../domain/versioning.js';
import { enrolledKey } from './enrolled.js';
import { oidcProblems, oidcSchema } from './policy-oidc.js';
import { planSchema } from './plan-schema.js';
import { suiteRulesSchema } from './policy-suites.js';
import { triggersSchema } from './triggers-schema.js';

const seconds = (max: number): z.ZodNumber => z.number().positive().max(max);
const time = z.string().refine(isIsoTime, 'expected a time like 2027-06-30T00:00:00.000Z');
const YEAR = 366 * 86_400;

const keyText = (read: (text: string) => unknown): z.ZodType<string> =>
  z.string().superRefine((text, context) => {
    const problem = problemOf(() => read(text));
    if (problem !== null) context.addIssue({ code: 'custom', message: problem });
  });

const key = z
  .strictObject({
    pem: keyText((pem) => enrolledKey({ pem })).exactOptional(),
    ssh: keyText((ssh) => enrolledKey({ ssh })).exactOptional(),
    validFrom: time.exactOptional(),
    validUntil: time.exactOptional(),
  })
  .refine(({ pem, ssh }) => (pem === undefined) !== (ssh === undefined), {
    message: 'a key is either "pem" or "ssh"',
    abort: true,
  })
  .transform((held) => held as AuthorityKey);

const authority = z
  .strictObject({
    id: z.string().refine(isId, 'lower-case letters, digits, dots and dashes within'),
    kind: z.enum(['person', 'workload']),
    roles: z.array(z.enum([...new Set<Role>([...PERSON_ROLES, ...WORKLOAD_ROLES])])).min(1),
    keys: z.array(key).max(16).default([]),
    oidc: oidcSchema.exactOptional(),
  })
  .refine(({ keys, oidc }) => keys.length > 0 || oidc !== undefined, {
    message: 'it has no key, and only a workload that has `oidc` needs none',
    path: ['keys'],
  })
  .refine(
    ({ kind, roles }) => {
      const allowed: readonly string[] = kind === 'person' ? PERSON_ROLES : WORKLOAD_ROLES;
      return roles.every((role) => allowed.includes(role));
    },
    { message: 'a person cannot hold a workload role, nor a workload a role of people', path: ['roles'] },
  )
  .refine(({ kind, keys }) => kind === 'person' || keys.every((held) => 'pem' in held), {
    message: 'a workload signs by itself: its keys are PEM',
    path: ['keys'],
  });

const some = { count: z.int().min(1).max(20), withinSeconds: seconds(YEAR) };
const quorum = z.strictObject({ role: z.enum(PERSON_ROLES), ...some });

const breakerLimits = {
  minimumSamples: z.int().min(1),
  maxErrorRate: z.number().min(0).max(1),
  maxLatencyMs: z.number().positive(),
};

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

/** Their signatures bear no time, so that no time can bound them. */
const TIMELESS = ['root', 'release-signer'] as const;
const TIMELESS_WHY = 'a key of a root or release signer ends with the policy that lists it no more, not by time';

/** A policy as it stands in the signed bytes. */
export const policySchema: z.ZodType<Policy> = z
  .strictObject({
    version: z.int().min(1),
    environment: z.string().regex(/^[a-z][a-z0-9-]{0,15}$/),
    expires: time,
    rootThreshold: z.int().min(1).max(20),
    authorities: z.array(authority).min(1).max(1000),
    versioning,
    artifacts: z.strictObject({
      maxFiles: z.int().min(1).max(MAX_FILES),
      maxFileBytes: z.int().min(1),
      formats: z.array(z.enum(DATA_FORMATS)).exactOptional(),
      denied: z.array(z.enum(CONSTRUCTS)).exactOptional(),
      scanners: z
        .array(
          z.strictObject({
            name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits and dashes'),
            formats: z.array(z.enum(SCANNABLE_FORMATS)).min(1),
          }),
        )
        .max(20)
        .exactOptional(),
    }),
    validation: z.strictObject({
      suites: suiteRulesSchema,
      timeoutSeconds: seconds(86_400),
      always: z
        .array(z.string().regex(/^[\x21-\x7e]{1,200}$/, 'the name of a criterion, in which * stands for anything'))
        .max(1000)
        .exactOptional(),
      allowUnisolated: z.literal(true).exactOptional(),
    }),
    override: z.strictObject({ ...some, holdsSeconds: seconds(YEAR) }).exactOptional(),
    approvals: z.strictObject({ deploy: quorum, restore: quorum, retire: quorum }),
    rollout: z
      .strictObject({
        strategy: z.enum(STRATEGIES).exactOptional(),
        steps: planSchema,
        triggers: triggersSchema,
        breaker: z
          .strictObject({
            ...breakerLimits,
            windowSeconds: z.number().min(1).max(3600),
            consecutiveFailures: z.int().min(2),
            openSeconds: seconds(3600),
            probes: z.int().min(1).max(100),
          })
          .exactOptional(),
        stepTimeoutSeconds: seconds(YEAR),
        deployWithinSeconds: seconds(YEAR),
      })
      .refine(({ strategy = 'canary', steps }) => (strategy === 'blue-green') === (steps[0]?.weight === 0), {
        message: 'blue-green is a preview (weight 0) and then 100; a canary has no step of weight 0',
        path: ['steps'],
      }),
    rollback: z.strictObject({
      warmReleases: z.int().min(0).max(16),
      windowSeconds: seconds(YEAR).exactOptional(),
    }),
    retention: z.strictObject({
      releasesDays: z.number().positive().max(36_500),
      auditDays: z.number().positive().max(36_500),
      statusDays: z.number().positive().max(36_500),
    }),
    retirement: z.strictObject({ noticeSeconds: seconds(YEAR) }),
    emergency: z.strictObject({
      killResponseSeconds: seconds(3600),
      deployment: z
        .strictObject({ approval: z.strictObject(some), review: quorum, bakeSeconds: seconds(30 * 86_400) })
        .exactOptional(),
    }),
    inventory: z.strictObject({ unknownCallers: z.enum(['record', 'refuse']) }).exactOptional(),
    training: z.strictObject({
      limits: z.strictObject({
        wallSeconds: z.int().min(1).max(1_000_000),
        cpuSeconds: z.int().min(1).max(1_000_000),
        memoryMb: z.int().min(1).max(1_000_000),
        outputMb: z.int().min(1).max(1_000_000),
      }),
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
    const ids = new Set<string>();
    const looks = new Map<string, string>();
    authorities.forEach(({ id }, at) => {
      const twin = looks.get(lookOf(id));
      if (ids.has(id)) problem(`the id ${id} stands twice`, 'authorities', at, 'id');
      else if (twin !== undefined) problem(`the ids ${twin} and ${id} look the same`, 'authorities', at, 'id');
      ids.add(id);
      looks.set(lookOf(id), twin ?? id);
    });
    const owners = new Map<string, string>();
    authorities.forEach((held, at) =>
      held.keys.forEach((entry, index) => {
        if (problemOf(() => enrolledKey(entry)) !== null) return;
        const { keyId } = enrolledKey(entry);
        const owner = owners.get(keyId);
        if (owner !== undefined)
          problem(`this key is already ${owner}'s: a key has one owner`, 'authorities', at, 'keys', index);
        owners.set(keyId, held.id);
      }),
    );
    authorities.forEach(({ roles, keys }, at) => {
      const timeless = TIMELESS.find((role) => roles.includes(role));
      if (timeless === undefined) return;
      keys.forEach((held, index) => {
        for (const bound of ['validFrom', 'validUntil'] as const)
          if (held[bound] !== undefined)
            problem(`${TIMELESS_WHY}: leave it out of the policy instead`, 'authorities', at, 'keys', index, bound);
      });
    });
    for (const { message, at } of oidcProblems(authorities)) problem(message, 'authorities', ...at);
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

/** What is wrong with a key; `null` where it may be enrolled. */
function problemOf(read: () => unknown): string | null {
  try {
    read();
    return null;
  } catch (error) {
    if (error instanceof CustodyError && error.code === 'MALFORMED') return error.message;
    throw error;
  }
}
