import type { RuleId } from '../../domain/artifacts.js';

/** Tells what is wrong at which byte of the file. */
export type Report = (offset: number, rule: RuleId, message: string) => void;

/**
 * Reads one file, chunk by chunk, in memory that does not grow with it. A chunk may be overwritten as soon as `add` has
 * returned. Nothing that the bytes say makes it throw.
 */
export interface ArtifactReader {
  add(chunk: Uint8Array): void;
  /** After the last byte. */
  end(): void;
}

/** Another reader's report, moved to where its bytes begin in the file and saying in which part of it. */
export function reportWithin(report: Report, begin: number, part: string): Report {
  return (offset, rule, message) => report(begin + offset, rule, `in ${part}: ${message}`);
}
