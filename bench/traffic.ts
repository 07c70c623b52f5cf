import { Pool, type Dispatcher } from 'undici';

export interface Answer {
  /** By `performance.now()`: when it was due, when it went out, and when the last byte of the answer had come. */
  readonly dueAt: number;
  readonly sentAt: number;
  readonly answeredAt: number;
  readonly status: number;
  /** The release that answered; `null` where it was refused. */
  readonly release: string | null;
}

/** Until the rate is reached: whoever does something for the first time is slow. */
const RAMP_SECONDS = 3;
const CONNECTIONS = 64;
const CALLERS = 40;
const PIXELS = 64;

/**
 * Images of one model at a constant rate, over connections that stay open. Each is due when it is due, whatever has become of
 * those before; as many as there are connections are under way at once.
 */
export class Traffic {
  /** In the order in which they came. */
  readonly answers: Answer[] = [];
  readonly #perSecond: number;
  readonly #pool: Pool;
  readonly #request: Omit<Dispatcher.DispatchOptions, 'headers'>;
  readonly #startedAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  readonly #failures: Error[] = [];
  #sent = 0;

  constructor(url: string, model: string, perSecond: number) {
    this.#perSecond = perSecond;
    this.#pool = new Pool(url, { connections: CONNECTIONS, pipelining: 1 });
    const data = Array.from({ length: PIXELS }, (_, at) => at / PIXELS);
    const body = JSON.stringify({ inputs: [{ name: 'image', shape: [1, PIXELS], datatype: 'FP32', data }] });
    this.#request = { method: 'POST', path: `/v2/models/${model}/infer`, body };
    this.#timer = setInterval(() => this.#sendDue(), 1);
  }

  /** Waits for what is under way. Fails when any request got no answer at all. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#pool.close();
    const [cause] = this.#failures;
    if (cause !== undefined) throw new Error(`${this.#failures.length} of ${this.#sent} requests failed`, { cause });
  }

  #sendDue(): void {
    const seconds = (performance.now() - this.#startedAt) / 1000;
    const ramped = Math.min(seconds, RAMP_SECONDS);
    const due = Math.floor(this.#perSecond * (seconds - ramped + ramped ** 2 / (2 * RAMP_SECONDS)));
    for (; this.#sent < due; this.#sent += 1) this.#send(`caller-${this.#sent % CALLERS}`);
  }

  #send(caller: string): void {
    const headers = { 'content-type': 'application/json', 'x-custody-caller': caller };
    const dueAt = performance.now();
    let [sentAt, status] = [NaN, 0];
    let release: string | null = null;
    this.#pool.dispatch(
      { ...this.#request, headers },
      {
        onRequestStart: () => {
          sentAt = performance.now();
        },
        onResponseStart: (_, code, answered) => {
          status = code;
          release = code === 200 ? String(answered['x-custody-release']) : null;
        },
        onResponseEnd: () => void this.answers.push({ dueAt, sentAt, answeredAt: performance.now(), status, release }),
        onResponseError: (_, error) => void this.#failures.push(error),
      },
    );
  }
}
