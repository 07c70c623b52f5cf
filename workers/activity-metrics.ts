import { activityInfo } from '@temporalio/activity';
import { ApplicationFailure, CancelledFailure, type MetricMeter } from '@temporalio/common';
import type { ActivityInterceptorsFactory } from '@temporalio/worker';
import { ERROR_CODES, isErrorCode, type ErrorCode } from '../domain/errors.js';

/** Whoever is tried for the tenth time will hardly come through by itself. */
const MANY_ATTEMPTS = 10;

/** Counts how the activities of this zone fail, by code, and those that are tried again and again. */
export function measureActivities(meter: MetricMeter): ActivityInterceptorsFactory {
  const failures = meter.createCounter(
    'custody_activity_failures',
    undefined,
    'Attempts of activities that failed, by error code',
  );
  const stuck = meter.createCounter(
    'custody_activity_stuck_attempts',
    undefined,
    `Attempts of activities from the ${MANY_ATTEMPTS}th on`,
  );
  // A counter that begins with its first event has not risen.
  for (const code of ERROR_CODES) failures.add(0, { code });
  return () => ({
    inbound: {
      execute: async (input, next) => {
        const { attempt, activityType } = activityInfo();
        if (attempt >= MANY_ATTEMPTS) stuck.add(1, { activity: activityType });
        try {
          return await next(input);
        } catch (error) {
          if (!(error instanceof CancelledFailure)) failures.add(1, { code: codeOf(error) });
          throw error;
        }
      },
    },
  });
}

/** Whatever has no code of the closed union is unexpected. */
function codeOf(error: unknown): ErrorCode {
  const type = error instanceof ApplicationFailure ? error.type : undefined;
  return isErrorCode(type) ? type : 'INTERNAL';
}
