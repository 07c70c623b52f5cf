import type { Headers } from '@temporalio/common';
import type { WorkflowInterceptors } from '@temporalio/workflow';
import { MAX_TRACE_BYTES, TRACE_HEADER } from '../domain/traces.js';

/**
 * Carries on which trace a run is in: what it asks for belongs to the newest message that came with one. It makes no spans and
 * awaits nothing, so that a run goes the same way with it and without. It is in the bundle only where traces are wanted.
 */
export const interceptors = (): WorkflowInterceptors => {
  let newest: Headers[string] | undefined;
  const learn = (headers: Headers): void => {
    const came = headers[TRACE_HEADER];
    if (came !== undefined && sizeOf(came) <= MAX_TRACE_BYTES) newest = came;
  };
  const carrying = <I extends { readonly headers: Headers }>(input: I): I =>
    newest === undefined ? input : { ...input, headers: { ...input.headers, [TRACE_HEADER]: newest } };
  return {
    inbound: [
      {
        execute: (input, next) => {
          // A signal that came with the start has been heard already.
          if (newest === undefined) learn(input.headers);
          return next(input);
        },
        handleSignal: (input, next) => {
          learn(input.headers);
          return next(input);
        },
        handleUpdate: (input, next) => {
          learn(input.headers);
          return next(input);
        },
      },
    ],
    outbound: [
      {
        scheduleActivity: (input, next) => next(carrying(input)),
        signalWorkflow: (input, next) => next(carrying(input)),
        continueAsNew: (input, next) => next(carrying(input)),
      },
    ],
  };
};

/** All of it is whoever's who may knock. */
function sizeOf({ metadata, data }: Headers[string]): number {
  const parts = [
    ...Object.entries(metadata ?? {}).map(([name, value]) => name.length + value.length),
    data?.length ?? 0,
  ];
  return parts.reduce((sum, bytes) => sum + bytes, 0);
}
