import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { GatewayStates } from '../../../activities/gateway-states.js';
import { createServiceWatch } from '../../../activities/watch-service.js';
import type { MetricSource } from '../../../adapters/metrics/port.js';
import type { ServiceVerdict } from '../../../domain/endpoint.js';
import { FakeMetrics, value } from '../../support/metrics.js';
import { createWorld, type Release, type Route, type World } from '../../support/world.js';
import { Cleanup, startRig, versions, type ModelServer, type Rig } from './rig.js';

const cleanup = new Cleanup();
let world: World;
let rig: Rig;
let release: Release;
let server: ModelServer;
let promoted: Route;

beforeEach(async () => {
  const alert = { name: 'security', query: 'ALERTS{release="{{release}}"}', requires: ['up'] };
  const triggers = { minimumSamples: 20, maxErrorRate: 0.1, maxLatencyMs: 60_000, alerts: [alert] };
  world = createWorld({ policy: (policy) => ({ ...policy, rollout: { ...policy.rollout, triggers } }) });
  release = world.release({ version: '1.0.0' });
  rig = await startRig(world, cleanup);
  server = await rig.serve(release);
  promoted = await rig.inService(release);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await cleanup.run();
});

interface Options {
  readonly metrics?: MetricSource;
  readonly environment?: MockActivityEnvironment;
  readonly revision?: number;
}
function watch({ metrics, environment = new MockActivityEnvironment(), revision }: Options = {}) {
  const gateways = new GatewayStates([rig.client]);
  const { watchService } = createServiceWatch({ gateways, metrics: metrics ?? new FakeMetrics() });
  return environment.run<[], ServiceVerdict, () => Promise<ServiceVerdict>>(() =>
    watchService('digits', revision ?? promoted.document.revision, release.release),
  );
}
/** Ends the watch once it has looked so many times. */
function endingAfter(beats: number): MockActivityEnvironment {
  const environment = new MockActivityEnvironment();
  let seen = 0;
  environment.on('heartbeat', () => {
    if ((seen += 1) >= beats) environment.cancel();
  });
  return environment;
}
const failing = (): void => server.behave((_, outgoing) => outgoing.writeHead(500).end());
const cancelled: unknown = expect.objectContaining({ name: 'CancelledFailure' });

describe('the watch of what serves', () => {
  test('ends with a breach once the release fails', async () => {
    failing();
    const verdict = watch();
    await versions(rig.port, 60);
    expect(await verdict).toMatchObject({
      kind: 'breach',
      revision: promoted.document.revision,
      reason: expect.stringMatching(/of \d+ answers failed, at most 10 % may/),
    });
  });

  test('ends with an alert that fires', async () => {
    const metrics = new FakeMetrics();
    metrics.tell(`ALERTS{release="${release.release}"}`, [value(1, { alertname: 'Leak' })]);
    expect(await watch({ metrics })).toMatchObject({ kind: 'breach', reason: 'alert security: Leak is firing' });
  });

  test('goes on while all is well, and while nobody can tell', async () => {
    await versions(rig.port, 60);
    const metrics = new FakeMetrics();
    metrics.tell('up', 'Prometheus cannot be reached');
    await expect(watch({ metrics, environment: endingAfter(3) })).rejects.toEqual(cancelled);
    await rig.stop();
    await expect(watch({ environment: endingAfter(3) })).rejects.toEqual(cancelled);
  });

  test('attack: says nothing of another revision, nor of a model that is killed', async () => {
    failing();
    await versions(rig.port, 60);
    await expect(watch({ revision: 99, environment: endingAfter(3) })).rejects.toEqual(cancelled);
    await rig.client.deliverKill(world.kill().envelope);
    await expect(watch({ environment: endingAfter(3) })).rejects.toEqual(cancelled);
  });

  test('ends by itself after six hours, to be begun again', async () => {
    const start = Date.now();
    const environment = new MockActivityEnvironment();
    environment.on('heartbeat', () => vi.spyOn(Date, 'now').mockReturnValue(start + 7 * 3_600_000));
    expect(await watch({ environment })).toEqual({ kind: 'again', revision: promoted.document.revision });
  });

  test('goes on from the counts that the attempt before it had seen', async () => {
    failing();
    await versions(rig.port, 60);
    const { counters, revision } = await rig.model();
    const counted = counters.find((each) => each.revision === revision);
    const { requests, failures, slow } = counted!;
    const base = { requests, failures, slow };
    const tally = { [`0 ${release.release}`]: { before: { requests: 0, failures: 0, slow: 0 }, latest: base } };
    const before = { revision, tally, window: { since: Date.now(), base } };
    const environment = new MockActivityEnvironment({ heartbeatDetails: before });
    let beats = 0;
    environment.on('heartbeat', () => {
      if ((beats += 1) === 3) environment.cancel();
    });
    await expect(watch({ environment })).rejects.toEqual(cancelled);
  });
});
