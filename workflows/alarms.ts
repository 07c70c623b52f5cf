import type { AlertsTaken } from '../activities/contract.js';
import type { Digest } from '../domain/digest.js';

/** A security alert that people have to answer. */
export type Alarm = AlertsTaken['alarms'][number];

const MAX_KEPT = 20;

/** Shown for as long as the release has callers; the newest of many. */
export class Alarms {
  private alarms: readonly Alarm[];

  constructor(carried: readonly Alarm[]) {
    this.alarms = carried;
  }

  add(...alarms: readonly Alarm[]): void {
    this.alarms = [...this.alarms, ...alarms].slice(-MAX_KEPT);
  }

  standing(serving: readonly { readonly release: Digest; readonly weight: number }[]): readonly Alarm[] {
    return this.alarms.filter((alarm) =>
      serving.some(({ release, weight }) => release === alarm.release && weight > 0),
    );
  }
}
