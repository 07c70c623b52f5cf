import { createHmac } from 'node:crypto';
import type { CloudEvent } from 'cloudevents';
import { request } from 'undici';
import { CustodyError } from '../domain/errors.js';
import { decodeBase64 } from '../formats/base64.js';
import { isTrustworthyUrl } from '../formats/policy-oidc.js';
import { sha256 } from '../formats/sha256.js';

const TIMEOUT_MS = 10_000;
/** Of an answer nothing but its status counts: what is longer ends with the connection. */
const MAX_ANSWER_BYTES = 4 * 1024;
const SECRET = /^whsec_(\S+)$/;
/** Of a key: what Standard Webhooks asks for. */
const [MIN_KEY_BYTES, MAX_KEY_BYTES] = [24, 64];

/** Somebody's address that takes events. It may hold a secret: only its origin is ever said. */
export interface Webhook {
  readonly url: URL;
  /** Signs every event (Standard Webhooks); `null`: nothing does. */
  readonly key: Buffer | null;
  readonly timeoutMs?: number;
}

/** `secret`: as Standard Webhooks writes it. USAGE and CONFIG_INVALID, without saying it. */
export function webhookAt(given: string, secret: string | null): Webhook {
  const url = URL.canParse(given) ? new URL(given) : null;
  if (url === null || !isTrustworthyUrl(url))
    throw new CustodyError('USAGE', 'that is no address of a webhook: https, or http on this very host; no user name');
  url.hash = '';
  return { url, key: secret === null ? null : keyOf(secret) };
}

function keyOf(secret: string): Buffer {
  const [, encoded] = SECRET.exec(secret.trim()) ?? [];
  const key = encoded === undefined ? Buffer.alloc(0) : decodeBase64(encoded, 'the secret of the webhook');
  if (key.length >= MIN_KEY_BYTES && key.length <= MAX_KEY_BYTES) return key;
  throw new CustodyError(
    'CONFIG_INVALID',
    `the secret of the webhook must be whsec_ and ${MIN_KEY_BYTES} to ${MAX_KEY_BYTES} bytes in base64`,
  );
}

/**
 * Posts one event in structured mode, once; it is delivered when the answer is 2xx, whatever follows. WEBHOOK_UNAVAILABLE where
 * trying again can help, with `afterMs` where the receiver said when; WEBHOOK_REFUSED where it cannot: a redirect is never
 * followed, since nobody has named where it goes.
 */
export async function post(hook: Webhook, event: CloudEvent<unknown>): Promise<void> {
  const { url, timeoutMs = TIMEOUT_MS } = hook;
  const body = JSON.stringify(event);
  // All of it, the last byte too: an answer that trickles never ends.
  const signal = AbortSignal.timeout(timeoutMs);
  const headers = { 'content-type': 'application/cloudevents+json; charset=utf-8', ...signatureOf(hook, event, body) };
  const answer = await request(url, { method: 'POST', headers, body, signal }).catch((cause: unknown) => {
    throw new CustodyError('WEBHOOK_UNAVAILABLE', `${url.origin} ${whyOf(cause, timeoutMs)}`, { cause });
  });
  const { statusCode: status } = answer;
  // However the rest ends, it changes nothing of what was said.
  await answer.body.dump({ limit: MAX_ANSWER_BYTES, signal }).catch(() => undefined);
  if (status >= 200 && status < 300) return;
  const isDown = status >= 500 || status === 429;
  const afterMs = isDown ? delayOf(answer.headers['retry-after']) : null;
  throw new CustodyError(isDown ? 'WEBHOOK_UNAVAILABLE' : 'WEBHOOK_REFUSED', `${url.origin} answers ${status}`, {
    details: { status, ...(afterMs === null ? {} : { afterMs }) },
  });
}

/** By Standard Webhooks. */
function signatureOf({ key }: Webhook, { id, source }: CloudEvent<unknown>, body: string): Record<string, string> {
  if (key === null) return {};
  // An id is one only of its source, and this one is to tell all messages apart that a receiver gets. It is safe in a header.
  const message = sha256(JSON.stringify([source, id]));
  const timestamp = String(Math.floor(Date.now() / 1000));
  const signature = createHmac('sha256', key).update(`${message}.${timestamp}.${body}`).digest('base64');
  return { 'webhook-id': message, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` };
}

/** Retry-After, in seconds or as a date; `null` for anything else. */
function delayOf(given: string | string[] | undefined): number | null {
  if (typeof given !== 'string') return null;
  const ms = /^\d{1,9}$/.test(given) ? Number(given) * 1000 : Date.parse(given) - Date.now();
  return Number.isNaN(ms) ? null : Math.max(0, ms);
}

function whyOf(cause: unknown, timeoutMs: number): string {
  if (!(cause instanceof Error)) return `cannot be reached: ${String(cause)}`;
  if (cause.name === 'TimeoutError') return `does not answer within ${timeoutMs} ms`;
  // Where several addresses were tried, there is no message.
  return `cannot be reached: ${cause.message || ((cause as NodeJS.ErrnoException).code ?? cause.name)}`;
}
