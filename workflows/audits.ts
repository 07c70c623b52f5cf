import { log } from '@temporalio/workflow';
import { reasonOf } from './failures.js';

/** What has been done already and is being audited, beside all else. */
export class Audits {
  private open = 0;

  get none(): boolean {
    return this.open === 0;
  }

  add(audit: () => Promise<unknown>): void {
    this.open += 1;
    void audit()
      .catch((error: unknown) => log.error('what was done could not be audited', { reason: reasonOf(error) }))
      .finally(() => (this.open -= 1));
  }
}
