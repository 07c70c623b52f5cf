import { Context } from '@temporalio/activity';
import type { GatewayClient } from '../adapters/gateway/client.js';
import type { Digest } from '../domain/digest.js';
import type { StepVerdict } from '../domain/endpoint.js';
import { CustodyError } from '../domain/errors.js';
import { breachOf, type Counted, type ModelState } from '../domain/gateway.js';
import type { WatchActivities } from './contract.js';

const POLL_MS = 200;
/** A watch ends by itself after this long and goes on in a new attempt, so that no attempt outlives its worker's build. */
const ATTEMPT_MS = 6 * 3600 * 1000;

interface Step {
  readonly model: string;
  readonly revision: number;
  readonly release: Digest;
}

/** What a later attempt goes on from: a watch that was interrupted does not begin again. */
interface Progress {
  readonly revision: number;
  readonly startedAt: number;
  /** Since when the release has been seen alive without a gap. */
  readonly bakingSince: number;
}

/** What the gateways say of a step, all of them together, at one moment. */
export type Sight =
  | { readonly kind: 'fail' | 'inconclusive'; readonly reason: string }
  /** Nothing decides yet. `vanished`: the release has no live replica behind some gateway. */
  | { readonly kind: 'hold'; readonly reason: string; readonly vanished: boolean }
  | { readonly kind: 'sound'; readonly samples: number };

export function createWatchActivities({ gateways }: { readonly gateways: readonly GatewayClient[] }): WatchActivities {
  return {
    watchStep: async (model, revision, release, bakeSeconds, timeoutSeconds): Promise<StepVerdict> => {
      const context = Context.current();
      const attemptStartedAt = Date.now();
      let progress = resumed(context.info.heartbeatDetails, revision, attemptStartedAt);
      for (;;) {
        const sight = await look(gateways, { model, revision, release });
        const now = Date.now();
        if (sight.kind === 'hold' && sight.vanished) progress = { ...progress, bakingSince: now };
        context.heartbeat(progress);
        if (sight.kind === 'fail' || sight.kind === 'inconclusive')
          return { kind: sight.kind, revision, reason: sight.reason };
        const baked = now - progress.bakingSince >= bakeSeconds * 1000;
        if (sight.kind === 'sound' && baked) return { kind: 'pass', revision, samples: sight.samples };
        if (now - progress.startedAt >= Math.max(bakeSeconds, timeoutSeconds) * 1000) {
          const reason = sight.kind === 'hold' ? sight.reason : 'it was not alive for the whole bake time';
          return { kind: 'inconclusive', revision, reason };
        }
        if (now - attemptStartedAt >= ATTEMPT_MS)
          throw new CustodyError('PENDING', 'the watch goes on in its next attempt');
        await context.sleep(POLL_MS);
      }
    },
  };
}

async function look(gateways: readonly GatewayClient[], step: Step): Promise<Sight> {
  const states = await Promise.allSettled(gateways.map((gateway) => gateway.state()));
  return judge(
    states.map((state) =>
      state.status === 'rejected' ? null : (state.value.models.find(({ model }) => model === step.model) ?? 'unknown'),
    ),
    step,
  );
}

/**
 * What follows from what each gateway says of the model; `null`: it does not answer, `unknown`: it knows no such model.
 * A breach that any of them has seen fails the step, and so does one that only shows in the sum.
 */
export function judge(seen: readonly (ModelState | 'unknown' | null)[], { revision, release }: Step): Sight {
  const known = seen.filter((state) => state !== null && state !== 'unknown');
  for (const { breach } of known) if (breach?.release === release) return { kind: 'fail', reason: breach.reason };
  const newest = Math.max(0, ...known.map((state) => state.revision));
  if (newest > revision) return { kind: 'inconclusive', reason: `revision ${newest} is in force, not ${revision}` };
  if (known.some(({ killedBy }) => killedBy.length > 0))
    return { kind: 'inconclusive', reason: 'a kill order stops the model' };

  const current = known.filter((state) => state.revision === revision);
  const triggers = current.find((state) => state.triggers !== null)?.triggers ?? null;
  const counted = sum(
    current.flatMap(({ counters }) => counters.filter((c) => c.revision === revision && c.release === release)),
  );
  const breach = triggers === null ? null : breachOf(counted, triggers);
  if (breach !== null) return { kind: 'fail', reason: breach };

  const hold = (reason: string, vanished = false): Sight => ({ kind: 'hold', reason, vanished });
  const alive = current.filter(({ replicas }) => replicas.some((replica) => replica.release === release));
  if (alive.length < current.length) return hold('no replica of the release is alive', true);
  const missing = seen.length - current.length;
  if (seen.length === 0 || missing > 0)
    return hold(`${missing} of ${seen.length} gateways do not serve revision ${revision}`);
  if (triggers === null) return hold('the document in force has no triggers');
  if (counted.requests < triggers.minimumSamples)
    return hold(`${counted.requests} of ${triggers.minimumSamples} samples were seen`);
  return { kind: 'sound', samples: counted.requests };
}

function sum(counters: readonly Counted[]): Counted {
  const total = (read: (counted: Counted) => number): number => counters.reduce((all, c) => all + read(c), 0);
  return { requests: total((c) => c.requests), failures: total((c) => c.failures), slow: total((c) => c.slow) };
}

function resumed(details: unknown, revision: number, now: number): Progress {
  const begun: Progress = { revision, startedAt: now, bakingSince: now };
  if (typeof details !== 'object' || details === null) return begun;
  const before = { ...begun, ...(details as Partial<Progress>) };
  const isPast = (at: unknown): boolean => typeof at === 'number' && at <= now;
  return before.revision === revision && isPast(before.startedAt) && isPast(before.bakingSince) ? before : begun;
}
