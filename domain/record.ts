import type { Digest } from './digest.js';
import { exitCodeOf, type ErrorCode } from './errors.js';

/**
 * One line of a release's provenance record. `holds`: what was checked is so. `fails`: it is not. `absent`: it has not come to
 * that, or never will. `fact`: something that is told, and that nothing signed stands behind.
 */
export interface RecordLine {
  /** What the line is about; stable, for scripts. */
  readonly part: string;
  readonly state: 'holds' | 'fails' | 'absent' | 'fact';
  readonly says: string;
  /** What was compared with what, just now. */
  readonly checked: string;
  /** The authorities whose keys have signed it. */
  readonly by: readonly string[];
  /** Digest of the statement, or document, that says so. */
  readonly statement: Digest | null;
  /** Version of the policy it was judged under. */
  readonly policy: number | null;
  /** Why it fails; `null` unless it does. */
  readonly failure: { readonly code: ErrorCode; readonly reason: string } | null;
}

/** The result of one test case, by its name in the suite; `failure` is `null` where it passed. */
export interface CaseVerdict {
  readonly id: string;
  readonly failure: string | null;
}

export interface ReleaseRecord {
  readonly model: string;
  readonly version: string;
  readonly release: Digest | null;
  readonly lines: readonly RecordLine[];
  /** Each case of the validation, from the report that the test result names; empty before there is one. */
  readonly cases: readonly CaseVerdict[];
}

/** What fails, worst first: bytes that are not what was signed come before everything else. */
export function failuresOf({ lines }: Pick<ReleaseRecord, 'lines'>): readonly (RecordLine & {
  readonly failure: NonNullable<RecordLine['failure']>;
})[] {
  const failing = lines.flatMap((line) => (line.failure === null ? [] : [{ ...line, failure: line.failure }]));
  const isWorse = (code: ErrorCode): number => (exitCodeOf(code) === INTEGRITY ? 0 : 1);
  return failing.sort((a, b) => isWorse(a.failure.code) - isWorse(b.failure.code));
}

/** What a command ends with that found these: 6 where bytes are not what was signed, 3 where anything else fails. */
export function exitCodeFor(failing: ReturnType<typeof failuresOf>): number {
  if (failing.some(({ failure }) => exitCodeOf(failure.code) === INTEGRITY)) return INTEGRITY;
  return failing.length === 0 ? 0 : exitCodeOf('POLICY_REFUSED');
}

const INTEGRITY = exitCodeOf('DIGEST_MISMATCH');
