import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { nameOnce } from '../adapters/durable.js';
import { removeTree } from '../adapters/sandbox/outputs.js';
import { readSmall, readSmallIfThere } from '../adapters/source/file.js';
import { packRelease } from '../adapters/source/pack.js';
import { recordCode } from '../adapters/used-code.js';
import type { Trainer } from '../adapters/training/trainer.js';
import { authoriseTraining, mayAskToTrain } from '../domain/authorise-training.js';
import { isDigest, type Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import { isModelName } from '../domain/names.js';
import type { Policy } from '../domain/policy.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime, outsideValidity } from '../domain/time.js';
import { envelopeDigest, parseEnvelope } from '../formats/dsse.js';
import { demand, rulesFor } from '../formats/evidence.js';
import { canonicalBytes } from '../formats/jcs.js';
import { checkShape, parseJson, quote } from '../formats/json.js';
import type { SigningKey } from '../formats/keys.js';
import { omsResources } from '../formats/manifest.js';
import { signOms } from '../formats/oms.js';
import { holderOf, signStatement } from '../formats/statements.js';
import type { TrainingActivities } from './training-contract.js';
import { withHeartbeat } from './heartbeat.js';
import { inputsOf, type Sources } from './training-inputs.js';
import { hostDependencies, provenanceOf, type Made, type TrainRequest } from './training-provenance.js';
import { runStages } from './training-stages.js';

export interface TrainDependencies extends Sources {
  /** Signs what was trained: ECDSA, enrolled for the role producer. */
  readonly producerKey: SigningKey;
  /** Each run gets a folder here: `<run>/release`, `<run>/release.sig.json` and `<run>/release.provenance.json`. */
  readonly outputs: string;
  /** A `strace` that watches each run: without one, less of what it tries is known. */
  readonly tracer?: string | undefined;
}

/** What the policy allows a run. */
type Limits = Policy['training']['limits'];

const RELEASE = 'release';
const SIGNATURE = 'release.sig.json';
const PROVENANCE = 'release.provenance.json';
/** Written last of all into a run's folder, which then gets its name. */
const RESULT = 'run.json';
const MAX_RESULT_BYTES = 4096;
const MAX_PROVENANCE_BYTES = 8 * 1024 * 1024;
const resultSchema = z.strictObject({ request: z.string().refine(isDigest) });

/**
 * Trains what a signed request names, once people agreed to it, in a sandbox: code and data are verified before and read-only,
 * there is no network, and what runs is a reviewed commit, never the message's. Out comes a release signed by its producer,
 * with its provenance in WORM. A run that is complete is not repeated. SANDBOX_UNAVAILABLE on a host that has none.
 */
export function createTrainingActivities(dependencies: TrainDependencies): TrainingActivities {
  const { records, outputs } = dependencies;
  return {
    examine: async (model, run, envelope) => {
      const { request } = await admit(dependencies, model, run, envelope);
      if ((await findRun(outputs, run, request.digest)) !== null) return;
      demandInTime(request);
      await withHeartbeat(
        () => ({ run }),
        (signal) => inFolder(outputs, run, (work) => inputsOf(dependencies, request.predicate.action, work, signal)),
      );
    },

    train: async (model, run, envelope, approvals) => {
      const { request, rules } = await admit(dependencies, model, run, envelope);
      const said = await Promise.all(approvals.map((digest) => records.get('approval', digest)));
      demand(authoriseTraining({ model, run, request, approvals: said.map(({ verified }) => verified) }, rules));
      const done = await findRun(outputs, run, request.digest);
      if (done !== null) return done;
      demandInTime(request);
      return withHeartbeat(
        () => ({ run }),
        (signal) => inFolder(outputs, run, (folder) => trainRun(dependencies, { model, run, request }, folder, signal)),
      );
    },
  };
}

function demandInTime({ predicate }: TrainRequest): void {
  const outside = outsideValidity(predicate, isoTime(Date.now()));
  if (outside !== null) throw new CustodyError('EXPIRED', `the request ${predicate.requestId} is ${outside}`);
}

/** The request, once somebody with the right to has signed it for this run, and it is kept. */
async function admit(
  { records, producerKey }: TrainDependencies,
  model: string,
  run: string,
  envelope: unknown,
): Promise<{ readonly request: TrainRequest; readonly rules: ReturnType<typeof rulesFor> }> {
  if (!isModelName(run)) throw new CustodyError('USAGE', `${quote(run)} cannot name a run: a-z, 0-9 and dashes`);
  const [policies, { envelope: signed, verified }] = await Promise.all([
    records.policies(),
    records.receive('request', envelope),
  ]);
  const rules = rulesFor(policies, verified, isoTime(Date.now()));
  demand(mayAskToTrain({ model, run, request: verified }, rules));
  if (holderOf(policies.newest, 'producer', producerKey) === undefined)
    throw new CustodyError('NOT_AUTHORISED', 'the key of this training zone is not a producer in the policy');
  await records.keep(signed, storeKeys.request(verified.digest));
  return { request: verified as TrainRequest, rules };
}

type Trained = Awaited<ReturnType<TrainingActivities['train']>>;

/** What a complete run of this request has made. REPLAYED when the run is another request's. */
async function findRun(outputs: string, run: string, request: Digest): Promise<Trained | null> {
  const folder = join(outputs, run);
  const text = await readSmallIfThere(join(folder, RESULT), MAX_RESULT_BYTES);
  if (text === null) return null;
  const result = checkShape(resultSchema, parseJson(text, RESULT), RESULT);
  if (result.request !== request)
    throw new CustodyError('REPLAYED', `the run ${run} has been made for another request: take another name`);
  const place = (name: string): string => pathToFileURL(join(folder, name)).href;
  const statement = envelopeDigest(parseEnvelope(await readSmall(join(folder, PROVENANCE), MAX_PROVENANCE_BYTES)));
  return { source: place(RELEASE), bundle: place(SIGNATURE), provenance: place(PROVENANCE), statement };
}

async function trainRun(
  dependencies: TrainDependencies,
  { model, run, request }: Pick<Made, 'model' | 'run' | 'request'>,
  folder: string,
  signal: AbortSignal,
): Promise<Trained> {
  const { records } = dependencies;
  const { action, version } = request.predicate;
  const startedOn = isoTime(Date.now());
  const inputs = await inputsOf(dependencies, action, folder, signal);
  // The newest policy's, since an older one that a request could name may have allowed more.
  const { newest } = await records.policies();
  const limits = within(inputs.trainer.limits, newest.training.limits);
  const host = await hostDependencies(inputs);
  const { environment } = records;
  const making = { environment, model, run, request, inputs, host };
  const { output, ...went } = await runStages(dependencies, making, limits, folder, signal);
  const { components, serving } = inputs.recipe;
  const packed = await packRelease(join(output, RELEASE), { model, version, components, serving });
  return finish(dependencies, folder, { ...making, ...went, packed, startedOn });
}

/** A trainer's own limits, as far as the policy allows them. */
function within(asked: Trainer['limits'], allowed: Limits): Limits {
  return {
    wallSeconds: Math.min(asked.wallSeconds, allowed.wallSeconds),
    cpuSeconds: allowed.cpuSeconds,
    memoryMb: Math.min(asked.memoryMb, allowed.memoryMb),
    outputMb: Math.min(asked.outputMb, allowed.outputMb),
  };
}

const UNFINISHED = '.unfinished-';

/** Folders in which this process works: an attempt that is taken for dead may go on beside the next one. */
const live = new Set<string>();

/** Works in a folder of its own, once what a killed attempt has left is gone. */
async function inFolder<T>(outputs: string, run: string, act: (folder: string) => Promise<T>): Promise<T> {
  await mkdir(outputs, { recursive: true, mode: 0o755 });
  await removeUnfinished(outputs, run);
  const folder = join(outputs, `${run}${UNFINISHED}${randomUUID()}`);
  live.add(folder);
  try {
    await mkdir(folder, { mode: 0o700 });
    return await act(folder);
  } finally {
    await removeTree(folder);
    live.delete(folder);
  }
}

/** What a killed attempt has left. */
async function removeUnfinished(outputs: string, run: string): Promise<void> {
  const found = (await readdir(outputs)).filter((name) => name.startsWith(`${run}${UNFINISHED}`));
  for (const folder of found.map((name) => join(outputs, name))) if (!live.has(folder)) await removeTree(folder);
}

/** Signs the release, keeps its provenance, and gives the folder its name: from then on the run is complete. */
async function finish(
  { records, producerKey, outputs }: TrainDependencies,
  folder: string,
  made: Made,
): Promise<Trained> {
  const { model, run, packed, request, inputs } = made;
  const title = `${model} ${packed.manifest.version}`;
  const signature = signOms(title, omsResources(packed.manifest, packed.text), producerKey);
  const statement = signStatement('provenance', { name: title, sha256: packed.release }, provenanceOf(made), [
    producerKey,
  ]);
  const provenance = await records.keep(statement);
  await recordCode(records, inputs.code, { provenance });
  const complete = join(folder, 'complete');
  await mkdir(complete, { mode: 0o755 });
  await rename(packed.folder, join(complete, RELEASE));
  await writeFile(join(complete, SIGNATURE), signature);
  await writeFile(join(complete, PROVENANCE), canonicalBytes(statement));
  await writeFile(join(complete, RESULT), canonicalBytes({ request: request.digest }));
  await nameOnce(complete, join(outputs, run));
  const trained = await findRun(outputs, run, request.digest);
  if (trained === null)
    throw new CustodyError('INTERNAL', `${join(outputs, run)} is in the way and is no complete run`);
  return trained;
}
