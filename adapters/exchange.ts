import { readFileSync } from 'node:fs';
import { request, type ClientRequest } from 'node:http';
import { request as requestOverTls } from 'node:https';
import { CustodyError, isErrorCode, type ErrorDetails } from '../domain/errors.js';
import { parseJson } from '../formats/json.js';
import type { TlsFiles } from '../formats/tls.js';

const TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

export type Target =
  { readonly socket: string } | { readonly url: string } | { readonly url: string; readonly tls: TlsFiles };
/** What a peer that does not answer, or answers no code of ours, is called. */
export type Down = 'VAULT_UNAVAILABLE' | 'GATEWAY_UNAVAILABLE' | 'API_UNAVAILABLE' | 'STORE_UNAVAILABLE';

/**
 * One JSON exchange over a unix socket, over loopback where `target` is a URL, or with another host where it has files for
 * TLS, which are read each time. A refusal comes back as the error it is, with `status` and what else it says in `details`;
 * a peer that is silent for `timeoutMs` in all, or proves to be somebody else, is down.
 */
export async function exchange(
  target: Target,
  method: string,
  path: string,
  body: unknown,
  down: Down,
  timeoutMs: number = TIMEOUT_MS,
): Promise<unknown> {
  const { where, status, text } = await send(target, method, path, body, down, timeoutMs);
  const isOk = status < 300;
  if (text.length === 0) {
    if (isOk) return null;
    throw refusal(null, status, where, down);
  }
  let value: unknown;
  try {
    value = parseJson(text, where, { maxBytes: MAX_ANSWER_BYTES });
  } catch (cause) {
    if (isOk) throw cause;
    throw refusal(null, status, where, down);
  }
  if (isOk) return value;
  throw refusal(value, status, where, down);
}

/** The same for an answer that is text. */
export async function exchangeText(target: Target, path: string, down: Down): Promise<string> {
  const { where, status, text } = await send(target, 'GET', path, undefined, down, TIMEOUT_MS);
  if (status < 300) return text.toString('utf8');
  throw refusal(null, status, where, down);
}

function send(
  target: Target,
  method: string,
  path: string,
  body: unknown,
  down: Down,
  timeoutMs: number,
): Promise<{ readonly where: string; readonly status: number; readonly text: Buffer }> {
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload ?? '') };
  const where = `${'socket' in target ? target.socket : target.url}${path}`;
  return new Promise((resolve, reject) => {
    const fail = (cause: Error): void =>
      reject(new CustodyError(down, `${where} does not answer: ${cause.message}`, { cause }));
    let sent: ClientRequest;
    try {
      sent = begin(target, path, { method, headers });
    } catch (error) {
      return fail(error as Error);
    }
    const deadline = setTimeout(() => sent.destroy(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
    sent.on('close', () => clearTimeout(deadline));
    sent.on('error', fail);
    sent.on('response', (answer) => {
      const chunks: Buffer[] = [];
      let size = 0;
      answer.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_ANSWER_BYTES) answer.destroy(new Error('the answer is too large'));
        else chunks.push(chunk);
      });
      answer.on('error', fail);
      answer.on('end', () => resolve({ where, status: answer.statusCode ?? 500, text: Buffer.concat(chunks) }));
    });
    sent.end(payload);
  });
}

function begin(
  target: Target,
  path: string,
  options: { method: string; headers: Record<string, string | number> },
): ClientRequest {
  if ('socket' in target) return request({ ...options, socketPath: target.socket, path });
  const url = new URL(path, target.url);
  if (!('tls' in target)) return request(url, options);
  const [cert, key, ca] = [target.tls.certificate, target.tls.key, target.tls.authorities].map((file) =>
    readFileSync(file),
  );
  return requestOverTls(url, { ...options, cert, key, ca, minVersion: 'TLSv1.3', agent: false });
}

function refusal(value: unknown, status: number, where: string, down: Down): CustodyError {
  const said = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  const code = isErrorCode(said['code']) ? said['code'] : down;
  const message = typeof said['message'] === 'string' ? said['message'] : `${where} answered ${status}`;
  return new CustodyError(code, message, { details: { ...detailsOf(said), status } });
}

/** What else the peer says, as far as it may travel with an error. */
function detailsOf(said: Record<string, unknown>): ErrorDetails {
  const plain = Object.entries(said).filter(
    (entry): entry is [string, string | number | boolean | null] =>
      entry[0] !== 'code' &&
      entry[0] !== 'message' &&
      (entry[1] === null || ['string', 'number', 'boolean'].includes(typeof entry[1])),
  );
  return Object.fromEntries(plain);
}
