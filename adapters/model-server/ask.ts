import { request } from 'node:http';
import { CustodyError } from '../../domain/errors.js';

const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

export interface Asked {
  readonly method: string;
  /** Sent as it stands, so that a path which no client would build can be tried. */
  readonly path: string;
  readonly body: Buffer | null;
  readonly timeoutMs: number;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** One request to a model server on a unix socket. MODEL_SERVER_FAILED when no whole answer comes in time. */
export function askModelServer(socket: string, { method, path, body, timeoutMs }: Asked): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = body === null ? {} : { 'content-type': 'application/json', 'content-length': body.length };
    const sent = request({ socketPath: socket, method, path, headers, agent: false });
    const fail = (problem: string, cause?: Error): void => {
      clearTimeout(timer);
      sent.destroy();
      reject(new CustodyError('MODEL_SERVER_FAILED', `${method} ${path}: ${problem}`, { cause }));
    };
    const timer = setTimeout(() => fail(`no answer in ${timeoutMs} ms`), timeoutMs);
    let isAnswering = false;
    // A server may answer before it has read the whole body, and close: then the answer is what counts.
    sent.on('error', (error) => {
      if (!isAnswering) fail(error.message, error);
    });
    sent.on('response', (answer) => {
      isAnswering = true;
      const chunks: Buffer[] = [];
      let size = 0;
      answer.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_ANSWER_BYTES) fail(`the answer is larger than ${MAX_ANSWER_BYTES} bytes`);
        else chunks.push(chunk);
      });
      answer.on('error', (error) => fail(error.message, error));
      answer.on('end', () => {
        clearTimeout(timer);
        resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') });
      });
    });
    sent.end(body ?? undefined);
  });
}
