import type { Digest } from './digest.js';

interface ResourceDescriptor {
  readonly name: string;
  readonly digest: { readonly sha256: Digest };
}

/** in-toto test-result v0.1. Subject: the release. */
export interface TestResultPredicate {
  readonly result: 'PASSED' | 'FAILED';
  readonly configuration: readonly ResourceDescriptor[];
  readonly passedTests: readonly string[];
  /** Cases that did not pass, of a group that may miss some. */
  readonly warnedTests?: readonly string[];
  readonly failedTests: readonly string[];
}
