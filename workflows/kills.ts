import { condition, log } from '@temporalio/workflow';
import type { DecisionVerdict } from '../activities/contract.js';
import { answering } from './desk.js';
import { settle, type Item } from './verdicts.js';
import type { Traffic } from './traffic.js';
import { failureOf } from './failures.js';
import { control } from './zones.js';

const MAX_UNDER_WAY = 100;

/**
 * Every order is relayed at once, beside all others and beside all else. Where several have come together the forged ones
 * are sorted out first, in one go: in any number they hold no genuine one up. One batch is sorted at a time, because a
 * workflow task that asks for many of that size is larger than Temporal takes.
 */
export async function killDesk(traffic: Traffic): Promise<never> {
  let underWay = 0;
  for (;;) {
    await condition(() => traffic.inbox.has('kill') && underWay < MAX_UNDER_WAY);
    const arrived = traffic.inbox.take(['kill']);
    const orders = arrived.length === 1 ? [arrived] : await sortOut(traffic.model, arrived);
    for (const copies of orders) {
      underWay += 1;
      void relay(traffic, copies).then(() => {
        underWay -= 1;
      });
    }
  }
}

async function relay(traffic: Traffic, copies: readonly Item[]): Promise<void> {
  await answering(copies, async () => {
    const killed = await control.killEndpoint(traffic.model, copies[0]?.decision.envelope);
    const { order, gateways, ms, late = [] } = killed;
    traffic.killed(killed);
    const warning = late.length === 0 ? {} : { warning: late.join('; ') };
    return { by: `${gateways} gateways in ${ms} ms`, statement: order, ...warning };
  });
}

/** Gives the forged ones their verdicts and answers the genuine ones, copies of the same order together. */
async function sortOut(model: string, arrived: readonly Item[]): Promise<readonly (readonly Item[])[]> {
  const verdicts = await judge(model, arrived);
  if (verdicts === null) return arrived.map((item) => [item]);
  const genuine = new Map<string, Item[]>();
  arrived.forEach((item, index) => {
    const verdict = verdicts[index];
    if (verdict?.accepted !== true) return settle([item], verdict === undefined ? [] : [verdict]);
    genuine.set(verdict.statement, [...(genuine.get(verdict.statement) ?? []), item]);
  });
  return [...genuine.values()];
}

/** `null` where they cannot be judged together: then each is, as it is relayed. */
async function judge(model: string, arrived: readonly Item[]): Promise<readonly DecisionVerdict[] | null> {
  try {
    return await control.sortKills(
      model,
      arrived.map(({ decision }) => decision),
    );
  } catch (error) {
    const failure = failureOf(error);
    if (failure === null) throw error;
    log.error('kill orders could not be judged together', { ...failure, count: arrived.length });
    return null;
  }
}
