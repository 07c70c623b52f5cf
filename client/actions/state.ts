import { CustodyError } from '../../domain/errors.js';
import { assertModelName } from '../../domain/names.js';
import { isIsoTime, isoTime } from '../../domain/time.js';
import { ask } from '../audit.js';
import { answer, heading } from '../output.js';
import { askAuditor } from '../requests.js';
import type { ConnectedSession } from '../session.js';
import { signerOf } from '../signer.js';

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
