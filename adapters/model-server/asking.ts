import { setTimeout as delay } from 'node:timers/promises';
import { CustodyError } from '../../domain/errors.js';
import type { Verdict } from '../../domain/suite.js';
import { askModelServer, type Answer, type Asked } from './ask.js';
import type { IsolatedServer } from './isolated.js';

/** Why there is no answer, and what that says of the candidate: its time may have been over before it was asked. */
export interface Silence {
  readonly verdict: Exclude<Verdict, 'passed'>;
  readonly why: string;
}

export type Ask = (asked: Asked) => Promise<Answer | Silence>;

export function isSilence(answer: Answer | Silence): answer is Silence {
  return 'why' in answer;
}

const GONE: ReadonlySet<string | undefined> = new Set(['ECONNREFUSED', 'ENOENT', 'ECONNRESET', 'EPIPE']);

/** A connection is reset before the process that held it has ended. */
const GRACE_MS = 250;

/** Asks until the server has ended; after that every further request fails at once. */
export function askUntilEnded({ socket, ended }: Pick<IsolatedServer, 'socket' | 'ended'>): Ask {
  const death = ended.then(
    ({ how, isTimeUp }): Silence =>
      isTimeUp
        ? { verdict: 'inconclusive', why: `the time of the suite was over: ${how}` }
        : { verdict: 'failed', why: `the model server ended: ${how}` },
    (error: unknown): Silence => ({ verdict: 'inconclusive', why: `the sandbox failed: ${String(error)}` }),
  );
  return async (asked) => {
    try {
      return await askModelServer(socket, asked);
    } catch (error) {
      const failure = failureOf(error);
      if (!GONE.has(codeOf(failure))) return { verdict: 'failed', why: failure.message };
      await Promise.race([death, delay(GRACE_MS)]);
      return (await isGone(socket)) ? death : { verdict: 'failed', why: failure.message };
    }
  };
}

/** A connection can be reset by a server that lives, and by the end of one that does not. */
async function isGone(socket: string): Promise<boolean> {
  try {
    await askModelServer(socket, { method: 'GET', path: '/', body: null, timeoutMs: 5000 });
    return false;
  } catch (error) {
    const code = codeOf(failureOf(error));
    return code === 'ECONNREFUSED' || code === 'ENOENT';
  }
}

function failureOf(error: unknown): CustodyError {
  if (error instanceof CustodyError && error.code === 'MODEL_SERVER_FAILED') return error;
  throw error;
}

function codeOf({ cause }: CustodyError): string | undefined {
  return (cause as NodeJS.ErrnoException | undefined)?.code;
}
