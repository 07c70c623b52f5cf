/** The header of Temporal in which its own interceptors for OpenTelemetry, in every language, say which span a call is of. */
export const TRACE_HEADER = '_tracer-data';
/** So much of it is carried on: what is longer names no span. */
export const MAX_TRACE_BYTES = 512;
