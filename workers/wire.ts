import type { Logger } from 'pino';
import { beating } from '../activities/heartbeat.js';
import { createSigningActivities } from '../activities/sign.js';
import { createWatchActivities } from '../activities/watch.js';
import { createGatewayClient } from '../adapters/gateway/client.js';
import { createVaultClient } from '../adapters/vault/client.js';
import { loadKey, type ZoneConfig } from './config.js';
import { wireControl } from './control.js';
import { wireIntake } from './intake.js';
import { wireServing } from './serving.js';
import { wireTraining } from './training.js';
import { openRecords, type Zone } from './zone.js';

/** Gives each zone what it may hold, and nothing else. */
export async function wire(config: ZoneConfig, log: Logger): Promise<Zone> {
  const records = await openRecords(config);
  switch (config.zone) {
    case 'control':
      return wireControl(config, { records, log });
    case 'intake':
      return wireIntake(config, { records, log });
    case 'signing': {
      const vault = createVaultClient({ destroy: config.vault });
      return idle(beating(createSigningActivities({ records, key: loadKey(config.key), vault })));
    }
    case 'serving':
      return wireServing(config, { records, log });
    case 'training':
      return wireTraining(config, { records, log });
    case 'watch':
      return idle(createWatchActivities({ gateways: config.gateways.map(createGatewayClient) }));
  }
}

function idle(activities: object): Zone {
  return { activities, stop: async () => undefined };
}
