import { context, SpanKind, SpanStatusCode, trace, type Context, type Span } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { activityInfo } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { CustodyError, isErrorCode, type ErrorCode } from '../../domain/errors.js';
import { spanOf } from './header.js';
import type { Traces } from './traces.js';

/** A command is not held up for longer by a collector that does not answer. */
const DELIVERY_MS = 2_000;

export const tracer = trace.getTracer('custody');

/** Sends spans by OTLP over HTTP to where the environment says. They hold names, ids and error codes, and nobody's text. */
export function startSpans(service: string): Traces {
  const exporter = new OTLPTraceExporter({ timeoutMillis: DELIVERY_MS });
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({ 'service.name': service }).merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [new BatchSpanProcessor(exporter, { exportTimeoutMillis: DELIVERY_MS })],
  });
  provider.register();
  return {
    span: (act) => inSpan(service, { kind: SpanKind.INTERNAL }, (span) => act((name) => void span.updateName(name))),
    activities: [
      () => ({
        inbound: {
          execute: (input, next) => {
            const { activityType, activityId, attempt, workflowExecution } = activityInfo();
            const attributes = {
              temporalWorkflowId: workflowExecution?.workflowId ?? '',
              temporalRunId: workflowExecution?.runId ?? '',
              temporalActivityId: activityId,
              attempt,
            };
            const options = { kind: SpanKind.CONSUMER, attributes };
            return inSpan(`RunActivity:${activityType}`, options, () => next(input), spanOf(input.headers));
          },
        },
      }),
    ],
    stop: async () => {
      try {
        await provider.shutdown();
        return null;
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
    },
  };
}

/** Runs the act within a span of its own, which ends with it, and says by which code it failed. */
export function inSpan<T>(
  name: string,
  options: { readonly kind: SpanKind; readonly attributes?: Readonly<Record<string, string | number>> },
  act: (span: Span) => Promise<T>,
  parent: Context = context.active(),
): Promise<T> {
  return tracer.startActiveSpan(name, options, parent, async (span) => {
    try {
      return await act(span);
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR, message: codeOf(error) });
      throw error;
    } finally {
      span.end();
    }
  });
}

/** Never the message: it may be somebody's text. */
function codeOf(error: unknown): ErrorCode {
  const code =
    error instanceof CustodyError ? error.code : error instanceof ApplicationFailure ? error.type : undefined;
  return isErrorCode(code) ? code : 'INTERNAL';
}
