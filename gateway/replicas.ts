/** One running model server, as a signed statement says. */
export interface Replica {
  readonly version: string;
  readonly host: string;
  readonly port: number;
  /** As URLs have it. */
  readonly origin: string;
  readonly expiresAtMs: number;
}

const MAX_REPLICAS = 256;

/** The replicas of one release. One whose statement has expired is not used: who vanished no longer says where it is. */
export class ReplicaPool {
  #replicas: Replica[] = [];
  #turn = 0;

  /** Adds a replica or renews it; the statement that lasts longer counts. */
  add(replica: Replica, now: number): void {
    const isSame = ({ host, port }: Replica): boolean => host === replica.host && port === replica.port;
    const known = this.#replicas.find(isSame);
    if (known !== undefined && known.expiresAtMs >= replica.expiresAtMs) return;
    const others = this.alive(now).filter((other) => !isSame(other));
    this.#replicas = [...others, replica].slice(-MAX_REPLICAS);
  }

  alive(now: number): Replica[] {
    return this.#replicas.filter(({ expiresAtMs }) => expiresAtMs > now);
  }

  isAlive(now: number): boolean {
    for (const { expiresAtMs } of this.#replicas) if (expiresAtMs > now) return true;
    return false;
  }

  /** The next one alive, in turn; `null` when there is none. */
  pick(now: number): Replica | null {
    const { length } = this.#replicas;
    for (let tried = 0; tried < length; tried += 1) {
      this.#turn = (this.#turn + 1) % length;
      const replica = this.#replicas[this.#turn];
      if (replica !== undefined && replica.expiresAtMs > now) return replica;
    }
    return null;
  }
}
