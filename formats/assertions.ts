import { z } from 'zod';
import type { Assertion, StatusPattern } from '../domain/assertion.js';

const text = z.string().min(1).max(4096);
const texts = z.union([text.transform((one) => [one]), z.array(text).min(1).max(100)]);

const pattern = z
  .string()
  .min(1)
  .max(1000)
  .superRefine((source, context) => {
    try {
      new RegExp(source, 'iu');
    } catch (error) {
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
    }
  });
const patterns = z.union([pattern.transform((one) => [one]), z.array(pattern).min(1).max(100)]);

const status: z.ZodType<StatusPattern> = z.union([
  z.int().min(100).max(599),
  z.enum(['1xx', '2xx', '3xx', '4xx', '5xx', 'closed']),
]);
const path = z.string().min(1).max(1000);
const milliseconds = z.int().min(1).max(600_000);

/** What the author writes as members of `expect`, each of them one assertion or several. */
export const expectSchema: z.ZodType<readonly Assertion[]> = z
  .strictObject({
    status: z.union([status.transform((one) => [one]), z.array(status).min(1)]).exactOptional(),
    contains: texts.exactOptional(),
    notContains: texts.exactOptional(),
    matches: patterns.exactOptional(),
    notMatches: patterns.exactOptional(),
    isJson: z.literal(true).exactOptional(),
    json: z.record(path, z.unknown()).exactOptional(),
    jsonMatches: z.record(path, pattern).exactOptional(),
    jsonWithin: z.record(path, z.tuple([z.number(), z.number()])).exactOptional(),
    maxChars: z.int().min(0).exactOptional(),
    maxMs: milliseconds.exactOptional(),
    refuses: z.boolean().exactOptional(),
    leaksNoPrompt: z.literal(true).exactOptional(),
  })
  .transform((said): Assertion[] => [
    ...(said.status === undefined ? [] : [{ kind: 'status', any: said.status } as const]),
    ...(said.maxMs === undefined ? [] : [{ kind: 'max-ms', most: said.maxMs } as const]),
    ...(said.maxChars === undefined ? [] : [{ kind: 'max-chars', most: said.maxChars } as const]),
    ...(said.isJson === undefined ? [] : [{ kind: 'is-json' } as const]),
    ...(said.contains ?? []).map((each): Assertion => ({ kind: 'contains', text: each })),
    ...(said.notContains ?? []).map((each): Assertion => ({ kind: 'lacks', text: each })),
    ...(said.matches ?? []).map((each): Assertion => ({ kind: 'matches', pattern: each })),
    ...(said.notMatches ?? []).map((each): Assertion => ({ kind: 'absent', pattern: each })),
    ...Object.entries(said.json ?? {}).map(([at, value]): Assertion => ({ kind: 'json-equals', path: at, value })),
    ...Object.entries(said.jsonMatches ?? {}).map(([at, each]): Assertion => ({
      kind: 'json-matches',
      path: at,
      pattern: each,
    })),
    ...Object.entries(said.jsonWithin ?? {}).map(([at, [least, most]]): Assertion => ({
      kind: 'json-within',
      path: at,
      least,
      most,
    })),
    ...(said.leaksNoPrompt === undefined ? [] : [{ kind: 'no-prompt' } as const]),
    ...(said.refuses === undefined ? [] : [{ kind: 'refusal', refuses: said.refuses } as const]),
  ])
  .refine((assertions) => assertions.length > 0, 'expects nothing, so that nothing could fail');
