import { progressOf } from '../../adapters/dossier.js';
import type { Digest } from '../../domain/digest.js';
import { CustodyError } from '../../domain/errors.js';
import { lifecycleId, parseReleaseName, type ReleaseName } from '../../domain/names.js';
import { send } from '../messages.js';
import { answer } from '../output.js';
import { acknowledgeNotice, waiveNotice, type Notified } from '../requests.js';
import type { ConnectedSession } from '../session.js';
import { signerOf } from '../signer.js';

interface Options {
  readonly consumer: string;
  readonly key: string;
}

export async function acknowledge(session: ConnectedSession, given: string, options: Options): Promise<void> {
  const about = await noticeOf(session, given, options.consumer);
  const said = acknowledgeNotice(await signerOf(session, options.key), about);
  const receipt = await send(session.custody, lifecycleId(about), 'acknowledge', said);
  answer(session, receipt, [`${options.consumer} has acknowledged that ${given} is retired, by ${receipt.by}`]);
}

export async function waive(
  session: ConnectedSession,
  given: string,
  options: Options & { readonly reason: string },
): Promise<void> {
  const about = await noticeOf(session, given, options.consumer);
  const said = waiveNotice(await signerOf(session, options.key), about, options.reason);
  const receipt = await send(session.custody, lifecycleId(about), 'waive', said);
  answer(session, receipt, [`${given} is retired without an answer of ${options.consumer}: waived by ${receipt.by}`]);
}

async function noticeOf({ custody }: ConnectedSession, given: string, consumer: string): Promise<Notified> {
  const name: ReleaseName = parseReleaseName(given);
  const { ingested, retirement } = await progressOf(custody.records, name);
  if (ingested === undefined || retirement === undefined)
    throw new CustodyError('INPUT_MISSING', `nobody has been told that ${given} is going to be retired`);
  const request: Digest = retirement.request;
  return { ...name, release: ingested.release, request, consumer };
}
