import { CustodyError } from '../../domain/errors.js';
import { assertModelName, endpointId } from '../../domain/names.js';
import { endpointStatus, send } from '../messages.js';
import { answer } from '../output.js';
import { orderRollback, requestRestore } from '../requests.js';
import type { ConnectedSession } from '../session.js';
import { signerOf } from '../signer.js';

export async function restore(session: ConnectedSession, model: string, options: { key: string }): Promise<void> {
  assertModelName(model);
  const { killedBy, revision } = await endpointStatus(session.custody, model);
  if (killedBy.length === 0) throw new CustodyError('INPUT_MISSING', `${model} is not killed`);
  const { newest } = await session.custody.records.policies();
  const signer = await signerOf(session, options.key);
  const within = newest.approvals.restore.withinSeconds;
  const request = requestRestore(signer, model, { kills: killedBy, revision }, within);
  const receipt = await send(session.custody, endpointId(model), 'restore', request);
  answer(session, receipt, [`asked as ${receipt.by}: custody approvals`]);
}

export async function rollback(
  session: ConnectedSession,
  model: string,
  options: { to?: string; reason: string; key: string },
): Promise<void> {
  assertModelName(model);
  const { serving } = await endpointStatus(session.custody, model);
  const target = serving.find(({ version }) => version === options.to)?.release ?? null;
  if (options.to !== undefined && target === null)
    throw new CustodyError('INPUT_MISSING', `${model} ${options.to} is not kept warm`);
  const order = orderRollback(await signerOf(session, options.key), model, target, options.reason);
  const receipt = await send(session.custody, endpointId(model), 'rollback', order);
  answer(session, receipt, [`rolled back by ${receipt.by}`]);
}
