import { ActivityFailure, ApplicationFailure, proxyActivities, type ActivityOptions } from '@temporalio/workflow';
import type {
  EndpointControl,
  IntakeActivities,
  LifecycleControl,
  ServingActivities,
  SigningActivities,
  TrainingActivities,
  WatchActivities,
} from '../activities/contract.js';
import { shortDigest } from '../domain/digest.js';
import { isErrorCode, type ErrorCode } from '../domain/errors.js';
import type { ReleaseName } from '../domain/names.js';

/** For each activity the line that the UI shows beside it, or all of its options. */
type Lines<A> = {
  readonly [K in keyof A]: A[K] extends (...args: infer P) => unknown
    ? (...args: P) => string | ActivityOptions
    : never;
};

function zone<A extends object>(options: ActivityOptions, lines: Lines<A>): A {
  const proxy = proxyActivities(options);
  const calls = Object.entries<(...args: never[]) => string | ActivityOptions>(lines).map(([name, line]) => {
    const call = (...args: never[]): Promise<unknown> => {
      const said = line(...args);
      return proxy[name]!.executeWithOptions(typeof said === 'string' ? { summary: said } : said, args);
    };
    return [name, call] as const;
  });
  return Object.fromEntries(calls) as A;
}

// Short acts are tried again for ever: a blip must not end a release. Refusals are not retried, by their own kind.
const short = {
  startToCloseTimeout: '60 seconds',
  retry: { initialInterval: '200ms', maximumInterval: '10 seconds' },
} as const;
const long = {
  startToCloseTimeout: '12 hours',
  heartbeatTimeout: '30 seconds',
  retry: { initialInterval: '500ms', maximumInterval: '30 seconds' },
} as const;
const of = ({ model, version }: ReleaseName): string => `${model} ${version}`;

export const control = zone<LifecycleControl & EndpointControl>(
  { taskQueue: 'control', ...short },
  {
    resumeLifecycle: (name) => `reads the records of ${of(name)}`,
    admitRelease: (name) => `verifies the request for ${of(name)}`,
    openOverrideGate: (name) => `asks for an override of what has failed in ${of(name)}`,
    openDeployGate: (name) => `asks for approval to deploy ${of(name)}`,
    decide: ({ act, gate, decisions }) => `verifies ${decisions.length} decisions: ${act}, request ${gate.requestId}`,
    refuse: ({ decisions, dropped }) => `audits ${decisions.length + dropped} refused messages`,
    record: (name, part) => `records ${of(name)}: ${part}`,
    askEndpoint: (model, order) => `asks the endpoint of ${model} to roll out ${order.version}`,
    rolloutState: (model) => `asks the endpoint of ${model} how the rollout goes`,
    recordOutcome: (name, _release, outcome) => `records how ${of(name)} ended: ${outcome.kind}`,
    proviso: (name) => `reads until when ${of(name)} stands`,
    renewOverride: (name, decisions) => `verifies ${decisions.length} renewals of the override of ${of(name)}`,
    openReviewGate: (name) => `asks for a review of the emergency deployment of ${of(name)}`,
    recordLapse: (name, _release, { why }) => `records that ${of(name)} no longer stands: ${why}`,
    revertRelease: (name) => `goes back from ${of(name)} to the release before it`,
    openRetireGate: (name) => `asks for approval to retire ${of(name)}`,
    giveNotice: (name) => `gives notice to the consumers of ${of(name)}`,
    withdrawRelease: (name) => `takes ${of(name)} out of the routes`,
    resumeEndpoint: (model) => `reads the routes of ${model}`,
    resumeRollout: (model, order) => `verifies the order to roll out ${model} ${order.version}`,
    routeStep: (model, order, step) => `routes step ${step + 1} of ${model} ${order.version}`,
    promoteRelease: (model, order) => `promotes ${model} ${order.version}`,
    rollBack: (model, target) =>
      `rolls ${model} back to ${target === null ? 'its stable release' : shortDigest(target)}`,
    checkRollback: (model) => `verifies an order to roll ${model} back`,
    // An order that hangs on one gateway must not hold its worker's slot while others wait; it goes before all else.
    killEndpoint: (model) => ({
      summary: `relays a kill order to the gateways of ${model}`,
      startToCloseTimeout: '10 seconds',
      retry: { initialInterval: '100ms', maximumInterval: '1 second' },
      priority: { priorityKey: 1 },
    }),
    openRestoreGate: (model) => `asks for approval to restore ${model}`,
    restoreEndpoint: (model) => `restores ${model}`,
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

export const signing = zone<SigningActivities>(
  { taskQueue: 'signing', ...short },
  {
    signRelease: (name) => `verifies all evidence and signs ${of(name)}`,
    revokeRelease: (name) => `revokes ${of(name)}`,
    destroyKeys: (name) => `destroys the keys of ${of(name)}, probes and certifies it`,
  },
);

export const serving = zone<ServingActivities>(
  { taskQueue: 'serving', ...long },
  {
    startRelease: (name) => ({ summary: `verifies, loads and starts ${of(name)}`, scheduleToCloseTimeout: '12 hours' }),
    stopRelease: (name) => `stops ${of(name)}`,
  },
);

export const training = zone<TrainingActivities>(
  { taskQueue: 'training', ...long },
  { train: (model, run) => `trains ${model}, run ${run}, in a sandbox` },
);

/** Never two watches at once: the old one has ended before the next begins. */
export const watch = zone<WatchActivities>(
  {
    taskQueue: 'watch',
    startToCloseTimeout: '7 hours',
    heartbeatTimeout: '10 seconds',
    cancellationType: 'WAIT_CANCELLATION_COMPLETED',
    retry: { initialInterval: '200ms', maximumInterval: '2 seconds' },
  },
  {
    // Where no watch answers at all, the step fails like one without evidence.
    watchStep: (model, revision, _release, bake, timeout) => ({
      summary: `watches revision ${revision} of ${model} for ${Math.round(bake)} s`,
      scheduleToCloseTimeout: (Math.max(bake, timeout) + 120) * 1000,
    }),
  },
);

export interface Failure {
  readonly code: ErrorCode;
  readonly reason: string;
}

/** The refusal behind a failed activity, or `null` when it failed for another reason. */
export function refusalOf(error: unknown): Failure | null {
  if (!(error instanceof ActivityFailure) || !(error.cause instanceof ApplicationFailure)) return null;
  if (error.cause.nonRetryable !== true) return null;
  const code = error.cause.type;
  return { code: isErrorCode(code) ? code : 'INTERNAL', reason: error.cause.message };
}

/** Why an activity failed for good, refused or not; `null` for every other error, which is a defect of the workflow. */
export function failureOf(error: unknown): Failure | null {
  if (!(error instanceof ActivityFailure)) return null;
  return refusalOf(error) ?? { code: 'INTERNAL', reason: error.cause?.message ?? error.message };
}
