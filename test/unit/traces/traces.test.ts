import { context, trace } from '@opentelemetry/api';
import { defaultPayloadConverter } from '@temporalio/common';
import { afterEach, expect, test, vi } from 'vitest';
import { spanOf } from '../../../adapters/tracing/header.js';
import { startTraces, tracedCalls, tracesWanted } from '../../../adapters/tracing/traces.js';
import { TRACE_HEADER } from '../../../domain/traces.js';

vi.mock('../../../adapters/tracing/spans.js', () => {
  throw new Error('OpenTelemetry was loaded');
});
afterEach(() => vi.unstubAllEnvs());

const AT = 'http://127.0.0.1:4318';

test.each([
  [{}, false],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: '' }, false],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: AT }, true],
  [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: AT }, true],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: AT, OTEL_SDK_DISABLED: 'true' }, false],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: AT, OTEL_TRACES_EXPORTER: 'none' }, false],
])('with %j traces are wanted: %j', (env, wanted) => {
  expect(tracesWanted(env)).toBe(wanted);
});

test('where nobody asked, nothing of OpenTelemetry is loaded', async () => {
  const traces = await startTraces('custody');
  expect(await traces.span(async () => 'done')).toBe('done');
  expect(traces.activities).toEqual([]);
  expect(await tracedCalls()).toEqual({});
  expect(await traces.stop()).toBeNull();
});

test('where somebody asked, it is', async () => {
  vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', AT);
  await expect(startTraces('custody')).rejects.toThrow();
});

test.each([
  ['no JSON', { data: Buffer.from('{') }],
  ['another encoding', { metadata: { encoding: Buffer.from('binary/null') } }],
  ['no trace', defaultPayloadConverter.toPayload({ traceparent: 'whatever' })],
  ['a long one', defaultPayloadConverter.toPayload({ traceparent: '0'.repeat(100_000) })],
  ['a list', defaultPayloadConverter.toPayload(['00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'])],
  ['nothing', undefined],
])('attack: a header with %s is passed over', (_, payload) => {
  const headers = payload === undefined ? {} : { [TRACE_HEADER]: payload };
  expect(trace.getSpanContext(spanOf(headers))).toBeUndefined();
  expect(spanOf(headers)).toBe(context.active());
});
