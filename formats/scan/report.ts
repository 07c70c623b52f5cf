import { z } from 'zod';
import { ARTIFACT_FORMATS, RULE_IDS, type Finding, type ScannedFile } from '../../domain/artifacts.js';
import type { Digest } from '../../domain/digest.js';
import { MAX_FILES } from '../../domain/manifest.js';
import type { FileContent } from '../../domain/release-facts.js';
import { digestSchema } from '../in-toto.js';
import { checkShape, parseJson } from '../json.js';
import { contentSchema } from '../release-facts.js';

const MAX_LINE_BYTES = 256 * 1024 * 1024;
/** Of the most files that a manifest can list, and of what a policy bears with in them. */
const MAX_REPORT_BYTES = 64 * 1024 * 1024;

export const formatSchema = z.enum(ARTIFACT_FORMATS);
export const findingSchema: z.ZodType<Finding> = z.strictObject({
  file: z.string().max(1024),
  offset: z.number().min(0),
  rule: z.enum(RULE_IDS),
  atlas: z.string().regex(/^AML\.T\d{4}(\.\d{3})?$/),
  message: z.string().max(4000),
});
const scanned = {
  path: z.string().max(1024),
  size: z.int().min(0),
  sha256: digestSchema,
  format: formatSchema,
  findings: z.array(findingSchema).max(1000),
};
const scannedSchema: z.ZodType<ScannedFile> = z.strictObject(scanned);
/** In a report: of a file that was taken over, from where is passed over. */
const fileSchema: z.ZodType<ScannedFile> = z.object(scanned);

const reportSchema = z.object({ release: digestSchema, rules: z.unknown(), files: z.array(fileSchema).max(MAX_FILES) });

/** What a scan found in each file, as its report keeps it, and by which rules that was judged. */
export function parseScanReport(bytes: Uint8Array): {
  readonly release: Digest;
  readonly rules: unknown;
  readonly files: readonly ScannedFile[];
} {
  const what = 'the report of a scan';
  const { release, rules, files } = checkShape(
    reportSchema,
    parseJson(bytes, what, { maxBytes: MAX_REPORT_BYTES }),
    what,
  );
  return { release, rules, files };
}

/** What the process that scans tells: how many more bytes it has read, one file, or that it has read them all. */
export type ScanLine =
  | { readonly kind: 'read'; readonly bytes: number }
  | { readonly kind: 'file'; readonly scanned: ScannedFile; readonly content: FileContent }
  | { readonly kind: 'done'; readonly files: number };

const lineSchema: z.ZodType<ScanLine> = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('read'), bytes: z.int().min(0) }),
  z.strictObject({ kind: z.literal('file'), scanned: scannedSchema, content: contentSchema }),
  z.strictObject({ kind: z.literal('done'), files: z.int().min(0) }),
]);

/** Reads one line of it. What wrote it has seen hostile bytes: nothing but this shape is taken from it. */
export function parseScanLine(line: Uint8Array): ScanLine {
  const what = 'what the scan says';
  return checkShape(lineSchema, parseJson(line, what, { maxBytes: MAX_LINE_BYTES }), what);
}
