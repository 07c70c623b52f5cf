import { setTimeout } from 'node:timers/promises';
import { createGatewayClient, type GatewayClient } from '../../adapters/gateway/client.js';
import { CustodyError } from '../../domain/errors.js';
import { lateKills, type KillLatched } from '../../domain/gateway.js';
import { assertModelName, endpointId } from '../../domain/names.js';
import type { SignedEnvelope } from '../../domain/statements.js';
import { isoTime } from '../../domain/time.js';
import { connect, openReading, type Reading } from '../connect.js';
import { send } from '../messages.js';
import { answer, plain, talk } from '../output.js';
import { orderKill } from '../requests.js';
import { printMessage } from './print.js';
import type { Session } from '../session.js';
import { killerOf } from '../signer.js';

interface Kill {
  readonly model: string;
  readonly order: SignedEnvelope;
  readonly issuedAt: string;
  /** What the policy gives a kill. */
  readonly limitSeconds: number;
}

/** Where the policy cannot be read that says how long a kill may take. */
const UNKNOWN_SECONDS = 5;

/** Nobody is left serving because Temporal or control does not answer in time: the same order then goes to the gateways. */
export async function kill(
  session: Session,
  model: string,
  { key, reason, direct, print }: { key: string; reason: string; direct?: true; print?: string },
): Promise<void> {
  assertModelName(model);
  const custody = openReading(session.layout);
  const killer = await killerOf({ ...session, custody }, key);
  const limitSeconds = killer.policy?.emergency.killResponseSeconds ?? UNKNOWN_SECONDS;
  const issuedAt = isoTime(Date.now());
  const order = { model, order: orderKill(killer, model, reason), issuedAt, limitSeconds };
  const message = { workflowId: endpointId(model), name: 'kill', envelope: order.order };
  if (print !== undefined) return printMessage({ ...session, custody }, print, message);
  if (direct === true) return killDirectly(session, custody, order);
  try {
    await killByControl(session, order);
  } catch (error) {
    if (error instanceof CustodyError && error.code === 'INPUT_MISSING')
      throw new CustodyError(error.code, `${error.message}. If callers reach ${model}, stop it with --direct`, {
        cause: error,
      });
    if (error instanceof CustodyError && !UNANSWERED.some((code) => code === error.code)) throw error;
    talk(
      plain(
        `warning: ${error instanceof Error ? error.message : String(error)}. The order goes straight to the gateways`,
      ),
    );
    await killDirectly(session, custody, order);
  }
}

/** Of the time that the policy gives a kill: what it takes to connect, and then to be answered. The rest is for the direct way. */
const CONTROLS_SHARE = 0.2;
const UNANSWERED = ['TEMPORAL_UNAVAILABLE', 'PENDING'] as const;

async function killByControl(session: Session, { model, order, limitSeconds }: Kill): Promise<void> {
  const patienceMs = limitSeconds * 1000 * CONTROLS_SHARE;
  const custody = await connect(session.layout, patienceMs);
  try {
    const startedAt = performance.now();
    const receipt = await send(custody, endpointId(model), 'kill', order, patienceMs);
    const ms = Math.round(performance.now() - startedAt);
    if (receipt.warning !== undefined)
      throw new CustodyError('GATEWAY_UNAVAILABLE', `the order counts (${receipt.by}), but ${receipt.warning}`, {
        details: { order: receipt.statement, ms },
      });
    answer(session, { ...receipt, ms }, [`${model} is killed (${ms} ms; ${receipt.by})`]);
  } finally {
    await custody.close();
  }
}

/** Needs neither Temporal nor a worker nor the store: control hears of the order from the gateways. */
async function killDirectly(
  session: Session,
  { description }: Reading,
  { model, order, issuedAt, limitSeconds }: Kill,
): Promise<void> {
  const startedAt = performance.now();
  const { admin, others } = description.gateway;
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
