import { condition } from '@temporalio/workflow';
import type { AlertAct } from '../domain/alert.js';
import type { Digest } from '../domain/digest.js';
import type { Alarm } from './alarms.js';
import { settle, settleRefused } from './verdicts.js';
import { hasReverted } from './service.js';
import type { Traffic } from './traffic.js';
import { failureOf } from './failures.js';
import { control } from './zones.js';

/** What one batch may cost: however many alerts come, one after another of them is looked at. */
const MAX_TAKEN = 100;
const ALARM = 'it is an alarm: nothing was changed';

type Followed = { readonly outcome: string } | { readonly warning: string };

/** What monitors say of the model, in batches. It ends a rollout or takes back what serves, and never anything else. */
export async function alertDesk(traffic: Traffic): Promise<never> {
  const { inbox, model } = traffic;
  for (;;) {
    await condition(() => traffic.resumed && inbox.has('securityAlert'));
    const items = inbox.take(['securityAlert'], MAX_TAKEN);
    try {
      const { verdicts, act, alarms } = await control.takeAlerts(
        model,
        items.map(({ decision }) => decision),
      );
      const followed = new Map<Digest, Followed>();
      alarmed(traffic, ...alarms);
      for (const { statement } of alarms) followed.set(statement, { warning: ALARM });
      noteLater(traffic, [...followed.keys()], ALARM);
      if (act !== null) {
        const end = await answered(traffic, act);
        for (const statement of act.alerts) followed.set(statement, end);
        noteLater(traffic, act.alerts, 'outcome' in end ? end.outcome : end.warning);
      }
      settle(
        items,
        verdicts.map((verdict) => (verdict.accepted ? { ...verdict, ...followed.get(verdict.statement) } : verdict)),
      );
    } catch (error) {
      const failure = failureOf(error);
      if (failure === null) throw error;
      settleRefused(items, failure);
    }
  }
}

/** What lowers exposure is audited after it has been done, and no alert waits for the log. */
function noteLater({ model, chores }: Traffic, alerts: readonly Digest[], outcome: string): void {
  if (alerts.length > 0) chores.add({ kind: 'note', model, alerts, outcome });
}

function alarmed(traffic: Traffic, ...alarms: readonly Alarm[]): void {
  traffic.alarms.add(...alarms);
  traffic.display();
}

async function answered(traffic: Traffic, act: AlertAct): Promise<Followed> {
  const alarm = (why: string): Followed => {
    const warning = `it serves on: ${why}`;
    alarmed(traffic, { statement: act.alerts[0] ?? '', release: act.release, reason: `${act.reason}; ${warning}` });
    return { warning };
  };
  traffic.reverting += 1;
  try {
    if (act.kind === 'stop' && (await stopped(traffic, act))) return { outcome: 'its rollout was ended' };
    while (serves(traffic, act.release)) {
      const { revision } = traffic.position;
      const reverted = await control.revertService(traffic.model, revision, act.release, act.reason);
      hasReverted(traffic, reverted);
      if (reverted.kind === 'alarm') return alarm(reverted.reason);
      if (traffic.position.revision === revision) return alarm('a rollout is under way');
    }
    return { outcome: 'rolled back' };
  } catch (error) {
    const failure = failureOf(error);
    if (failure === null) throw error;
    return alarm(`${failure.code}: ${failure.reason}`);
  } finally {
    traffic.reverting -= 1;
  }
}

/** Whether the rollout was undone; one that was promoted meanwhile is not. */
async function stopped(traffic: Traffic, { request, release, reason }: AlertAct & { kind: 'stop' }): Promise<boolean> {
  const { rollouts, model } = traffic;
  if (rollouts.current?.state.order.request === request && (await rollouts.stop(reason))) return true;
  // A plan that this workflow does not know of, as after the loss of a namespace, ends all the same.
  traffic.routed(await control.rollBack(model, null, reason, request));
  return !serves(traffic, release);
}

function serves({ position }: Traffic, release: Digest): boolean {
  return position.serving.some((entry) => entry.release === release && entry.weight > 0);
}
