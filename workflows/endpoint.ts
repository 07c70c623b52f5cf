import {
  allHandlersFinished,
  ApplicationFailure,
  condition,
  continueAsNew,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { Digest } from '../domain/digest.js';
import type { EndpointPosition, EndpointStatus, RolloutEnded, RolloutOrder } from '../domain/endpoint.js';
import type { OpenGate } from '../domain/lifecycle.js';
import { parseEndpointId } from '../domain/names.js';
import { answering, refuseAll } from './desk.js';
import { show } from './display.js';
import { Inbox, settle } from './inbox.js';
import { ENDPOINT_DECISIONS, endpointStatusQuery, rolloutSignal } from './messages.js';
import { Rollout } from './rollout.js';
import { control } from './zones.js';

/** What a continued run takes over: everything else it reads from verified WORM records. */
interface Carried {
  readonly orders: readonly RolloutOrder[];
  readonly ended: readonly RolloutEnded[];
  readonly restore: { readonly gate: OpenGate; readonly counted: readonly Digest[] } | null;
}

const ENDED_KEPT = 50;

/** The traffic of one model: rollouts one after another, and at any moment rollback, kill and restore. */
export async function endpoint(carried: Carried = { orders: [], ended: [], restore: null }): Promise<void> {
  const model = parseEndpointId(workflowInfo().workflowId);
  if (model === null) throw ApplicationFailure.nonRetryable('the workflow id is not endpoint/<model>', 'USAGE');

  const inbox = new Inbox(ENDPOINT_DECISIONS);
  const orders = [...carried.orders];
  let { ended, restore } = carried;
  let position: EndpointPosition = { revision: 0, document: null, serving: [], killedBy: [] };
  let rollout: Rollout | null = null;

  setHandler(rolloutSignal, (order) => {
    const known = [...orders, ...(rollout === null ? [] : [rollout.order])].some((o) => o.request === order.request);
    if (!known) orders.push(order);
  });
  setHandler(endpointStatusQuery, (): EndpointStatus => ({
    ...position,
    rollout: rollout === null ? null : { order: rollout.order, step: rollout.step },
    ended,
  }));

  const moved = (to: EndpointPosition): void => {
    position = { ...to, killedBy: position.killedBy };
    display();
  };
  const display = (): void => {
    const stage =
      position.killedBy.length > 0 ? 'killed' : rollout === null ? 'steady' : `rolling out ${rollout.order.version}`;
    const serves = position.serving.map((entry) => `${entry.version} ${entry.weight} %`).join(', ');
    show({
      title: `endpoint ${model}`,
      stage,
      digest: position.serving[0]?.release ?? null,
      facts: [
        ['Serves', serves === '' ? 'nothing' : serves],
        ['Revision', String(position.revision)],
      ],
      gate: restore === null ? null : { open: restore.gate, missing: restore.gate.count - restore.counted.length },
    });
  };

  position = await control.resumeEndpoint(model);
  display();

  const idle = (): boolean => rollout === null && orders.length === 0 && restore === null;
  for (;;) {
    await condition(
      () =>
        inbox.has('kill', 'restore', 'rollback', 'approve', 'unknown') ||
        (rollout?.result ?? null) !== null ||
        (rollout === null && orders.length > 0) ||
        (idle() && workflowInfo().continueAsNewSuggested),
    );

    for (const message of inbox.take(['kill'])) {
      await answering([message], async () => {
        const killed = await control.killEndpoint(model, message.decision.envelope);
        position = { ...position, killedBy: [...new Set([...position.killedBy, killed.order])] };
        rollout?.stop('the endpoint was killed');
        return { by: `${killed.gateways} gateways in ${killed.ms} ms`, statement: killed.order };
      });
    }
    for (const message of inbox.take(['rollback'], 1)) {
      await answering([message], async () => {
        const order = await control.checkRollback(model, message.decision.envelope);
        if (rollout !== null) rollout.stop(order.reason);
        else moved(await control.rollBack(model, order.target, order.reason, order.statement));
        return { by: order.by, statement: order.statement };
      });
    }
    for (const message of inbox.take(['restore'], 1)) {
      await answering([message], async () => {
        const gate = await control.openRestoreGate(model, message.decision.envelope);
        restore = { gate, counted: [] };
        return { by: gate.requestId, statement: gate.request };
      });
    }
    const approvals = inbox.take(['approve']);
    if (restore === null) await refuseAll(model, approvals, 'nothing waits for a decision');
    else if (approvals.length > 0) restore = await countRestore(restore, approvals);
    await refuseAll(model, inbox.take(['unknown']), 'no message has this name');

    if (rollout !== null && rollout.result !== null) {
      const end: RolloutEnded = { request: rollout.order.request, result: rollout.result };
      ended = [...ended, end].slice(-ENDED_KEPT);
      const replyTo = rollout.order.replyTo;
      rollout = null;
      await control.replyRollout(replyTo, end);
    }
    const next: RolloutOrder | undefined = rollout === null ? orders.shift() : undefined;
    if (next !== undefined) {
      const before = ended.find((end) => end.request === next.request);
      if (before !== undefined) await control.replyRollout(next.replyTo, before);
      else rollout = new Rollout(model, next, moved);
    }
    display();
    if (idle() && workflowInfo().continueAsNewSuggested) {
      await condition(allHandlersFinished);
      await continueAsNew<typeof endpoint>({ orders, ended, restore });
    }
  }

  async function countRestore(
    open: NonNullable<Carried['restore']>,
    items: ReturnType<Inbox['take']>,
  ): Promise<Carried['restore']> {
    const decisions = items.map((item) => item.decision);
    const answer = await control.decide({ gate: open.gate, act: 'restore', counted: open.counted, decisions });
    settle(items, answer.verdicts);
    const accepted = answer.verdicts.flatMap((verdict) => (verdict.accepted ? [verdict.statement] : []));
    if (answer.outcome.kind === 'pending')
      return { gate: open.gate, counted: [...new Set([...open.counted, ...accepted])] };
    if (answer.outcome.kind === 'approved') {
      const to = await control.restoreEndpoint(model ?? '', answer.outcome.approved);
      position = to;
    }
    return null;
  }
}
