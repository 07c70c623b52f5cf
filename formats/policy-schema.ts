import { z } from 'zod';
import { CONSTRUCTS, DATA_FORMATS, SCANNABLE_FORMATS } from '../domain/artifacts.js';
import { CRITICALITIES } from '../domain/consumers.js';
import { MAX_FILES } from '../domain/manifest.js';
import { PERSON_ROLES, STRATEGIES, type Policy, type Role } from '../domain/policy.js';
import { DEMANDS } from '../domain/versioning.js';
import { drillRulesSchema } from './drill-schema.js';
import { destinations, model, time } from './fields.js';
import { authorityProblems, authoritySchema } from './policy-authorities.js';
import { oidcProblems } from './policy-oidc.js';
import { commitSchema } from './review-schema.js';
import { planSchema } from './plan-schema.js';
import { suiteRulesSchema } from './policy-suites.js';
import { triggersSchema } from './triggers-schema.js';

const seconds = (max: number): z.ZodNumber => z.number().positive().max(max);
const YEAR = 366 * 86_400;

const some = { count: z.int().min(1).max(20), withinSeconds: seconds(YEAR) };
const quorum = z.strictObject({ role: z.enum(PERSON_ROLES), ...some });

const breakerLimits = {
  minimumSamples: z.int().min(1),
  maxErrorRate: z.number().min(0).max(1),
  maxLatencyMs: z.number().positive(),
};

/** Of what git allows (git-check-ref-format), the part that nothing reads as something else. */
const BRANCH = /^(?!.*(?:\.\.|\/\/|\.lock$|[/.]$))[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$/;

const environment = z.string().regex(/^[a-z][a-z0-9-]{0,15}$/);
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
    environment,
    expires: time,
    rootThreshold: z.int().min(1).max(20),
    authorities: z.array(authoritySchema).min(1).max(1000),
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
      allowUnreviewedPrompts: z.literal(true).exactOptional(),
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
    approvals: z.strictObject({ deploy: quorum, restore: quorum, retire: quorum, train: quorum.exactOptional() }),
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
    retirement: z.strictObject({
      noticeSeconds: seconds(YEAR),
      acknowledge: z.array(z.enum(CRITICALITIES)).exactOptional(),
      waiver: z.enum(PERSON_ROLES).exactOptional(),
      remindSeconds: z.array(seconds(YEAR)).max(10).exactOptional(),
      fallback: z.literal('required').exactOptional(),
    }),
    emergency: z.strictObject({
      killResponseSeconds: seconds(3600),
      deployment: z
        .strictObject({ approval: z.strictObject(some), review: quorum, bakeSeconds: seconds(30 * 86_400) })
        .exactOptional(),
    }),
    promotion: z.strictObject({ from: environment, maxAgeSeconds: seconds(YEAR).exactOptional() }).exactOptional(),
    drills: drillRulesSchema.exactOptional(),
    inventory: z.strictObject({ unknownCallers: z.enum(['record', 'refuse']) }).exactOptional(),
    readers: z
      .array(z.strictObject({ role: z.enum(PERSON_ROLES), models: z.array(model).min(1).max(1000) }))
      .min(1)
      .max(100)
      .exactOptional(),
    training: z.strictObject({
      repositories: z
        .array(
          z.strictObject({
            name: model,
            branch: z.string().regex(BRANCH, 'not the name of a branch'),
            reviewers: z.int().min(1).max(20),
            github: z
              .string()
              .regex(/^[A-Za-z0-9][A-Za-z0-9-]{0,38}\/[A-Za-z0-9._-]{1,100}$/, 'not owner/name')
              .exactOptional(),
            since: commitSchema.exactOptional(),
          }),
        )
        .min(1)
        .max(1000)
        .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, 'a repository stands there twice')
        .exactOptional(),
      destinations: destinations.exactOptional(),
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
  .superRefine((policy, context) => {
    const { authorities, rootThreshold, approvals, override, emergency, drills, training, promotion } = policy;
    const problem = (message: string, ...path: (string | number)[]): void =>
      context.addIssue({ code: 'custom', message, path });
    for (const { message, at } of authorityProblems(authorities)) problem(message, 'authorities', ...at);
    for (const { message, at } of oidcProblems(authorities)) problem(message, 'authorities', ...at);
    const roots = authorities.filter(({ roles }) => roles.includes('root')).length;
    if (roots < rootThreshold) problem(`only ${roots} authorities hold the role root`, 'rootThreshold');
    const demandHolders = (role: Role, count: number, ...path: (string | number)[]): void => {
      const holders = authorities.filter(({ roles }) => roles.includes(role)).length;
      if (holders < count) problem(`only ${holders} people hold the role ${role}`, ...path);
    };
    for (const [act, { role, count }] of Object.entries(approvals))
      demandHolders(role, count, 'approvals', act, 'count');
    if (override !== undefined) demandHolders('override-authority', override.count, 'override', 'count');
    for (const [at, { reviewers }] of (training.repositories ?? []).entries())
      demandHolders('reviewer', reviewers, 'training', 'repositories', at, 'reviewers');
    if (promotion !== undefined) {
      if (promotion.from === policy.environment) problem('no environment is before itself', 'promotion', 'from');
      if (!authorities.some(({ roles }) => roles.includes('verifier')))
        problem('nobody holds the role verifier', 'promotion', 'from');
    }
    if (drills !== undefined) {
      if (!authorities.some(({ roles }) => roles.includes('drill')))
        problem('nobody holds the role drill', 'drills', 'model');
      if (drills.killMs > emergency.killResponseSeconds * 1000)
        problem('more than emergency.killResponseSeconds gives a kill', 'drills', 'killMs');
    }
    const { deployment } = emergency;
    if (deployment === undefined) return;
    const { approval, review } = deployment;
    demandHolders('security-authority', approval.count, 'emergency', 'deployment', 'approval', 'count');
    demandHolders(review.role, review.count, 'emergency', 'deployment', 'review', 'count');
  });
