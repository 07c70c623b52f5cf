import type { BreakerLimits } from '../domain/breaker.js';
import type { Retiring } from '../domain/ending-predicates.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { Endpoint } from './endpoint.js';
import { endingsOf, NO_ENDINGS } from './endings.js';
import { lifts } from './orders.js';
import type { Durable, HeldOrder, HeldRoute } from './state-file.js';

const DAY_MS = 86_400_000;

export interface EndpointsDeps {
  readonly report: (error: unknown, what: string) => void;
  /** Something is new that must outlive this process, and need not be on disk before the next request. */
  readonly saveSoon: (what: string) => void;
}

/** Every model that this gateway has heard of. */
export class Endpoints {
  readonly #deps: EndpointsDeps;
  readonly #known = new Map<string, Endpoint>();
  #limits: BreakerLimits | null = null;
  #endings = endingsOf([]);

  constructor(deps: EndpointsDeps) {
    this.#deps = deps;
  }

  find(model: string): Endpoint | undefined {
    return this.#known.get(model);
  }

  all(): readonly Endpoint[] {
    return [...this.#known.values()];
  }

  open(model: string): Endpoint {
    const known = this.#known.get(model);
    if (known !== undefined) return known;
    const { report, saveSoon } = this.#deps;
    const endpoint = new Endpoint(model, {
      breach: () => {
        report(endpoint.breach, `a trigger of ${model} was breached`);
        saveSoon('the breach');
      },
      breaker: (version, reason) => report(new Error(reason), `the breaker of ${model} ${version} has opened`),
    });
    endpoint.limit(this.#limits);
    endpoint.announce(this.#endings.get(model) ?? NO_ENDINGS);
    this.#known.set(model, endpoint);
    return endpoint;
  }

  /** The breakers of the newest policy. */
  limit(limits: BreakerLimits | null): void {
    this.#limits = limits;
    for (const endpoint of this.#known.values()) endpoint.limit(limits);
  }

  /** The ends of releases that the newest status document announces. */
  announce(retiring: readonly Retiring[]): void {
    this.#endings = endingsOf(retiring);
    for (const endpoint of this.#known.values()) endpoint.announce(this.#endings.get(endpoint.model) ?? NO_ENDINGS);
  }

  /** What an earlier process has left. */
  restore({ routes, breaches, orders }: Durable): void {
    for (const route of routes) {
      const { model } = route.head.document;
      this.open(model).use(route, breaches.find((held) => held.model === model)?.breach ?? null);
    }
    for (const order of orders) this.open(order.model).hold(order);
    // The document may have been written and its orders not yet marked.
    for (const endpoint of this.#known.values()) this.lift(endpoint);
  }

  /** Orders that the document lists end; only a quorum's document can list more than the one before. */
  lift(endpoint: Endpoint): void {
    for (const order of endpoint.orders.values())
      if (!order.lifted && lifts(endpoint.route?.head.document, order.order, order.expiresAt))
        endpoint.hold({ ...order, lifted: true });
  }

  /** The orders that stop something here, as they came. */
  stoppedBy(): readonly SignedEnvelope[] {
    const held = this.all().flatMap(({ orders }) => [...orders.values()]);
    return held.flatMap(({ lifted, envelope }) => (lifted || envelope === null ? [] : [envelope]));
  }

  /** A lifted order need not be remembered once it could not be accepted any more. */
  forgetOrders(): void {
    const gone = ({ lifted, expiresAt }: HeldOrder): boolean =>
      lifted && expiresAt !== null && Date.parse(expiresAt) + DAY_MS < Date.now();
    for (const { orders } of this.#known.values())
      for (const order of orders.values()) if (gone(order)) orders.delete(order.order);
  }

  /** What must outlive this process; of the models in `pending`, the routes there. */
  durable(pending: ReadonlyMap<string, HeldRoute>): Pick<Durable, 'routes' | 'orders' | 'breaches'> {
    const endpoints = this.all();
    const routes = new Map(endpoints.map(({ model, route }) => [model, route] as const));
    for (const [model, route] of pending) routes.set(model, route);
    return {
      routes: [...routes.values()].filter((route) => route !== null),
      orders: endpoints.flatMap(({ orders }) => [...orders.values()]),
      breaches: endpoints.flatMap(({ model, breach }) => (breach === null ? [] : [{ model, breach }])),
    };
  }
}
