import type { WorkflowInterceptors } from '@temporalio/workflow';

/** Temporal's own. */
const RESERVED = '__temporal_';

/**
 * A message under a name that Temporal keeps for itself is one that nobody knows: left as it is, the SDK would fail the task
 * that brings it, and begin it again for ever.
 */
export const interceptors = (): WorkflowInterceptors => ({
  internals: [
    {
      activate: (input, next) => {
        for (const { signalWorkflow, doUpdate } of input.activation.jobs ?? []) {
          if (signalWorkflow?.signalName?.startsWith(RESERVED) === true)
            signalWorkflow.signalName = `reserved ${signalWorkflow.signalName}`;
          if (doUpdate?.name?.startsWith(RESERVED) === true) doUpdate.name = `reserved ${doUpdate.name}`;
        }
        next(input);
      },
    },
  ],
});
