import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { filesOf } from '../adapters/data-sources.js';
import type { Records } from '../adapters/records.js';
import { nameOnce } from '../adapters/durable.js';
import { removeTree } from '../adapters/sandbox/outputs.js';
import { listData } from '../adapters/source/data.js';
import { readSmallIfThere } from '../adapters/source/file.js';
import { MAX_DOCUMENT_BYTES } from '../adapters/source/folder.js';
import { makeReadable } from '../adapters/source/pack.js';
import { stagesOf } from '../adapters/training/recipe.js';
import { ranTogether, runStage, type Ran } from '../adapters/training/run.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import { observedIn } from '../domain/observed.js';
import type { Policy } from '../domain/policy.js';
import { STAGE_BUILD } from '../domain/provenance.js';
import { isoTime } from '../domain/time.js';
import { trafficIn } from '../domain/traffic.js';
import { fileListDigest, type ListedFile } from '../formats/file-list.js';
import { canonicalBytes } from '../formats/jcs.js';
import type { SigningKey } from '../formats/keys.js';
import { holderOf, signStatement } from '../formats/statements.js';
import {
  apartFromReviews,
  inputsBy,
  stageParameters,
  stageProvenance,
  type Checkpoint,
  type Making,
} from './training-provenance.js';

export interface StageDependencies {
  readonly records: Records;
  readonly producerKey: SigningKey;
  /** Each run of stages has a folder here, `<run>.checkpoints`, with one for each stage but the last. */
  readonly outputs: string;
  readonly tracer?: string | undefined;
}

interface Kept extends Checkpoint {
  readonly folder: string;
  readonly listed: readonly ListedFile[];
  readonly seconds: number;
  /** How its stage went, as its provenance says. */
  readonly went: Pick<Ran, 'observed' | 'network'>;
}

const CHECKPOINT = 'checkpoint';
const STATEMENT = 'statement.json';

/**
 * Runs the stages of a run, each in a sandbox of its own. What one has left is signed and kept before the next begins, which
 * gets a copy of it once signature, run, inputs and every file are verified anew: also of what an attempt has left that was
 * killed, which is not repeated. DIGEST_MISMATCH, REPLAYED, SIGNATURE_INVALID, NOT_AUTHORISED: what is there is not that.
 * `limits` are those of all stages together, and so is what is told of how it ran.
 */
export async function runStages(
  dependencies: StageDependencies,
  making: Making,
  limits: Policy['training']['limits'],
  work: string,
  signal: AbortSignal,
): Promise<{ readonly output: string; readonly ran: Ran; readonly before: Checkpoint | null }> {
  const { records, outputs, tracer } = dependencies;
  const { trainer, recipe, tree: code, hyperparameters, data, models } = making.inputs;
  const files = await filesOf(records, data);
  const stages = stagesOf(recipe);
  const earlier: Kept['went'][] = [];
  let before: Kept | null = null;
  let seconds = 0;
  for (const [at, stage] of stages.entries()) {
    const place = join(outputs, `${making.run}.checkpoints`, `${at}-${stage.name}`);
    const isLast = at === stages.length - 1;
    let kept: Kept | null = isLast ? null : await openCheckpoint(dependencies, making, stage.name, before, place);
    if (kept === null) {
      const wallSeconds = limits.wallSeconds - seconds;
      if (wallSeconds < 1) throw new CustodyError('TRAINING_FAILED', `no time is left for the stage ${stage.name}`);
      const folder = join(work, `stage-${at}`);
      await mkdir(folder, { mode: 0o755 });
      const startedOn = isoTime(Date.now());
      const checkpoint = before === null ? null : { folder: join(before.folder, CHECKPOINT), files: before.listed };
      const spent = earlier.flatMap(({ network }) => network?.connections ?? []);
      const given = { stage, checkpoint, earlier: spent, code, hyperparameters, files, models, tracer };
      const limited = { ...trainer, limits: { ...limits, wallSeconds } };
      const { output, ...ran } = await runStage(limited, given, folder, signal);
      if (isLast) return { output, ran: ranTogether(earlier, ran), before };
      await keepCheckpoint(dependencies, making, stage.name, { ran, before, startedOn }, { output, place });
      // Copies of code, data and checkpoint, which nobody needs any more.
      await removeTree(folder);
      kept = await openCheckpoint(dependencies, making, stage.name, before, place);
    }
    if (kept === null) throw new CustodyError('INTERNAL', `the checkpoint ${place} is gone`);
    seconds += kept.seconds;
    earlier.push(kept.went);
    before = kept;
  }
  throw new CustodyError('INTERNAL', 'a recipe without stages');
}

