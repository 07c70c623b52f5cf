import { setTimeout } from 'node:timers/promises';
import { createGatewayClient, type GatewayClient } from '../../adapters/gateway/client.js';
import { CustodyError } from '../../domain/errors.js';
import { lateKills, type KillLatched } from '../../domain/gateway.js';
import { assertModelName, endpointId } from '../../domain/names.js';
import type { SignedEnvelope } from '../../domain/statements.js';
import { isoTime } from '../../domain/time.js';
import { openReading } from '../connect.js';
import { endpointStatus, send } from '../messages.js';
import { answer } from '../output.js';
import { orderKill, orderRollback, requestRestore } from '../requests.js';
import { printMessage } from './print.js';
import { whileConnected, type ConnectedSession, type Session } from '../session.js';
import { killerOf, signerOf } from '../signer.js';

interface KillOptions {
  readonly reason: string;
  readonly key: string;
  readonly direct?: true;
  readonly print?: string;
}

export async function killEndpoint(session: Session, model: string, options: KillOptions): Promise<void> {
  assertModelName(model);
  return options.direct === true
    ? killDirectly(session, model, options)
    : whileConnected(session, (own) => kill(own, model, options));
}

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

async function kill(session: ConnectedSession, model: string, { key, reason, print }: KillOptions): Promise<void> {
  const envelope = orderKill(await killerOf(session, key), model, reason);
  const message = { workflowId: endpointId(model), name: 'kill', envelope };
  if (print !== undefined) return printMessage(session, print, message);
  const startedAt = performance.now();
  const receipt = await send(session.custody, message.workflowId, message.name, envelope);
  const ms = Math.round(performance.now() - startedAt);
  if (receipt.warning !== undefined)
    throw new CustodyError('GATEWAY_UNAVAILABLE', `the order counts (${receipt.by}), but ${receipt.warning}`, {
      details: { order: receipt.statement, ms },
    });
  answer(session, { ...receipt, ms }, [`${model} is killed (${ms} ms; ${receipt.by})`]);
}

/** Needs neither Temporal nor a worker nor the store: control hears of the order from the gateways. */
async function killDirectly(session: Session, model: string, { key, reason }: KillOptions): Promise<void> {
  const custody = openReading(session.layout);
  const killer = await killerOf({ ...session, custody }, key);
  const issuedAt = isoTime(Date.now());
  const order = orderKill(killer, model, reason);
  const limitSeconds = killer.policy?.emergency.killResponseSeconds ?? UNKNOWN_SECONDS;
  const startedAt = performance.now();
  const { admin, others } = custody.description.gateway;
  const told = await Promise.allSettled(
    [admin, ...others].map((at) => deliverWithin(createGatewayClient(at), order, limitSeconds)),
  );
  const ms = Math.round(performance.now() - startedAt);
  const refused = told.filter((each) => each.status === 'rejected').map(({ reason }) => reason as Error);
  if (refused[0] !== undefined && refused.length === told.length) throw refused[0];
  const since = told.flatMap((each) => (each.status === 'fulfilled' ? [each.value.since] : []));
  const late = [
    ...refused.map(({ message }) => `not everywhere: ${message}`),
    ...lateKills(since, { issuedAt, now: isoTime(Date.now()), limitSeconds }),
  ];
  if (late.length > 0)
    throw new CustodyError('GATEWAY_UNAVAILABLE', `${model} is killed, but ${late.join('; ')}`, { details: { ms } });
  answer(session, { killed: model, ms }, [`${model} is killed (${ms} ms, straight to the gateway)`]);
}

const AGAIN_MS = 100;
/** How long a gateway is tried where the policy cannot be read that says so. */
const UNKNOWN_SECONDS = 5;

/** A gateway that does not answer is tried again for as long as the policy gives a kill. */
async function deliverWithin(gateway: GatewayClient, order: SignedEnvelope, seconds: number): Promise<KillLatched> {
  const until = Date.now() + seconds * 1000;
  for (;;) {
    try {
      return await gateway.deliverKill(order);
    } catch (cause) {
      if (!(cause instanceof CustodyError) || cause.code !== 'GATEWAY_UNAVAILABLE') throw cause;
      if (Date.now() >= until)
        throw new CustodyError(
          'GATEWAY_UNAVAILABLE',
          `the gateway has not stopped: the policy gives ${seconds} s. Nothing is in force there: try again, or end its process`,
          { cause },
        );
      await setTimeout(AGAIN_MS);
    }
  }
}
