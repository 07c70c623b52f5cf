import { activityInfo, cancellationSignal } from '@temporalio/activity';
import { drillReport } from '../adapters/drill-runs.js';
import type { Caller } from '../adapters/gateway/caller.js';
import type { GatewayClient } from '../adapters/gateway/client.js';
import type { Records } from '../adapters/records.js';
import {
  agreedMs,
  DRILL_ORDER_SECONDS,
  judgeDrill,
  readiness,
  type DrillPredicate,
  type DrillRules,
  type DrillStep,
} from '../domain/drill.js';
import { CustodyError } from '../domain/errors.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime } from '../domain/time.js';
import { envelopeDigest, parseEnvelope } from '../formats/dsse.js';
import { canonicalBytes } from '../formats/jcs.js';
import type { SigningKey } from '../formats/keys.js';
import { orderKill, orderRollback, requestRestore } from '../formats/requests.js';
import { sha256 } from '../formats/sha256.js';
import { signStatement } from '../formats/statements.js';
import type { Desk } from './control.js';
import type { DrillBegun, DrillControl } from './drill-contract.js';
import { isKilled, measured, servedBy, tell, told, until } from './drill-sight.js';
import { Journal, toRecord, type Audit } from './journal.js';

const DAY_MS = 86_400_000;
const REASON = 'a drill';
/** An order that has had no effect by then, or in twice the agreed time, has none. */
const SHORTEST_WAIT_MS = 60_000;

export type DrillDeps = Pick<Desk, 'records' | 'audit' | 'key' | 'id' | 'router' | 'temporal'> & {
  readonly gateways: readonly GatewayClient[];
  /** Who orders drills, and where callers reach each gateway; `null`: this control drills nothing. */
  readonly driller: { readonly id: string; readonly key: SigningKey; readonly callers: readonly Caller[] } | null;
};

