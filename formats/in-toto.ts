import { z } from 'zod';
import { isDigest } from '../domain/digest.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import { checkShape, parseJson, quote } from './json.js';
import type { JsonLimits } from './json.js';

/** An in-toto Statement v1: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md */
export interface Statement<P> {
  readonly _type: typeof STATEMENT_TYPE;
  readonly subject: readonly Subject[];
  readonly predicateType: string;
  readonly predicate: P;
}

export interface Subject {
  readonly name?: string | undefined;
  readonly digest: { readonly sha256: Digest };
}

export const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';
/** The DSSE payload type of every statement. */
export const PAYLOAD_TYPE = 'application/vnd.in-toto+json';

export const digestSchema = z.string().refine(isDigest, 'expected a SHA-256 in 64 lower-case hex digits');

/** Unknown fields are passed over, as in-toto's parsing rules ask; the predicate's own schema decides about its own. */
const statementSchema = z.object({
  _type: z.literal(STATEMENT_TYPE),
  subject: z.array(z.object({ name: z.string().optional(), digest: z.object({ sha256: digestSchema }) })).min(1),
  predicateType: z.string(),
  predicate: z.unknown(),
});

/** A statement about at least one subject. Signed as its canonical JSON (`canonicalBytes`). */
export function makeStatement<P>(predicateType: string, subject: readonly Subject[], predicate: P): Statement<P> {
  if (subject.length === 0) throw new CustodyError('USAGE', 'a statement needs a subject: what is it about?');
  return { _type: STATEMENT_TYPE, subject, predicateType, predicate };
}

/**
 * Reads the payload that `verifyEnvelope` answered. MALFORMED unless it is a statement of exactly this predicate type
 * whose predicate fits the schema: what was signed to say one thing is never read as another.
 */
export function parseStatement<P>(
  payload: Uint8Array,
  predicateType: string,
  predicateSchema: z.ZodType<P>,
  limits?: JsonLimits,
): Statement<P> {
  const value = parseJson(payload, 'the statement', limits);
  const outer = checkShape(statementSchema, value, 'the statement');
  if (outer.predicateType !== predicateType) {
    throw new CustodyError(
      'MALFORMED',
      `the statement says ${quote(outer.predicateType)}, which counts for nothing here: expected ${quote(predicateType)}`,
      { details: { expected: predicateType, found: outer.predicateType.slice(0, 200) } },
    );
  }
  return checkShape(statementSchema.extend({ predicate: predicateSchema }), value, 'the statement');
}
