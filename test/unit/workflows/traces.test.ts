import { defaultPayloadConverter, type Headers } from '@temporalio/common';
import type { ActivityInput, SignalInput } from '@temporalio/workflow';
import { expect, test } from 'vitest';
import { MAX_TRACE_BYTES, TRACE_HEADER } from '../../../domain/traces.js';
import { interceptors } from '../../../workflows/traces.js';

const named = (traceparent: string): Headers => ({
  [TRACE_HEADER]: defaultPayloadConverter.toPayload({ traceparent }),
});

/** A run that hears signals, and the headers of the next activity that it asks for. */
function startRun(): { hear(headers: Headers): void; asks(): Headers } {
  const { inbound, outbound } = interceptors();
  return {
    hear: (headers) => {
      const input: SignalInput = { signalName: 'kill', args: [], headers };
      void inbound?.[0]?.handleSignal?.(input, async () => undefined);
    },
    asks: () => {
      const asked: Headers[] = [];
      const input = { activityType: 'act', args: [], headers: { own: {} }, options: {}, seq: 1 } as ActivityInput;
      void outbound?.[0]?.scheduleActivity?.(input, async ({ headers }) => void asked.push(headers));
      return asked[0] ?? {};
    },
  };
}

test('what a run asks for belongs to the newest message that came with a trace', () => {
  const run = startRun();
  expect(run.asks()).toEqual({ own: {} });
  run.hear(named('first'));
  run.hear(named('second'));
  run.hear({});
  expect(run.asks()).toEqual({ own: {}, ...named('second') });
});

test('runs know nothing of each other', () => {
  startRun().hear(named('of another'));
  expect(startRun().asks()).toEqual({ own: {} });
});

test.each([
  ['data', { data: new Uint8Array(MAX_TRACE_BYTES + 1) }],
  ['metadata', { metadata: { filler: new Uint8Array(MAX_TRACE_BYTES) } }],
  ['names', { metadata: { ['x'.repeat(MAX_TRACE_BYTES + 1)]: new Uint8Array() } }],
])('attack: a header with so much %s is not carried on to every activity', (_, payload) => {
  const run = startRun();
  run.hear(named('genuine'));
  run.hear({ [TRACE_HEADER]: payload });
  expect(run.asks()).toEqual({ own: {}, ...named('genuine') });
});

test('a run goes the same way with it: nothing is awaited', () => {
  const { inbound } = interceptors();
  const answered = Promise.resolve('answer');
  expect(inbound?.[0]?.execute?.({ args: [], headers: {} }, () => answered)).toBe(answered);
});
