/** One running model server, as a signed statement says. */
export interface Replica {
  readonly version: string;
  readonly host: string;
  readonly port: number;
  /** As URLs have it. */
  readonly origin: string;
  readonly issuedAtMs: number;
  /** 0: it has said itself that it is gone. */
  readonly expiresAtMs: number;
}

const MAX_REPLICAS = 256;
const REMEMBERED_MS = 60_000;

/** The replicas of one release. One whose statement has expired is not used: who vanished no longer says where it is. */
export class ReplicaPool {
  #replicas: Replica[] = [];
  #turn = 0;

  /** Adds a replica, renews it or takes it away: of the same one, the statement that was made later counts. */
  add(replica: Replica, now: number): void {
    const isSame = ({ host, port }: Replica): boolean => host === replica.host && port === replica.port;
    const known = this.#replicas.find(isSame);
    if (known !== undefined && !isLater(replica, known)) return;
    // Who has left is remembered for as long as an older statement could bring it back.
    const others = this.#replicas.filter((other) => other.issuedAtMs > now - REMEMBERED_MS && !isSame(other));
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

/** Of two statements of one moment, that it is gone was made last; otherwise the one that lasts longer. */
function isLater(next: Replica, known: Replica): boolean {
  if (next.issuedAtMs !== known.issuedAtMs) return next.issuedAtMs > known.issuedAtMs;
  return next.expiresAtMs === 0 || (known.expiresAtMs !== 0 && next.expiresAtMs > known.expiresAtMs);
}
