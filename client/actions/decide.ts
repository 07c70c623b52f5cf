import { gateById, openGates, requestOf, send } from '../messages.js';
import { answer, talk } from '../output.js';
import { decide } from '../requests.js';
import type { ConnectedSession } from '../session.js';
import { signerOf } from '../signer.js';
import { printMessage } from './print.js';
import { confirm, describe, groundsOf, howTo } from './shown.js';

interface Options {
  readonly key: string;
  readonly reason?: string;
  readonly yes?: true;
  readonly print?: string;
}

export async function listGates(session: ConnectedSession): Promise<void> {
  const gates = await openGates(session.custody);
  answer(
    session,
    gates,
    gates.length === 0
      ? ['nothing waits for anyone']
      : gates.map(
          (waiting) =>
            `${waiting.gate.requestId}  ${waiting.missing} × ${waiting.gate.role}  until ${waiting.gate.expiresAt}  ${howTo(waiting)}`,
        ),
  );
}

export const approve = (session: ConnectedSession, requestId: string, options: Options): Promise<void> =>
  decideOn(session, requestId, 'approve', options);

export const reject = (session: ConnectedSession, requestId: string, options: Options): Promise<void> =>
  decideOn(session, requestId, 'reject', options);

async function decideOn(
  session: ConnectedSession,
  requestId: string,
  decision: 'approve' | 'reject',
  { key, reason, yes, print }: Options,
): Promise<void> {
  const signer = await signerOf(session, key);
  const waiting = await gateById(session.custody, requestId);
  const request = await requestOf(session.custody, waiting);
  for (const line of [...describe(request), ...(await groundsOf(session.custody, request))]) talk(line);
  if (yes !== true && print === undefined) await confirm(decision);
  const envelope = decide(signer, request, decision, reason ?? '');
  if (print !== undefined) {
    printMessage(session, print, { workflowId: waiting.workflowId, name: decision, envelope });
    return;
  }
  const receipt = await send(session.custody, waiting.workflowId, decision, envelope);
  answer(session, receipt, [`${decision}: counted as ${receipt.by}`]);
}
