import { startServing } from '../activities/serve.js';
import { exchange } from '../adapters/exchange.js';
import { createGatewayClient } from '../adapters/gateway/client.js';
import { createVaultClient } from '../adapters/vault/client.js';
import { loadKey, type ConfigOf } from './config.js';
import type { Zone, ZoneBase } from './zone.js';

/** Verifies, loads and runs releases on this host. */
export function wireServing(config: ConfigOf<'serving'>, { records, log }: ZoneBase): Promise<Zone> {
  const vault = createVaultClient({ open: config.vault });
  const { modelServerUser: uid } = config;
  return startServing({
    records,
    vault: { open: (sha256s, evidence) => vault.open({ sha256s, evidence }) },
    gateways: config.gateways.map((at) => ({ ...createGatewayClient(at), isHere: typeof at === 'string' })),
    relay: config.relay ?? null,
    report: (incident) => exchange({ url: config.desk }, 'POST', '/incidents', incident, 'STORE_UNAVAILABLE'),
    key: loadKey(config.key),
    state: config.state,
    modelUser: uid === null ? null : { uid, gid: uid },
    log,
  });
}
