import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { pino } from 'pino';
import { createControlActivities } from '../../../activities/control.js';
import { createDrill } from '../../../activities/drill.js';
import { asActivities } from '../../../activities/failures.js';
import { Freshness } from '../../../activities/freshness.js';
import { GatewayStates } from '../../../activities/gateway-states.js';
import { beating } from '../../../activities/heartbeat.js';
import { createIngestActivities } from '../../../activities/ingest.js';
import { Inventory } from '../../../activities/inventory.js';
import type { Audit } from '../../../activities/journal.js';
import { createKeeping } from '../../../activities/keeping.js';
import { createRetention } from '../../../activities/retention.js';
import { Router } from '../../../activities/router.js';
import { startServing } from '../../../activities/serve.js';
import { createSigningActivities } from '../../../activities/sign.js';
import { createDataIntake } from '../../../activities/take-data.js';
import { tellEndpoint } from '../../../activities/tell-endpoint.js';
import { createValidateActivities } from '../../../activities/validate.js';
import { createServiceWatch } from '../../../activities/watch-service.js';
import { createStepWatch } from '../../../activities/watch.js';
import { openAuditLog } from '../../../adapters/audit/log.js';
import { readLog } from '../../../adapters/audit/reader.js';
import { StoredConsumers } from '../../../adapters/consumers.js';
import { createCaller } from '../../../adapters/gateway/caller.js';
import { createGatewayClient, type GatewayClient } from '../../../adapters/gateway/client.js';
import type { Letter } from '../../../adapters/notifier.js';
import { createMemoryStore } from '../../../adapters/object-store/memory.js';
import type { Bucket } from '../../../adapters/object-store/port.js';
import { Records } from '../../../adapters/records.js';
import { createVaultClient, type VaultClient } from '../../../adapters/vault/client.js';
import type { AuditRecord } from '../../../domain/audit.js';
import { CustodyError } from '../../../domain/errors.js';
import { VAULT_OPERATIONS, type VaultSocket } from '../../../domain/vault.js';
import type { Policy } from '../../../domain/policy.js';
import { isLoopback } from '../../../domain/replica.js';
import { isoTime } from '../../../domain/time.js';
import { bucketNames, storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { listenAdmin } from '../../../gateway/admin.js';
import { Gateway } from '../../../gateway/gateway.js';
import { LIMITS } from '../../../gateway/limits.js';
import { createMetrics } from '../../../gateway/metrics.js';
import { createDataPlane } from '../../../gateway/proxy.js';
import { Upstreams } from '../../../gateway/upstreams.js';
import { listen } from '../../../vault/listen.js';
import { operationsOf } from '../../../vault/requests.js';
import { openVault } from '../../../vault/vault.js';
import { logKey, logVerifier, logVkey } from '../../support/log-key.js';
import { inspectHere } from '../../support/scan.js';
import { createWorld, withProvisions, type World } from '../../support/world.js';
import type { Activities } from '../../support/zones.js';
import type { TrainingActivities } from '../../../activities/training-contract.js';
import { envelopeDigest, parseEnvelope } from '../../../formats/dsse.js';
import { SUITE } from './release.js';

export interface TownOptions {
  readonly policy?: (policy: Policy) => Policy;
  readonly gateways?: number;
}

/** One gateway with its data plane, and how everybody reaches it: while it is down, nobody does. */
export interface TownGateway {
  readonly gateway: Gateway;
  readonly client: GatewayClient;
  readonly port: number;
  isDown: boolean;
}

const DAY = 86_400;

/** Short times, since all clocks are real; and a plan that pauses once. */
const hurried =
  (model: string, change: (policy: Policy) => Policy) =>
  (policy: Policy): Policy =>
    change({
      ...withProvisions(policy),
      validation: { suites: [SUITE.rule], timeoutSeconds: 60, allowUnisolated: true },
      approvals: {
        ...policy.approvals,
        train: { role: 'release-approver', count: 1, withinSeconds: DAY },
      },
      rollout: {
        ...policy.rollout,
        steps: [
          { weight: 50, bakeSeconds: 0.2, pause: true },
          { weight: 100, bakeSeconds: 0.2 },
        ],
        triggers: { minimumSamples: 3, maxErrorRate: 0.5, maxLatencyMs: 10_000 },
        stepTimeoutSeconds: 300,
      },
      rollback: { warmReleases: 2, windowSeconds: DAY },
      retention: { releasesDays: 7, auditDays: 7, statusDays: 1 },
      emergency: { ...withProvisions(policy).emergency, killResponseSeconds: 60 },
      drills: { model, everySeconds: DAY, rollbackMs: 60_000, killMs: 60_000, restoreMs: 60_000 },
      freshness: { reissueSeconds: DAY / 2, lifetimeSeconds: DAY, whenStale: 'serve' },
    });

/**
 * One organisation with one model: its store, log, vault, gateways, model servers and the real activities of all zones, wired
 * as the workers wire them, in one process. The store is in memory, and nobody trains: see `training.ts`.
 */
export class Town {
  readonly world: World;
  readonly records: Records;
  readonly buckets: { readonly audit: Bucket; readonly log: Bucket };
  readonly gateways: TownGateway[] = [];
  /** Every letter, as often as it was sent. */
  readonly letters: Letter[] = [];
  readonly folder: string;
  readonly model: string;
  /** While it is down, the log takes no record. */
  readonly audit: Audit & { isDown: boolean };
  readonly troubles: string[] = [];
  activities!: Activities;
  private readonly ends: (() => unknown)[] = [];

  private constructor(model: string, folder: string, world: World) {
    const store = createMemoryStore();
    const names = bucketNames(world.environment);
    this.model = model;
    this.folder = folder;
    this.world = world;
    this.records = new Records(store.bucket(names.custody), world.root);
    this.buckets = {
      audit: store.bucket(names.audit),
      log: store.bucket(names.log, { objectLock: false, versioning: false }),
    };
    this.audit = {
      isDown: false,
      append: () => Promise.reject(new CustodyError('STORE_UNAVAILABLE', 'the log is not open yet')),
    };
  }

  static async open(model: string, temporal: Client, options: TownOptions = {}): Promise<Town> {
    const folder = await mkdtemp(join(tmpdir(), 'custody-town-'));
    const world = createWorld({ policy: hurried(model, options.policy ?? ((policy) => policy)) });
    const town = new Town(model, folder, world);
    await town.settle(temporal, options.gateways ?? 1);
    return town;
  }

  /** Every record of the log, once all of it has been verified. */
  async log(): Promise<readonly AuditRecord[]> {
    const found: AuditRecord[] = [];
    for await (const { record } of readLog({ ...this.buckets, vkey: logVkey }).records(0)) found.push(record);
    return found;
  }

  /** What the store holds, read by somebody who has never read it. */
  fresh(): Records {
    return new Records(this.records.bucket, this.world.root);
  }

  async close(): Promise<void> {
    for (const end of this.ends.splice(0).reverse()) await end();
    await rm(this.folder, { recursive: true, force: true });
  }

  private async settle(temporal: Client, gateways: number): Promise<void> {
    const { records, world, folder, audit } = this;
    const { keys } = world;
    await records.bucket.createOnce(storeKeys.policy(1), canonicalBytes(world.policyEnvelope), {
      retainUntil: isoTime(Date.now() + 7 * DAY * 1000),
    });
    await records.keepBytes(SUITE.bytes);
    const log = await openAuditLog({
      ...this.buckets,
      key: logKey,
      vkey: logVkey,
      lock: () => records.lock('auditDays'),
    });
    this.ends.push(() => log.close());
    audit.append = (added) =>
      audit.isDown
        ? Promise.reject(new CustodyError('STORE_UNAVAILABLE', 'the log takes no record'))
        : log.append(added);
    for (let at = 0; at < gateways; at += 1) await this.openGateway(join(folder, `gateway-${at}`));
    const clients = this.gateways.map(({ client }) => client);
    const onJunk = (key: string, error: Error): void => void this.troubles.push(`${key}: ${error.message}`);
    const router = new Router({ records, key: keys.control, id: 'control', audit, gateways: clients, onJunk });
    const consumers = new StoredConsumers(records);
    const onError = (error: unknown, doing: string): void => {
      const isAway = error instanceof CustodyError && error.code === 'GATEWAY_UNAVAILABLE';
      if (!isAway) this.troubles.push(`${doing}: ${String(error)}`);
    };
    const freshness = new Freshness({
      ...{ records, key: keys.control, router, gateways: clients, audit, apis: [], onError },
      inventory: new Inventory({ records, consumers, audit, id: 'control', onError }),
      tell: (model, order) => tellEndpoint(temporal, model, 'kill', order),
      noteOverdue: async () => undefined,
    });
    for (const client of clients) await client.deliverPolicies([world.policyEnvelope]);
    await freshness.reissue();
    freshness.start();
    this.ends.push(() => freshness.stop());

    const desk = { records, audit, key: keys.control, id: 'control', router, temporal, gateways: clients };
    const notifier = {
      send: async (letter: Letter) => {
        this.letters.push(letter);
        return { how: 'mail', messageId: letter.messageId, why: [] } as const;
      },
    };
    const callers = this.gateways.map(({ port }) => createCaller(`http://127.0.0.1:${port}`));
    const driller = { id: 'driller', key: keys.driller, callers };
    const killMetrics = { took: () => undefined, late: () => undefined };
    const reissueStatus = (): Promise<void> => freshness.reissue();
    const control = createControlActivities({ ...desk, consumers, notifier, killMetrics, reissueStatus });
    const vault = await this.openVault();
    const intake = { records, vault, validatorKey: keys.intake, work: join(folder, 'work') };
    const signing = createSigningActivities({ records, key: keys['release-signer'], vault });
    const serving = await startServing({
      ...{ records, key: keys.serving, state: join(folder, 'serving'), modelUser: null, relay: null },
      vault: { open: (sha256s, evidence) => vault.open({ sha256s, evidence }) },
      gateways: clients.map((client) => ({ deliverReplica: client.deliverReplica, isHere: true })),
      report: async (incident) => void this.troubles.push(`incident: ${JSON.stringify(incident)}`),
      log: { info: () => undefined, warn: () => undefined, error: () => undefined },
    });
    this.ends.push(() => serving.stop());
    const watch = { gateways: new GatewayStates(clients), metrics: null };
    this.activities = asActivities({
      ...beating(control),
      ...beating(createDrill({ ...desk, driller })),
      ...createRetention({ records, audit, key: keys.control, id: 'control', log: this.buckets.audit }),
      ...createIngestActivities({
        ...{ ...intake, inspect: inspectHere, repositories: {} },
        ...{ scanners: async () => [], further: async () => [] },
      }),
      ...createValidateActivities({ ...intake, isolate: async () => 'none' }),
      ...createDataIntake({ records }),
      ...beating(signing),
      ...createKeeping({ records, vault }),
      ...serving.activities,
      ...createStepWatch(watch),
      ...createServiceWatch(watch),
      ...this.training(),
    });
  }

  /** Nobody trains here: what comes of a run is its provenance, made once. */
  private training(): TrainingActivities {
    const { records, world } = this;
    return {
      examine: async () => undefined,
      train: async (model, run, request) => {
        const asked = envelopeDigest(parseEnvelope(request));
        const { envelope } = world.release({
          model,
          provenance: (usual) => ({
            ...usual,
            buildDefinition: {
              ...usual.buildDefinition,
              externalParameters: { ...usual.buildDefinition.externalParameters, request: asked },
            },
          }),
        }).provenance;
        const made = await records.recordOnce(`records/${model}/trained/${run}`, { envelope });
        const places = { source: 'file:///out', bundle: 'file:///out.sig', provenance: 'file:///out.provenance' };
        return { ...places, statement: await records.keep(made.envelope) };
      },
    };
  }

  private async openGateway(state: string): Promise<void> {
    const { environment, root } = this.world;
    const report = (error: unknown, what: string): void => void this.troubles.push(`${what}: ${String(error)}`);
    await mkdir(state, { mode: 0o700 });
    const gateway = new Gateway({ environment, root, state, report, reaches: isLoopback });
    const plane = createDataPlane(gateway, {
      ...{ limits: LIMITS, tls: undefined, report },
      upstreams: new Upstreams(null, LIMITS.maxHeaderBytes),
    });
    const socket = join(state, 'admin.sock');
    const admin = await listenAdmin(gateway, createMetrics(gateway), { socket }, report);
    await new Promise<void>((resolve) => plane.server.listen(0, '127.0.0.1', resolve));
    this.ends.push(async () => {
      plane.server.closeAllConnections();
      await Promise.all([plane.close(), admin.close()]);
      await gateway.close();
    });
    const reached = createGatewayClient(socket);
    const client = Object.fromEntries(
      Object.entries(reached as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>).map(
        ([name, ask]) => [
          name,
          async (...args: unknown[]) => {
            if (made.isDown) throw new CustodyError('GATEWAY_UNAVAILABLE', 'the gateway does not answer');
            return ask(...args);
          },
        ],
      ),
    ) as unknown as GatewayClient;
    const made: TownGateway = { gateway, client, port: (plane.server.address() as AddressInfo).port, isDown: false };
    this.gateways.push(made);
  }

  private async openVault(): Promise<VaultClient> {
    const state = join(this.folder, 'vault');
    const operations = operationsOf(await openVault({ state, root: this.world.root, log: logVerifier }));
    const sockets = Object.keys(VAULT_OPERATIONS) as VaultSocket[];
    const at = (socket: VaultSocket): string => join(this.folder, 'sockets', `${socket}.sock`);
    for (const socket of sockets) {
      const server = await listen({ path: at(socket) }, operations[socket], pino({ level: 'silent' }));
      this.ends.push(() => server.close());
    }
    return createVaultClient(Object.fromEntries(sockets.map((socket) => [socket, at(socket)])));
  }
}
