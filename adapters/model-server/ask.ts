import { isUtf8 } from 'node:buffer';
import { request } from 'node:http';
import { CustodyError } from '../../domain/errors.js';

/** More of an answer is never read: the connection is closed, and the request has failed. */
export const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

export interface Asked {
  readonly method: string;
  /** Sent as it stands, so that a path which no client would build can be tried. */
  readonly path: string;
  readonly body: Buffer | null;
  readonly timeoutMs: number;
  /** Half of the body is sent, and then nothing more. */
  readonly stalls?: boolean;
}

export interface Answer {
  /** `null`: a client that sent no more was cut off without an answer. */
  readonly status: number | null;
  readonly body: string;
  /** From the request to the end of the answer. */
  readonly ms: number;
}

/** One request to a model server on a unix socket. MODEL_SERVER_FAILED when no whole answer comes in time. */
export function askModelServer(socket: string, asked: Asked): Promise<Answer> {
  const { method, path, body, timeoutMs, stalls = false } = asked;
  return new Promise((resolve, reject) => {
    const headers = body === null ? {} : { 'content-type': 'application/json', 'content-length': body.length };
    const begun = performance.now();
    const sent = request({ socketPath: socket, method, path, headers, agent: false });
    const end = (status: number | null, text: string): void => {
      clearTimeout(timer);
      resolve({ status, body: text, ms: performance.now() - begun });
    };
    const fail = (problem: string, cause?: Error): void => {
      clearTimeout(timer);
      sent.destroy();
      reject(new CustodyError('MODEL_SERVER_FAILED', `${method} ${path}: ${problem}`, { cause }));
    };
    const timer = setTimeout(() => fail(`no answer in ${timeoutMs} ms`), timeoutMs);
    let isAnswering = false;
    // A server may answer before it has read the whole body, and close: then the answer is what counts.
    sent.on('error', (error) => {
      if (isAnswering) return;
      const wasCut = stalls && (error as NodeJS.ErrnoException).code === 'ECONNRESET';
      if (wasCut) end(null, '');
      else fail(error.message, error);
    });
    sent.on('response', (answer) => {
      isAnswering = true;
      // Who reads it would unpack it, and see what nobody has looked at here.
      const packed = answer.headers['content-encoding'] ?? 'identity';
      if (packed !== 'identity') return fail(`the answer is packed (${packed}), which nobody has asked for`);
      const chunks: Buffer[] = [];
      let size = 0;
      answer.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_ANSWER_BYTES) fail(`the answer is larger than ${MAX_ANSWER_BYTES} bytes`);
        else chunks.push(chunk);
      });
      answer.on('error', (error) => fail(error.message, error));
      answer.on('end', () => {
        const bytes = Buffer.concat(chunks);
        // Readers that find NUL in it guess that it is UTF-16, and read another text than this one.
        if (!isUtf8(bytes) || bytes.includes(0)) return fail('the answer is not plain UTF-8');
        end(answer.statusCode ?? 0, bytes.toString('utf8'));
        if (stalls) sent.destroy();
      });
    });
    if (stalls) sent.write((body ?? Buffer.alloc(0)).subarray(0, Math.ceil((body?.length ?? 0) / 2)));
    else sent.end(body ?? undefined);
  });
}
