import { connect, type Custody } from '../../../client/connect.js';
import {
  endpointStatus,
  lifecycleStatus,
  openGates,
  requestOf,
  send,
  type WaitingGate,
} from '../../../client/messages.js';
import { readKey } from '../../../client/init.js';
import { decide, type Signer } from '../../../client/requests.js';
import { replaceFile } from '../../../client/files.js';
import { digitsStack } from '../../../client/stack/digits.js';
import { Layout } from '../../../client/stack/layout.js';
import { startStack, type Stack } from '../../../client/stack/stack.js';
import { until } from '../../../client/stack/until.js';
import { CustodyError, isPermanent } from '../../../domain/errors.js';
import { endpointId, lifecycleId, type ReleaseName } from '../../../domain/names.js';
import { STAGES, type Stage } from '../../../domain/lifecycle.js';
import type { SignedEnvelope } from '../../../domain/statements.js';
import { startLoad, type Load } from '../load.js';
import { Mailbox } from './mailbox.js';
import type { Narrator } from './narrator.js';

export const MODEL = 'digits';
/** A caller stays with a release within a step, so there must be enough of them for ten percent to be somebody. */
const CALLERS = 40;
const WITH_MAIL = 3;
const REQUESTS_PER_SECOND = 60;
const PATIENCE_SECONDS = 180;

/** What every step of the story works with: the running stack, its people, its callers and their mailbox. */
export interface Scene {
  readonly narrator: Narrator;
  readonly stack: Stack;
  readonly custody: Custody;
  readonly mailbox: Mailbox;
  readonly load: Load;
  /** ISO times by which a later step finds its way back. */
  readonly moments: Map<string, string>;
  close(): Promise<void>;
}

export async function openScene(narrator: Narrator, state?: string, signal?: AbortSignal): Promise<Scene> {
  const layout = new Layout(state);
  const mailbox = new Mailbox();
  try {
    return await openWith(narrator, layout, mailbox, signal);
  } catch (error) {
    await mailbox.close();
    throw error;
  }
}

async function openWith(
  narrator: Narrator,
  layout: Layout,
  mailbox: Mailbox,
  signal: AbortSignal | undefined,
): Promise<Scene> {
  const smtp = await mailbox.open();
  const callers = Array.from({ length: WITH_MAIL }, (_, index) => `caller-${index}`);
  const say = (line: string): void => narrator.say(line);
  const stack = await startStack({ ...digitsStack(layout, smtp), say, ...(signal === undefined ? {} : { signal }) });
  const consumers = callers.map((caller) => [caller, { mail: `${caller}@consumers.example` }] as const);
  replaceFile(layout.path('directory.json'), JSON.stringify({ consumers: Object.fromEntries(consumers) }));
  try {
    const custody = await connect(layout);
    const url = stack.description.gateway.url;
    const load = startLoad({
      url,
      model: MODEL,
      ratePerSecond: REQUESTS_PER_SECOND,
      callers: CALLERS,
      maxSeconds: 3600,
    });
    return {
      narrator,
      stack,
      custody,
      mailbox,
      load,
      moments: new Map(),
      close: () =>
        closeAll(
          () => load.stop(),
          () => custody.close(),
          () => stack.stop(),
          () => mailbox.close(),
        ),
    };
  } catch (error) {
    await stack.stop();
    throw error;
  }
}

/** One after the other, each whether or not the one before could be closed; fails as the first that could not. */
async function closeAll(...closings: readonly (() => Promise<unknown>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const close of closings) await close().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

export async function signer({ stack, custody }: Scene, id: string): Promise<Signer> {
  const { newestDigest } = await eventually('the policy', () => custody.records.policies());
  return { key: readKey(stack.layout.key(id)), id, environment: custody.description.environment, policy: newestDigest };
}

/** Tries until it answers, as long as a process may need to come up again. */
export function eventually<T>(what: string, attempt: () => Promise<T>): Promise<T> {
  return until(what, PATIENCE_SECONDS, attempt);
}

export class NotYet extends CustodyError {
  constructor(what: string) {
    super('PENDING', `${what} has not happened yet`);
  }
}

/** The request that a release waits with, once it does; `null` where it has passed `stage`, in an earlier telling. */
export function openGate({ custody }: Scene, name: ReleaseName, stage: Stage): Promise<WaitingGate | null> {
  return eventually(`a request of ${name.version}`, async () => {
    const status = await lifecycleStatus(custody, name);
    if (hasPassed(status.stage, stage)) return null;
    if (status.gate === null) throw new NotYet(`the request of ${name.version}`);
    return { workflowId: lifecycleId(name), gate: status.gate, missing: status.missing };
  });
}

export function hasPassed(at: Stage, stage: Stage): boolean {
  return STAGES.indexOf(at) > STAGES.indexOf(stage);
}

/** The request of a training run, once people are asked; `null` once it has ended, in an earlier telling. */
export function trainingGate({ custody }: Scene, workflowId: string): Promise<WaitingGate | null> {
  return eventually('the request to train', async () => {
    const { status } = await custody.temporal.workflow.getHandle(workflowId).describe();
    if (status.name !== 'RUNNING') return null;
    const waiting = (await openGates(custody)).find((gate) => gate.workflowId === workflowId);
    if (waiting === undefined) throw new NotYet('the request to train');
    return waiting;
  });
}

export function endpointGate({ custody }: Scene): Promise<WaitingGate> {
  return eventually('the request to restore', async () => {
    const { gate, missing } = await endpointStatus(custody, MODEL);
    if (gate === null) throw new NotYet('the request to restore');
    return { workflowId: endpointId(MODEL), gate, missing };
  });
}

/** A person looks at the request in the store, signs, and sends; the same decision again is the same decision. */
export async function approve(scene: Scene, waiting: WaitingGate, who: string, reason: string): Promise<void> {
  const request = await eventually('the request', () => requestOf(scene.custody, waiting));
  const envelope = decide(await signer(scene, who), request, 'approve', reason);
  await tell(scene, waiting.workflowId, 'approve', envelope);
  scene.narrator.decided(who, `approves ${waiting.gate.requestId}: “${reason}”`);
}

/** Sends until there is a verdict: nobody decides again because a process had to be started again. */
export async function tell(
  { custody }: Scene,
  workflowId: string,
  name: string,
  envelope: SignedEnvelope,
): Promise<void> {
  const refused = await eventually(`an answer to ${name}`, async () => {
    try {
      await send(custody, workflowId, name, envelope);
      return null;
    } catch (error) {
      // A refusal is a verdict; that nobody answers is not.
      if (error instanceof CustodyError && isPermanent(error.code) && error.code !== 'INPUT_MISSING') return error;
      throw error;
    }
  });
  if (refused !== null) throw refused;
}
