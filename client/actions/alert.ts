import { SEVERITIES } from '../../domain/alert.js';
import { CustodyError } from '../../domain/errors.js';
import { assertModelName, endpointId, parseReleaseName } from '../../domain/names.js';
import type { SignedEnvelope } from '../../domain/statements.js';
import { envelopeDigest } from '../../formats/dsse.js';
import { newNonce, signAlert } from '../../formats/requests.js';
import type { AlertOutcome } from '../../workflows/alert.js';
import { startAlert, type Receipt } from '../../workflows/messages.js';
import type { Custody } from '../connect.js';
import { runToEnd, send } from '../messages.js';
import { answer } from '../output.js';
import type { ConnectedSession } from '../session.js';
import { signerOf } from '../signer.js';
import { printMessage } from './print.js';

interface AlertOptions {
  readonly reason: string;
  readonly severity: string;
  readonly key: string;
  readonly print?: string;
}

/** Says that a model, or one release of it, is not safe; what follows is the policy's. */
export async function alert(session: ConnectedSession, given: string, options: AlertOptions): Promise<void> {
  const severity = SEVERITIES.find((word) => word === options.severity);
  if (severity === undefined)
    throw new CustodyError('USAGE', `--severity ${options.severity}: expected one of ${SEVERITIES.join(', ')}`);
  const { model, version } = given.includes('@') ? parseReleaseName(given) : { model: given, version: null };
  assertModelName(model);
  const { reason } = options;
  const signer = await signerOf(session, options.key);
  const envelope = signAlert(signer, { model, version, release: null, severity, nonce: newNonce(), reason });
  const message = { workflowId: endpointId(model), name: 'securityAlert', envelope };
  if (options.print !== undefined) return printMessage(session, options.print, message);
  const receipt = await taken(session.custody, model, envelope, signer.id);
  answer(session, receipt, [
    `${receipt.by} raised an alert about ${given}: ${receipt.outcome ?? receipt.warning ?? ''}`,
  ]);
}

/** By the model's endpoint; where there is none, control refuses it, or finds that there should be one. */
async function taken(custody: Custody, model: string, envelope: SignedEnvelope, by: string): Promise<Receipt> {
  try {
    return await send(custody, endpointId(model), 'securityAlert', envelope);
  } catch (error) {
    if (!(error instanceof CustodyError) || error.code !== 'INPUT_MISSING') throw error;
  }
  const statement = envelopeDigest(envelope);
  await runToEnd<AlertOutcome>(custody, 'alert', startAlert(model, statement), envelope);
  const outcome = `its endpoint was gone, and has been started with it: custody status ${model}`;
  return { accepted: true, by, statement, outcome };
}
