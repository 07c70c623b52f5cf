import { z } from 'zod';
import { CRITICALITIES } from '../domain/consumers.js';
import { MAX_TOLD } from '../domain/notice.js';
import { PROBES, type ProbeKind, type ProbingZone } from '../domain/ending-predicates.js';
import { count, environment, id, model, time, version } from './fields.js';
import { digestSchema as digest } from './in-toto.js';

const acknowledgement = { environment, model, version, consumer: id, request: digest, issuedAt: time };

/** What callers are told of an end: short enough for an answer. */
export const told = z.string().min(1).max(MAX_TOLD);

export const retiringSchema = z
  .array(
    z.strictObject({
      ...{ model, version, release: digest, since: time, endsAt: time },
      reason: z.string().max(MAX_TOLD),
      instead: told.exactOptional(),
    }),
  )
  .max(10_000);
const zone = z.enum(Object.keys(PROBES) as ProbingZone[]);
const kind = z.enum([...new Set(Object.values(PROBES).flat())] as ProbeKind[]);
const line = z.string().max(1000);
const probe = { kind, path: z.string().max(4096), refused: z.boolean(), answer: line };

/** What is said of the end of a release: told to those who depend on it, and proved afterwards. */
export const endingSchemas = {
  dependents: z.strictObject({
    environment,
    model,
    version,
    request: digest,
    consumers: z.array(z.strictObject({ id, owner: id.nullable(), criticality: z.enum(CRITICALITIES).nullable() })),
    releases: z.array(
      z.strictObject({
        model,
        version,
        how: z.enum(['is made from it', 'shares files with it']),
        serves: z.boolean(),
      }),
    ),
    weight: z.number().min(0).max(100).nullable(),
    endpoints: z.array(model),
    isDrilled: z.boolean(),
    issuedAt: time,
  }),
  notice: z.strictObject({
    environment,
    model,
    version,
    consumers: z.array(
      z.strictObject({
        id,
        owner: id.nullable(),
        criticality: z.enum(CRITICALITIES).nullable(),
        how: z.enum(['mail', 'webhook', 'none', 'failed']),
        messageId: z.string().max(1000).nullable(),
      }),
    ),
    retiresAt: time,
    request: digest,
    issuedAt: time,
  }),
  acknowledgement: z.strictObject(acknowledgement),
  waiver: z.strictObject({ ...acknowledgement, reason: z.string().min(1).max(2000) }),
  vulnerability: z.strictObject({
    environment,
    model,
    version,
    vulnerability: z.string().min(1).max(200),
    reason: z.string().min(1).max(2000),
    issuedAt: time,
    expiresAt: time,
  }),
  revocation: z.strictObject({
    environment,
    model,
    version,
    reason: z.string().max(4000),
    request: digest,
    issuedAt: time,
  }),
  probe: z.strictObject({
    environment,
    model,
    version,
    zone,
    request: digest,
    blobs: z.array(id),
    probes: z.array(z.strictObject(probe)).min(1),
    issuedAt: time,
  }),
  destruction: z.strictObject({
    environment,
    model,
    version,
    standard: z.literal('NIST SP 800-88r2'),
    method: z.literal('cryptographic erase'),
    sanitization: z.literal('purge'),
    cachesMethod: z.literal('overwrite'),
    cachesSanitization: z.literal('clear'),
    media: line,
    tool: line,
    verification: line,
    orderedBy: id,
    approvedBy: z.array(id).min(1),
    request: digest,
    approvals: z.array(digest).min(1),
    revocation: digest,
    destroyed: z.array(z.strictObject({ path: z.string(), sha256: digest, blob: id })),
    kept: z.array(z.strictObject({ path: z.string(), sha256: digest, holders: z.array(digest) })),
    probed: z.array(z.strictObject({ zone, by: id, statement: digest })).min(1),
    probes: z.array(z.strictObject({ zone, ...probe })).min(1),
    remains: z.array(z.strictObject({ blob: id, size: count, until: time })),
    residual: z.array(z.strictObject({ what: line, where: z.string().max(4096) })),
    destroyedAt: time,
  }),
} as const;
