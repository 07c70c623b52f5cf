import { setTimeout as delay } from 'node:timers/promises';
import { loop } from '../adapters/loop.js';
import { erasedBy, signProbes, tryCiphertext } from '../adapters/probes.js';
import { Announcer } from '../adapters/serving/announcer.js';
import type { ServingDeps } from '../adapters/serving/ports.js';
import { openRelay } from '../adapters/serving/relay.js';
import { Supervisor } from '../adapters/serving/supervisor.js';
import type { ServingActivities } from './contract.js';
import { withHeartbeat } from './heartbeat.js';
import { RouteFollower } from './route-follower.js';

const ANNOUNCE_MS = 2000;
const STATUS_MS = 3000;
const INCIDENTS_MS = 2000;
const ROUTES_MS = 15_000;

interface ServingHost extends Pick<ServingDeps, 'records' | 'key'> {
  readonly supervisor: Pick<Supervisor, 'start' | 'stop' | 'probe'>;
  readonly announcer: Pick<Announcer, 'announceOne'>;
}

/** Starting and stopping the releases of this host, and trying those that are gone. */
export function createServingActivities({ supervisor, announcer, records, key }: ServingHost): ServingActivities {
  return {
    startRelease: async (name, release) => {
      let progress = { bytes: 0, of: 0 };
      await withHeartbeat(
        () => progress,
        async (signal) => {
          const started = supervisor.start(name, release, (bytes, of) => (progress = { bytes, of }));
          // Who no longer waits does not end the start: the next attempt finds it under way or done.
          await Promise.race([started, aborted(signal)]);
          // Traffic may come at once; a gateway that hangs is told later.
          const { told } = await announcer.announceOne(release);
          await Promise.race([told, delay(ANNOUNCE_MS, null, { ref: false })]);
        },
      );
    },

    stopRelease: async (_name, release) => {
      await withHeartbeat(
        () => null,
        // A host that is to stop waits no longer for what callers have begun than it must.
        (signal) => Promise.race([supervisor.stop(release), aborted(signal)]),
      );
    },

    probeHost: (name, release, erased) =>
      withHeartbeat(
        () => null,
        async () => {
          const { request, blobs, environment } = (await erasedBy(records, name, release, erased)).predicate;
          const probes = [...(await supervisor.probe(name, release)), await tryCiphertext(records.bucket, blobs)];
          return signProbes(name, release, { environment, zone: 'serving', request, blobs, probes }, key);
        },
      ),
  };
}

/**
 * Brings the serving zone up on this host: what an earlier run had running, and what the routing documents list, is verified
 * and started, gateways hear what answers, revoked releases are taken away, and refused loads are reported. `stop` ends the model servers; what is to
 * run here stays so for the next start.
 */
export async function startServing(
  deps: ServingDeps,
): Promise<{ readonly activities: ServingActivities; readonly stop: () => Promise<void> }> {
  const complain = (doing: string) => {
    let last = '';
    return (error: unknown): void => {
      const reason = String(error);
      if (reason !== last) deps.log.warn({ reason }, `could not finish ${doing}`);
      last = reason;
    };
  };
  const untold = complain('telling the gateways');
  let told: Announcer | null = null;
  const tell = (say: (announcer: Announcer) => Promise<unknown>): void => {
    if (told !== null) void say(told).catch(untold);
  };
  const supervisor = await Supervisor.open(deps, {
    onBack: () => tell((announcer) => announcer.announce()),
    onGone: (name, release, port) => tell((announcer) => announcer.farewell({ ...name, release, port })),
  });
  const relay = deps.relay === null ? null : await openRelay(deps.relay, deps.relay.tls, (of) => supervisor.portOf(of));
  const announcer = new Announcer(deps, supervisor, relay?.address ?? null);
  told = announcer;
  const follower = new RouteFollower(deps.records, supervisor);
  const ends = [
    loop(ANNOUNCE_MS, () => announcer.announce(), untold),
    loop(STATUS_MS, () => supervisor.enforceStatus(), complain('reading the status document')),
    loop(ROUTES_MS, () => follower.follow(), complain('reading the routing documents')),
    loop(INCIDENTS_MS, () => supervisor.incidents.deliver(), complain('reporting refused loads')),
  ];
  return {
    activities: createServingActivities({ supervisor, announcer, records: deps.records, key: deps.key }),
    stop: async () => {
      await Promise.all(ends.map((end) => end()));
      await relay?.close();
      await supervisor.close();
    },
  };
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = (): void => reject(signal.reason as Error);
    if (signal.aborted) fail();
    else signal.addEventListener('abort', fail, { once: true });
  });
}
