import { Gauge, Registry } from 'prom-client';
import type { GatewayState, ModelState, SeenCaller } from '../domain/gateway.js';
import { CALLER_KINDS } from '../domain/inventory.js';
import type { Gateway } from './gateway.js';

export interface Metrics {
  /** Prometheus text format 0.0.4. */
  text(): Promise<string>;
}

type Series = readonly [labels: Record<string, string>, value: number];

/** The gateway's own counters, as Prometheus reads them. They are made at each scrape from the one place that counts. */
export function createMetrics(gateway: Gateway): Metrics {
  const registry = new Registry();
  const gauge = (
    name: string,
    help: string,
    labelNames: readonly string[],
    read: (state: GatewayState) => Series[],
  ): void => {
    new Gauge({
      name: `custody_gateway_${name}`,
      help,
      labelNames: [...labelNames],
      registers: [registry],
      collect() {
        this.reset();
        for (const [labels, value] of read(gateway.state())) this.set(labels, value);
      },
    });
  };
  const perModel = (name: string, help: string, read: (model: ModelState) => number): void =>
    gauge(name, help, ['model'], ({ models }) => models.map((model) => [{ model: model.model }, read(model)]));
  const perRelease = (name: string, help: string, read: (counters: ModelState['counters'][number]) => number): void =>
    gauge(name, help, ['model', 'revision', 'release', 'version'], ({ models }) =>
      models.flatMap(({ model, counters }) =>
        counters.map((counted): Series => {
          const { revision, release, version } = counted;
          return [{ model, revision: String(revision), release, version }, read(counted)];
        }),
      ),
    );

  perRelease('requests', 'Requests that a release has answered or failed, by routing revision', (c) => c.requests);
  perRelease('failures', 'Those that failed: 500 and above, broken off, or no answer', (c) => c.failures);
  perRelease('slow', 'Those whose first byte came later than the triggers allow', (c) => c.slow);
  perRelease('first_byte_p95_seconds', '95th percentile of the time to the first byte', (c) => c.p95Ms / 1000);
  perModel('revision', 'Revision of the newest routing document admitted', ({ revision }) => revision);
  perModel('killed', '1 while a kill order stops the model', ({ killedBy }) => (killedBy.length > 0 ? 1 : 0));
  perModel('breached', '1 while the release under rollout has broken a trigger', ({ breach }) =>
    breach === null ? 0 : 1,
  );
  gauge(
    'breaker',
    '1 while a breaker lets some callers try, 2 while it lets none through',
    ['model', 'release', 'version'],
    ({ models }) =>
      models.flatMap(({ model, breakers }) =>
        breakers.map(({ release, version, state }): Series => [{ model, release, version }, state === 'open' ? 2 : 1]),
      ),
  );
  perModel('replicas', 'Replicas whose statements have not expired', ({ replicas }) => replicas.length);
  const perKind = (name: string, help: string, read: (caller: SeenCaller) => number): void =>
    gauge(name, help, ['model', 'kind'], () =>
      gateway.callers.report().models.flatMap(({ model, callers }) =>
        CALLER_KINDS.map((kind): Series => {
          const those = callers.filter((caller) => caller.kind === kind);
          return [{ model, kind }, those.reduce((sum, caller) => sum + read(caller), 0)];
        }),
      ),
    );
  perKind('callers', 'Callers seen of a model, by how sure it is who they are', () => 1);
  perKind('callers_refused', 'Requests refused because of who sent them', ({ refused }) => refused);
  gauge('status_fresh', '1 while the status document is fresh', [], ({ fresh }) => [[{}, fresh ? 1 : 0]]);
  return { text: () => registry.metrics() };
}
