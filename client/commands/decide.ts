import type { Command } from 'commander';
import type { Custody } from '../connect.js';
import { gateById, openGates, requestOf, send } from '../messages.js';
import { answer, talk } from '../output.js';
import { decide } from '../requests.js';
import { connected, KEY_OPTION, signerOf, type Session } from '../session.js';
import { printMessage } from './print.js';
import { confirm, describe, groundsOf, howTo } from './shown.js';

interface Options {
  readonly key: string;
  readonly reason?: string;
  readonly yes?: true;
  readonly print?: string;
}

export function decisionCommands(program: Command): void {
  program
    .command('approvals')
    .description('what waits for people')
    .action(
      connected(async (session) => {
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
      }),
    );

  for (const decision of ['approve', 'reject'] as const)
    program
      .command(`${decision} <requestId>`)
      .description(`${decision} a request, after it was shown as it lies in the store`)
      .requiredOption(...KEY_OPTION)
      .option('--reason <text>', 'kept with the decision')
      .option('--yes', 'do not ask')
      .option('--print <file>', 'write the signed decision to a file instead of sending it')
      .addHelpText('after', `\nExample:\n  custody ${decision} deploy-digits-1.0.0-1a2b3c4d --key alice`)
      .action(
        connected(async (session, requestId: string, options: Options) =>
          decideOn(session, requestId, decision, options),
        ),
      );
}

async function decideOn(
  session: Session & { readonly custody: Custody },
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
