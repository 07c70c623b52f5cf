import { CustodyError } from '../../domain/errors.js';
import { assertModelName } from '../../domain/names.js';
import { isIsoTime, isoTime } from '../../domain/time.js';
import { ask, verifyWholeLog } from '../audit.js';
import { answer, good, heading, plain } from '../output.js';
import { askAuditor } from '../requests.js';
import type { ConnectedSession } from '../session.js';
import { signerOf } from '../signer.js';

export async function verifyLog(session: ConnectedSession, options: { key: string }): Promise<void> {
  const signer = await signerOf(session, options.key);
  const found = await ask(session.custody, askAuditor(signer, { question: 'log' }));
  const log = await verifyWholeLog(session.custody, found);
  const { size, root } = log;
  answer(session, { size, root }, [good(`the log holds: ${size} records, root ${root}`)]);
}

export async function listLog(session: ConnectedSession, options: { key: string; model?: string }): Promise<void> {
  const signer = await signerOf(session, options.key);
  const found = await ask(session.custody, askAuditor(signer, { question: 'log' }));
  const { records } = await verifyWholeLog(session.custody, found);
  const wanted = records.filter(({ subject }) => options.model === undefined || subject.model === options.model);
  answer(
    session,
    wanted,
    wanted.map(({ time, change, actor, subject, reason }) =>
      plain(
        `${time}  ${change.padEnd(18)} ${actor.id.padEnd(10)} ${subject.model} ${subject.version ?? ''}  ${reason}`,
      ),
    ),
  );
}

export async function stateAt(
  session: ConnectedSession,
  model: string,
  options: { at?: string; key: string },
): Promise<void> {
  assertModelName(model);
  const at = options.at ?? isoTime(Date.now());
  if (!isIsoTime(at)) throw new CustodyError('USAGE', `${at} is not a time like 2026-01-31T12:00:00.000Z`);
  const signer = await signerOf(session, options.key);
  const found = await ask(session.custody, askAuditor(signer, { question: 'state', model, at }));
  if (found.question !== 'state') throw new CustodyError('INTERNAL', 'the desk answered another question');
  const { state, route } = found;
  answer(session, found, [
    heading(`${model} at ${at}${state.killed ? ': killed' : ''}`),
    ...(route?.releases ?? []).map(
      ({ version, weight, release }) => `${String(weight).padStart(4)} %  ${version}  ${release.slice(0, 12)}`,
    ),
    ...state.releases.map(({ version, lastChange }) => `${version}: ${lastChange}`),
  ]);
}
