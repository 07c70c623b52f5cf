import { z } from 'zod';
import type { ScannerVerdict } from '../../domain/artifacts.js';
import { checkShape, parseJson, printable } from '../json.js';

const MAX_BYTES = 8 * 1024 * 1024;
const LISTED = 5;

const result = z.object({
  ruleId: z.string().optional(),
  kind: z.string().optional(),
  level: z.enum(['none', 'note', 'warning', 'error']).optional(),
  message: z.object({ text: z.string().optional() }).optional(),
  suppressions: z.array(z.unknown()).optional(),
});
const run = z.object({
  tool: z.object({ driver: z.object({ name: z.string() }) }),
  invocations: z.array(z.object({ executionSuccessful: z.boolean() })).optional(),
  artifacts: z.array(z.unknown()).optional(),
  results: z.array(result).optional(),
});
const schema = z.object({ version: z.literal('2.1.0'), runs: z.array(run) });

/**
 * What a SARIF 2.1.0 log says of the one file that was scanned. A result counts unless its level is `none` or `note`: whether
 * it is suppressed is the policy's to say, not the scanner's. A log without a run, without the list of results, or of a run
 * that failed, is no pass. MALFORMED: it is no SARIF. https://docs.oasis-open.org/sarif/sarif/v2.1.0/
 */
export function readSarif(bytes: Uint8Array): Pick<ScannerVerdict, 'verdict' | 'message'> {
  const what = 'the SARIF log';
  const { runs } = checkShape(schema, parseJson(bytes, what, { maxBytes: MAX_BYTES }), what);
  if (runs.length === 0) return { verdict: 'failed', message: 'its log holds no run' };
  // `results` may be left out where the run found no file to look at, or did not come to its end (3.14.23).
  if (runs.some(({ results }) => results === undefined))
    return { verdict: 'failed', message: 'a run lists no results, not even an empty list' };
  if (runs.some(({ invocations = [] }) => invocations.some(({ executionSuccessful }) => !executionSuccessful)))
    return { verdict: 'failed', message: 'a run says that it failed' };
  if (runs.every(({ artifacts }) => artifacts?.length === 0))
    return { verdict: 'failed', message: 'a run says that it looked at no file' };
  const counted = runs.flatMap(({ results = [] }) => results).filter(counts);
  if (counted.length === 0) return { verdict: 'clean', message: '' };
  const told = counted.slice(0, LISTED).map(({ ruleId = '', message }) => `${ruleId} ${message?.text ?? ''}`.trim());
  return { verdict: 'findings', message: printable(`${counted.length} results: ${told.join('; ')}`) };
}

/** A result without a level is a warning, unless its kind says that nothing is wrong (3.27.9, 3.27.10). */
function counts({ level, kind = 'fail' }: z.infer<typeof result>): boolean {
  if (level !== undefined) return level === 'warning' || level === 'error';
  return !['pass', 'notApplicable', 'informational'].includes(kind);
}
