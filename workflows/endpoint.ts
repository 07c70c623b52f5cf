import {
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  condition,
  continueAsNew,
  patched,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import { parseEndpointId } from '../domain/names.js';
import { alertDesk } from './alerts.js';
import { handedOn, isDue } from './arguments.js';
import { answering, insist, refuseStrays } from './desk.js';
import { awaitGate, opened } from './gate.js';
import { killDesk } from './kills.js';
import { Traffic, type EndpointCarried } from './traffic.js';
import { failureOf } from './failures.js';
import { control } from './zones.js';

const OVERTAKEN_MS = 1_000;
/** Temporal ends a history at 51,200 events and at 50 MiB: what waits then is handed on, as far as it fits. */
const LONGEST_HISTORY = { events: 40_000, bytes: 40 * 1024 * 1024 };

/**
 * The traffic of one model: rollouts one after another, and at any moment rollback, kill and restore. Each kind of message
 * has a desk of its own, so that nothing waits for another, and a kill for nothing at all.
 * `continueAfterEvents` ends a history earlier than Temporal suggests it; the last argument is what a run hands on.
 */
export async function endpoint(continueAfterEvents: number | null = null, carried?: EndpointCarried): Promise<void> {
  const model = parseEndpointId(workflowInfo().workflowId);
  if (model === null) throw ApplicationFailure.nonRetryable('the workflow id is not endpoint/<model>', 'USAGE');
  const traffic = new Traffic(model, handedOn(carried));
  await CancellationScope.nonCancellable(() => attend(traffic, continueAfterEvents));
}

async function attend(traffic: Traffic, continueAfterEvents: number | null): Promise<never> {
  let handingOn = false;
  traffic.inbox.rest = () => handingOn && allHandlersFinished();
  void killDesk(traffic);
  void recordsDesk(traffic);
  void rollbackDesk(traffic);
  void restoreDesk(traffic);
  void alertDesk(traffic);
  void traffic.rollouts.desk();
  void traffic.service.desk();
  void refuseStrays(traffic.model, traffic.inbox, () => traffic.strays());

  await condition(() => isDue(continueAfterEvents));
  handingOn = true;
  traffic.rollouts.handOn();
  traffic.service.handOn();
  // A flood of kills is far more than a next run can be given, and one of them may be genuine: first they are sorted out.
  await condition(() => allHandlersFinished() && traffic.quiet && (!traffic.inbox.has('kill') || isFull()));
  return continueAsNew<typeof endpoint>(continueAfterEvents, traffic.carry());
}

function isFull(): boolean {
  const { historyLength, historySize } = workflowInfo();
  return historyLength > LONGEST_HISTORY.events || historySize > LONGEST_HISTORY.bytes;
}

/** Of histories that were begun earlier: there a rollback waited for the rollout that it ends. */
const AT_ONCE = 'rolled-back-at-once';

/** Reads the records at the start, and whenever somebody else has changed them. */
async function recordsDesk(traffic: Traffic): Promise<never> {
  for (;;) {
    await condition(() => traffic.stale);
    traffic.stale = false;
    const position = await insist(() => control.resumeEndpoint(traffic.model), {
      trouble: (why) => traffic.held('cannot read its records', why),
      pause: async (ms) => condition(() => false, ms, { summary: 'before the records are read again' }),
    });
    if (position === null) continue;
    const overtaken = position.revision < traffic.position.revision;
    traffic.routed({ ...position, stopped: [] });
    traffic.resumed = true;
    if (!overtaken) continue;
    await sleep(OVERTAKEN_MS, { summary: 'the records were read before their last change' });
    traffic.stale = true;
  }
}

async function rollbackDesk(traffic: Traffic): Promise<never> {
  const { inbox, model } = traffic;
  for (;;) {
    await condition(() => traffic.resumed && inbox.has('rollback'));
    for (const message of inbox.take(['rollback'], 1)) {
      traffic.rollingBack = true;
      await answering([message], async () => {
        const { target, reason, by, statement, unnoted } = await control.checkRollback(
          model,
          message.decision.envelope,
        );
        // It waits for nothing, and nothing for it.
        if (unnoted !== undefined)
          traffic.chores.add({ kind: 'note rollback', model, order: statement, target, since: unnoted });
        const stopping = traffic.rollouts.stop(reason);
        // An order that says where to goes there at once: a watch that has died is not waited for until it has ended.
        const undone = target !== null && patched(AT_ONCE) ? false : await stopping;
        // Undoing the rollout has brought the stable release back; anything else takes one more document.
        if (!undone || target !== null) traffic.routed(await control.rollBack(model, target, reason, statement));
        return { by, statement };
      });
      traffic.rollingBack = false;
    }
  }
}

/** One request to restore after another: a quorum lifts exactly the orders that it names. */
async function restoreDesk(traffic: Traffic): Promise<never> {
  const { inbox, model } = traffic;
  for (;;) {
    if (traffic.restore === null) {
      await condition(() => traffic.resumed && inbox.has('restore'));
      for (const message of inbox.take(['restore'], 1)) {
        traffic.asking = true;
        await answering([message], async () => {
          const gate = await control.openRestoreGate(model, message.decision.envelope);
          traffic.count(opened('restore', gate));
          return { by: gate.requestId, statement: gate.request };
        });
        traffic.asking = false;
      }
    }
    if (traffic.restore === null) continue;
    const outcome = await awaitGate(
      inbox,
      traffic.restore,
      (arrived, ms, summary) => condition(arrived, ms, { summary }),
      (counting) => traffic.count(counting),
    );
    traffic.restoring = outcome.kind === 'approved';
    traffic.count(null);
    if (outcome.kind !== 'approved') continue;
    // Before the records are read nobody can tell which orders it lifts.
    await condition(() => traffic.resumed);
    try {
      const before = traffic.position.killedBy;
      traffic.restored(before, await control.restoreEndpoint(model, outcome.approved));
      traffic.held('was not restored, ask again', null);
    } catch (error) {
      const failure = failureOf(error);
      if (failure === null) throw error;
      traffic.held('was not restored, ask again', `${failure.code}: ${failure.reason}`);
    }
    traffic.restoring = false;
  }
}
