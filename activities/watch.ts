import { Context } from '@temporalio/activity';
import type { MetricSource } from '../adapters/metrics/port.js';
import {
  atRevision,
  combine,
  countedOf,
  countsOf,
  judgeStep,
  tallied,
  triggersOf,
  isTally,
  type Seen,
  type Sight,
  type Tally,
  type Watched,
} from '../domain/analysis.js';
import type { StepVerdict } from '../domain/endpoint.js';
import { CustodyError } from '../domain/errors.js';
import type { WatchActivities } from './contract.js';
import { TOGETHER_MS, type GatewayStates } from './gateway-states.js';
import { createMetricLook, type MetricLook } from './metrics.js';

const POLL_MS = 200;
/** A watch ends by itself after this long and goes on in a new attempt, so that no attempt outlives its worker's build. */
const ATTEMPT_MS = 6 * 3600 * 1000;

/** What a later attempt goes on from: a watch that was interrupted does not begin again. */
interface Progress {
  readonly revision: number;
  readonly startedAt: number;
  /** Since when the release has been seen alive without a gap. */
  readonly bakingSince: number;
  readonly tally: Tally;
}

export interface WatchDeps {
  readonly gateways: GatewayStates;
  /** `null`: this watch has none, and no step whose triggers ask for one can pass. */
  readonly metrics: MetricSource | null;
}

export function createStepWatch({ gateways, metrics }: WatchDeps): Pick<WatchActivities, 'watchStep'> {
  return {
    watchStep: async (model, revision, release, bakeSeconds, timeoutSeconds): Promise<StepVerdict> => {
      const context = Context.current();
      const attemptStartedAt = Date.now();
      const watched = { model, revision, release };
      const metricLook = createMetricLook(metrics);
      let progress = resumed(context.info.heartbeatDetails, revision, attemptStartedAt);
      for (;;) {
        const seen = await gateways.of(model);
        const now = Date.now();
        progress = { ...progress, tally: tallied(progress.tally, seen, watched) };
        const sight = combine([judgeStep(seen, watched, progress.tally), ...sightsOf(metricLook, seen, watched)]);
        if (sight.kind === 'hold' && sight.vanished) progress = { ...progress, bakingSince: now, tally: {} };
        context.heartbeat(progress);
        const told = (): Pick<StepVerdict, 'revision' | 'counts'> => ({ revision, counts: countsOf(progress.tally) });
        if (sight.kind === 'fail' || sight.kind === 'inconclusive')
          return { kind: sight.kind, ...told(), reason: sight.reason };
        const baked = now - progress.bakingSince >= bakeSeconds * 1000;
        if (sight.kind === 'sound' && baked)
          return { kind: 'pass', ...told(), samples: countedOf(progress.tally, release).requests };
        if (now - progress.startedAt >= Math.max(bakeSeconds, timeoutSeconds) * 1000) {
          const reason = sight.kind === 'hold' ? sight.reason : 'it was not alive for the whole bake time';
          return { kind: 'inconclusive', ...told(), reason };
        }
        if (now - attemptStartedAt >= ATTEMPT_MS)
          throw new CustodyError('PENDING', 'the watch goes on in its next attempt');
        await context.sleep(POLL_MS - TOGETHER_MS);
      }
    },
  };
}

/** What the metric source says of the release, by the rules of the document in force. */
function sightsOf(look: MetricLook, seen: readonly Seen[], { model, revision, release }: Watched): readonly Sight[] {
  const current = atRevision(seen, revision);
  const triggers = triggersOf(current);
  const version = current[0]?.serving.find((entry) => entry.release === release)?.version;
  if (triggers === null || version === undefined) return [];
  return look.look(triggers, { model, release, version, revision: String(revision) });
}

function resumed(details: unknown, revision: number, now: number): Progress {
  const begun: Progress = { revision, startedAt: now, bakingSince: now, tally: {} };
  if (typeof details !== 'object' || details === null) return begun;
  const before = { ...begun, ...(details as Partial<Progress>) };
  const isPast = (at: unknown): boolean => typeof at === 'number' && at <= now;
  const isMine = before.revision === revision && isPast(before.startedAt) && isPast(before.bakingSince);
  return isMine && isTally(before.tally) ? before : begun;
}
