import { finding } from '../../domain/artifacts.js';
import type { ErrorCode } from '../../domain/errors.js';
import type { ProvenancePredicate } from '../../domain/statements.js';
import { sha256 } from '../../formats/sha256.js';
import type { ReleaseOptions } from './world.js';

type Forgery = readonly [how: string, options: ReleaseOptions, code: ErrorCode];

const dated = (startedOn: string, finishedOn: string) => (usual: ProvenancePredicate) => ({
  ...usual,
  runDetails: { ...usual.runDetails, metadata: { invocationId: 'run-1', startedOn, finishedOn } },
});

const UNSAFE = finding('weights.bin', 'unsafe-global', 12, 'it imports posix.system');

/** What is wrong with the evidence of a release, each in one way: tried wherever evidence is checked. */
export const FORGERIES: readonly Forgery[] = [
  ['a provenance about another release', { made: sha256('another') }, 'REPLAYED'],
  ['a provenance by the validator', { provenanceBy: 'intake' }, 'NOT_AUTHORISED'],
  ['a provenance by a stranger', { provenanceBy: 'mallory' }, 'SIGNATURE_INVALID'],
  [
    'a provenance without training data',
    { provenance: (usual) => ({ ...usual, buildDefinition: { ...usual.buildDefinition, resolvedDependencies: [] } }) },
    'PROVENANCE_INVALID',
  ],
  [
    'a provenance that ends in the future',
    { provenance: dated('2026-01-01T00:00:00Z', '2999-01-01T00:00:00Z') },
    'PROVENANCE_INVALID',
  ],
  [
    'a provenance that ends before it began',
    { provenance: dated('2026-01-01T00:00:01Z', '2026-01-01T00:00:00Z') },
    'PROVENANCE_INVALID',
  ],
  ['a scan of another release', { scanned: sha256('another') }, 'REPLAYED'],
  ['a scan of another version', { scan: { version: '9.9.9' } }, 'REPLAYED'],
  ['a scan by the producer', { scannedBy: 'trainer' }, 'NOT_AUTHORISED'],
  ['a scan by a stranger', { scannedBy: 'mallory' }, 'SIGNATURE_INVALID'],
  ['a scan that refused it', { scan: { verdict: 'refused' } }, 'POLICY_REFUSED'],
  ['a scan that could not see it', { scan: { verdict: 'unscannable' } }, 'POLICY_REFUSED'],
  ['a scan called clean over a finding', { scan: { findings: [UNSAFE] } }, 'POLICY_REFUSED'],
  ['a scan that let a pickle in', { scan: { formats: [{ format: 'pickle', files: 1 }] } }, 'POLICY_REFUSED'],
  ['a scan that let remote code in', { scan: { tolerated: ['remote-code'] } }, 'POLICY_REFUSED'],
  ['a test result about another release', { tested: sha256('another') }, 'REPLAYED'],
  ['a test result by the producer', { testedBy: 'trainer' }, 'NOT_AUTHORISED'],
  ['a test result by a stranger', { testedBy: 'mallory' }, 'SIGNATURE_INVALID'],
  [
    'a test result of another suite',
    { testResult: { configuration: [{ name: 'suite', digest: { sha256: sha256('an easier suite') } }] } },
    'VALIDATION_FAILED',
  ],
  ['a test result that failed', { testResult: { result: 'FAILED' } }, 'VALIDATION_FAILED'],
  ['PASSED over a failed test', { testResult: { failedTests: ['robustness'] } }, 'VALIDATION_FAILED'],
  ['one case under its name three times', { testResult: { passedTests: ['a', 'a', 'a'] } }, 'VALIDATION_FAILED'],
  ['not one case', { testResult: { passedTests: [] } }, 'VALIDATION_FAILED'],
  ['a request that names none of the evidence', { request: { evidence: {} } }, 'REPLAYED'],
];
