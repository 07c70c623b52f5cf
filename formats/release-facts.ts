import { z } from 'zod';
import { COMPONENT_KINDS } from '../domain/manifest.js';
import { isModelName, isVersion } from '../domain/names.js';
import type { FileContent, ReleaseFacts } from '../domain/release-facts.js';
import { digestSchema as digest } from './in-toto.js';
import { canonicalBytes } from './jcs.js';
import { checkShape, parseJson } from './json.js';

const MAX_FACTS_BYTES = 256 * 1024 * 1024;

const texts = z.record(z.string(), z.string());
const measure = z.strictObject({
  norm: z.number().min(0),
  sketch: z.array(z.number()).min(1).max(1024),
  nonFinite: z.int().min(0),
  zeros: z.int().min(0).exactOptional(),
});
export const contentSchema: z.ZodType<FileContent> = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('tensors'),
    tensors: z.array(
      z.strictObject({
        name: z.string(),
        dtype: z.string(),
        shape: z.array(z.int().min(0)),
        sha256: digest,
        measure: measure.nullable(),
      }),
    ),
    rest: digest,
  }),
  z.strictObject({ kind: z.literal('vocabulary'), entries: z.array(z.string()), rest: digest }),
  z.strictObject({ kind: z.literal('config'), values: texts }),
  z.strictObject({ kind: z.literal('dependencies'), packages: texts, files: texts, rest: digest }),
  z.strictObject({ kind: z.literal('opaque') }),
]);
const version = z.string().refine(isVersion, 'not SemVer');
const schema: z.ZodType<ReleaseFacts> = z.strictObject({
  schema: z.literal('https://custody.dev/facts/v1'),
  model: z.string().refine(isModelName, 'not a model name'),
  version,
  components: z.array(
    z.strictObject({
      name: z.string(),
      kind: z.enum(COMPONENT_KINDS),
      version,
      files: z.array(z.strictObject({ path: z.string(), sha256: digest, content: contentSchema })),
    }),
  ),
  serving: z.strictObject({ protocol: z.string(), command: z.array(z.string()) }),
});

/** The canonical form of a release's facts, whose digest stands in the statement of what it changes. */
export function factsBytes(facts: ReleaseFacts): Buffer {
  return canonicalBytes(facts);
}

export function parseFacts(bytes: Buffer): ReleaseFacts {
  return checkShape(schema, parseJson(bytes, 'the facts of a release', { maxBytes: MAX_FACTS_BYTES }), 'the facts');
}

const indexSchema = z.strictObject({ parts: z.array(digest).min(1).max(10_000) });

/** Facts can be larger than an object that is created once: they lie in parts, and this names them in order. */
export function indexBytes(parts: readonly string[]): Buffer {
  return canonicalBytes({ parts });
}

export function parseIndex(bytes: Buffer): readonly string[] {
  return checkShape(indexSchema, parseJson(bytes, 'the parts of the facts'), 'the parts of the facts').parts;
}
