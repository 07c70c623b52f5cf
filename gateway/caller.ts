import type { IncomingMessage } from 'node:http';

/** Who calls, as the caller says; `null` for somebody without a name. */
export function callerOf(incoming: IncomingMessage): string | null {
  const caller = incoming.headers['x-custody-caller'];
  return typeof caller === 'string' ? caller : null;
}
