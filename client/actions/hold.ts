import { setTimeout } from 'node:timers/promises';
import { WorkflowExecutionAlreadyStartedError, type WorkflowHandle } from '@temporalio/client';
import { progressOf } from '../../adapters/dossier.js';
import { openHolds } from '../../adapters/holds.js';
import { CustodyError } from '../../domain/errors.js';
import type { HeldRelease } from '../../domain/hold.js';
import type { OpenGate } from '../../domain/lifecycle.js';
import { parseReleaseName, type ReleaseName } from '../../domain/names.js';
import type { SignedEnvelope } from '../../domain/statements.js';
import { envelopeDigest } from '../../formats/dsse.js';
import type { HoldOutcome } from '../../workflows/hold.js';
import type { lift } from '../../workflows/lift.js';
import { askedStatusQuery, startHold, startLift } from '../../workflows/messages.js';
import { runToEnd } from '../messages.js';
import { answer, counted, plain } from '../output.js';
import { orderHold, requestLift } from '../requests.js';
import type { ConnectedSession } from '../session.js';
import { signerOf } from '../signer.js';

const ANSWER_MS = 30_000;
const POLL_MS = 200;

interface Options {
  readonly reason: string;
  readonly key: string;
}

export async function addHold(session: ConnectedSession, given: string, { reason, key }: Options): Promise<void> {
  const { release, ...name } = await releaseOf(session, given);
  const order = orderHold(await signerOf(session, key), name, release, reason);
  const digest = envelopeDigest(order);
  type Placed = Extract<HoldOutcome, { kind: 'held' }>;
  const held = await runToEnd<Placed>(session.custody, 'hold', startHold(name), order);
  if (held.hold !== digest)
    throw new CustodyError(
      'PENDING',
      `another hold, ${held.hold}, was being placed: ${given} is held. Ask again for yours`,
    );
  answer(session, held, [
    plain(`${given} is held, by ${held.by}: ${counted(held.objects, 'object')}. Hold ${held.hold}`),
  ]);
}

export async function liftHolds(session: ConnectedSession, given: string, { reason, key }: Options): Promise<void> {
  const { custody } = session;
  const about = await releaseOf(session, given);
  const { release, ...name } = about;
  const holds = (await openHolds(custody.records, about)).map(({ digest }) => digest);
  if (holds.length === 0) throw new CustodyError('INPUT_MISSING', `${given} is not held`);
  const { newest } = await custody.records.policies();
  const within = newest.approvals.restore.withinSeconds;
  const request = requestLift(await signerOf(session, key), name, { release, holds, reason }, within);
  const asked = await startLifting(session, given, name, request);
  const { requestId } = await opened(asked);
  answer(session, { workflowId: asked.workflowId, requestId, holds }, [
    `asked to lift ${counted(holds.length, 'hold')} as ${requestId}: custody approvals`,
  ]);
}

async function startLifting(
  { custody }: ConnectedSession,
  given: string,
  name: ReleaseName,
  request: SignedEnvelope,
): Promise<WorkflowHandle<typeof lift>> {
  try {
    return await custody.temporal.workflow.start<typeof lift>('lift', { ...startLift(name), args: [request] });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    throw new CustodyError('PENDING', `a request to lift the holds of ${given} waits already: custody approvals`);
  }
}

/** The request once people are asked; fails as it was refused. */
async function opened(asked: WorkflowHandle<typeof lift>): Promise<OpenGate> {
  const ended = asked.result();
  for (let left = ANSWER_MS; left > 0; left -= POLL_MS) {
    const outcome = await Promise.race([ended, setTimeout(POLL_MS, null, { ref: false })]);
    if (outcome?.kind === 'rejected') throw new CustodyError(outcome.code, outcome.reason);
    const { gate } = await asked.query(askedStatusQuery);
    if (gate !== null) return gate;
  }
  throw new CustodyError('PENDING', `${asked.workflowId} has not answered: it goes on by itself`);
}

async function releaseOf({ custody }: ConnectedSession, given: string): Promise<HeldRelease> {
  const name = parseReleaseName(given);
  const { ingested } = await progressOf(custody.records, name);
  if (ingested === undefined) throw new CustodyError('INPUT_MISSING', `there is no release ${given}`);
  return { ...name, release: ingested.release };
}
