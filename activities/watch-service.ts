import { Context } from '@temporalio/activity';
import { isTally, tallied, type Tally } from '../domain/analysis.js';
import type { ServiceVerdict } from '../domain/endpoint.js';
import { breachIn, inService, judgeService, shutOut, type ServiceWindow } from '../domain/service.js';
import type { WatchActivities } from './contract.js';
import { TOGETHER_MS } from './gateway-states.js';
import { createMetricLook } from './metrics.js';
import type { WatchDeps } from './watch.js';

const POLL_MS = 1_000;
/** So often it says that it is alive, and hears that it is to end: each time is a write in Temporal, of every endpoint. */
export const BEAT_MS = 3_000;
/** A watch ends by itself after this long, and the workflow begins another: about four a day. */
export const ROUND_MS = 6 * 3600 * 1000;

interface Progress {
  readonly revision: number;
  readonly tally: Tally;
  readonly window: ServiceWindow;
}

const NOTHING = { requests: 0, failures: 0, slow: 0 };

/** Watches what serves all callers by the limits, metrics and alerts that it was rolled out with. */
export function createServiceWatch({ gateways, metrics }: WatchDeps): Pick<WatchActivities, 'watchService'> {
  return {
    watchService: async (model, revision, release): Promise<ServiceVerdict> => {
      const context = Context.current();
      const watched = { model, revision, release };
      const metricLook = createMetricLook(metrics);
      const startedAt = Date.now();
      let progress = resumed(context.info.heartbeatDetails, revision, startedAt);
      let beatenAt = -Infinity;
      while (Date.now() - startedAt < ROUND_MS) {
        const seen = await gateways.of(model);
        const tally = tallied(progress.tally, seen, watched);
        const serving = inService(seen, watched, tally);
        let breach: string | null = null;
        if (serving !== null) {
          const { triggers, counted, version } = serving;
          const judged = judgeService(progress.window, counted, triggers, Date.now());
          const places = { model, release, version, revision: String(revision) };
          breach = judged.breach ?? shutOut(seen, watched) ?? breachIn(metricLook.look(triggers, places));
          progress = { ...progress, window: judged.window };
        }
        progress = { ...progress, tally };
        if (performance.now() - beatenAt >= BEAT_MS) {
          context.heartbeat(progress);
          beatenAt = performance.now();
        }
        if (breach !== null) return { kind: 'breach', revision, reason: breach };
        await context.sleep(POLL_MS - TOGETHER_MS);
      }
      return { kind: 'again', revision };
    },
  };
}

function resumed(details: unknown, revision: number, now: number): Progress {
  const begun: Progress = { revision, tally: {}, window: { since: now, base: NOTHING } };
  if (typeof details !== 'object' || details === null) return begun;
  const before = { ...begun, ...(details as Partial<Progress>) };
  return before.revision === revision && isTally(before.tally) ? before : begun;
}
