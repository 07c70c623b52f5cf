import { parseDocument } from 'yaml';
import { z } from 'zod';
import { CustodyError } from '../domain/errors.js';
import { isVersion } from '../domain/names.js';
import type { StatusPattern } from '../domain/assertion.js';
import { PROTOCOLS } from '../domain/protocol.js';
import { SUITE_GROUPS, type Suite, type SuiteRequest } from '../domain/suite.js';
import { expectSchema } from './assertions.js';
import { digestSchema } from './in-toto.js';
import { checkShape } from './json.js';
import { unsafePath } from './manifest.js';
import { suiteName } from './policy-suites.js';

const MAX_SUITE_BYTES = 8 * 1024 * 1024;
const MAX_SENT_BYTES = 64 * 1024 * 1024;

const kind = z.enum(SUITE_GROUPS);
const seconds = z.int().min(1).max(86_400);

const message = z.strictObject({
  role: z.enum(['system', 'user', 'assistant']),
  content: z.string().max(1024 * 1024),
});

const chat = z
  .strictObject({
    /** One message of a user, or a whole conversation. */
    chat: z.union([z.string(), z.array(message).min(1).max(100)]),
    stream: z.boolean().default(false),
  })
  .transform(({ chat: said, stream }): SuiteRequest => ({
    kind: 'chat',
    messages: typeof said === 'string' ? [{ role: 'user', content: said }] : said,
    stream,
  }));

const http = z
  .strictObject({
    method: z.enum(['GET', 'POST', 'PUT', 'DELETE', 'HEAD']),
    path: z.string().regex(/^\/[\x21-\x7e]*$/, 'a path in printable ASCII'),
    body: z.unknown().optional(),
    rawBody: z.string().exactOptional(),
    fill: z.strictObject({ text: z.string().min(1).max(1024), times: z.int().min(1) }).exactOptional(),
    padTo: z.int().min(1).max(MAX_SENT_BYTES).exactOptional(),
    stall: z.literal(true).exactOptional(),
  })
  .refine(({ body, rawBody }) => body === undefined || rawBody === undefined, 'has both a body and a rawBody')
  .refine(({ padTo, rawBody }) => padTo === undefined || rawBody !== undefined, 'pads what is not there')
  .refine(({ fill, rawBody }) => fill === undefined || rawBody?.includes('{fill}') === true, 'fills what has no {fill}')
  .refine(
    ({ fill }) => fill === undefined || Buffer.byteLength(fill.text) * fill.times <= MAX_SENT_BYTES,
    `fills more than ${MAX_SENT_BYTES} bytes`,
  )
  .refine(
    ({ stall, body, rawBody = '' }) => stall === undefined || (body === undefined && rawBody.length > 1),
    'stalls in the middle of no rawBody',
  )
  .transform((request): SuiteRequest => ({ kind: 'http', ...request }));

const caseSchema = z
  .strictObject({
    id: z.string().regex(/^[a-z0-9][a-z0-9-]{0,99}$/, 'lower-case letters, digits and dashes'),
    kind,
    weight: z.number().positive().max(1000).default(1),
    request: z.union([chat, http]),
    expect: expectSchema,
  })
  // Whoever answers nothing, or with an error, says nothing that would have to be absent.
  .transform((each) => {
    if (each.expect.some((assertion) => assertion.kind === 'status')) return each;
    const any: readonly StatusPattern[] = each.request.kind === 'chat' ? [200] : ['2xx', '3xx', '4xx'];
    return { ...each, expect: [{ kind: 'status', any } as const, ...each.expect] };
  });

const path = z.string().max(200);
const command = z.strictObject({
  run: z.array(z.string().min(1).max(1024)).min(1).max(64),
  files: z
    .array(
      z.strictObject({
        path: z.string().refine((name) => unsafePath(name) === null, 'not a safe relative path'),
        sha256: digestSchema,
      }),
    )
    .max(100)
    .default([]),
  timeoutSeconds: seconds,
  output: z.strictObject({
    cases: path.default(''),
    id: path.min(1),
    passed: path.min(1),
    says: path.min(1).exactOptional(),
    weight: path.min(1).exactOptional(),
  }),
  kind,
});

const schema: z.ZodType<Suite> = z
  .strictObject({
    suite: suiteName,
    version: z.string().refine(isVersion, 'not SemVer'),
    protocol: z.enum(PROTOCOLS),
    accuracy: z
      .strictObject({
        dataset: z.string().min(1).max(1024),
        sha256: digestSchema,
        split: z.string().min(1).max(200),
        floor: z.number().min(0).max(1),
        batch: z.int().min(1).max(1024).default(1),
      })
      .exactOptional(),
    cases: z
      .array(caseSchema)
      .max(10_000)
      .default([])
      .refine((cases) => new Set(cases.map(({ id }) => id)).size === cases.length, 'an id stands twice'),
    command: command.exactOptional(),
  })
  .refine(
    ({ accuracy, cases, command: run }) => (run === undefined ? cases.length > 0 : cases.length === 0 && !accuracy),
    'has either cases, and perhaps labelled data, or a command',
  )
  .refine(
    ({ protocol, cases }) => protocol === 'openai-chat' || cases.every(({ request }) => request.kind === 'http'),
    'has a chat, but is for another protocol than openai-chat',
  );

/** Reads a suite from its YAML. MALFORMED: aliases, duplicate keys, unknown members, two cases of one id. */
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
