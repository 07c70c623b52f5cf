import { mkdir, mkdtemp, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { filesOf, registeredSource, type DataSource } from '../adapters/data-sources.js';
import type { Records } from '../adapters/records.js';
import { removeTree } from '../adapters/sandbox/outputs.js';
import type { SandboxKind } from '../adapters/sandbox/port.js';
import { checksumOf } from '../adapters/source/checksum.js';
import { readSmall } from '../adapters/source/file.js';
import { packRelease, type PackedRelease } from '../adapters/source/pack.js';
import { runTrainer } from '../adapters/training/run.js';
import { findHyperparameters, type Trainer } from '../adapters/training/trainer.js';
import { personAsks, policyInForce } from '../domain/authorise.js';
import { isDigest, type Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import { isModelName, trainingId } from '../domain/names.js';
import type { Observed } from '../domain/observed.js';
import { dependency } from '../domain/provenance.js';
import type { BuildDependency, ProvenancePredicate, RequestPredicate, Verified } from '../domain/statements.js';
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
import { locksOf } from '../formats/provenance.js';
import { sha256 } from '../formats/sha256.js';
import { keysOfRole, signStatement } from '../formats/statements.js';
import type { TrainingActivities } from './contract.js';
import { withHeartbeat } from './heartbeat.js';

export interface TrainDependencies {
  readonly records: Records;
  /** Signs what was trained: ECDSA, enrolled for the role producer. */
  readonly producerKey: SigningKey;
  /** What may be asked for, by name. */
  readonly trainers: Readonly<Record<string, Trainer>>;
  /** Each run gets a folder here: `<run>/release`, `<run>/release.sig.json` and `<run>/release.provenance.json`. */
  readonly outputs: string;
  /** A `strace` that watches each run: without one, less of what it tries is known. */
  readonly tracer?: string | undefined;
}

type TrainRequest = Verified<RequestPredicate> & {
  readonly predicate: { readonly action: { readonly kind: 'train' }; readonly version: string };
};
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
 * Trains what a signed request names, in a sandbox: the data are checked before and read-only, there is no network, and what
 * runs is the zone's own configuration, never the message's. Out comes a release signed by its producer, with its provenance
 * in WORM. A run that is complete is not repeated. SANDBOX_UNAVAILABLE on a host that has none.
 */
export function createTrainingActivities(dependencies: TrainDependencies): TrainingActivities {
  return {
    train: async (model, run, envelope) => {
      const request = await admit(dependencies, model, run, envelope);
      const done = await findRun(dependencies.outputs, run, request.digest);
      if (done !== null) return done;
      const outside = outsideValidity(request.predicate, isoTime(Date.now()));
      if (outside !== null) throw new CustodyError('EXPIRED', `the request to train ${run} is ${outside}`);
      return withHeartbeat(
        () => ({ run }),
        (signal) => trainRun(dependencies, model, run, request, signal),
      );
    },
  };
}

/** The request, once somebody with the right to has signed it for this run, and it is kept. */
async function admit(
  { records, producerKey }: TrainDependencies,
  model: string,
  run: string,
  envelope: unknown,
): Promise<TrainRequest> {
  if (!isModelName(run)) throw new CustodyError('USAGE', `${quote(run)} cannot name a run: a-z, 0-9 and dashes`);
  const [policies, { envelope: signed, verified }] = await Promise.all([
    records.policies(),
    records.receive('request', envelope),
  ]);
  const rules = rulesFor(policies, verified, isoTime(Date.now()));
  demand(policyInForce(rules));
  demand(personAsks(rules, verified, 'train', trainingId(model, run)));
  const { action, version } = verified.predicate;
  if (action.kind !== 'train' || action.run !== run || verified.predicate.model !== model)
    throw new CustodyError('REPLAYED', `the request is for another run than ${run} of ${model}`);
  if (version === null) throw new CustodyError('VERSION_INVALID', 'the request does not say which version to make');
  if (!keysOfRole(policies.newest, 'producer').some(({ key }) => key.keyId === producerKey.keyId))
    throw new CustodyError('NOT_AUTHORISED', 'the key of this training zone is not a producer in the policy');
  await records.keep(signed, storeKeys.request(verified.digest));
  return verified as TrainRequest;
}

type Trained = Awaited<ReturnType<TrainingActivities['train']>>;

/** What a complete run of this request has made. REPLAYED when the run is another request's. */
async function findRun(outputs: string, run: string, request: Digest): Promise<Trained | null> {
  const folder = join(outputs, run);
  let text: Buffer;
  try {
    text = await readSmall(join(folder, RESULT), MAX_RESULT_BYTES);
  } catch (error) {
    if (error instanceof CustodyError && error.code === 'INPUT_MISSING') return null;
    throw error;
  }
  const result = checkShape(resultSchema, parseJson(text, RESULT), RESULT);
  if (result.request !== request)
    throw new CustodyError('REPLAYED', `the run ${run} has been made for another request: take another name`);
  const place = (name: string): string => pathToFileURL(join(folder, name)).href;
  const statement = envelopeDigest(parseEnvelope(await readSmall(join(folder, PROVENANCE), MAX_PROVENANCE_BYTES)));
  return { source: place(RELEASE), bundle: place(SIGNATURE), provenance: place(PROVENANCE), statement };
}

async function trainRun(
  dependencies: TrainDependencies,
  model: string,
  run: string,
  request: TrainRequest,
  signal: AbortSignal,
): Promise<Trained> {
  const { outputs, trainers, records, tracer } = dependencies;
  const { action, version } = request.predicate;
  const known = Object.hasOwn(trainers, action.trainer) ? trainers[action.trainer] : undefined;
  if (known === undefined)
    throw new CustodyError('POLICY_REFUSED', `this training zone has no trainer ${quote(action.trainer)}`);
  // The newest policy's, since an older one that a request could name may have allowed more.
  const { newest } = await records.policies();
  const trainer = { ...known, limits: within(known.limits, newest.training.limits) };
  const hyperparameters = await findHyperparameters(trainer, action.hyperparameters);
  const data = await dataFor(records, trainer, action.data);
  await mkdir(outputs, { recursive: true, mode: 0o755 });
  await removeUnfinished(outputs, run);
  const folder = await mkdtemp(join(outputs, `${run}${UNFINISHED}`));
  try {
    const startedOn = isoTime(Date.now());
    const code = await codeOf(trainer);
    const files = await filesOf(records, data);
    const { release, ...ran } = await runTrainer(trainer, { hyperparameters, files, tracer }, folder, signal);
    const { components, serving } = trainer;
    const packed = await packRelease(release, { model, version, components, serving });
    return await finish(dependencies, folder, { model, run, request, trainer, data, packed, ...ran, code, startedOn });
  } finally {
    await removeTree(folder);
  }
}

/** What the request names, if it is registered, is trusted still, and is what this trainer is for. */
async function dataFor(records: Records, { data }: Trainer, statement: Digest | undefined): Promise<DataSource> {
  if (statement === undefined)
    throw new CustodyError('POLICY_REFUSED', 'the request does not say on which data: name the statement about them');
  const found = await registeredSource(records, statement);
  const { source } = found.statement.predicate;
  if (source === data.source) return found;
  throw new CustodyError('POLICY_REFUSED', `the request is for the data ${source}, the trainer for ${data.source}`);
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

/** What a killed attempt has left. */
async function removeUnfinished(outputs: string, run: string): Promise<void> {
  for (const name of await readdir(outputs))
    if (name.startsWith(`${run}${UNFINISHED}`)) await removeTree(join(outputs, name));
}

interface Facts {
  readonly model: string;
  readonly run: string;
  readonly request: TrainRequest;
  readonly trainer: Trainer;
  readonly data: DataSource;
  readonly packed: PackedRelease;
  readonly sandbox: SandboxKind;
  readonly observed: Observed;
  readonly code: readonly BuildDependency[];
  readonly startedOn: string;
}

/** Signs the release, keeps its provenance, and gives the folder its name: from then on the run is complete. */
async function finish(
  { records, producerKey, outputs }: TrainDependencies,
  folder: string,
  facts: Facts,
): Promise<Trained> {
  const { model, run, packed, request } = facts;
  const title = `${model} ${packed.manifest.version}`;
  const signature = signOms(title, omsResources(packed.manifest, packed.text), producerKey);
  const statement = signStatement('provenance', { name: title, sha256: packed.release }, provenanceOf(records, facts), [
    producerKey,
  ]);
  await records.keep(statement);
  const complete = join(folder, 'complete');
  await mkdir(complete, { mode: 0o755 });
  await rename(packed.folder, join(complete, RELEASE));
  await writeFile(join(complete, SIGNATURE), signature);
  await writeFile(join(complete, PROVENANCE), canonicalBytes(statement));
  await writeFile(join(complete, RESULT), canonicalBytes({ request: request.digest }));
  try {
    await rename(complete, join(outputs, run));
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw cause;
  }
  const trained = await findRun(outputs, run, request.digest);
  if (trained === null)
    throw new CustodyError('INTERNAL', `${join(outputs, run)} is in the way and is no complete run`);
  return trained;
}

/** What runs, by what its mounts hold: the trainer, its packages, what becomes part of the release. */
async function codeOf({ mounts }: Trainer): Promise<BuildDependency[]> {
  const found: BuildDependency[] = [];
  for (const { source, target } of mounts) found.push(dependency('training-code', target, await checksumOf(source)));
  return found;
}

/** The data by what the list of their files hashes to, with the statement that vouches for them. */
function dataDependency({ subject, digest, predicate }: DataSource['statement']): BuildDependency {
  const { annotations, ...named } = dependency('training-data', predicate.source, { dirHash: subject });
  return { ...named, annotations: { ...annotations, statement: digest, license: predicate.licence } };
}

function provenanceOf(records: Records, facts: Facts): ProvenancePredicate {
  const { model, run, request, trainer, data, packed, sandbox, observed, code, startedOn } = facts;
  const { statement } = data;
  const { trainer: name, hyperparameters } = request.predicate.action;
  const described = sha256(
    canonicalBytes({ command: trainer.command, limits: trainer.limits, data: statement.subject }),
  );
  return {
    buildDefinition: {
      buildType: 'urn:custody:build:training:v1',
      externalParameters: { model, version: packed.manifest.version, run, trainer: name, request: request.digest },
      internalParameters: { sandbox, observed },
      resolvedDependencies: [
        dataDependency(statement),
        dependency('hyperparameters', 'hyperparameters', { sha256: hyperparameters }),
        dependency('training-code', 'trainer', { sha256: described }),
        ...code,
        ...locksOf(packed.manifest),
      ],
    },
    runDetails: {
      builder: { id: `urn:custody:builder:${records.environment}:training` },
      metadata: { invocationId: trainingId(model, run), startedOn, finishedOn: isoTime(Date.now()) },
    },
  };
}
