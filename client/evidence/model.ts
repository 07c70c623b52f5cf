import { z } from 'zod';
import { CHANGES } from '../../domain/audit.js';
import { isErrorCode, type ErrorCode } from '../../domain/errors.js';
import { count, time } from '../../formats/fields.js';
import { digestSchema as digest } from '../../formats/in-toto.js';

/** `evidence.json`: everything that a dossier says, of which the page is a picture. */
const text = z.string();
const maybe = digest.nullable();
const names = z.array(text).readonly();
const code = z.custom<ErrorCode>(isErrorCode, 'not an error code');

/** As `custody show` has it. */
const line = z.strictObject({
  part: text,
  state: z.enum(['holds', 'fails', 'absent', 'fact']),
  says: text,
  checked: text,
  by: names,
  statement: maybe,
  policy: z.int().nullable(),
  failure: z.strictObject({ code, reason: text }).nullable(),
});

/** A statement or another document, where it lies in the dossier, and whose signature it bears. */
const document = z.strictObject({
  digest,
  path: text,
  kind: text,
  at: time.nullable(),
  /** Whoever has signed it, by the newest policy that has their keys; empty for what bears no signature of its own. */
  signers: names,
  policy: z.int().nullable(),
  /** Why its signature counts for nothing; `null` where it does, or it needs none. */
  failure: text.nullable(),
});

const event = z.strictObject({
  index: count,
  proof: text,
  time,
  change: z.enum(CHANGES),
  actor: text,
  /** What the release itself did, or what was done to its endpoint while it was routed, or to the rules. */
  about: z.enum(['release', 'endpoint', 'policy', 'data', 'log']),
  reason: text,
  /** Digests that it names of what is in the dossier. */
  documents: names,
});

const decision = z.strictObject({
  at: time,
  who: text,
  /** In which role, or which of those that the policy asks for; empty: in none. */
  roles: names,
  act: text,
  subject: text,
  says: text,
  document: digest,
});

const quorum = z.strictObject({
  act: text,
  role: text,
  needed: count,
  people: names,
  holds: z.boolean(),
});

const counted = z.strictObject({
  version: text,
  /** Answers of the step, those that failed, and those that were slow. */
  requests: count,
  failures: count,
  slow: count,
});

const step = z.strictObject({
  revision: count,
  change: z.enum(['plan', 'promote', 'rollback', 'restore', 'withdraw']),
  at: time,
  /** Until when it was in force; `null`: it still was. */
  until: time.nullable(),
  /** Percent of the callers. */
  weight: count,
  others: z.array(z.strictObject({ version: text, weight: count })).readonly(),
  /** Where the plan gives it a time. */
  bakeSeconds: z.number().nullable(),
  document: digest,
  /** Index of the record of it in the log. */
  logged: count.nullable(),
  /** What its watch came to, and counted: of the release, and of those beside it. `null`: it was not watched to a verdict. */
  judged: z
    .strictObject({
      verdict: z.enum(['pass', 'fail', 'inconclusive']),
      reason: text.nullable(),
      own: counted,
      beside: z.array(counted).readonly(),
      statement: digest,
    })
    .nullable(),
});

const finding = z.strictObject({
  id: text,
  level: z.int().min(1).max(3).nullable(),
  text,
  state: z.enum(['holds', 'fails', 'not concerned', 'no evidence']),
  says: text,
  checked: text,
  documents: names,
  records: z.array(count).readonly(),
});

export const evidenceSchema = z.strictObject({
  schema: z.literal('https://custody.dev/evidence/v1'),
  environment: text,
  model: text,
  version: text,
  release: maybe,
  madeAt: time,
  madeBy: text,
  log: z.strictObject({ origin: text, size: count, root: digest }),
  /** Where it stands, in a word or two. */
  standing: text,
  lines: z.array(line).readonly(),
  cases: z.array(z.strictObject({ id: text, failure: text.nullable() })).readonly(),
  timeline: z.array(event).readonly(),
  decisions: z.array(decision).readonly(),
  quorums: z.array(quorum).readonly(),
  limits: z.strictObject({ minimumSamples: count, maxErrorRate: z.number(), maxLatencyMs: z.number() }).nullable(),
  steps: z.array(step).readonly(),
  requirements: z.array(finding).readonly(),
  documents: z.array(document).readonly(),
});

export type Evidence = z.infer<typeof evidenceSchema>;
export type EvidenceDocument = z.infer<typeof document>;
export type EvidenceEvent = z.infer<typeof event>;
export type EvidenceDecision = z.infer<typeof decision>;
export type EvidenceQuorum = z.infer<typeof quorum>;
export type EvidenceStep = z.infer<typeof step>;
export type JudgedCounts = z.infer<typeof counted>;
export type RequirementFinding = z.infer<typeof finding>;
