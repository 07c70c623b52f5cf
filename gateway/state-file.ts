import { z } from 'zod';
import type { Digest } from '../domain/digest.js';
import type { Breach } from '../domain/gateway.js';
import type { LastServed, RoutingDocument } from '../domain/routing.js';
import type { SignedEnvelope, StatusPredicate } from '../domain/statements.js';
import { parseEnvelope } from '../formats/dsse.js';
import { digestSchema } from '../formats/in-toto.js';
import { predicateSchema } from '../formats/predicates.js';
import { DurableFile, readDurable } from './durable-file.js';

/** A kill order that was accepted once. It stays while it could still be replayed, also after it was lifted. */
export interface HeldOrder {
  readonly order: Digest;
  readonly model: string;
  readonly reason: string;
  /** `null` while it is known from a status document only. */
  readonly nonce: string | null;
  readonly expiresAt: string | null;
  readonly lifted: boolean;
  /** The order itself, for control, where it came without control; `null` as the nonce is. */
  readonly envelope: SignedEnvelope | null;
  /** When it first stopped the model here. */
  readonly since: string;
}

export interface HeldRoute {
  /** The newest document admitted: what the next one must follow. */
  readonly head: { readonly digest: Digest; readonly document: RoutingDocument };
  /** What is served by; older than the head while documents are caught up with. */
  readonly inForce: RoutingDocument | null;
  /** When the plan's step in the head has been watched for its time; `null` where the head is not in a plan. */
  readonly baked: string | null;
  /** Of an endpoint that serves nothing any more; `null` where that is not known. */
  readonly gone: LastServed | null;
}

/** What a gateway must not forget. */
export interface Durable {
  readonly policies: readonly SignedEnvelope[];
  /** When the newest of them came. */
  readonly policySince: string | null;
  readonly status: { readonly digest: Digest; readonly predicate: StatusPredicate } | null;
  /** Every release that any status document has revoked. */
  readonly revoked: readonly Digest[];
  readonly routes: readonly HeldRoute[];
  readonly orders: readonly HeldOrder[];
  readonly breaches: readonly { readonly model: string; readonly breach: Breach }[];
}

const FILE = 'state.json';
const EMPTY: Durable = {
  ...{ policies: [], policySince: null, status: null },
  ...{ revoked: [], routes: [], orders: [], breaches: [] },
};

const route = predicateSchema('route');
const schema: z.ZodType<Durable> = z.strictObject({
  policies: z.array(z.unknown().transform(parseEnvelope)),
  policySince: z.string().nullable().default(null),
  status: z.strictObject({ digest: digestSchema, predicate: predicateSchema('status') }).nullable(),
  revoked: z.array(digestSchema).default([]),
  routes: z.array(
    z.strictObject({
      head: z.strictObject({ digest: digestSchema, document: route }),
      inForce: route.nullable(),
      baked: z.string().nullable(),
      gone: z.strictObject({ release: digestSchema, version: z.string(), since: z.string() }).nullable().default(null),
    }),
  ),
  orders: z.array(
    z.strictObject({
      order: digestSchema,
      model: z.string(),
      reason: z.string(),
      nonce: z.string().nullable(),
      expiresAt: z.string().nullable(),
      lifted: z.boolean(),
      envelope: z.unknown().transform((value) => (value === null ? null : parseEnvelope(value))),
      since: z.string(),
    }),
  ),
  breaches: z.array(
    z.strictObject({
      model: z.string(),
      breach: z.strictObject({
        revision: z.int(),
        release: digestSchema,
        request: digestSchema,
        reason: z.string(),
        at: z.string(),
      }),
    }),
  ),
});

/** What the last process left. CONFIG_INVALID when it cannot be read: serving on without it would forget kills. */
export function readState(folder: string): Durable {
  return readDurable(folder, FILE, schema) ?? EMPTY;
}

export function stateFile(folder: string, snapshot: () => Durable): DurableFile {
  const written = new WeakMap<HeldRoute, string>();
  /** A route is replaced, never changed, and so written out once: a kill must not wait until those of a thousand models are. */
  const routeText = (route: HeldRoute): string => {
    const text = written.get(route) ?? JSON.stringify(route);
    written.set(route, text);
    return text;
  };
  return new DurableFile(folder, FILE, () => {
    const { routes, ...others } = snapshot();
    return `${JSON.stringify(others).slice(0, -1)},"routes":[${routes.map(routeText).join(',')}]}`;
  });
}
