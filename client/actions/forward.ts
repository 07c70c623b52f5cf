import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { webhookAt } from '../../adapters/webhook.js';
import { auditLog, LongReading } from '../audit.js';
import { Cursor } from '../cursor.js';
import { forwardUpTo } from '../forwarding.js';
import { interruption } from '../interruption.js';
import { answer, counted, good, plain, talk } from '../output.js';
import type { ConnectedSession } from '../session.js';
import { signerOf } from '../signer.js';

interface ForwardOptions {
  readonly key: string;
  readonly cursor: string;
  readonly follow?: true;
  readonly secret?: string;
}

const EVERY_MS = 1_000;
/** About two minutes. Whoever follows has nothing better to do than to wait. */
const ATTEMPTS = 8;

export async function forwardLog(
  session: ConnectedSession,
  url: string,
  { key, cursor: file, follow, secret }: ForwardOptions,
): Promise<void> {
  const hook = webhookAt(url, secret === undefined ? null : readFileSync(secret, 'utf8'));
  const signal = interruption();
  const signer = await signerOf(session, key);
  const reading = await LongReading.begin(() => auditLog(session.custody, signer));
  const cursor = await Cursor.open(file, reading.log, hook);
  const from = cursor.size;
  const patience = {
    attempts: follow === true ? Infinity : ATTEMPTS,
    signal,
    wait: (ms: number) =>
      setTimeout(ms, undefined, { signal }).catch(() => {
        throw signal.reason;
      }),
    say: (line: string) => talk(plain(`warning: ${line}`)),
  };
  try {
    for (;;) {
      await forwardUpTo(reading.log.checkpoint.size, reading, cursor, hook, patience);
      if (follow !== true) break;
      await patience.wait(EVERY_MS);
      await reading.renew();
    }
  } catch (error) {
    // Ctrl-C is how following ends.
    if (follow !== true || error !== signal.reason) throw error;
  }
  const delivered = cursor.size - from;
  answer(session, { delivered, next: cursor.size }, [
    good(`${counted(delivered, 'record')} delivered; the next one is ${cursor.size}`),
  ]);
}
