import { shortDigest, type Digest } from '../domain/digest.js';

/** A kill that did not take effect everywhere in the time that the policy gives it. */
export interface LateKill {
  readonly order: Digest;
  readonly why: string;
}

const MAX_KEPT = 20;

/** Shown for as long as the order stands; the newest of many. */
export class LateKills {
  private kills: readonly LateKill[];

  constructor(carried: readonly LateKill[]) {
    this.kills = carried;
  }

  add(order: Digest, why: string): void {
    this.kills = [...this.kills.filter((kill) => kill.order !== order), { order, why }].slice(-MAX_KEPT);
  }

  standing(killedBy: readonly Digest[]): readonly LateKill[] {
    return this.kills.filter(({ order }) => killedBy.includes(order));
  }

  trouble(killedBy: readonly Digest[]): readonly string[] {
    return this.standing(killedBy).map(({ order, why }) => `kill ${shortDigest(order)}: ${why}`);
  }
}
