import { z } from 'zod';
import type { RouteDelivery } from '../../domain/evidence.js';
import type {
  CallersReport,
  ConsumersAdmitted,
  GatewayState,
  KillLatched,
  ModelState,
  RouteAdmitted,
} from '../../domain/gateway.js';
import { CALLER_KINDS } from '../../domain/inventory.js';
import type { SignedEnvelope } from '../../domain/statements.js';
import { isIsoTime } from '../../domain/time.js';
import { parseEnvelope } from '../../formats/dsse.js';
import { digestSchema } from '../../formats/in-toto.js';
import { checkShape } from '../../formats/json.js';
import type { GatewayAddress } from '../../formats/tls.js';
import { triggersSchema } from '../../formats/triggers-schema.js';
import { exchange, exchangeText } from '../exchange.js';

/**
 * One gateway's admin listener. Every refusal is the `CustodyError` that the gateway gave, with its `revision` in the details
 * where a routing document did not follow; a gateway that does not answer is GATEWAY_UNAVAILABLE.
 */
export interface GatewayClient {
  /** REPLAYED: another revision is due. PENDING: no replica of the release is alive yet. */
  deliverRoute(delivery: RouteDelivery): Promise<RouteAdmitted>;
  /** EXPIRED and REPLAYED (the order was lifted): nothing has changed. */
  deliverKill(order: SignedEnvelope): Promise<KillLatched>;
  /** REPLAYED: the gateway has a newer one. */
  deliverStatus(status: SignedEnvelope): Promise<{ readonly statusVersion: number }>;
  deliverReplica(replica: SignedEnvelope): Promise<void>;
  /** Every policy of the environment, oldest first: also what a new gateway needs before it can verify anything. */
  deliverPolicies(policies: readonly SignedEnvelope[]): Promise<{ readonly policyVersion: number | null }>;
  /** The newest statement of each consumer. What is refused is named, and the others count. */
  deliverConsumers(consumers: readonly SignedEnvelope[]): Promise<ConsumersAdmitted>;
  /** Who has called. */
  callers(): Promise<CallersReport>;
  /** The orders that stop something there, as they came. */
  kills(): Promise<readonly SignedEnvelope[]>;
  state(): Promise<GatewayState>;
  /** Prometheus text. */
  metrics(): Promise<string>;
}

/** A kill must not wait for one gateway that hangs: not for its answer, nor for that to the status document after it. */
const KILL_MS = 2_000;
const SHORT_MS = 5_000;

const count = z.int().min(0);
const version = z.string();
const weight = z.number().min(0).max(100);

const modelSchema: z.ZodType<ModelState> = z.strictObject({
  model: z.string(),
  revision: count,
  document: digestSchema.nullable(),
  serving: z.array(z.strictObject({ release: digestSchema, version, weight })),
  plan: z.strictObject({ request: digestSchema, step: count }).nullable(),
  triggers: triggersSchema.nullable(),
  killedBy: z.array(z.strictObject({ order: digestSchema, reason: z.string(), lifted: z.literal(false) })),
  breach: z
    .strictObject({ revision: count, release: digestSchema, request: digestSchema, reason: z.string(), at: z.string() })
    .nullable(),
  counters: z.array(
    z.strictObject({
      revision: count,
      release: digestSchema,
      version,
      requests: count,
      failures: count,
      slow: count,
      p95Ms: z.number().min(0),
    }),
  ),
  breakers: z.array(
    z.strictObject({
      release: digestSchema,
      version,
      state: z.enum(['open', 'half-open']),
      reason: z.string(),
      failedTries: count,
    }),
  ),
  replicas: z.array(
    z.strictObject({ release: digestSchema, version, host: z.string(), port: z.int(), expiresAt: z.string() }),
  ),
});

const stateSchema: z.ZodType<GatewayState> = z.strictObject({
  environment: z.string(),
  policyVersion: count.nullable(),
  statusVersion: count.nullable(),
  consumers: digestSchema,
  fresh: z.boolean(),
  models: z.array(modelSchema),
});
const routeSchema = z.strictObject({ model: z.string(), revision: count, document: digestSchema });
const killSchema = z.strictObject({ model: z.string(), order: digestSchema, since: z.string().refine(isIsoTime) });
const killsSchema = z.array(z.unknown().transform(parseEnvelope));
const statusSchema = z.strictObject({ statusVersion: count });
const policiesSchema = z.strictObject({ policyVersion: count.nullable() });
const callersSchema: z.ZodType<CallersReport> = z.strictObject({
  models: z.array(
    z.strictObject({
      model: z.string(),
      callers: z.array(
        z.strictObject({
          id: z.string(),
          kind: z.enum(CALLER_KINDS),
          firstSeen: z.string().refine(isIsoTime),
          lastSeen: z.string().refine(isIsoTime),
          requests: count,
          refused: count,
          perSecond: z.number().min(0),
        }),
      ),
      overflow: z.strictObject({ requests: count, refused: count }),
    }),
  ),
});
const consumersSchema: z.ZodType<ConsumersAdmitted> = z.strictObject({
  consumers: digestSchema,
  refused: z.array(z.strictObject({ at: count, code: z.string(), reason: z.string() })),
});
const replicaSchema = z.strictObject({ release: digestSchema });

export function createGatewayClient(at: GatewayAddress): GatewayClient {
  const target = typeof at === 'string' ? { socket: at } : at;
  async function ask<T>(
    method: 'GET' | 'POST',
    path: string,
    body: unknown,
    schema: z.ZodType<T>,
    timeoutMs = SHORT_MS,
  ): Promise<T> {
    const answer = await exchange(target, method, path, body, 'GATEWAY_UNAVAILABLE', timeoutMs);
    return checkShape(schema, answer, `the gateway's answer to ${path}`);
  }
  return {
    deliverRoute: (delivery) => ask('POST', '/routes', delivery, routeSchema),
    deliverKill: (order) => ask('POST', '/kills', order, killSchema, KILL_MS),
    deliverStatus: (status) => ask('POST', '/status', status, statusSchema, KILL_MS),
    deliverReplica: async (replica) => void (await ask('POST', '/replicas', replica, replicaSchema)),
    deliverPolicies: (policies) => ask('POST', '/policies', { policies }, policiesSchema),
    deliverConsumers: (consumers) => ask('POST', '/consumers', { consumers }, consumersSchema),
    callers: () => ask('GET', '/callers', undefined, callersSchema),
    kills: () => ask('GET', '/kills', undefined, killsSchema),
    state: () => ask('GET', '/state', undefined, stateSchema),
    metrics: () => exchangeText(target, '/metrics', 'GATEWAY_UNAVAILABLE'),
  };
}
