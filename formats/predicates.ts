import { z } from 'zod';
import { ARTIFACT_FORMATS, CONSTRUCTS } from '../domain/artifacts.js';
import { ISOLATIONS } from '../domain/isolation.js';
import type { PredicateName, PredicateOf } from '../domain/statements.js';
import { STATED_FINDINGS } from '../domain/scan.js';
import { BUMPS } from '../domain/semver.js';
import { DEMANDS, RULES } from '../domain/versioning.js';
import { count, environment, id, model, nonce, time, version } from './fields.js';
import { alertSchema } from './alert-schema.js';
import { consumerSchema } from './consumer-schema.js';
import { endingSchemas, told } from './ending-schema.js';
import { dataSourceSchema, handoverSchema } from './data-source-schema.js';
import { drillSchema } from './drill-schema.js';
import { servingSchemas } from './serving-schema.js';
import { stepVerdictSchema } from './step-verdict-schema.js';
import { digestSchema } from './in-toto.js';
import { policySchema } from './policy-schema.js';
import { planSchema } from './plan-schema.js';
import { promptsSchema } from './prompts-schema.js';
import { findingSchema, formatSchema as format } from './scan/report.js';
import { dossierSchema, holdSchema, retentionSchema } from './keeping-schema.js';
import { commitSchema, reviewSchema } from './review-schema.js';
import { riskAssessmentSchema } from './risk-assessment.js';
import { triggersSchema } from './triggers-schema.js';

/** The shape of every predicate that Custody reads. Unknown members of our own are refused: what is signed is understood. */
const digest = digestSchema;
const maybeDigest = digest.nullable();
const reason = z.string().max(4000);
const percent = z.int().min(0).max(100);

const MIN_JUSTIFICATION = 10;
const timed = { issuedAt: time, expiresAt: time };

const address = z.string().max(4096);
const action = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('train'),
    run: id,
    trainer: id,
    hyperparameters: digest,
    data: digest.exactOptional(),
    commit: commitSchema.exactOptional(),
  }),
  z.strictObject({
    kind: z.literal('release'),
    source: address,
    bundle: address,
    provenance: address,
    promotion: address.exactOptional(),
    plan: planSchema.exactOptional(),
  }),
  z.strictObject({
    kind: z.literal('deploy'),
    from: z.strictObject({ revision: count, stable: maybeDigest }),
    plan: planSchema,
    deployBefore: time,
  }),
  z.strictObject({ kind: z.literal('proceed'), deploy: digest, step: z.int().min(1), weight: percent }),
  z.strictObject({ kind: z.literal('override'), failed: z.array(id).min(1).max(10_001) }),
  z.strictObject({ kind: z.literal('review') }),
  z.strictObject({ kind: z.literal('restore'), kills: z.array(digest).min(1).max(100), revision: count }),
  z.strictObject({ kind: z.literal('resign') }),
  z.strictObject({ kind: z.literal('promote') }),
  z.strictObject({ kind: z.literal('lift'), holds: z.array(digest).min(1).max(100), reason }),
  z.strictObject({
    kind: z.literal('retire'),
    reason,
    noticeSeconds: z.number().min(0),
    fallback: digest.exactOptional(),
    despite: z.array(z.string().max(200)).min(1).max(100).exactOptional(),
    instead: told.exactOptional(),
  }),
]);

const resource = z.strictObject({ name: z.string().max(1024), digest: z.strictObject({ sha256: digest }) });
const parameters = z.record(z.string(), z.unknown());
/** Other builders write SLSA's times, in any zone and fraction. */
const builtAt = z.iso.datetime({ offset: true });
const dependency = z.object({
  name: z.string().max(1024).optional(),
  uri: z.string().max(4096).optional(),
  digest: z.record(z.string(), z.string()).optional(),
  annotations: parameters.optional(),
});

const vouchedIdentity = z.strictObject({
  issuer: z.string().max(1024),
  subject: z.string().max(1024),
  audience: z.string().max(1024),
  claims: z.record(z.string(), z.string()),
  token: digest,
});

const route = z.strictObject({
  environment,
  model,
  revision: z.int().min(1),
  previous: maybeDigest,
  change: z.enum(['plan', 'promote', 'rollback', 'restore', 'withdraw']),
  releases: z.array(z.strictObject({ release: digest, version, weight: percent })).max(64),
  plan: z.strictObject({ request: digest, step: count }).nullable(),
  triggers: triggersSchema.nullable(),
  lifted: z.array(z.strictObject({ order: digest, until: time })).max(1000),
  restore: maybeDigest,
  drill: digest.exactOptional(),
  policy: digest,
  issuedAt: time,
});

const text = z.string().max(1024).nullable();
const releaseChange = z.strictObject({
  component: text,
  file: text,
  what: z.enum(RULES),
  path: text,
  from: text,
  to: text,
  measure: z.number().min(0).nullable(),
  more: count,
  demands: z.enum(DEMANDS),
});

