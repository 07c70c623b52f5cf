import { context, propagation, type Context } from '@opentelemetry/api';
import { defaultPayloadConverter, type Headers } from '@temporalio/common';
import { TRACE_HEADER } from '../../domain/traces.js';

/** The headers with the span that is under way, as Temporal's own interceptors for OpenTelemetry write it. */
export function withSpan(headers: Headers): Headers {
  const carrier: { traceparent?: string } = {};
  propagation.inject(context.active(), carrier);
  const { traceparent } = carrier;
  if (traceparent === undefined) return headers;
  return { ...headers, [TRACE_HEADER]: defaultPayloadConverter.toPayload({ traceparent }) };
}

/** The span that the headers name. They are whoever's who may knock: what is no span is passed over. */
export function spanOf(headers: Headers): Context {
  const payload = headers[TRACE_HEADER];
  if (payload === undefined) return context.active();
  const carrier = readable(payload);
  return typeof carrier === 'string'
    ? propagation.extract(context.active(), { traceparent: carrier })
    : context.active();
}

function readable(payload: Headers[string]): unknown {
  if (Buffer.from(payload.metadata?.['encoding'] ?? []).toString() !== 'json/plain') return null;
  const text = Buffer.from(payload.data ?? []).toString('utf8');
  return /^\{"traceparent":"(00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})"/.exec(text)?.[1] ?? null;
}
