import type { ActivityOptions } from '@temporalio/workflow';
import type {
  ConsumerControl,
  EndpointControl,
  IntakeActivities,
  LifecycleControl,
  PolicyControl,
  ResignControl,
  ServingActivities,
  SigningActivities,
} from '../activities/contract.js';
import type { EmergencyControl, EmergencySigning } from '../activities/emergency-contract.js';
import type { TrainingActivities, TrainingControl } from '../activities/training-contract.js';
import { shortDigest } from '../domain/digest.js';
import type { ErrorCode } from '../domain/errors.js';
import type { ReleaseName } from '../domain/names.js';
import { zone } from './zone.js';

// Short acts are tried again for ever: a blip must not end a release. Refusals are not retried, by their own kind. A worker
// that died is noticed by its silence, long before the time is over that its work may take.
export const short = {
  startToCloseTimeout: '60 seconds',
  heartbeatTimeout: '10 seconds',
  retry: { initialInterval: '200ms', maximumInterval: '10 seconds' },
} as const;
export const again = { initialInterval: '500ms', maximumInterval: '30 seconds' } as const;
export const long: ActivityOptions = {
  startToCloseTimeout: '12 hours',
  heartbeatTimeout: '15 seconds',
  // The workflow is to hear of a full disk, so that it can say what it waits for.
  retry: { ...again, nonRetryableErrorTypes: ['NO_SPACE' satisfies ErrorCode] },
};
/** For what looks at every blob of a release, or writes to everybody who depends on it. */
const thorough = { startToCloseTimeout: '1 hour' } as const;
/** For what stops something: it goes before all else, and a worker that died with it is noticed in two seconds. */
const urgent = {
  heartbeatTimeout: '2 seconds',
  retry: { initialInterval: '100ms', maximumInterval: '1 second' },
  priority: { priorityKey: 1 },
} as const;
export const of = ({ model, version }: ReleaseName): string => `${model} ${version}`;

export const control = zone<
  LifecycleControl &
    EmergencyControl &
    EndpointControl &
    PolicyControl &
    ResignControl &
    ConsumerControl &
    TrainingControl