const schemas: { readonly [K in PredicateName]: z.ZodType<PredicateOf[K]> } = {
  request: z.strictObject({
    requestId: id,
    nonce,
    environment,
    workflowId: id,
    model,
    version: version.nullable(),
    release: maybeDigest,
    action,
    evidence: z.record(id, digest),
    policy: digest,
    requester: id,
    producer: id.nullable(),
    identity: vouchedIdentity.exactOptional(),
    ...timed,
  }),
  approval: z.strictObject({
    requestId: id,
    nonce,
    environment,
    workflowId: id,
    decision: z.enum(['approve', 'reject']),
    reason,
    ...timed,
  }),
  route,
  kill: z.strictObject({ environment, model, nonce, reason, ...timed }),
  alert: alertSchema,
  override: z.strictObject({
    requestId: id,
    nonce,
    environment,
    workflowId: id,
    release: digest,
    testResult: digest,
    lifts: z.array(id).min(1).max(10_001),
    justification: reason.refine((text) => text.trim().length >= MIN_JUSTIFICATION, 'say why, in a sentence or more'),
    holdsUntil: time,
    ...timed,
  }),
  riskAssessment: z.strictObject({ environment, model, version, assessment: riskAssessmentSchema, issuedAt: time }),
  rollback: z.strictObject({ environment, model, nonce, target: maybeDigest, reason, ...timed }),
  hold: holdSchema,
  retention: retentionSchema,
  drill: drillSchema,
  stepVerdict: stepVerdictSchema,
  dossier: dossierSchema,
  dataSource: dataSourceSchema,
  handover: handoverSchema,
  review: reviewSchema,
  consumer: consumerSchema,
  ...endingSchemas,
  ...servingSchemas,
  policy: policySchema,
  storeProof: z.strictObject({
    endpoint: z.string().max(1024),
    checks: z.array(z.strictObject({ check: z.string(), refused: z.boolean(), answer: z.string() })).min(1),
    holds: z.boolean(),
    ...timed,
  }),
  auditQuestion: z.strictObject({
    environment,
    nonce,
    question: z.enum(['log', 'state', 'recover']),
    model: model.nullable(),
    at: time.nullable(),
    version: version.nullable(),
    seen: z.int().min(0),
    ...timed,
  }),
  change: z.strictObject({
    version,
    facts: digest,
    from: z.strictObject({ version, release: digest }).nullable(),
    components: z.array(z.strictObject({ name: id, from: version.nullable(), to: version.nullable() })).max(512),
    changes: z.array(releaseChange).max(1000),
    leastBump: z.enum(BUMPS),
  }),
  scan: z.strictObject({
    version,
    verdict: z.enum(['clean', 'refused', 'unscannable']),
    formats: z.array(z.strictObject({ format, files: z.int().min(1) })).max(ARTIFACT_FORMATS.length),
    scanners: z.array(z.strictObject({ name: id, format })).max(400),
    tolerated: z.array(z.enum(CONSTRUCTS)),
    findings: z.array(findingSchema).max(STATED_FINDINGS),
    more: count,
    isolation: z.enum(ISOLATIONS),
    reader: digest.exactOptional(),
    takenFrom: z.strictObject({ release: digest, files: count, reused: count, scan: maybeDigest }).exactOptional(),
    prompts: promptsSchema.exactOptional(),
    report: digest,
  }),
  testResult: z.strictObject({
    result: z.enum(['PASSED', 'FAILED']),
    configuration: z.array(resource).min(1),
    passedTests: z.array(id),
    warnedTests: z.array(id).exactOptional(),
    failedTests: z.array(id),
  }),
  verificationSummary: z.strictObject({
    verifier: z.strictObject({ id: z.string() }),
    timeVerified: time,
    resourceUri: z.string(),
    policy: z.strictObject({ uri: z.string(), digest: z.strictObject({ sha256: digest }) }),
    inputAttestations: z.array(z.strictObject({ uri: z.string(), digest: z.strictObject({ sha256: digest }) })),
    verificationResult: z.enum(['PASSED', 'FAILED']),
    verifiedLevels: z.array(z.string()),
  }),
  // A foreign standard: what Custody does not read in it is passed over, as in-toto's parsing rules ask.
  provenance: z.object({
    buildDefinition: z.object({
      buildType: z.string().min(1).max(1024),
      externalParameters: parameters,
      internalParameters: parameters.optional(),
      resolvedDependencies: z.array(dependency).max(10_000),
    }),
    runDetails: z.object({
      builder: z.object({ id: z.string().min(1).max(1024) }),
      metadata: z.object({ invocationId: z.string().min(1).max(1024), startedOn: builtAt, finishedOn: builtAt }),
    }),
  }),
};

export function predicateSchema<K extends PredicateName>(name: K): z.ZodType<PredicateOf[K]> {
  return schemas[name];
}
