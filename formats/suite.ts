import { parseDocument } from 'yaml';
import { z } from 'zod';
import { CustodyError } from '../domain/errors.js';
import { isVersion } from '../domain/names.js';
import type { LabelledData, Suite } from '../domain/suite.js';
import { digestSchema } from './in-toto.js';
import { checkShape, parseJson } from './json.js';

const MAX_SUITE_BYTES = 8 * 1024 * 1024;
const MAX_DATA_BYTES = 8 * 1024 * 1024;
const MAX_PADDED_BYTES = 64 * 1024 * 1024;

const status = z.int().min(100).max(599);
const text = z.string().min(1).max(4096);

const caseSchema = z
  .strictObject({
    id: z.string().regex(/^[a-z0-9][a-z0-9-]{0,99}$/, 'lower-case letters, digits and dashes'),
    kind: z.enum(['contract', 'input-validation', 'safety']),
    request: z.strictObject({
      method: z.enum(['GET', 'POST', 'PUT', 'DELETE', 'HEAD']),
      path: z.string().regex(/^\/[\x21-\x7e]*$/, 'a path in printable ASCII'),
      body: z.unknown().optional(),
      rawBody: z.string().exactOptional(),
      padTo: z.int().min(1).max(MAX_PADDED_BYTES).exactOptional(),
    }),
    expect: z.strictObject({
      status: z.union([status, z.array(status).min(1)]),
      contains: text.exactOptional(),
      notContains: text.exactOptional(),
      json: z.record(z.string().min(1), z.unknown()).exactOptional(),
    }),
  })
  .refine(({ request }) => request.body === undefined || request.rawBody === undefined, 'has both a body and a rawBody')
  .refine(({ request }) => request.padTo === undefined || request.rawBody !== undefined, 'pads what is not there');

const schema: z.ZodType<Suite> = z.strictObject({
  suite: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/),
  version: z.string().refine(isVersion, 'not SemVer'),
  protocol: z.literal('open-inference-v2'),
  accuracy: z.strictObject({
    dataset: z.string().min(1).max(1024),
    sha256: digestSchema,
    split: z.string().min(1).max(200),
    floor: z.number().min(0).max(1),
    batch: z.int().min(1).max(1024),
  }),
  cases: z
    .array(caseSchema)
    .min(1)
    .max(10_000)
    .refine((cases) => new Set(cases.map(({ id }) => id)).size === cases.length, 'an id stands twice'),
});

/** Reads a validation suite from its YAML. MALFORMED: aliases, duplicate keys, unknown members, two cases of one id. */
export function parseSuite(bytes: Buffer): Suite {
  if (bytes.length > MAX_SUITE_BYTES)
    throw new CustodyError('MALFORMED', `the suite has ${bytes.length} bytes, at most ${MAX_SUITE_BYTES} are read`);
  return checkShape(schema, parseYaml(bytes), 'the validation suite');
}

function parseYaml(bytes: Buffer): unknown {
  const document = parseDocument(bytes.toString('utf8'), { schema: 'core', uniqueKeys: true });
  const [problem] = [...document.errors, ...document.warnings];
  if (problem !== undefined)
    throw new CustodyError('MALFORMED', `the validation suite is not YAML: ${problem.message}`);
  try {
    // No aliases: a few lines of them can stand for gigabytes.
    return document.toJS({ maxAliasCount: 0 }) as unknown;
  } catch (cause) {
    throw new CustodyError('MALFORMED', `the validation suite cannot be read: ${String(cause)}`, { cause });
  }
}

const name = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,62}$/);
const dataSchema = z.strictObject({
  input: name,
  output: name,
  cases: z.array(z.record(z.string(), z.union([z.string(), z.array(z.number())]))).min(1),
});

/**
 * Reads labelled rows: `input` and `output` name the tensors and the members of each case, which hold its numbers and its
 * label. MALFORMED: no case, rows of different widths, a case without one of the two.
 */
export function parseLabelledData(bytes: Buffer): LabelledData {
  const what = 'the held-out data set';
  const { input, output, cases } = checkShape(dataSchema, parseJson(bytes, what, { maxBytes: MAX_DATA_BYTES }), what);
  const rows = cases.map((entry, at) => {
    const values = entry[input];
    const label = entry[output];
    if (!Array.isArray(values) || typeof label !== 'string' || Object.keys(entry).length !== 2)
      throw new CustodyError(
        'MALFORMED',
        `case ${at} of ${what} must have numbers in ${input} and a text in ${output}`,
      );
    return { values, label };
  });
  const width = rows[0]?.values.length ?? 0;
  const odd = rows.findIndex(({ values }) => values.length !== width || width === 0);
  if (odd >= 0) throw new CustodyError('MALFORMED', `case ${odd} of ${what} has not ${width} numbers like the first`);
  return { input, output, rows };
}
