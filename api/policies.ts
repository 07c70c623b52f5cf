import { existsSync, readFileSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { CustodyError } from '../domain/errors.js';
import type { Policies } from '../formats/evidence.js';
import { parseEnvelope } from '../formats/dsse.js';
import { parseJson } from '../formats/json.js';
import type { PinnedRoot } from '../formats/policy.js';
import { Trust } from '../formats/trust.js';

const MAX_BYTES = 256 * 1024 * 1024;

/** The policies that control delivers. They are kept, so that an older chain decides nothing after a restart either. */
export class DeliveredPolicies {
  readonly #file: string;
  readonly #trust: Trust;
  #turn: Promise<unknown> = Promise.resolve();

  /** CONFIG_INVALID when what the last process left cannot be read. */
  constructor(root: PinnedRoot, state: string) {
    this.#file = join(state, 'policies.json');
    this.#trust = new Trust(root, read(this.#file));
  }

  get version(): number | null {
    return this.#trust.version;
  }

  /** PENDING before the first delivery. */
  get current(): Policies {
    return this.#trust.policies;
  }

  /** On disk once it resolves. */
  deliver(envelopes: readonly unknown[]): Promise<{ readonly policyVersion: number | null }> {
    const turn = this.#turn.then(async () => {
      if (this.#trust.offer(envelopes)) await this.#save();
      return { policyVersion: this.#trust.version };
    });
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #save(): Promise<void> {
    const partial = `${this.#file}.partial`;
    const file = await open(partial, 'w', 0o600);
    try {
      await file.writeFile(JSON.stringify(this.#trust.envelopes));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(partial, this.#file);
  }
}

function read(file: string): ReturnType<typeof parseEnvelope>[] {
  if (!existsSync(file)) return [];
  try {
    const kept = parseJson(readFileSync(file), file, { maxBytes: MAX_BYTES });
    return (kept as unknown[]).map((envelope) => parseEnvelope(envelope));
  } catch (cause) {
    throw new CustodyError('CONFIG_INVALID', `${file} is damaged: remove it, and control delivers the policies again`, {
      cause,
    });
  }
}
