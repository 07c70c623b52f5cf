import type { MetricMeter } from '@temporalio/common';
import type { Logger } from 'pino';
import { beating } from '../activities/heartbeat.js';
import { createGatewayClient } from '../adapters/gateway/client.js';
import { createVaultClient } from '../adapters/vault/client.js';
import { loadKey, prometheusOf, type ZoneConfig } from './config.js';
import { openRecords, type Zone } from './zone.js';

/** Gives each zone what it may hold, and nothing else: the code of the others is not even loaded. */
export async function wire(config: ZoneConfig, log: Logger, meter: MetricMeter): Promise<Zone> {
  const records = await openRecords(config);
  const base = { records, log, meter };
  switch (config.zone) {
    case 'control':
      return (await import('./control.js')).wireControl(config, base);
    case 'intake':
      return (await import('./intake.js')).wireIntake(config, base);
    case 'signing': {
      const { createSigningActivities } = await import('../activities/sign.js');
      const { createKeeping } = await import('../activities/keeping.js');
      const vault = createVaultClient({ destroy: config.vault });
      return idle({
        ...beating(createSigningActivities({ records, key: loadKey(config.key), vault })),
        ...createKeeping({ records, vault }),
      });
    }
    case 'serving':
      return (await import('./serving.js')).wireServing(config, base);
    case 'training':
      return (await import('./training.js')).wireTraining(config, base);
    case 'watch': {
      const { createStepWatch } = await import('../activities/watch.js');
      const { createServiceWatch } = await import('../activities/watch-service.js');
      const { GatewayStates } = await import('../activities/gateway-states.js');
      const { createPrometheus } = await import('../adapters/metrics/prometheus.js');
      const deps = {
        gateways: new GatewayStates(config.gateways.map(createGatewayClient)),
        metrics: config.prometheus === undefined ? null : createPrometheus(prometheusOf(config.prometheus)),
      };
      return idle({ ...createStepWatch(deps), ...createServiceWatch(deps) });
    }
  }
}

function idle(activities: object): Zone {
  return { activities, stop: async () => undefined };
}