/** Rollback, kill and restore of the endpoint that the policy declares for drills: ordered and measured as callers see it. */
export function createDrill({ records, audit, key, id, router, temporal, gateways, driller }: DrillDeps): DrillControl {
  const journal = new Journal(audit);

  const rulesNow = async (): Promise<DrillRules> => {
    const { drills } = (await records.policies()).newest;
    if (drills === undefined) throw new CustodyError('POLICY_REFUSED', 'the policy declares no drills');
    return drills;
  };
  const means = (): NonNullable<DrillDeps['driller']> => {
    if (driller !== null) return driller;
    throw new CustodyError('CONFIG_INVALID', 'control has no key for drills: its configuration lacks `drills`');
  };

  const sign = async (step: DrillStep, { model, earlier }: DrillBegun): Promise<SignedEnvelope> => {
    const { environment } = records;
    const by = { key: means().key, id: means().id, environment };
    if (step === 'rollback') return orderRollback(by, model, earlier, REASON, DRILL_ORDER_SECONDS);
    if (step === 'kill') return orderKill(by, model, REASON);
    const kill = orderIn(await records.record(storeKeys.drillOrder(thisRun(), 'kill')));
    if (kill === null) throw new CustodyError('POLICY_REFUSED', 'this drill has stopped nothing');
    const { newestDigest: policy } = await records.policies();
    const { revision } = await router.position(model);
    const kills = [envelopeDigest(kill.order)];
    return requestRestore({ ...by, policy }, model, { kills, revision }, DRILL_ORDER_SECONDS);
  };

  /** Made once, whatever becomes of this process: an attempt that goes on after another goes on with its order. */
  const ordered = async (step: DrillStep, begun: DrillBegun): Promise<Ordered> => {
    const at = storeKeys.drillOrder(thisRun(), step);
    const before = orderIn(await records.record(at));
    if (before !== null) return before;
    const orderedAt = isoTime(Date.now());
    return orderIn(await records.recordOnce(at, { orderedAt, order: await sign(step, begun) })) ?? lost(at);
  };

  return {
    beginDrill: async () => {
      const { newest } = await records.policies();
      const model = newest.drills?.model ?? '';
      const current = model === '' ? null : await router.current(model);
      const killedBy = current === null ? [] : (await router.position(model)).killedBy;
      const found = readiness(newest, current?.document ?? null, killedBy, Date.now());
      if (found.kind !== 'ready') return found;
      const [serving, earlier] = [found.serving.release, found.earlier.release];
      // Whoever could not come back is not taken down.
      const states = await Promise.all(gateways.map((gateway) => gateway.state()));
      const isWarm = states.every(({ models }) =>
        models.some((at) => at.model === model && at.replicas.some(({ release }) => release === earlier)),
      );
      if (!isWarm) return { kind: 'failed', why: `no replica of ${model} ${found.earlier.version} is alive` };
      const answers = await Promise.all(means().callers.map((caller) => caller.ask(model)));
      const silent = answers.findIndex((answer) => !servedBy(serving)(answer));
      if (silent >= 0) return { kind: 'failed', why: `gateway ${silent + 1} ${told(answers[silent] ?? null)}` };
      return { kind: 'ready', model, serving, earlier };
    },

    drillStep: async (step, begun) => {
      const rules = await rulesNow();
      if (begun.model !== rules.model)
        throw new CustodyError('NOT_AUTHORISED', `${begun.model} is not the endpoint that the policy has drilled`);
      const startedAt = performance.now();
      const { order, orderedAt } = await ordered(step, begun);
      // The clock of another process does not go on here: then the order's own time counts, with all that was lost.
      const before = activityInfo().attempt === 1 ? 0 : Math.max(0, Date.now() - Date.parse(orderedAt));
      const waitMs = Math.max(SHORTEST_WAIT_MS, 2 * agreedMs(rules, step));
      const over = new AbortController();
      const signal = AbortSignal.any([over.signal, AbortSignal.timeout(waitMs), cancellationSignal()]);
      const isThere = { rollback: servedBy(begun.earlier), kill: isKilled, restore: servedBy(begun.serving) }[step];
      try {
        const [refusal, seen] = await Promise.all([
          tell(temporal, rules.model, step, order, waitMs).then((why) => {
            if (why !== null) over.abort();
            return why;
          }),
          Promise.all(means().callers.map((caller) => until(caller, rules.model, isThere, signal))),
        ]);
        cancellationSignal().throwIfAborted();
        return measured(refusal, seen, startedAt - before);
      } finally {
        // Nobody asks on once it is over, also where the order could not be given.
        over.abort();
      }
    },

    recordDrill: async ({ startedAt, begun, steps, notHeld }) => {
      const policies = await records.policies();
      const { drills } = policies.newest;
      const at = storeKeys.drill(Date.parse(startedAt));
      const kept = await records.find('drill', at);
      const measures = steps.map((taken) => ({
        ...taken,
        trouble: taken.trouble?.slice(0, 1000) ?? null,
        agreedMs: drills === undefined ? 1 : agreedMs(drills, taken.step),
      }));
      const shown: DrillPredicate = kept?.verified.predicate ?? {
        environment: records.environment,
        model: begun?.model ?? drills?.model ?? 'none',
        startedAt,
        endedAt: isoTime(Date.now()),
        serving: begun?.serving ?? null,
        earlier: begun?.earlier ?? null,
        steps: measures,
        ...(notHeld === null ? judgeDrill(measures) : { outcome: notHeld.kind, reason: notHeld.why.slice(0, 1000) }),
      };
      const subject = { name: 'drill', sha256: sha256(canonicalBytes(shown)) };
      const statement =
        kept?.verified.digest ?? (await records.keep(signStatement('drill', subject, shown, [key]), at));
      const isAlarm = shown.outcome === 'over' || shown.outcome === 'failed';
      await journal.note({
        change: isAlarm ? 'drill.alarm' : 'drill.ended',
        key: statement,
        actor: { id, statement },
        subject: { model: shown.model, version: null, release: null },
        after: statement,
        policy: policies.newestDigest,
        reason: `${shown.outcome}: ${shown.reason}`,
      });
      return shown;
    },
  };
}

interface Ordered {
  readonly orderedAt: string;
  readonly order: SignedEnvelope;
}

function orderIn(record: unknown): Ordered | null {
  if (record === null) return null;
  const { orderedAt, order } = record as Record<keyof Ordered, unknown>;
  return { orderedAt: String(orderedAt), order: parseEnvelope(order) };
}

function lost(key: string): never {
  throw new CustodyError('WORM_VIOLATED', `the store has lost ${key}`);
}

function thisRun(): string {
  return activityInfo().workflowExecution?.runId ?? '';
}

/** A drill that does not come is nobody's failure but its absence: looked for from outside the workflow, in the log once a day. */
export async function noteOverdueDrill(records: Records, audit: Audit, id: string): Promise<void> {
  const { rules, overdue } = await drillReport(records);
  if (rules === null || overdue === null) return;
  const entry = {
    change: 'drill.alarm',
    key: `overdue ${Math.floor(Date.now() / DAY_MS)}`,
    actor: { id, statement: null },
    subject: { model: rules.model, version: null, release: null },
    reason: overdue,
  } as const;
  await audit.append([toRecord(entry, null)]);
}
