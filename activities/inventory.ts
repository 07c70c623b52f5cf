import type { StoredConsumers } from '../adapters/consumers.js';
import type { GatewayClient } from '../adapters/gateway/client.js';
import type { Records } from '../adapters/records.js';
import type { Digest } from '../domain/digest.js';
import type { GatewayState, SeenOfModel } from '../domain/gateway.js';
import { sha256 } from '../formats/sha256.js';
import { consumersDigest } from '../formats/consumers.js';
import { toRecord, type Audit } from './journal.js';

export interface InventoryDeps {
  readonly records: Records;
  readonly consumers: StoredConsumers;
  readonly audit: Audit;
  /** The authority id of control. */
  readonly id: string;
  readonly onError: (error: unknown, doing: string) => void;
}

/** So many statements go in one delivery. */
const BATCH = 1000;
/** A gateway that refuses some of them is not given the same ones every second. */
const AGAIN_MS = 60_000;
/** One record tells of all that a gateway has refused in this time. */
const REFUSALS_MS = 60_000;
const SAMPLES = 3;

/** What control does for the inventory beside its workflows: gateways learn of consumers, and the log of callers refused. */
export class Inventory {
  readonly #deps: InventoryDeps;
  readonly #tried = new Map<GatewayClient, { readonly what: string; readonly at: number }>();
  readonly #noted = new Map<GatewayClient, number>();

  constructor(deps: InventoryDeps) {
    this.#deps = deps;
  }

  /** Gives a gateway the newest statement of each consumer, unless it has them all. */
  async bring(gateway: GatewayClient, { consumers: has }: Pick<GatewayState, 'consumers'>): Promise<void> {
    const all = (await this.#deps.consumers.registry()).all();
    const wanted = consumersDigest(all);
    const what = `${has} ${wanted}`;
    const tried = this.#tried.get(gateway);
    if (has === wanted || (tried?.what === what && Date.now() - tried.at < AGAIN_MS)) return;
    this.#tried.set(gateway, { what, at: Date.now() });
    for (let at = 0; at < all.length; at += BATCH) {
      const batch = all.slice(at, at + BATCH);
      const { refused } = await gateway.deliverConsumers(batch.map(({ envelope }) => envelope));
      for (const { at: place, code, reason } of refused)
        this.#deps.onError(
          new Error(`${code}: ${reason}`),
          `telling a gateway of the consumer ${batch[place]?.predicate.consumer ?? ''}`,
        );
    }
  }

  /** Writes down how many callers a gateway has refused: sums, so that the same ones told again are the same record. */
  async noteRefused(gateway: GatewayClient, at: number): Promise<void> {
    if (Date.now() - (this.#noted.get(gateway) ?? 0) < REFUSALS_MS) return;
    const { models } = await gateway.callers();
    const { newestDigest: policy } = await this.#deps.records.knownPolicies();
    const records = models.flatMap((seen) => {
      const refused = refusedOf(seen);
      return refused === null
        ? []
        : [toRecord({ ...refused, ...this.#about(seen.model, at, refused.key, policy) }, null)];
    });
    if (records.length > 0) await this.#deps.audit.append(records);
    this.#noted.set(gateway, Date.now());
  }

  #about(model: string, at: number, key: string, policy: Digest) {
    return {
      change: 'caller.refused',
      key: `${at} ${model} ${key}`,
      actor: { id: this.#deps.id, statement: null },
      subject: { model, version: null, release: null },
      policy,
    } as const;
  }
}

/** How many, of how many names, and some of them; `null` where none was. */
function refusedOf({ callers, overflow }: SeenOfModel): { readonly key: string; readonly reason: string } | null {
  const refused = callers.filter((caller) => caller.refused > 0);
  const count = refused.reduce((sum, caller) => sum + caller.refused, overflow.refused);
  if (count === 0) return null;
  const newest = [...refused].sort((a, b) => Date.parse(b.lastSeen) - Date.parse(a.lastSeen));
  const names = newest.slice(0, SAMPLES).map(({ kind, id }) => (id === '' ? kind : `${kind} ${id}`));
  const last = newest[0]?.lastSeen ?? '';
  const key = sha256(`${count} ${last} ${overflow.refused}`);
  return {
    key,
    reason: `${count} requests refused so far, of ${refused.length} callers, last at ${last}: ${names.join(', ')}`,
  };
}
