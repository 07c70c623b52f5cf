import { describe, expect, test } from 'vitest';
import { GatewayStates } from '../../../activities/gateway-states.js';
import type { GatewayState, ModelState } from '../../../domain/gateway.js';

type Revision = readonly [model: string, revision: number];

/** What a gateway answers once it is let: its questions, in order. */
class Gateway {
  readonly asked: { answer(...models: readonly Revision[]): void; refuse(): void }[] = [];
  #seen = (): void => undefined;

  state(): Promise<GatewayState> {
    return new Promise((resolve, reject) => {
      this.asked.push({
        answer: (...models) => resolve({ models: models.map(of) } as unknown as GatewayState),
        refuse: () => reject(new Error('down')),
      });
      this.#seen();
    });
  }

  /** Resolves once it has been asked so often. */
  async askedTimes(count: number): Promise<void> {
    while (this.asked.length < count) await new Promise<void>((done) => (this.#seen = done));
  }
}

const of = ([model, revision]: Revision): ModelState => ({ model, revision }) as ModelState;

describe('how gateways stand', () => {
  test('is asked once for all who ask at one moment', async () => {
    const gateway = new Gateway();
    const states = new GatewayStates([gateway]);
    const names = Array.from({ length: 50 }, (_, at) => `m-${at}`);
    const all = Promise.all(names.map((name) => states.of(name)));
    await gateway.askedTimes(1);
    gateway.asked[0]!.answer(...names.map((name, at) => [name, at] as Revision));
    expect(await all).toEqual(names.map((name, at) => [{ model: name, revision: at }]));
    expect(gateway.asked).toHaveLength(1);
  });

  test('attack: whoever asks while an answer is on its way is not given that one, which may be older', async () => {
    const gateway = new Gateway();
    const states = new GatewayStates([gateway]);
    const before = states.of('digits');
    await gateway.askedTimes(1);
    const after = states.of('digits');
    gateway.asked[0]!.answer(['digits', 1]);
    expect(await before).toEqual([of(['digits', 1])]);
    await gateway.askedTimes(2);
    gateway.asked[1]!.answer(['digits', 2]);
    expect(await after).toEqual([of(['digits', 2])]);
  });

  test('attack: one gateway that is down, and one that does not know the model, are told from each other', async () => {
    const gateways = [new Gateway(), new Gateway()];
    const states = new GatewayStates(gateways);
    const asked = states.of('digits');
    await Promise.all(gateways.map((gateway) => gateway.askedTimes(1)));
    gateways[0]!.asked[0]!.refuse();
    gateways[1]!.asked[0]!.answer(['other', 1]);
    expect(await asked).toEqual([null, 'unknown']);
  });
});
