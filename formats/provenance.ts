import { z } from 'zod';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { Manifest } from '../domain/manifest.js';
import { dependency } from '../domain/provenance.js';
import { PREDICATES, type BuildDependency, type ProvenancePredicate } from '../domain/statements.js';
import { decodeBase64 } from './base64.js';
import { MAX_ENVELOPE_BYTES } from './dsse.js';
import { parseStatement, PAYLOAD_TYPE } from './in-toto.js';
import { parseJson } from './json.js';
import { predicateSchema } from './predicates.js';

const LIMITS = { maxBytes: MAX_ENVELOPE_BYTES };
const envelope = z.object({ payloadType: z.literal(PAYLOAD_TYPE), payload: z.string() });
const bundle = z.object({ dsseEnvelope: envelope });

/**
 * What another builder says of a release: an in-toto statement of SLSA provenance v1, bare, in a DSSE envelope, or in a
 * Sigstore bundle. Its signatures are not looked at: whoever signs it as the release's producer answers for it. Members that
 * Custody does not know are kept. MALFORMED: it is no such statement. DIGEST_MISMATCH: `release` is none of its subjects.
 */
export function readProvenance(text: Uint8Array, what: string, release: Digest): ProvenancePredicate {
  const value = parseJson(text, what, LIMITS);
  const wrapped = bundle.safeParse(value).data?.dsseEnvelope ?? envelope.safeParse(value).data;
  const payload = wrapped === undefined ? text : decodeBase64(wrapped.payload, `the payload of ${what}`);
  const { subject } = parseStatement(payload, PREDICATES.provenance, predicateSchema('provenance'), LIMITS);
  if (!subject.some(({ digest }) => digest.sha256 === release))
    throw new CustodyError(
      'DIGEST_MISMATCH',
      `${what} is not about this release: no subject has the digest ${release}`,
      {
        details: { release, subjects: subject.map(({ digest }) => digest.sha256).slice(0, 20) },
      },
    );
  return (parseJson(payload, what, LIMITS) as { readonly predicate: ProvenancePredicate }).predicate;
}

/** The files of a release that lock what it depends on. */
export function locksOf({ components, files }: Manifest): readonly BuildDependency[] {
  const locks = new Set(components.filter(({ kind }) => kind === 'dependencies').flatMap((each) => each.files));
  return files
    .filter(({ path }) => locks.has(path))
    .map(({ path, sha256 }) => dependency('dependency-lock', path, { sha256 }));
}
