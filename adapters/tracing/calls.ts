import { SpanKind } from '@opentelemetry/api';
import type { WorkflowClientInterceptor } from '@temporalio/client';
import type { Headers } from '@temporalio/common';
import { withSpan } from './header.js';
import { inSpan } from './spans.js';

/** Each call that moves a workflow is a span, which the workflow learns of. */
function call<I extends { readonly headers: Headers }, T>(
  name: string,
  workflowId: string,
  input: I,
  next: (input: I) => Promise<T>,
): Promise<T> {
  const options = { kind: SpanKind.PRODUCER, attributes: { temporalWorkflowId: workflowId } };
  return inSpan(name, options, () => next({ ...input, headers: withSpan(input.headers) }));
}

const workflow: WorkflowClientInterceptor = {
  startWithDetails: (input, next) => call(`StartWorkflow:${input.workflowType}`, input.options.workflowId, input, next),
  signal: (input, next) =>
    call(`SignalWorkflow:${input.signalName}`, input.workflowExecution.workflowId ?? '', input, next),
  signalWithStart: (input, next) =>
    call(`SignalWithStartWorkflow:${input.workflowType}`, input.options.workflowId, input, next),
  startUpdate: (input, next) =>
    call(`UpdateWorkflow:${input.updateName}`, input.workflowExecution.workflowId ?? '', input, next),
};

export const calls = { workflow: [workflow] };
