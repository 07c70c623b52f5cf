import type { Digest } from '../domain/digest.js';
import type { DrillMeasured, DrillPredicate, DrillStep } from '../domain/drill.js';

/** What a drill goes by from its beginning to its end. */
export interface DrillBegun {
  readonly model: string;
  /** What serves, and what is gone back to. */
  readonly serving: Digest;
  readonly earlier: Digest;
}

/** One step, with what it came to. */
export interface DrillTaken extends DrillMeasured {
  readonly step: DrillStep;
}

/** Zone control: what a drill needs. Which endpoint it is says the policy, whoever has started the workflow. */
export interface DrillControl {
  /** Whether a drill may begin now, and from where. */
  beginDrill(): Promise<
    ({ readonly kind: 'ready' } & DrillBegun) | { readonly kind: 'failed' | 'postponed'; readonly why: string }
  >;
  /** Gives one signed order, as people do, and measures until callers at every gateway see that it has taken effect. */
  drillStep(step: DrillStep, begun: DrillBegun): Promise<DrillMeasured>;
  /** Signs and keeps what a drill has shown, and audits it; `notHeld` says why there is nothing to show. */
  recordDrill(shown: {
    readonly startedAt: string;
    readonly begun: DrillBegun | null;
    readonly steps: readonly DrillTaken[];
    readonly notHeld: { readonly kind: 'failed' | 'postponed'; readonly why: string } | null;
  }): Promise<DrillPredicate>;
}
