import { z } from 'zod';
import type { CertificateEvidence, ProvisionalEvidence, RetirementEvidence } from '../domain/evidence.js';
import { parseEnvelope, parseLongEnvelope } from './dsse.js';

export const envelopeSchema = z.unknown().transform(parseEnvelope);
const longEnvelopeSchema = z.unknown().transform(parseLongEnvelope);
export const approvalsSchema = z.array(envelopeSchema).max(100);
export const policiesSchema = z.array(envelopeSchema).min(1).max(10_000);
const answersSchema = z.array(envelopeSchema).max(10_000);

const retirement = {
  policies: policiesSchema,
  manifest: z.string(),
  request: envelopeSchema,
  approvals: approvalsSchema,
  notice: envelopeSchema,
  laterNotices: answersSchema,
  acknowledgements: answersSchema,
  waivers: answersSchema,
  vulnerability: envelopeSchema.nullable(),
};
export const retirementEvidenceSchema: z.ZodType<RetirementEvidence> = z.strictObject(retirement);
/** A certificate of destruction as it lies in a file, with all that it rests on. */
export const certificateEvidenceSchema: z.ZodType<CertificateEvidence> = z.strictObject({
  ...retirement,
  revocation: envelopeSchema,
  certificate: longEnvelopeSchema,
  probes: z.array(longEnvelopeSchema).max(10),
});

const MAX_OVERRIDES = 1000;

/** The shape of what a deployment provisionally rests on, on its way from one process to another. */
export const provisionalSchema: z.ZodType<ProvisionalEvidence> = z.strictObject({
  override: z
    .strictObject({ request: envelopeSchema, statements: z.array(envelopeSchema).max(MAX_OVERRIDES) })
    .nullable(),
  emergency: z
    .strictObject({
      assessment: envelopeSchema,
      review: z.strictObject({ request: envelopeSchema, approvals: approvalsSchema }).nullable(),
    })
    .nullable(),
});
