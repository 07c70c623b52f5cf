import { readFileSync } from 'node:fs';
import { until } from './until.js';

export interface Consumer {
  readonly id: string;
  /** The file with its bearer token. */
  readonly token: string;
  readonly models: readonly string[];
}

interface Seen {
  served: number;
  /** Statuses and reasons of what was not served. */
  readonly failed: string[];
  readonly versions: Set<string>;
}

interface Caller {
  readonly bearer: string;
  readonly person: string;
}

const EVERY_MS = 4_000;
/** Each of them calls for so many people in turn, who have their own places among the weights. */
const PEOPLE = 10;

/** Systems that each call, all the time, what they depend on: one after the other, all of them in `EVERY_MS`. */
export class Consumers {
  readonly body: string;
  /** Answers whose body names another release than their header. */
  mixed = 0;
  readonly #gateway: string;
  readonly #all: readonly Consumer[];
  readonly #timer: NodeJS.Timeout;
  readonly #underWay = new Set<Promise<unknown>>();
  readonly #seen = new Map<string, Seen>();
  readonly #afterKill = new Map<string, { served: number; refused: number }>();

  constructor(gateway: string, all: readonly Consumer[]) {
    this.#gateway = gateway;
    this.#all = all;
    const data = Array.from({ length: 64 }, () => 0);
    this.body = JSON.stringify({ inputs: [{ name: 'image', shape: [1, 64], datatype: 'FP32', data }] });
    const calling = all.map((consumer) => ({ ...consumer, bearer: readFileSync(consumer.token, 'utf8').trim() }));
    let turn = 0;
    this.#timer = setInterval(() => {
      const round = Math.floor(turn / calling.length);
      const { id = '', bearer = '', models = [] } = calling[turn % calling.length] ?? {};
      turn += 1;
      for (const model of models) this.#begin({ bearer, person: `${id}/${round % PEOPLE}` }, model);
    }, EVERY_MS / all.length);
  }

  address(model: string): URL {
    return new URL(`/v2/models/${model}/infer`, this.#gateway);
  }

  /** Counts from now on. */
  forget(): void {
    this.#seen.clear();
  }

  /** From now on nothing that begins to ask may be served. */
  killed(model: string): void {
    this.#afterKill.set(model, { served: 0, refused: 0 });
  }

  afterKill(model: string): { readonly served: number; readonly refused: number } {
    return this.#afterKill.get(model) ?? { served: 0, refused: 0 };
  }

  seen(model: string): { readonly failed: readonly string[]; readonly versions: readonly string[] } {
    const { failed = [], versions = new Set<string>() } = this.#seen.get(model) ?? {};
    return { failed, versions: [...versions].sort() };
  }

  /** Waits until each model that nobody has killed has served somebody since this was asked. */
  async allServed(): Promise<void> {
    const served = (model: string): number => this.#seen.get(model)?.served ?? 0;
    const models = [...new Set(this.#all.flatMap(({ models }) => models))].filter((each) => !this.#afterKill.has(each));
    const before = new Map(models.map((model) => [model, served(model)]));
    await until('every endpoint to serve', 180, async () => {
      const waiting = models.filter((model) => served(model) === before.get(model));
      if (waiting.length > 0) throw new Error(waiting.join(', '));
      return true;
    });
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#underWay);
  }

  #begin(caller: Caller, model: string): void {
    const after = this.#afterKill.get(model);
    const asked = this.#ask(caller, model, after)
      .catch((error: unknown) => this.#of(model).failed.push(String(error)))
      .finally(() => this.#underWay.delete(asked));
    this.#underWay.add(asked);
  }

  async #ask(
    { bearer, person }: Caller,
    model: string,
    after: { served: number; refused: number } | undefined,
  ): Promise<void> {
    const seen = this.#of(model);
    const headers = {
      authorization: `Bearer ${bearer}`,
      'x-custody-caller': person,
      'content-type': 'application/json',
    };
    const answer = await fetch(this.address(model), { method: 'POST', headers, body: this.body });
    const text = await answer.text();
    if (answer.status !== 200) {
      seen.failed.push(`${answer.status} ${text}`);
      if (after !== undefined) after.refused += 1;
      return;
    }
    seen.served += 1;
    if (after !== undefined) after.served += 1;
    const version = answer.headers.get('x-custody-release-version') ?? '';
    seen.versions.add(version);
    const { model_version: named } = JSON.parse(text) as { model_version?: string };
    if (named !== version) this.mixed += 1;
  }

  #of(model: string): Seen {
    const seen = this.#seen.get(model) ?? { served: 0, failed: [], versions: new Set() };
    this.#seen.set(model, seen);
    return seen;
  }
}
