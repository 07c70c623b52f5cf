import { pathToFileURL } from 'node:url';
import { WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError } from '@temporalio/client';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { LifecycleOutcome } from '../domain/lifecycle.js';
import type { ReleaseName } from '../domain/names.js';
import type { RiskAssessment } from '../domain/provisional-predicates.js';
import type { PlanStep } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import {
  SEARCH_ATTRIBUTES,
  startLifecycle,
  startTraining as trainingOptions,
  type LifecycleInput,
  type TrainingInput,
} from '../workflows/messages.js';
import type { TrainingOutcome } from '../workflows/training.js';
import type { Custody } from './connect.js';
import { readName, type ReleaseSource } from './source.js';
import { assessRisk, requestRelease, requestTraining, type Signer } from './requests.js';

export type { ReleaseSource } from './source.js';

export interface Started {
  readonly workflowId: string;
  readonly runId: string;
  readonly ui: string;
  /** Whether this call has started it; else the same was asked for before, and goes on or has come to its end. */
  readonly state: 'started' | 'running' | 'ended';
}

export interface StartedRelease extends Started, ReleaseName {
  /** How a release ended that is not begun again: its version is used up. */
  readonly outcome: LifecycleOutcome | null;
}

/** Makes what a lifecycle begins with: the signed request to release what lies there. */
export type Ask = (
  name: ReleaseName & { readonly release: Digest },
  where: Parameters<typeof requestRelease>[2],
) => Promise<LifecycleInput>;

/** `assessment`: why it cannot wait, of an emergency. */
export const askAs =
  (signer: Signer, assessment: RiskAssessment | null = null): Ask =>
  async ({ release, ...name }, where) => {
    if (assessment === null) return { request: requestRelease(signer, name, where) };
    const riskAssessment = assessRisk(signer, { ...name, release }, assessment);
    return { request: requestRelease(signer, name, where, riskAssessment), riskAssessment };
  };

/**
 * Starts a release's lifecycle, or answers the one that goes on or has ended under its name. One that ended without a record,
 * as one whose request was refused, is begun anew. VERSION_TAKEN: it has other bytes. `plan`: its own, instead of the policy's.
 */
export async function startRelease(
  custody: Custody,
  ask: Ask,
  source: ReleaseSource,
  plan: readonly PlanStep[] | null = null,
): Promise<StartedRelease> {
  const { release, ...name } = readName(source);
  const taken = await custody.records.record(storeKeys.version(name));
  if (taken !== null && (taken as { release?: string }).release !== release)
    throw new CustodyError(
      'VERSION_TAKEN',
      `${name.model} ${name.version} is taken by other bytes: choose a new version`,
    );
  const input = await ask(
    { ...name, release },
    {
      source: pathToFileURL(source.folder).href,
      bundle: pathToFileURL(source.bundle).href,
      provenance: pathToFileURL(source.provenance).href,
      ...(source.promotion === undefined ? {} : { promotion: pathToFileURL(source.promotion).href }),
      ...(plan === null ? {} : { plan }),
    },
  );
  const outcome = (await custody.records.record(storeKeys.record(name, 'outcome'))) as LifecycleOutcome | null;
  const attributes = [
    { key: SEARCH_ATTRIBUTES.model, value: name.model },
    { key: SEARCH_ATTRIBUTES.version, value: name.version },
  ];
  const started = await start(custody, 'lifecycle', startLifecycle(name), input, attributes, outcome !== null);
  return { ...started, ...name, outcome };
}

export async function startTraining(
  custody: Custody,
  signer: Signer,
  training: Parameters<typeof requestTraining>[1],
): Promise<Started> {
  const { model, run } = training;
  const request = requestTraining(signer, training);
  const options = trainingOptions(model, run);
  const attributes = [{ key: SEARCH_ATTRIBUTES.model, value: model }];
  return start(custody, 'training', options, { request }, attributes, await hasTrained(custody, options.workflowId));
}

/** A run that was refused or has failed left nothing behind, and may be begun anew. */
async function hasTrained({ temporal }: Custody, workflowId: string): Promise<boolean> {
  const handle = temporal.workflow.getHandle(workflowId);
  try {
    const { status } = await handle.describe();
    return status.name === 'COMPLETED' && ((await handle.result()) as TrainingOutcome).kind === 'trained';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}

async function start(
  { temporal, description }: Custody,
  type: 'lifecycle' | 'training',
  options: ReturnType<typeof startLifecycle>,
  input: LifecycleInput | TrainingInput,
  typedSearchAttributes: { key: (typeof SEARCH_ATTRIBUTES)['model']; value: string }[],
  hasEnded: boolean,
): Promise<Started> {
  const { workflowId } = options;
  const ui = uiAddress({ description }, workflowId);
  try {
    const handle = await temporal.workflow.start(type, {
      ...options,
      args: [input],
      workflowIdReusePolicy: hasEnded ? 'REJECT_DUPLICATE' : 'ALLOW_DUPLICATE',
      typedSearchAttributes,
    });
    // Temporal has forgotten one that ended long ago: this run only answers what the records say.
    return { workflowId, runId: handle.firstExecutionRunId, ui, state: hasEnded ? 'ended' : 'started' };
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    const { runId } = await temporal.workflow.getHandle(workflowId).describe();
    return { workflowId, runId, ui, state: hasEnded ? 'ended' : 'running' };
  }
}

/** Where people watch a workflow. */
export function uiAddress({ description }: Pick<Custody, 'description'>, workflowId: string): string {
  const { ui, namespace } = description.temporal;
  return `${ui}/namespaces/${namespace}/workflows/${encodeURIComponent(workflowId)}`;
}
