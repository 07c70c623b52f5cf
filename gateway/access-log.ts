import { pino } from 'pino';

/** One request that has ended, answered or not. */
export interface Access {
  /** What the caller calls it by its `x-request-id`, which the replica gets as well; `null`: nothing that is an id. */
  readonly callId: string | null;
  readonly method: string;
  /** Without the query, which may hold what is nobody's business. */
  readonly path: string;
  /** The release that was asked; `null`: none was. */
  readonly version: string | null;
  readonly status: number;
  /** From the end of the headers to the end of the answer. */
  readonly ms: number;
  /** Whether the answer is out to its end. */
  readonly whole: boolean;
  readonly caller: string | null;
}

export interface AccessLog {
  write(access: Access): void;
  close(): Promise<void>;
}

/** So much waits for a reader who is slow; what comes then is not written, and callers never wait. */
const MAX_WAITING_BYTES = 8 * 1024 * 1024;
const BUFFER_BYTES = 4096;
const FLUSH_MS = 1000;

/** One line of JSON for each request on stdout, never a body, a header or a query. */
export function createAccessLog(report: (error: unknown, what: string) => void): AccessLog {
  const out = pino.destination({ dest: 1, sync: false, minLength: BUFFER_BYTES, maxLength: MAX_WAITING_BYTES });
  const log = pino({ base: { name: 'access' } }, out);
  out.on('error', (error) => report(error, 'the access log cannot be written'));
  let lost = 0;
  out.on('drop', () => (lost += 1));
  const flushing = setInterval(() => {
    out.flush();
    if (lost > 0) report(null, `${lost} lines of the access log were lost: nobody reads them fast enough`);
    lost = 0;
  }, FLUSH_MS).unref();
  return {
    write: (access) => log.info(access),
    close: () =>
      new Promise((resolve) => {
        clearInterval(flushing);
        out.flush(() => resolve());
      }),
  };
}
