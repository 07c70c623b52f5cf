import type { Digest } from '../../domain/digest.js';
import { lifecycleId } from '../../domain/names.js';
import type { SignedEnvelope } from '../../domain/statements.js';
import { isoTime } from '../../domain/time.js';
import { signStatement } from '../../formats/statements.js';
import { HOST } from './model-server.js';
import type { ReplicaReceiver, ServingDeps } from './ports.js';
import type { RelayAddress } from './relay.js';
import type { LiveReplica, Supervisor } from './supervisor.js';

/** So long a gateway believes one announcement: five are missed before it stops. */
const LIFETIME_MS = 10_000;

interface Receiver {
  readonly gateway: ReplicaReceiver;
  /** The delivery under way, so that one gateway that hangs never delays another. */
  busy: Promise<void> | null;
  failing: boolean;
}

/** Tells every gateway, in signed and short-lived statements, where the verified releases of this host answer. */
export class Announcer {
  readonly #deps: Pick<ServingDeps, 'records' | 'key' | 'log'>;
  readonly #supervisor: Pick<Supervisor, 'live'>;
  readonly #relay: RelayAddress | null;
  readonly #receivers: readonly Receiver[];

  constructor(
    deps: Pick<ServingDeps, 'records' | 'key' | 'log' | 'gateways'>,
    supervisor: Pick<Supervisor, 'live'>,
    relay: RelayAddress | null,
  ) {
    this.#deps = deps;
    this.#relay = relay;
    this.#supervisor = supervisor;
    this.#receivers = deps.gateways.map((gateway) => ({ gateway, busy: null, failing: false }));
  }

  /** Begins to tell each gateway that is not still being told. What is answered settles when all have heard or failed. */
  async announce(): Promise<{ readonly told: Promise<unknown> }> {
    // What is found alive was so no later than this: what is said of its end comes after it, whoever hears it first.
    const now = Date.now();
    const statements = this.#statementsOf(await this.#supervisor.live(), now);
    return { told: Promise.all(this.#receivers.map((receiver) => this.#tell(receiver, statements(receiver)))) };
  }

  /** The same of one release alone, also to those who are still being told of all. */
  async announceOne(release: Digest): Promise<{ readonly told: Promise<unknown> }> {
    const now = Date.now();
    const statements = this.#statementsOf(await this.#supervisor.live(release), now);
    return { told: Promise.all(this.#receivers.map((receiver) => this.#deliver(receiver, statements(receiver)))) };
  }

  /** That nobody answers there any more, also to those who are still being told of all: no caller is to be the one to find out. */
  async farewell(gone: LiveReplica): Promise<void> {
    const statements = this.#statementsOf([gone], Date.now(), 0);
    await Promise.all(this.#receivers.map((receiver) => this.#deliver(receiver, statements(receiver))));
  }

  #statementsOf(
    replicas: readonly LiveReplica[],
    now: number,
    lifetimeMs = LIFETIME_MS,
  ): (receiver: Receiver) => readonly SignedEnvelope[] {
    const times = { issuedAt: isoTime(now), expiresAt: isoTime(now + lifetimeMs) };
    const at = (replica: LiveReplica, where: RelayAddress): SignedEnvelope => this.#statement(replica, where, times);
    const here = replicas.map((replica) => at(replica, { host: HOST, port: replica.port }));
    const relay = this.#relay;
    const away = relay === null ? [] : replicas.map((replica) => at(replica, relay));
    return ({ gateway }) => (gateway.isHere ? here : away);
  }

  #statement(
    { model, version, release }: LiveReplica,
    { host, port }: RelayAddress,
    times: { readonly issuedAt: string; readonly expiresAt: string },
  ): SignedEnvelope {
    const predicate = { environment: this.#deps.records.environment, model, version, host, port, ...times };
    const subject = { name: lifecycleId({ model, version }), sha256: release };
    return signStatement('replica', subject, predicate, [this.#deps.key]);
  }

  #tell(receiver: Receiver, statements: readonly SignedEnvelope[]): Promise<void> {
    receiver.busy ??= this.#deliver(receiver, statements).finally(() => {
      receiver.busy = null;
    });
    return receiver.busy;
  }

  /** A gateway that is down is told again at the next turn; the log says when it went and when it came back. */
  async #deliver(receiver: Receiver, statements: readonly SignedEnvelope[]): Promise<void> {
    if (statements.length === 0) return;
    const { log } = this.#deps;
    const answers = await Promise.allSettled(statements.map((each) => receiver.gateway.deliverReplica(each)));
    const failed = answers.find((answer) => answer.status === 'rejected');
    if (failed !== undefined && !receiver.failing)
      log.warn({ reason: String(failed.reason) }, 'a gateway does not take replicas');
    if (failed === undefined && receiver.failing) log.info({}, 'a gateway takes replicas again');
    receiver.failing = failed !== undefined;
  }
}