/** Its folder gets its name last of all, so that what has one is whole. One that is there already stays. */
async function keepCheckpoint(
  { records, producerKey }: StageDependencies,
  making: Making,
  stage: string,
  went: Parameters<typeof stageProvenance>[2],
  { output, place }: { readonly output: string; readonly place: string },
): Promise<void> {
  const made = join(output, CHECKPOINT);
  const { files } = await listData(made);
  if (files.length === 0)
    throw new CustodyError('INPUT_EMPTY', `the stage ${stage} has left no file in /output/checkpoint`);
  const subject = { name: `${making.model} ${making.run} ${stage}`, sha256: fileListDigest(files) };
  const statement = signStatement('provenance', subject, stageProvenance(making, stage, went), [producerKey]);
  await records.keep(statement);
  const whole = `${output}.whole`;
  await mkdir(whole, { mode: 0o755 });
  await makeReadable(made, files);
  await rename(made, join(whole, CHECKPOINT));
  await writeFile(join(whole, STATEMENT), canonicalBytes(statement));
  await mkdir(join(place, '..'), { recursive: true, mode: 0o755 });
  await nameOnce(whole, place);
}

/** `null`: there is none. */
async function openCheckpoint(
  { records, producerKey }: StageDependencies,
  making: Making,
  stage: string,
  before: Checkpoint | null,
  folder: string,
): Promise<Kept | null> {
  const text = await readSmallIfThere(join(folder, STATEMENT), MAX_DOCUMENT_BYTES);
  if (text === null) return null;
  const { verified } = await records.meet('provenance', text);
  const { newest } = await records.policies();
  const owner = holderOf(newest, 'producer', producerKey);
  if (owner === undefined || !verified.signers.includes(owner))
    throw new CustodyError('NOT_AUTHORISED', `the checkpoint of ${stage} is signed by another than this zone`);
  const { buildDefinition, runDetails } = verified.predicate;
  const { buildType, externalParameters, resolvedDependencies } = buildDefinition;
  const isSame = (found: unknown, expected: unknown): boolean => canonicalBytes(found).equals(canonicalBytes(expected));
  if (buildType !== STAGE_BUILD || !isSame(externalParameters, stageParameters(making, stage)))
    throw new CustodyError(
      'REPLAYED',
      `${folder} is no checkpoint of the stage ${stage} of this run: take another name`,
    );
  // Whether the reviews of now suffice was judged before anything ran.
  if (!isSame(apartFromReviews(resolvedDependencies), apartFromReviews(inputsBy(making, before))))
    throw new CustodyError('REPLAYED', `the checkpoint ${folder} was made of something else: take another name`);
  const { files } = await listData(join(folder, CHECKPOINT));
  demandSame(stage, fileListDigest(files), verified.subject);
  const { startedOn, finishedOn } = runDetails.metadata;
  const seconds = Math.max(0, Math.ceil((Date.parse(finishedOn) - Date.parse(startedOn)) / 1000));
  const went = wentBy(stage, buildDefinition.internalParameters);
  return { stage, folder, listed: files, files: verified.subject, statement: verified.digest, seconds, went };
}

/** MALFORMED: what it says is no account of that. */
function wentBy(stage: string, parameters: Readonly<Record<string, unknown>> | undefined): Kept['went'] {
  const observed = observedIn(parameters);
  const network = trafficIn(parameters);
  if (observed === null || (network === null && parameters?.['network'] !== undefined))
    throw new CustodyError('MALFORMED', `the checkpoint of ${stage} does not say how its stage went`);
  return { observed, ...(network === null ? {} : { network }) };
}

function demandSame(stage: string, found: Digest, signed: Digest): void {
  if (found !== signed)
    throw new CustodyError(
      'DIGEST_MISMATCH',
      `the checkpoint of ${stage} has changed since it was signed: ${found}, not ${signed}`,
    );
}
