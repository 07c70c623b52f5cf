import { setTimeout as delay } from 'node:timers/promises';
import type { ApiClient } from '../adapters/api/client.js';
import type { GatewayClient } from '../adapters/gateway/client.js';
import type { PolicyChain, Records } from '../adapters/records.js';
import type { Digest } from '../domain/digest.js';
import type { ModelState } from '../domain/gateway.js';
import type { SignedEnvelope, StatusPredicate } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime } from '../domain/time.js';
import { envelopeDigest } from '../formats/dsse.js';
import { canonicalBytes } from '../formats/jcs.js';
import type { SigningKey } from '../formats/keys.js';
import { sha256 } from '../formats/sha256.js';
import { signStatement } from '../formats/statements.js';
import type { Inventory } from './inventory.js';
import type { Audit } from './journal.js';
import { notePolicies } from './policy.js';
import type { Router, Standing } from './router.js';
import { StatusDocuments } from './status-document.js';
import { noteCoveredPolicies, policiesOrNote } from './tampering.js';

const DAY_MS = 86_400_000;
/** How long a gateway that came back may wait for what it missed. */
const RECONCILE_MS = 1_000;
/** The endpoint gets an order again after so long without a record of it. */
const TELL_AGAIN_MS = 60_000;

export interface FreshnessDeps {
  readonly records: Records;
  readonly key: SigningKey;
  readonly router: Router;
  readonly inventory: Inventory;
  readonly gateways: readonly GatewayClient[];
  readonly audit: Audit;
  /** They read no store, and learn of policies here. */
  readonly apis: readonly ApiClient[];
  /** Gives an endpoint a kill order, as its message. */
  readonly tell: (model: string, order: SignedEnvelope) => Promise<void>;
  /** Says in the log that the daily extension of locks has not come. */
  readonly noteOverdue: () => Promise<void>;
  readonly onError: (error: unknown, doing: string) => void;
}

/** What the gateways of one round are compared with; the store is asked once, when the first of them has answered. */
interface Round {
  readonly policies: PolicyChain;
  /** Whether they are in the log: until then gateways hear of kills and of what lowers exposure alone. */
  readonly areNoted: boolean;
  readonly standings: () => Promise<readonly Standing[]>;
}

/**
 * Reissues the status document before it gets old, and brings gateways what they lack. A loop in control and not a
 * workflow, so that "not revoked" stays fresh while Temporal is down.
 */
export class Freshness {
  readonly #deps: FreshnessDeps;
  readonly #statuses: StatusDocuments;
  #newest: { readonly envelope: SignedEnvelope; readonly status: StatusPredicate } | null = null;
  #issuedAt = 0;
  #noted = 0;
  readonly #told = new Map<Digest, number>();
  #noting: Promise<boolean> | null = null;
  /** Orders that an endpoint is being told of. */
  readonly #telling = new Set<Digest>();
  #turn: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;
  /** Gateways that have not yet answered all that an earlier round has asked of them. */
  readonly #busy = new Set<number>();

  constructor(deps: FreshnessDeps) {
    this.#deps = deps;
    this.#statuses = new StatusDocuments(deps);
  }

