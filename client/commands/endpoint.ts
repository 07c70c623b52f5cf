import type { Command } from 'commander';
import { createGatewayClient } from '../../adapters/gateway/client.js';
import { CustodyError } from '../../domain/errors.js';
import { assertModelName, endpointId } from '../../domain/names.js';
import { endpointStatus, send } from '../messages.js';
import { answer } from '../output.js';
import { orderKill, orderRollback, requestRestore } from '../requests.js';
import { printMessage } from './print.js';
import { connected, KEY_OPTION, signerOf } from '../session.js';

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
      connected(async (session, model: string, options: KillOptions) => {
        assertModelName(model);
        const order = orderKill(await signerOf(session, options.key), model, options.reason);
        if (options.print !== undefined)
          return printMessage(session, options.print, { workflowId: endpointId(model), name: 'kill', envelope: order });
        const startedAt = performance.now();
        if (options.direct === true) {
          await createGatewayClient(session.custody.description.gateway.admin).deliverKill(order);
          const ms = Math.round(performance.now() - startedAt);
          return answer(session, { killed: model, ms }, [`${model} is killed (${ms} ms, straight to the gateway)`]);
        }
        const receipt = await send(session.custody, endpointId(model), 'kill', order);
        const ms = Math.round(performance.now() - startedAt);
        answer(session, { ...receipt, ms }, [`${model} is killed (${ms} ms; ${receipt.by})`]);
      }),
    );

  program
    .command('restore <model>')
    .description('ask to lift every kill of an endpoint; a quorum of others must approve')
    .requiredOption(...KEY_OPTION)
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