>(
  { taskQueue: 'control', ...short },
  {
    resumeLifecycle: (name) => `reads the records of ${of(name)}`,
    admitRelease: (name) => `verifies the request for ${of(name)}`,
    openOverrideGate: (name) => `asks for an override of what has failed in ${of(name)}`,
    openDeployGate: (name) => `asks for approval to deploy ${of(name)}`,
    decide: ({ act, gate, decisions }) => `verifies ${decisions.length} decisions: ${act}, request ${gate.requestId}`,
    noteRejection: (request) => `audits that request ${shortDigest(request)} was rejected`,
    refuse: ({ decisions, dropped }) => `audits ${decisions.length + dropped} refused messages`,
    record: (name, part) => `records ${of(name)}: ${part}`,
    askEndpoint: (model, order) => `asks the endpoint of ${model} to roll out ${order.version}`,
    rolloutState: (model) => `asks the endpoint of ${model} how the rollout goes`,
    recordOutcome: (name, _release, outcome) => `records how ${of(name)} ended: ${outcome.kind}`,
    proviso: (name) => `reads until when ${of(name)} stands`,
    renewOverride: (name, decisions) => `verifies ${decisions.length} renewals of the override of ${of(name)}`,
    openReviewGate: (name) => `asks for a review of the emergency deployment of ${of(name)}`,
    recordLapse: (name, _release, { why }) => `records that ${of(name)} no longer stands: ${why}`,
    noteLapse: (name) => `audits that ${of(name)} no longer stands`,
    revertRelease: (name) => `goes back from ${of(name)} to the release before it`,
    openRetireGate: (name) => `asks for approval to retire ${of(name)}`,
    giveNotice: (name) => ({ summary: `gives notice to the consumers of ${of(name)}`, ...thorough }),
    followNotice: (name) => ({ summary: `looks after the notice of the retirement of ${of(name)}`, ...thorough }),
    answerNotice: (name, _release, _retirement, decisions) =>
      `verifies ${decisions.length} answers to the notice of the retirement of ${of(name)}`,
    condemnRelease: (name, _release, notices) => ({
      summary: `verifies ${notices.length} vulnerability notices about ${of(name)}`,
      ...urgent,
    }),
    noteCondemned: (name) => `audits that ${of(name)} was condemned`,
    informCondemned: (name) => ({ summary: `tells the consumers of ${of(name)} that it was stopped`, ...thorough }),
    withdrawRelease: (name) => `takes ${of(name)} out of the routes`,
    noteErasure: (name) => `audits that ${of(name)} was revoked`,
    probeGateways: (name) => ({ summary: `asks every gateway for ${of(name)}, which is gone`, ...thorough }),
    resumeEndpoint: (model) => `reads the routes of ${model}`,
    resumeRollout: (model, order) => `verifies the order to roll out ${model} ${order.version}`,
    routeStep: (model, order, step) => `routes step ${step + 1} of ${model} ${order.version}`,
    openStepGate: (model, order, step) => `asks whether step ${step + 1} of ${model} ${order.version} may begin`,
    promoteRelease: (model, order) => `promotes ${model} ${order.version}`,
    rollBack: (model, target) =>
      `rolls ${model} back to ${target === null ? 'its stable release' : shortDigest(target)}`,
    revertService: (model, revision) => `goes back from what revision ${revision} of ${model} serves`,
    noteBreach: (model, { revision }) => `audits that what revision ${revision} of ${model} serves broke its limits`,
    noteRoute: (model, { revision }) => `audits that revision ${revision} of ${model} has taken effect`,
    confirmRoute: (model, revision) => `waits until all gateways of ${model} serve by revision ${revision}`,
    checkRollback: (model) => `verifies an order to roll ${model} back`,
    noteRollback: (model) => `audits an order to roll ${model} back`,
    noteVerdict: (model, { verdict }) => `audits the verdict on revision ${verdict.revision} of ${model}`,
    takeAlerts: (model, alerts) => `verifies ${alerts.length} security alerts about ${model}`,
    noteAlerts: (model, alerts) => `audits ${alerts.length} security alerts about ${model}`,
    strayAlert: (model) => `verifies a security alert about ${model}, which has no endpoint`,
    sortKills: (model, orders) => ({ summary: `judges ${orders.length} kill orders for ${model}`, ...urgent }),
    // An order that hangs on one gateway must not hold its worker's slot while others wait.
    killEndpoint: (model) => ({
      summary: `relays a kill order to the gateways of ${model}`,
      startToCloseTimeout: '10 seconds',
      ...urgent,
    }),
    confirmKill: (model, order) => `waits until all gateways of ${model} list the kill ${shortDigest(order)}`,
    openRestoreGate: (model) => `asks for approval to restore ${model}`,
    restoreEndpoint: (model) => `restores ${model}`,
    admitResign: (name) => `verifies the request to sign ${of(name)} once more`,
    recordResigned: (name) => `records the new signature of ${of(name)}`,
    applyPolicy: (version) => `verifies policy ${version} and puts it into force`,
    wakeEndings: (models) => `wakes the releases of ${models.length} models that are to end`,
    declareConsumer: (consumer, sequence) => `verifies statement ${sequence} about the consumer ${consumer}`,
    openTrainingGate: (model, run) => `asks for approval of the training run ${run} of ${model}`,
    recordTraining: (model, run) => `records how the training run ${run} of ${model} ended`,
    replyRollout: (replyTo, ended) => `tells ${replyTo}: ${ended.result.kind}`,
  },
);

export const intake = zone<IntakeActivities>(
  { taskQueue: 'intake', ...long },
  {
    ingest: (name) => `hashes, scans, encrypts and uploads ${of(name)}`,
    validate: (name) => `runs the validation suite on ${of(name)}`,
  },
);

export const signing = zone<SigningActivities & EmergencySigning>(
  { taskQueue: 'signing', ...short },
  {
    signRelease: (name) => `verifies all evidence and signs ${of(name)}`,
    resignRelease: (name) => `verifies all evidence and signs ${of(name)} once more`,
    summariseRelease: (name) => `verifies all of ${of(name)} and signs what it has found`,
    revokeRelease: (name) => `revokes ${of(name)}`,
    revokeCondemned: (name) => `revokes ${of(name)}, which was condemned`,
    destroyKeys: (name) => ({ summary: `destroys the keys of ${of(name)}, and tries each of them`, ...thorough }),
    certify: (name) => ({ summary: `certifies that ${of(name)} is gone`, ...thorough }),
  },
);

export const serving = zone<ServingActivities>(
  { taskQueue: 'serving', ...long },
  {
    startRelease: (name) => ({ summary: `verifies, loads and starts ${of(name)}`, scheduleToCloseTimeout: '12 hours' }),
    stopRelease: (name) => ({ summary: `stops ${of(name)}`, retry: again }),
    probeHost: (name) => ({ summary: `tries to open and load ${of(name)}, which is gone`, retry: again }),
  },
);

export const training = zone<TrainingActivities>(
  { taskQueue: 'training', ...long },
  {
    examine: (model, run) => `verifies code and data of ${model}, run ${run}`,
    train: (model, run) => `trains ${model}, run ${run}, in a sandbox`,
  },
);
