import { workflowInfo } from '@temporalio/workflow';

/** What a workflow was started with, whatever that is: what is missing from it, the zone that verifies it refuses. */
export function given<I extends object>(input: I): I {
  const any: unknown = input;
  return typeof any === 'object' && any !== null ? input : ({} as I);
}

/** What the run before has handed on; whoever starts a workflow hands nothing on. */
export function handedOn<C>(carried: C | undefined): C | undefined {
  return workflowInfo().continuedFromExecutionRunId === undefined ? undefined : carried;
}

/** Whether the history is to be continued in a new one. */
export function isDue(continueAfterEvents: number | null): boolean {
  const { continueAsNewSuggested, historyLength } = workflowInfo();
  return continueAsNewSuggested || (typeof continueAfterEvents === 'number' && historyLength > continueAfterEvents);
}
