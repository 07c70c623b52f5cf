import { ActivityFailure, ApplicationFailure, proxyActivities } from '@temporalio/workflow';
import type {
  EndpointControl,
  IntakeActivities,
  LifecycleControl,
  ServingActivities,
  SigningActivities,
  TrainingActivities,
  WatchActivities,
} from '../activities/contract.js';

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

export const control = proxyActivities<LifecycleControl & EndpointControl>({ taskQueue: 'control', ...short });
export const intake = proxyActivities<IntakeActivities>({ taskQueue: 'intake', ...long });
export const signing = proxyActivities<SigningActivities>({ taskQueue: 'signing', ...short });
export const serving = proxyActivities<ServingActivities>({ taskQueue: 'serving', ...long });
export const training = proxyActivities<TrainingActivities>({ taskQueue: 'training', ...long });
/** Never two watches at once: the old one has ended before the next begins. */
export const watch = proxyActivities<WatchActivities>({
  taskQueue: 'watch',
  startToCloseTimeout: '7 hours',
  heartbeatTimeout: '10 seconds',
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  retry: { initialInterval: '200ms', maximumInterval: '2 seconds' },
});

/** The refusal behind a failed activity, or `null` when it failed for another reason. */
export function refusalOf(error: unknown): { code: string; reason: string } | null {
  if (!(error instanceof ActivityFailure) || !(error.cause instanceof ApplicationFailure)) return null;
  if (error.cause.nonRetryable !== true) return null;
  return { code: error.cause.type ?? 'INTERNAL', reason: error.cause.message };
}
