import { mkdtemp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startIsolated, type IsolatedServer, type Isolation } from '../adapters/model-server/isolated.js';
import { runSuite, type SuiteRun } from '../adapters/model-server/suite-run.js';
import type { SandboxLimits } from '../adapters/sandbox/port.js';
import { detectSandbox } from '../adapters/sandbox/sandbox.js';
import { copyRelease } from '../adapters/source/inspect.js';
import { localPath } from '../adapters/source/file.js';
import { readRelease, type SourceRelease } from '../adapters/source/folder.js';
import type { Records } from '../adapters/records.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { Validated } from '../domain/lifecycle.js';
import { MANIFEST_FILE } from '../domain/manifest.js';
import type { Policy } from '../domain/policy.js';
import type { TestResultPredicate } from '../domain/statements.js';
import type { ReleaseName } from '../domain/names.js';
import {
  accuracyCase,
  casesCase,
  criterionOf,
  type CaseResult,
  type LabelledData,
  type Suite,
} from '../domain/suite.js';
import { canonicalBytes } from '../formats/jcs.js';
import type { SigningKey } from '../formats/keys.js';
import { sha256 } from '../formats/sha256.js';
import { signStatement } from '../formats/statements.js';
import { parseLabelledData, parseSuite } from '../formats/suite.js';
import { checkAdmission } from './admitted.js';
import type { IntakeActivities } from './contract.js';
import { withHeartbeat } from './heartbeat.js';

export interface ValidateDependencies {
  readonly records: Records;
  readonly validatorKey: SigningKey;
  /** A private folder with a short path, for the copies that are tried. */
  readonly work: string;
  /** How the host isolates; found out when not given. */
  readonly isolation?: Isolation;
}

const MEMORY_MB = 2048;
const OUTPUT_MB = 16;

/** What the run is measured by: from the policy's digest on, everything was fixed before it began. */
interface Measure {
  readonly rules: Policy['validation'];
  readonly suite: Suite;
  readonly data: LabelledData;
  readonly floor: number;
}

/**
 * Tries a release before anyone may approve it: a copy whose every byte was checked is started without network, put through
 * the policy's suite, and measured on rows that no training has seen. A crash, a time-out or too few cases is a failure,
 * never a pass. The outcome is a signed in-toto test result, the details a report in WORM that it names.
 */
export function createValidateActivities(dependencies: ValidateDependencies): Pick<IntakeActivities, 'validate'> {
  const { records, validatorKey, work } = dependencies;
  return {
    validate: async (name, admission, ingested) => {
      const progress = { cases: 0 };
      return withHeartbeat(
        () => progress,
        async (signal) => {
          const { gate } = await checkAdmission(records, name, admission);
          const measure = await readMeasure(records, gate.validation);
          const source = await readRelease(localPath(admission.source), gate.artifacts);
          assertIngested(source, ingested.release);
          await mkdir(work, { recursive: true, mode: 0o700 });
          const folder = await mkdtemp(join(work, 'try-'));
          try {
            const copy = join(folder, 'release');
            await copyRelease(source, copy, MANIFEST_FILE, { signal });
            const run = await tryRelease({ source, copy, folder, measure, signal, progress }, dependencies.isolation);
            return await conclude(records, validatorKey, name, ingested.release, measure, run);
          } finally {
            await rm(folder, { recursive: true, force: true });
          }
        },
      );
    },
  };
}

async function readMeasure(records: Records, rules: Policy['validation']): Promise<Measure> {
  const suite = parseSuite(await records.getBytes(rules.suite));
  const data = parseLabelledData(await records.getBytes(suite.accuracy.sha256));
  return { rules, suite, data, floor: Math.max(suite.accuracy.floor, rules.minimumAccuracy) };
}

