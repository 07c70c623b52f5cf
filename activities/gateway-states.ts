import { setTimeout as delay } from 'node:timers/promises';
import type { GatewayClient } from '../adapters/gateway/client.js';
import type { Seen } from '../domain/analysis.js';
import type { ModelState } from '../domain/gateway.js';

/** So long whoever asks waits for others who do, and adds so much to the time between two looks. */
export const TOGETHER_MS = 100;

/** What each gateway says of each model: a gateway says it of all at once, so all who watch at one moment ask it once. */
export class GatewayStates {
  readonly #gateways: readonly Pick<GatewayClient, 'state'>[];
  #next: Promise<readonly (ReadonlyMap<string, ModelState> | null)[]> | null = null;

  constructor(gateways: readonly Pick<GatewayClient, 'state'>[]) {
    this.#gateways = gateways;
  }

  /** The model as each gateway has it, and never as it was before this was asked; one that does not answer says nothing. */
  async of(model: string): Promise<readonly Seen[]> {
    this.#next ??= this.#ask();
    const states = await this.#next;
    return states.map((models) => (models === null ? null : (models.get(model) ?? 'unknown')));
  }

  async #ask(): Promise<readonly (ReadonlyMap<string, ModelState> | null)[]> {
    await delay(TOGETHER_MS);
    // Whoever comes from here on may not be told what is about to be read.
    this.#next = null;
    const states = await Promise.allSettled(this.#gateways.map((gateway) => gateway.state()));
    return states.map((state) =>
      state.status === 'rejected' ? null : new Map(state.value.models.map((each) => [each.model, each])),
    );
  }
}
