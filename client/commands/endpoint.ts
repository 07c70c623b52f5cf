import type { Command } from 'commander';
import { createGatewayClient } from '../../adapters/gateway/client.js';
import { CustodyError } from '../../domain/errors.js';
import { assertModelName, endpointId } from '../../domain/names.js';
import { openReading } from '../connect.js';
import { endpointStatus, send } from '../messages.js';
import { answer } from '../output.js';
import { orderKill, orderRollback, requestRestore } from '../requests.js';
import { printMessage } from './print.js';
import {
  action,
  connected,
  KEY_OPTION,
  signerOf,
  whileConnected,
  type ConnectedSession,
  type Session,
} from '../session.js';

interface KillOptions {
  readonly reason: string;
  readonly key: string;
  readonly direct?: true;
  readonly print?: string;
}

export function endpointCommands(program: Command): void {
  program
    .command('kill <model>')
    .description('stop an endpoint at once: callers get 503 with the reason')
    .requiredOption('--reason <text>', 'told to callers')
    .requiredOption(...KEY_OPTION)
    .option('--direct', 'straight to the gateways, also while Temporal is down')
    .option('--print <file>', 'write the signed order to a file instead of sending it')
    .addHelpText('after', "\nExample:\n  custody kill digits --reason 'poisoned data' --key oscar")
    .action(
      action(async (session, model: string, options: KillOptions) => {
        assertModelName(model);
        return options.direct === true
          ? killDirectly(session, model, options)
          : whileConnected(session, (own) => kill(own, model, options));
      }),
    );

  program
    .command('restore <model>')
    .description('ask to lift every kill of an endpoint; a quorum of others must approve')
    .requiredOption(...KEY_OPTION)
    .addHelpText('after', '\nExample:\n  custody restore digits --key otto')
    .action(
      connected(async (session, model: string, options: { key: string }) => {
        assertModelName(model);
        const { killedBy, revision } = await endpointStatus(session.custody, model);
        if (killedBy.length === 0) throw new CustodyError('INPUT_MISSING', `${model} is not killed`);
        const { newest } = await session.custody.records.policies();
        const signer = await signerOf(session, options.key);
        const within = newest.approvals.restore.withinSeconds;
        const request = requestRestore(signer, model, { kills: killedBy, revision }, within);
        const receipt = await send(session.custody, endpointId(model), 'restore', request);
        answer(session, receipt, [`asked as ${receipt.by}: custody approvals`]);
      }),
    );

  program
    .command('rollback <model>')
    .description('go back to a release that is kept warm, or stop the rollout under way')
    .option('--to <version>', 'which one; by default the one before')
    .requiredOption('--reason <text>', 'kept with the order')
    .requiredOption(...KEY_OPTION)
    .addHelpText('after', "\nExample:\n  custody rollback digits --to 1.0.0 --reason 'slower than before' --key oscar")
    .action(
      connected(async (session, model: string, options: { to?: string; reason: string; key: string }) => {
        assertModelName(model);
        const { serving } = await endpointStatus(session.custody, model);
        const target = serving.find(({ version }) => version === options.to)?.release ?? null;
        if (options.to !== undefined && target === null)
          throw new CustodyError('INPUT_MISSING', `${model} ${options.to} is not kept warm`);
        const order = orderRollback(await signerOf(session, options.key), model, target, options.reason);
        const receipt = await send(session.custody, endpointId(model), 'rollback', order);
        answer(session, receipt, [`rolled back by ${receipt.by}`]);
      }),
    );
}

async function kill(session: ConnectedSession, model: string, { key, reason, print }: KillOptions): Promise<void> {
  const envelope = orderKill(await signerOf(session, key), model, reason);
  const message = { workflowId: endpointId(model), name: 'kill', envelope };
  if (print !== undefined) return printMessage(session, print, message);
  const startedAt = performance.now();
  const receipt = await send(session.custody, message.workflowId, message.name, envelope);
  const ms = Math.round(performance.now() - startedAt);
  answer(session, { ...receipt, ms }, [`${model} is killed (${ms} ms; ${receipt.by})`]);
}

/** Needs neither Temporal nor a worker: control hears of the order from the gateway. */
async function killDirectly(session: Session, model: string, { key, reason }: KillOptions): Promise<void> {
  const custody = openReading(session.layout);
  const order = orderKill(await signerOf({ ...session, custody }, key), model, reason);
  const startedAt = performance.now();
  await createGatewayClient(custody.description.gateway.admin).deliverKill(order);
  const ms = Math.round(performance.now() - startedAt);
  answer(session, { killed: model, ms }, [`${model} is killed (${ms} ms, straight to the gateway)`]);
}