function assertIngested({ text }: SourceRelease, release: Digest): void {
  const found = sha256(text);
  if (found !== release)
    throw new CustodyError('DIGEST_MISMATCH', `the source folder now holds ${found}, ingested was ${release}`, {
      details: { expected: release, found },
    });
}

type Run = SuiteRun & { readonly isolation: Isolation; readonly limits: SandboxLimits };

interface Trial {
  readonly source: SourceRelease;
  readonly copy: string;
  readonly folder: string;
  readonly measure: Measure;
  readonly signal: AbortSignal;
  readonly progress: { cases: number };
}

/** A candidate that does not even start has failed; a host that cannot isolate as it should has not tried it at all. */
async function tryRelease(trial: Trial, wanted: Isolation | undefined): Promise<Run> {
  const { source, copy, folder, measure, signal, progress } = trial;
  const { model, version, serving } = source.manifest;
  const isolation = wanted ?? (await detectSandbox()) ?? 'none';
  const limits = { wallSeconds: Math.ceil(measure.rules.timeoutSeconds), memoryMb: MEMORY_MB, outputMb: OUTPUT_MB };
  const onCase = (): void => void (progress.cases += 1);
  const notStarted = (failure: string): Run => ({
    isolation,
    limits,
    cases: measure.suite.cases.map(({ id }) => ({ id, failure })),
    right: 0,
    rows: measure.data.rows.length,
    unanswered: failure,
  });
  let server: IsolatedServer;
  try {
    const { command } = serving;
    server = await startIsolated({ release: copy, command, model, version, work: folder, limits, isolation, signal });
  } catch (error) {
    if (!(error instanceof CustodyError) || error.code !== 'MODEL_SERVER_FAILED') throw error;
    return notStarted(error.message);
  }
  try {
    return { isolation, limits, ...(await runSuite(server, measure, model, { signal, onCase })) };
  } finally {
    await server.stop();
  }
}

/** Keeps the report, signs what it comes to, and keeps that. */
async function conclude(
  records: Records,
  key: SigningKey,
  name: ReleaseName,
  release: Digest,
  { rules, suite, floor }: Measure,
  run: Run,
): Promise<Validated> {
  const accuracy = run.right / run.rows;
  const criterion = new Map(suite.cases.map((each) => [each.id, criterionOf(each)]));
  const results: CaseResult[] = [
    ...run.cases.map(({ id, failure }) => ({ id: criterion.get(id) ?? id, failure })),
    { id: accuracyCase(floor), failure: accuracy >= floor ? null : `${accuracy}: ${run.unanswered ?? 'too low'}` },
  ];
  if (suite.cases.length < rules.minimumCases)
    results.push({ id: casesCase(rules.minimumCases), failure: `the suite has ${suite.cases.length}` });
  const passedTests = results.filter(({ failure }) => failure === null).map(({ id }) => id);
  const failedTests = results.filter(({ failure }) => failure !== null).map(({ id }) => id);

  const isolation = { isolation: run.isolation, limits: { ...run.limits } };
  const report = canonicalBytes({
    ...{ release, ...name, suite: rules.suite, dataset: suite.accuracy.sha256, ...isolation },
    ...{ results, accuracy, right: run.right, rows: run.rows },
  });
  const predicate: TestResultPredicate = {
    result: failedTests.length === 0 ? 'PASSED' : 'FAILED',
    configuration: [
      { name: 'suite', digest: { sha256: rules.suite } },
      { name: 'dataset', digest: { sha256: suite.accuracy.sha256 } },
      { name: `isolation: ${run.isolation}`, digest: { sha256: sha256(canonicalBytes(isolation)) } },
      { name: 'report', digest: { sha256: await records.keepBytes(report) } },
    ],
    passedTests,
    failedTests,
  };
  const subject = { name: `${name.model} ${name.version}`, sha256: release };
  const testResult = await records.keep(signStatement('testResult', subject, predicate, [key]));
  return { testResult, passed: passedTests.length, failed: failedTests, accuracy };
}
