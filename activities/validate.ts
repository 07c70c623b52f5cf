import { mkdtemp, mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openBase } from '../adapters/base.js';
import { absent, shredTree } from '../adapters/durable.js';
import { builtInFolder } from '../adapters/model-server/built-in.js';
import type { Records } from '../adapters/records.js';
import { removeTree } from '../adapters/sandbox/outputs.js';
import { hostIsolation } from '../adapters/sandbox/sandbox.js';
import { statedLineage } from '../adapters/source/lineage.js';
import { readRelease, type SourceRelease } from '../adapters/source/folder.js';
import { copyRelease } from '../adapters/source/inspect.js';
import { localPath } from '../adapters/source/file.js';
import type { Rules } from '../domain/authorise.js';
import { baseOf } from '../domain/base.js';
import type { JudgedSuite } from '../domain/criteria.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import { isolationProblem, type Isolation } from '../domain/isolation.js';
import type { Ingested } from '../domain/lifecycle.js';
import { MANIFEST_FILE, type Manifest } from '../domain/manifest.js';
import type { ReleaseName } from '../domain/names.js';
import type { SigningKey } from '../formats/keys.js';
import { sha256 } from '../formats/sha256.js';
import { checkAdmission } from './admitted.js';
import { bytesOf } from './based.js';
import type { IntakeActivities } from './contract.js';
import { withHeartbeat } from './heartbeat.js';
import { readMeasures, type Measure } from './measure.js';
import { parentResult, type ParentResult } from './parent.js';
import { takerOf, type Reopening } from './take-over.js';
import { tryMeasure, type Trial } from './trial.js';
import { conclude } from './verdict.js';

export interface ValidateDependencies {
  readonly records: Records;
  readonly validatorKey: SigningKey;
  readonly vault: Reopening;
  /** A private folder with a short path, for the copies that are tried. */
  readonly work: string;
  /** Where people put suites of their own, and what those name. */
  readonly suites?: string;
  /** How candidates are kept from the host; without it in a sandbox, or not at all. */
  readonly isolate?: () => Promise<Isolation>;
}

const MEMORY_MB = 2048;
const OUTPUT_MB = 16;
/** Where in a folder of its own the copy of a release lies that is tried or looked into. */
const COPY = 'release';
const MAX_PROMPT_BYTES = 4 * 1024 * 1024;

/**
 * Tries a release before anyone may approve it: a copy whose every byte was checked is started without network, once for each
 * suite that the policy fixes, and put through it. A crash, a time-out, too few cases, a case that nobody could pass: none of
 * them is a pass. The outcome is a signed in-toto test result, the details are reports in WORM that it names.
 */
export function createValidateActivities(dependencies: ValidateDependencies): Pick<IntakeActivities, 'validate'> {
  const { records, vault, work, isolate = hostIsolation } = dependencies;
  const folders = [builtInFolder(), ...(dependencies.suites === undefined ? [] : [dependencies.suites])];
  return {
    validate: async (name, admission, ingested) => {
      const progress = { cases: 0 };
      return withHeartbeat(
        () => progress,
        async (signal) => {
          const rules = await checkAdmission(records, name, admission);
          const { envelope: provenance, verified } = await records.get('provenance', ingested.provenance);
          const named = baseOf(verified.predicate);
          const base = named === null ? null : (await openBase(records, name, named)).manifest;
          const source = await readRelease(localPath(admission.source), rules.gate.artifacts, base);
          assertIngested(source, ingested.release);
          const isolation = await isolate();
          assertCounts(isolation, rules);
          await mkdir(work, { recursive: true, mode: 0o700 });
          const folder = await mkdtemp(join(work, 'try-'));
          try {
            const copy = join(folder, COPY);
            const taken = await takerOf({ records, vault }, source.manifest, named, {
              ...{ provenance, admission: admission.request, manifest: source.text.toString('utf8') },
              bundle: (await records.getBytes(ingested.bundle)).toString('utf8'),
            })();
            await copyRelease(source, copy, MANIFEST_FILE, {
              bytesOf: bytesOf(records, source, base, taken, { signal }),
            }).finally(() => taken.close());
            const whole = { ...source, folder: copy };
            const parent = await parentResult(records, name, ingested, rules, await statedLineage(whole, signal));
            const measures = await readMeasures(records, folders, name, rules, parent);
            const wallSeconds = Math.ceil(rules.gate.validation.timeoutSeconds);
            const limits = { wallSeconds, memoryMb: MEMORY_MB, outputMb: OUTPUT_MB };
            const onCase = (): void => void (progress.cases += 1);
            const { manifest } = source;
            const prompts = await readPrompts(source.manifest, copy);
            const trial: Trial = { manifest, copy, prompts, folder, isolation, limits, signal, onCase };
            return await judged(
              dependencies,
              { name, ingested, rules, parent, policy: admission.policy },
              trial,
              measures,
            );
          } finally {
            await removeTrial(folder);
          }
        },
      );
    },
  };
}

/** Removes what a killed process has left in its folder for copies, before it makes others. */
export async function sweepCopies(work: string): Promise<void> {
  for (const name of (await readdir(work).catch(absent)) ?? []) await removeTrial(join(work, name));
}

/** The copy of a release is overwritten; what a candidate has left beside it may be of any shape. */
async function removeTrial(folder: string): Promise<void> {
  await shredTree(join(folder, COPY));
  await removeTree(folder);
}

/** What a candidate must not give away. */
async function readPrompts({ components, files }: Manifest, folder: string): Promise<Trial['prompts']> {
  const paths = new Set(components.flatMap(({ kind, files: own }) => (kind === 'prompt' ? own : [])));
  const texts: (string | null)[] = [];
  for (const { path, size } of files)
    if (paths.has(path)) texts.push(size > MAX_PROMPT_BYTES ? null : await readFile(join(folder, path), 'utf8'));
  return texts;
}

export interface Candidate {
  readonly name: ReleaseName;
  readonly ingested: Ingested;
  readonly rules: Rules;
  readonly policy: Digest;
  readonly parent: ParentResult | null;
}

async function judged(
  { records, validatorKey }: ValidateDependencies,
  candidate: Candidate,
  trial: Trial,
  measures: readonly Measure[],
): ReturnType<IntakeActivities['validate']> {
  const suites: JudgedSuite[] = [];
  for (const measure of measures) {
    const { rule, suite, isOfParent } = measure;
    suites.push({ rule, suite, isOfParent, run: await tryMeasure(trial, measure) });
  }
  return conclude(records, validatorKey, candidate, trial, suites);
}

function assertIngested({ text }: SourceRelease, release: Digest): void {
  const found = sha256(text);
  if (found !== release)
    throw new CustodyError('DIGEST_MISMATCH', `the source folder now holds ${found}, ingested was ${release}`, {
      details: { expected: release, found },
    });
}

/** Nothing of a candidate's is run beside intake's keys for a result that nobody would accept. */
function assertCounts(isolation: Isolation, { gate }: Rules): void {
  if (isolationProblem([isolation], gate) === null) return;
  throw new CustodyError(
    'SANDBOX_UNAVAILABLE',
    'this host has no sandbox, and the policy counts no result that is made without one (validation.allowUnisolated): ' +
      'the candidate was not started',
  );
}
