import { join } from 'node:path';
import { createControlActivities } from '../activities/control.js';
import { Freshness } from '../activities/freshness.js';
import { Inventory } from '../activities/inventory.js';
import { beating } from '../activities/heartbeat.js';
import { createKillMetrics } from '../activities/kill-metrics.js';
import { notePolicies } from '../activities/policy.js';
import { createDrill, noteOverdueDrill } from '../activities/drill.js';
import { createRetention, noteOverdueRetention } from '../activities/retention.js';
import { Router } from '../activities/router.js';
import { tellEndpoint } from '../activities/tell-endpoint.js';
import { AuditDesk } from '../adapters/audit/desk.js';
import { StoredConsumers } from '../adapters/consumers.js';
import { createApiClient } from '../adapters/api/client.js';
import { logKeys } from '../adapters/audit/keys.js';
import { openAuditLog } from '../adapters/audit/log.js';
import { timed } from '../adapters/audit/waiting.js';
import { createCaller } from '../adapters/gateway/caller.js';
import { createGatewayClient } from '../adapters/gateway/client.js';
import { createNotifier } from '../adapters/notifier.js';
import { checkOwnLock } from '../adapters/object-store/proof.js';
import { openBucket } from '../adapters/object-store/s3.js';
import { OWN_PROBES } from '../domain/retention.js';
import { bucketNames } from '../domain/store-keys.js';
import { isoTime } from '../domain/time.js';
import { loadKey, type ConfigOf } from './config.js';
import { startMeasuring } from './measuring.js';
import { DrillSchedule, ensureRetentionSchedule } from './schedule.js';
import { checkSearchAttributes, connectClient } from './temporal.js';
import { provenWorm, storeOf, type Zone, type ZoneBase } from './zone.js';

/** Workflows, routes, the audit log and its desk, notices, and the status document. */
export async function wireControl(config: ConfigOf<'control'>, { records, log, meter }: ZoneBase): Promise<Zone> {
  const { custody, audit, log: logBucket } = bucketNames(config.environment);
  const store = storeOf(config);
  await checkOwnLock(store, custody, `${OWN_PROBES}${isoTime(Date.now())}`, Buffer.from('{}'));
  const temporal = await connectClient(config);
  await checkSearchAttributes(temporal);

  const auditStore = { ...store, ...config.audit.store };
  const buckets = { audit: openBucket(auditStore, audit), log: openBucket(auditStore, logBucket) };
  const auditKey = loadKey({ path: config.audit.key });
  const { origin, port, previousKey } = config.audit;
  const signing = { ...buckets, key: auditKey, lock: () => records.lock('auditDays') };
  const previous = previousKey === undefined ? null : loadKey({ path: previousKey });
  const vkey = await logKeys({ ...signing, origin, previous, by: config.key.id });
  const auditLog = timed(await openAuditLog({ ...signing, vkey }));
  await notePolicies(await records.policies(), auditLog);
  const desk = new AuditDesk({
    records,
    audit: auditLog,
    buckets,
    key: auditKey,
    vkey,
    file: join(config.state, 'states'),
    log,
  });
  await desk.listen(port);

  const key = loadKey(config.key);
  const gateways = config.gateways.map(createGatewayClient);
  const onJunk = (key: string, err: Error): void => log.error({ err }, `${key} is not what it should be: passed over`);
  const router = new Router({ records, key, id: config.key.id, audit: auditLog, gateways, onJunk });
  const onError = (error: unknown, doing: string): void => log.warn({ err: error }, `could not finish ${doing}`);
  const consumers = new StoredConsumers(records);
  const inventory = new Inventory({ records, consumers, audit: auditLog, id: config.key.id, onError });
  const freshness = new Freshness({
    records,
    key,
    router,
    inventory,
    gateways,
    audit: auditLog,
    apis: config.apis.map(createApiClient),
    tell: (model, order) => tellEndpoint(temporal, model, 'kill', order),
    noteOverdue: async () => {
      await noteOverdueRetention(records, auditLog, config.key.id);
      await noteOverdueDrill(records, auditLog, config.key.id);
    },
    onError,
  });
  freshness.start();
  await ensureRetentionSchedule(temporal);
  const drills = new DrillSchedule(temporal, records, (error) => onError(error, 'the schedule of drills'));
  drills.start();
  const stopMeasuring = startMeasuring({
    ...{ meter, records, temporal, audit: auditLog, onError },
    status: () => freshness.status,
    proofExpires: async () => (await provenWorm(config, records)).expiresAt,
  });

  const driller = config.drills === undefined ? null : drillerOf(config.drills);
  const activities = createControlActivities({
    records,
    key,
    id: config.key.id,
    audit: auditLog,
    gateways,
    router,
    consumers,
    temporal,
    notifier: createNotifier({ ...config.mail, source: `urn:custody:environment:${records.environment}` }),
    killMetrics: createKillMetrics(meter),
    reissueStatus: () => freshness.reissue(),
  });
  return {
    activities: {
      ...beating(activities),
      ...beating(
        createDrill({ records, audit: auditLog, key, id: config.key.id, router, temporal, gateways, driller }),
      ),
      ...createRetention({ records, audit: auditLog, key, id: config.key.id, log: buckets.audit }),
    },
    stop: async () => {
      stopMeasuring();
      drills.stop();
      await freshness.stop();
      await desk.close();
      await auditLog.close();
      await temporal.connection.close();
    },
  };
}

function drillerOf({ key, callers, token }: NonNullable<ConfigOf<'control'>['drills']>) {
  return { id: key.id, key: loadKey(key), callers: callers.map((url) => createCaller(url, token)) };
}
