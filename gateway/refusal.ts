import type { ServerResponse } from 'node:http';

/** Why a caller gets no answer from a release. */
export interface Refusal {
  readonly status: 400 | 401 | 403 | 404 | 410 | 413 | 502 | 503;
  readonly code:
    | 'UNKNOWN_CALLER'
    | 'NOT_A_CONSUMER'
    | 'UNKNOWN_MODEL'
    | 'KILLED'
    | 'STATUS_STALE'
    | 'WITHDRAWN'
    | 'NO_REPLICA'
    | 'BREACHED'
    | 'BREAKER_OPEN'
    | 'REVOKED'
    | 'TOO_LARGE'
    | 'UPSTREAM_FAILED';
  readonly reason: string;
  readonly retryAfterSeconds?: number;
  /** What else the body says, of a release that is gone. */
  readonly about?: Readonly<Record<string, string>>;
}

export const NOBODY: Refusal = { status: 503, code: 'NO_REPLICA', reason: 'no release serves this share of callers' };

export function unknownModel(model: string): Refusal {
  return { status: 404, code: 'UNKNOWN_MODEL', reason: `no model ${model} is served here` };
}

/** Answers with a refusal, and with what names the release, where one is at fault. */
export function refuse(outgoing: ServerResponse, refusal: Refusal, names: readonly string[] = []): void {
  const { status, code, reason, retryAfterSeconds, about } = refusal;
  const body = JSON.stringify({ error: reason, code, reason, ...about });
  const headers = [...names, 'content-type', 'application/json', 'content-length', String(Buffer.byteLength(body))];
  if (retryAfterSeconds !== undefined) headers.push('retry-after', String(retryAfterSeconds));
  outgoing.writeHead(status, headers);
  outgoing.end(body);
}
