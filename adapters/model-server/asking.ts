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

export function isSilence(answer: Answer | Silence | string | readonly unknown[]): answer is Silence {
  return typeof answer !== 'string' && 'why' in answer;
}

const GONE: ReadonlySet<string | undefined> = new Set(['ECONNREFUSED', 'ENOENT', 'ECONNRESET', 'EPIPE']);

/** A connection is reset before the process that held it has ended. */
const GRACE_MS = 250;
/** Until a sandbox is taken down, with all that ran in it. */
const END_MS = 5000;

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
      const answer = await askModelServer(socket, asked);
      if (answer.status !== null) return answer;
      // Who cuts a client off on purpose still answers the next one; who died has cut it off, too.
      const after = await stateOf(socket, death);
      if (after === 'answers') return answer;
      return after === 'gone'
        ? endOf(death)
        : { verdict: 'failed', why: 'it cut the client off, and answers no other since' };
    } catch (error) {
      const failure = failureOf(error);
      if (!GONE.has(codeOf(failure))) return { verdict: 'failed', why: failure.message };
      return (await stateOf(socket, death)) === 'gone' ? endOf(death) : { verdict: 'failed', why: failure.message };
    }
  };
}

/** How it ended; one that only listens no more has failed as well, and is not waited for. */
function endOf(death: Promise<Silence>): Promise<Silence> {
  return Promise.race([death, delay(END_MS, { verdict: 'failed', why: 'the model server listens no more' } as const)]);
}

/** A connection can be reset by a server that lives, and by the end of one that does not. */
async function stateOf(socket: string, death: Promise<Silence>): Promise<'answers' | 'gone' | 'silent'> {
  await Promise.race([death, delay(GRACE_MS)]);
  try {
    await askModelServer(socket, { method: 'GET', path: '/', body: null, timeoutMs: 5000 });
    return 'answers';
  } catch (error) {
    const code = codeOf(failureOf(error));
    return code === 'ECONNREFUSED' || code === 'ENOENT' ? 'gone' : 'silent';
  }
}

function failureOf(error: unknown): CustodyError {
  if (error instanceof CustodyError && error.code === 'MODEL_SERVER_FAILED') return error;
  throw error;
}

function codeOf({ cause }: CustodyError): string | undefined {
  return (cause as NodeJS.ErrnoException | undefined)?.code;
}
