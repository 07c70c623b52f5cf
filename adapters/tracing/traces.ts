import type { ClientInterceptors } from '@temporalio/client';
import type { ActivityInterceptorsFactory } from '@temporalio/worker';

/** The spans of one process. */
export interface Traces {
  /** Runs the act as a span at the root of what it does; `name` may be said while it runs. */
  span<T>(act: (name: (called: string) => void) => Promise<T>): Promise<T>;
  readonly activities: readonly ActivityInterceptorsFactory[];
  /** Hands on what is left. Answers why that could not be done; `null`: it could. */
  stop(): Promise<string | null>;
}

/** By OpenTelemetry's own environment variables: whether anybody asked for traces. */
export function tracesWanted(env: NodeJS.ProcessEnv = process.env): boolean {
  const at = [env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'], env['OTEL_EXPORTER_OTLP_ENDPOINT']];
  const isOff = env['OTEL_SDK_DISABLED'] === 'true' || env['OTEL_TRACES_EXPORTER'] === 'none';
  return !isOff && at.some((url) => url !== undefined && url !== '');
}

/** Where nobody asked, nothing of OpenTelemetry is even loaded. */
export async function startTraces(service: string): Promise<Traces> {
  if (tracesWanted()) return (await import('./spans.js')).startSpans(service);
  return { span: (act) => act(() => undefined), activities: [], stop: async () => null };
}

/** What a client of Temporal needs so that what it starts belongs to the span it is in. */
export async function tracedCalls(): Promise<ClientInterceptors> {
  return tracesWanted() ? (await import('./calls.js')).calls : {};
}
