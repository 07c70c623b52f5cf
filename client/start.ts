import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { CustodyError } from '../domain/errors.js';
import { MANIFEST_FILE } from '../domain/manifest.js';
import type { ReleaseName } from '../domain/names.js';
import type { RiskAssessment } from '../domain/provisional-predicates.js';
import { storeKeys } from '../domain/store-keys.js';
import { parseManifest } from '../formats/manifest.js';
import { sha256 } from '../formats/sha256.js';
import {
  SEARCH_ATTRIBUTES,
  startLifecycle,
  startTraining as trainingOptions,
  type LifecycleInput,
  type TrainingInput,
} from '../workflows/messages.js';
import type { Custody } from './connect.js';
import { assessRisk, requestRelease, requestTraining, type Signer } from './requests.js';

export interface Started {
  readonly workflowId: string;
  readonly runId: string;
  readonly ui: string;
  /** The same release was asked for before: this is its workflow. */
  readonly already: boolean;
}

export interface ReleaseSource {
  readonly folder: string;
  readonly bundle: string;
  readonly provenance: string;
}

/** The name a folder gives itself, before anything is sent. INPUT_MISSING, INPUT_EMPTY or MALFORMED. */
export function readName({ folder, bundle, provenance }: ReleaseSource): ReleaseName & { readonly release: string } {
  if (!existsSync(folder)) throw new CustodyError('INPUT_MISSING', `there is no folder ${folder}`);
  const manifest = join(folder, MANIFEST_FILE);
  if (!existsSync(manifest))
    throw new CustodyError('INPUT_EMPTY', `${folder} holds no ${MANIFEST_FILE}: make it with \`custody pack\``);
  if (!existsSync(bundle))
    throw new CustodyError('UNSIGNED', `there is no signature ${bundle}: a release is signed by its producer`);
  if (!existsSync(provenance))
    throw new CustodyError('PROVENANCE_INVALID', `there is no provenance ${provenance}: make it with \`custody pack\``);
  const bytes = readFileSync(manifest);
  const { model, version } = parseManifest(bytes);
  return { model, version, release: sha256(bytes) };
}

/** Starts a release's lifecycle, or answers the one that runs or ran under its name. VERSION_TAKEN: it has other bytes. */
export async function startRelease(
  custody: Custody,
  signer: Signer,
  source: ReleaseSource,
  assessment: RiskAssessment | null = null,
): Promise<Started & ReleaseName> {
  const { release, ...name } = readName(source);
  const taken = await custody.records.record(storeKeys.version(name));
  if (taken !== null && (taken as { release?: string }).release !== release)
    throw new CustodyError(
      'VERSION_TAKEN',
      `${name.model} ${name.version} is taken by other bytes: choose a new version`,
    );
  const riskAssessment = assessment === null ? null : assessRisk(signer, { ...name, release }, assessment);
  const places = {
    source: pathToFileURL(source.folder).href,
    bundle: pathToFileURL(source.bundle).href,
    provenance: pathToFileURL(source.provenance).href,
  };
  const request = requestRelease(signer, name, places, riskAssessment);
  const input = { request, ...(riskAssessment === null ? {} : { riskAssessment }) };
  const started = await start(custody, 'lifecycle', startLifecycle(name), input, [
    { key: SEARCH_ATTRIBUTES.model, value: name.model },
    { key: SEARCH_ATTRIBUTES.version, value: name.version },
  ]);
  return { ...started, ...name };
}

export async function startTraining(
  custody: Custody,
  signer: Signer,
  training: Parameters<typeof requestTraining>[1],
): Promise<Started> {
  const { model, run } = training;
  const request = requestTraining(signer, training);
  return start(custody, 'training', trainingOptions(model, run), { request }, [
    { key: SEARCH_ATTRIBUTES.model, value: model },
  ]);
}

async function start(
  { temporal, description }: Custody,
  type: 'lifecycle' | 'training',
  options: ReturnType<typeof startLifecycle>,
  input: LifecycleInput | TrainingInput,
  typedSearchAttributes: { key: (typeof SEARCH_ATTRIBUTES)['model']; value: string }[],
): Promise<Started> {
  const { workflowId } = options;
  const ui = uiAddress({ description }, workflowId);
  try {
    const handle = await temporal.workflow.start(type, {
      ...options,
      args: [input],
      workflowIdReusePolicy: 'REJECT_DUPLICATE',
      typedSearchAttributes,
    });
    return { workflowId, runId: handle.firstExecutionRunId, ui, already: false };
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    const { runId } = await temporal.workflow.getHandle(workflowId).describe();
    return { workflowId, runId, ui, already: true };
  }
}

/** Where people watch a workflow. */
export function uiAddress({ description }: Pick<Custody, 'description'>, workflowId: string): string {
  const { ui, namespace } = description.temporal;
  return `${ui}/namespaces/${namespace}/workflows/${encodeURIComponent(workflowId)}`;
}
