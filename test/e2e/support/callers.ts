import { pointOf } from '../../../gateway/headers.js';

/** A caller who was not served. */
export interface Failed {
  /** Its place among the weights. */
  readonly point: number;
  /** Of the answer; `null`: there was none. */
  readonly status: number | null;
  /** The release that answered it so; `null` where none did. */
  readonly version: string | null;
  readonly said: string;
}

const EVERY_MS = 25;
/** In turn, each with a place of its own among the weights. */
const NAMES = 60;

/** Callers of a model, all the time, that look into every answer; `parts` is what each version's answers are to say. */
export class Callers {
  readonly failed: Failed[] = [];
  readonly mixed: string[] = [];
  readonly versions = new Map<string, number>();
  readonly #url: URL;
  readonly #model: string;
  readonly #parts: ReadonlyMap<string, string>;
  readonly #underWay = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;
  #count = 0;

  constructor(gateway: string, model: string, parts: ReadonlyMap<string, string>, from = 0) {
    this.#url = new URL(`/v2/models/${model}/infer`, gateway);
    this.#model = model;
    this.#parts = parts;
    const names = Array.from({ length: NAMES }, (_, at) => `looker-${at}`).filter(
      (name) => pointOf(name, model) >= from,
    );
    this.#timer = setInterval(() => {
      const asked = this.ask(names[(this.#count += 1) % names.length] ?? '').finally(() =>
        this.#underWay.delete(asked),
      );
      this.#underWay.add(asked);
    }, EVERY_MS);
  }

  /** Calls that have not been answered yet. */
  get waiting(): number {
    return this.#underWay.size;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#underWay);
  }

  async ask(
    caller: string,
    { pixel = 0, headers: own = {} }: { readonly pixel?: number; readonly headers?: Record<string, string> } = {},
  ): Promise<void> {
    const point = pointOf(caller, this.#model);
    const data = Array.from({ length: 64 }, () => pixel);
    const body = JSON.stringify({ inputs: [{ name: 'image', shape: [1, 64], datatype: 'FP32', data }] });
    const headers = { 'content-type': 'application/json', 'x-custody-caller': caller, ...own };
    try {
      const answer = await fetch(this.#url, { method: 'POST', headers, body });
      const version = answer.headers.get('x-custody-release-version');
      const said = await answer.text();
      if (answer.status === 200) this.#look(version ?? '', said);
      else this.failed.push({ point, status: answer.status, version, said });
    } catch (error) {
      this.failed.push({ point, status: null, version: null, said: String(error) });
    }
  }

  #look(version: string, text: string): void {
    this.versions.set(version, (this.versions.get(version) ?? 0) + 1);
    const said = JSON.parse(text) as { model_version: string; parameters: { parts: string } };
    if (said.model_version !== version || said.parameters.parts !== this.#parts.get(version))
      this.mixed.push(`${version}: ${said.model_version} ${said.parameters.parts}`);
  }
}
