import { defineSearchAttributeKey } from '@temporalio/common';
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { Digest } from '../domain/digest.js';
import type { EndpointStatus, RolloutEnded, RolloutOrder } from '../domain/endpoint.js';
import type { LifecycleStatus, OpenGate } from '../domain/lifecycle.js';
import {
  alertId,
  consumerId,
  dataId,
  endpointId,
  holdId,
  lifecycleId,
  liftId,
  policyId,
  promoteId,
  resignId,
  trainingId,
  type ReleaseName,
} from '../domain/names.js';
import type { SignedEnvelope } from '../domain/statements.js';

/** What an update's caller is told: the verdict on the very message it sent. */
export interface Receipt {
  readonly accepted: true;
  readonly by: string;
  readonly statement: string;
  /** It counts, and something is wrong all the same. */
  readonly warning?: string;
  /** What followed. */
  readonly outcome?: string;
}

/** Decisions by people: each can be sent as a signal or as an update, of the same name and payload. */
export const LIFECYCLE_DECISIONS = [
  'approve',
  'override',
  'reject',
  'retire',
  'acknowledge',
  'waive',
  'condemn',
] as const;
export const ENDPOINT_DECISIONS = ['approve', 'reject', 'kill', 'restore', 'rollback', 'securityAlert'] as const;
export type LifecycleDecision = (typeof LIFECYCLE_DECISIONS)[number];
export type EndpointDecision = (typeof ENDPOINT_DECISIONS)[number];

export const decisionSignal = (name: LifecycleDecision | EndpointDecision) => defineSignal<[unknown]>(name);
export const decisionUpdate = (name: LifecycleDecision | EndpointDecision) =>
  defineUpdate<Receipt, [SignedEnvelope]>(name);

/** From a lifecycle: put this release in service. */
export const rolloutSignal = defineSignal<[RolloutOrder]>('rollout');
/** From the endpoint: how the rollout ended. The receiver asks again before it believes it. */
export const rolloutEndedSignal = defineSignal<[RolloutEnded]>('rolloutEnded');
/** To a lifecycle: a hold that may have kept its keys from being destroyed was lifted; it looks again by itself. */
export const holdLiftedSignal = defineSignal('holdLifted');
/** To a lifecycle: somebody has come to depend on it; it looks by itself whom to tell. */
export const consumersChangedSignal = defineSignal('consumersChanged');
/** To the endpoint: somebody else has changed its routes or stopped it; it reads the records again. */
export const routesChangedSignal = defineSignal('routesChanged');

export const lifecycleStatusQuery = defineQuery<LifecycleStatus>('status');
export const endpointStatusQuery = defineQuery<EndpointStatus>('status');

/** Where a request stands that others must agree to, and that no lifecycle or endpoint waits with. */
export interface AskedStatus {
  readonly stage: string;
  readonly gate: OpenGate | null;
  readonly missing: number;
}
export const askedStatusQuery = defineQuery<AskedStatus>('status');

export const SEARCH_ATTRIBUTES = {
  model: defineSearchAttributeKey('CustodyModel', 'KEYWORD'),
  version: defineSearchAttributeKey('CustodyVersion', 'KEYWORD'),
  stage: defineSearchAttributeKey('CustodyStage', 'KEYWORD'),
  digest: defineSearchAttributeKey('CustodyDigest', 'KEYWORD'),
  awaiting: defineSearchAttributeKey('CustodyAwaiting', 'KEYWORD'),
} as const;

/** The argument of a lifecycle: the signed request that asks for it. Everything else it derives. */
export interface LifecycleInput {
  readonly request: SignedEnvelope;
  /** In an emergency: the risk assessment that the request names. */
  readonly riskAssessment?: SignedEnvelope;
}

export interface ResignInput {
  readonly request: SignedEnvelope;
}

export interface PromoteInput {
  readonly request: SignedEnvelope;
}

export interface TrainingInput {
  readonly request: SignedEnvelope;
}

// Workflow tasks are control's: its queue has the zone's name.
const started = (workflowId: string, staticSummary: string) =>
  ({ workflowId, taskQueue: 'control', staticSummary }) as const;

/** How each workflow is started, by whoever does: its id, its queue and the line that the UI shows beside it. */
export const startLifecycle = (name: ReleaseName) => started(lifecycleId(name), `${name.model} ${name.version}`);
// What has come together is one task, also ten thousand forged kills: one that took longer would be begun again for ever.
export const startEndpoint = (model: string) =>
  ({
    ...started(endpointId(model), `traffic of ${model}: rollouts, rollback, kill, restore`),
    workflowTaskTimeout: '20 seconds',
  }) as const;
export const startTraining = (model: string, run: string) =>
  started(trainingId(model, run), `training ${model} ${run}`);
export const startData = (source: string, statement: Digest) => started(dataId(source, statement), `data ${source}`);
export const startPolicy = (version: number) => started(policyId(version), `policy ${version} into force`);
export const startConsumer = (consumer: string, sequence: number) =>
  started(consumerId(consumer, sequence), `consumer ${consumer}, statement ${sequence}`);
export const startAlert = (model: string, alert: Digest) =>
  started(alertId(model, alert), `security alert about ${model}, which has no endpoint`);
export const startHold = (name: ReleaseName) => started(holdId(name), `hold of ${name.model} ${name.version}`);
export const startLift = (name: ReleaseName) =>
  started(liftId(name), `holds of ${name.model} ${name.version} are to be lifted`);
/** Of a schedule, which adds the time to the id. */
export const startRetention = () => started('retention', 'locks are extended');
export const startDrill = () => started('drill', 'rollback, kill and restore are drilled');
export const startResign = (name: ReleaseName) =>
  started(resignId(name), `one more signature for ${name.model} ${name.version}`);
export const startPromote = (name: ReleaseName) =>
  started(promoteId(name), `${name.model} ${name.version} is verified for another environment`);