  start(): void {
    const round = async (): Promise<void> => {
      try {
        const { records, audit, noteOverdue } = this.#deps;
        const { newest } = await records.knownPolicies();
        const isDue = Date.now() - this.#issuedAt >= newest.freshness.reissueSeconds * 1000;
        if (isDue) await this.reissue();
        await this.#reconcile();
        await this.#teachApis();
        // Last: they keep nothing from the gateways.
        if (isDue) await noteCoveredPolicies(records, audit);
        if (isDue) await noteOverdue();
      } catch (error) {
        this.#deps.onError(error, 'keeping the gateways up to date');
      }
      if (!this.#stopped) this.#timer = setTimeout(() => void round(), RECONCILE_MS);
    };
    void round();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#turn;
  }

  /** The newest status document that this process has made. */
  get status(): StatusPredicate | null {
    return this.#newest?.status ?? null;
  }

  /** Makes a status document of what stands at this moment, keeps it, and gives it to every gateway. */
  reissue(): Promise<void> {
    const turn = this.#turn.then(() => this.#issue());
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #issue(): Promise<void> {
    const { records, key, gateways } = this.#deps;
    // What is revoked or killed is told also while the policies in the store do not verify.
    const policies = await records.knownPolicies();
    const now = Date.now();
    const status = await this.#statuses.draw(now, policies);
    const subject = { name: `status/${status.version}`, sha256: sha256(canonicalBytes(status)) };
    const envelope = signStatement('status', subject, status, [key]);
    const retainUntil = isoTime(now + policies.newest.retention.statusDays * DAY_MS);
    await records.bucket.createOnce(storeKeys.status(status.version), canonicalBytes(envelope), { retainUntil });
    this.#newest = { envelope, status };
    this.#issuedAt = now;
    // A gateway that cannot be reached gets it in the next round.
    await Promise.allSettled(gateways.map((gateway) => gateway.deliverStatus(envelope)));
  }

  /** Each gateway by itself: one that hangs keeps no other from what it lacks. */
  async #reconcile(): Promise<void> {
    const { gateways, records, router } = this.#deps;
    const policies = await records.usablePolicies();
    const areNoted = await this.#areNoted(policies);
    let asked: Promise<readonly Standing[]> | null = null;
    const round = { policies, areNoted, standings: () => (asked ??= router.standings(policies)) };
    await Promise.all(gateways.map((gateway, at) => this.#alone(gateway, at, round)));
  }

  /** Waits no longer for the log than for a gateway. */
  #areNoted(policies: PolicyChain): Promise<boolean> {
    this.#noting ??= this.#notePolicies(policies)
      .then(
        () => true,
        (error: unknown) => {
          this.#deps.onError(error, 'noting the policies in the log');
          return false;
        },
      )
      .finally(() => (this.#noting = null));
    return Promise.race([this.#noting, delay(RECONCILE_MS, false, { ref: false })]);
  }

  /** Whoever can write to the store can bring a well-signed policy there without asking control: it is in the log first. */
  async #notePolicies({ newest }: PolicyChain): Promise<void> {
    const { records, audit } = this.#deps;
    const policies = await policiesOrNote(records, audit);
    if (this.#noted === newest.version) return;
    await notePolicies(policies, audit);
    this.#noted = newest.version;
  }

  /** The next round does not wait for a gateway that is still busy with an earlier one. */
  async #alone(gateway: GatewayClient, at: number, round: Round): Promise<void> {
    if (this.#busy.has(at)) return;
    this.#busy.add(at);
    const done = this.#bring(gateway, at, round)
      .catch((error: unknown) => this.#deps.onError(error, `keeping gateway ${at + 1} up to date`))
      .finally(() => this.#busy.delete(at));
    await Promise.race([done, delay(RECONCILE_MS, null, { ref: false })]);
  }

  async #bring(gateway: GatewayClient, at: number, { policies, areNoted, standings }: Round): Promise<void> {
    const { envelopes, newest: policy } = policies;
    let state = await gateway.state();
    // A gateway believes nothing before it knows the policy that says whom to believe.
    if (state.policyVersion !== policy.version && (areNoted || state.policyVersion === null)) {
      await gateway.deliverPolicies(envelopes);
      state = await gateway.state();
    }
    const newest = this.#newest;
    if (newest !== null && (state.statusVersion ?? 0) < this.#issuedAt) await gateway.deliverStatus(newest.envelope);
    const has = new Map(state.models.map((served) => [served.model, served]));
    for (const { model, stands } of await standings())
      try {
        if (!isAbreast(has.get(model), stands)) await this.#bringModel(gateway, model, has.get(model));
      } catch (error) {
        // What one endpoint is missing must not keep the others from theirs.
        this.#deps.onError(error, `keeping the gateways up to date with ${model}`);
      }
    // Last: what these hold up is who is known, never what is stopped.
    await this.#deps.inventory.bring(gateway, state);
    await this.#deps.inventory.noteRefused(gateway, at);
  }

  /** By the store as it is now: since it was looked at for all models, this one may have moved on. */
  async #bringModel(gateway: GatewayClient, model: string, has: ModelState | undefined): Promise<void> {
    const { router } = this.#deps;
    const current = await router.current(model);
    // Orders first: what hinders the route must not hold them up.
    const kills = await router.activeKills(model, current);
    const killedBy = has?.killedBy.map(({ order }) => order) ?? [];
    for (const { envelope, verified } of kills)
      if (!killedBy.includes(verified.digest)) await gateway.deliverKill(envelope);
    const recorded = kills.map(({ verified }) => verified.digest);
    const unknown = killedBy.filter((order) => !recorded.includes(order));
    await this.#adopt(gateway, model, unknown);
    if (current !== null && has?.revision !== current.document.revision) await router.deliver(model, [gateway]);
  }

  async #teachApis(): Promise<void> {
    const { envelopes, newest } = await this.#deps.records.policies();
    await Promise.all(
      this.#deps.apis.map(async (api) => {
        if ((await api.policyVersion()) !== newest.version) await api.deliverPolicies(envelopes);
      }),
    );
  }

  /** Orders that reached a gateway without control are told to the endpoint, which keeps and audits them as any other. */
  async #adopt(gateway: GatewayClient, model: string, unknown: readonly Digest[]): Promise<void> {
    if (unknown.length === 0) return;
    for (const order of await gateway.kills()) {
      const digest = envelopeDigest(order);
      if (!unknown.includes(digest)) continue;
      // At first sight it may be on its way through control.
      const toldAt = this.#told.get(digest) ?? Date.now() - TELL_AGAIN_MS;
      if (!this.#told.has(digest)) this.#told.set(digest, toldAt);
      else if (Date.now() - toldAt >= TELL_AGAIN_MS) this.#tellSoon(model, digest, order);
    }
  }

  /** A Temporal that hangs keeps nothing else from the gateways. */
  #tellSoon(model: string, digest: Digest, order: SignedEnvelope): void {
    if (this.#telling.has(digest)) return;
    this.#telling.add(digest);
    void this.#tell(model, digest, order)
      .catch((error: unknown) => this.#deps.onError(error, `telling the endpoint of ${model} of a kill`))
      .finally(() => this.#telling.delete(digest));
  }

  async #tell(model: string, digest: Digest, order: SignedEnvelope): Promise<void> {
    const { router, tell } = this.#deps;
    if (await router.lifted.has(model, digest)) return;
    await tell(model, order);
    this.#told.set(digest, Date.now());
  }
}

/** Whether a gateway lacks nothing of a model, and holds no order that the store does not know. */
function isAbreast(has: ModelState | undefined, stands: Standing['stands']): boolean {
  if (stands === null) return false;
  const { revision, kills } = stands;
  const killedBy = new Set(has?.killedBy.map(({ order }) => order) ?? []);
  const isStopped = kills.length === killedBy.size && kills.every((order) => killedBy.has(order));
  return isStopped && (revision === null || has?.revision === revision);
}
