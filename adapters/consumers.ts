import { authoriseDeclaration, ConsumerRegistry } from '../domain/consumers.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import { storeKeys } from '../domain/store-keys.js';
import { readDeclaration, type Declaration } from '../formats/consumers.js';
import type { PolicyChain, Records } from './records.js';

interface Stored {
  readonly declaration: Declaration;
  readonly storedAt: string;
}

/**
 * The consumers that the store holds statements of. They are told over again from the first on, in the order in which the
 * store took them, by the rules that each was accepted by: what somebody has put beside them counts for nothing.
 */
export class StoredConsumers {
  readonly #records: Records;
  /** `null`: of no use to anybody. */
  readonly #read = new Map<string, Stored | null>();
  #told: { readonly upTo: string; readonly registry: ConsumerRegistry<Declaration> } | null = null;
  #version = 0;

  constructor(records: Records) {
    this.#records = records;
  }

  async registry(): Promise<ConsumerRegistry<Declaration>> {
    const policies = await this.#records.policies();
    if (policies.newest.version !== this.#version) {
      // Whoever signed them may have gained or lost the right to.
      this.#read.clear();
      this.#told = null;
      this.#version = policies.newest.version;
    }
    const keys: string[] = [];
    for await (const key of this.#records.bucket.list(storeKeys.consumers)) keys.push(key);
    const upTo = `${keys.length} ${keys.at(-1) ?? ''}`;
    if (this.#told?.upTo === upTo) return this.#told.registry;
    const found: Stored[] = [];
    for (const key of keys) {
      const stored = await this.#at(key, policies);
      if (stored !== null) found.push(stored);
    }
    const registry = this.#tell(found, policies);
    this.#told = { upTo, registry };
    return registry;
  }

  #tell(found: readonly Stored[], { newest }: PolicyChain): ConsumerRegistry<Declaration> {
    const registry = new ConsumerRegistry<Declaration>();
    const inOrder = [...found].sort(
      (a, b) =>
        Date.parse(a.storedAt) - Date.parse(b.storedAt) ||
        a.declaration.predicate.sequence - b.declaration.predicate.sequence ||
        (a.declaration.digest < b.declaration.digest ? -1 : 1),
    );
    for (const { declaration, storedAt } of inOrder) {
      const { verified, counts, predicate } = declaration;
      const { environment } = this.#records;
      const rules = { environment, newest, known: registry, now: storedAt };
      const isNewer = predicate.sequence > (registry.get(predicate.consumer)?.predicate.sequence ?? 0);
      const taken = counts
        ? authoriseDeclaration(verified, rules).allowed
        : isNewer && predicate.environment === environment;
      if (taken) registry.take(declaration);
    }
    return registry;
  }

  async #at(key: string, policies: PolicyChain): Promise<Stored | null> {
    const known = this.#read.get(key);
    if (known !== undefined) return known;
    const stored = await this.#records.bucket.read(key);
    if (stored === null) return null;
    let found: Stored | null = null;
    try {
      const { storedAt } = stored;
      const declaration = readDeclaration(stored.body.toString('utf8'), policies, storedAt);
      const { consumer, sequence } = declaration.predicate;
      if (key === storeKeys.consumer(consumer, sequence, declaration.digest)) found = { declaration, storedAt };
    } catch (error) {
      if (!(error instanceof CustodyError) || !isPermanent(error.code)) throw error;
    }
    this.#read.set(key, found);
    return found;
  }
}
