import type { Digest } from '../domain/digest.js';
import type { OpenGate } from '../domain/lifecycle.js';

export interface TrainingActivities {
  /** What a run would be refused for, before anybody is asked to agree to it. */
  examine(model: string, run: string, request: unknown): Promise<void>;
  /** `approvals`: digests of what people said to the request. `statement`: the digest of its provenance in WORM. */
  train(
    model: string,
    run: string,
    request: unknown,
    approvals: readonly Digest[],
  ): Promise<{
    readonly source: string;
    readonly bundle: string;
    readonly provenance: string;
    readonly statement: Digest;
  }>;
}

export type TrainingEnded =
  | { readonly kind: 'trained'; readonly statement: Digest }
  | { readonly kind: 'rejected'; readonly code: string; readonly reason: string };

/** Zone control: what a training run needs. */
export interface TrainingControl {
  /** Keeps a request to train, and opens the gate it waits at. */
  openTrainingGate(model: string, run: string, request: unknown): Promise<OpenGate>;
  /** Audits how a run ended; what nobody with the right to has asked for is a refused message. */
  recordTraining(model: string, run: string, request: unknown, ended: TrainingEnded): Promise<void>;
}
