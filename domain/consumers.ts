import type { Digest } from './digest.js';
import { lookOf } from './names.js';
import { denied, type Permission } from './permission.js';
import { findAuthority, type Policy } from './policy.js';
import type { Verified } from './statements.js';

/** How bad it is for a consumer to lose its model. */
export const CRITICALITIES = ['low', 'normal', 'high', 'critical'] as const;
export type Criticality = (typeof CRITICALITIES)[number];

/** By what a gateway knows a consumer: something that only it has. */
export type ConsumerIdentity =
  /** SHA-256 of the bearer token. */
  | { readonly kind: 'token'; readonly sha256: Digest }
  /** SHA-256 of the public key (SPKI, DER) of its client certificate. */
  | { readonly kind: 'certificate'; readonly spki: Digest }
  /** Subject of its client certificate, as `subjectOf` in `formats/consumers` writes it. */
  | { readonly kind: 'subject'; readonly subject: string };

/** A system that depends on models; where to write to its owner is in the directory, not here. */
export interface ConsumerPredicate {
  readonly environment: string;
  readonly consumer: string;
  /** A statement takes the place of those with a lower one. */
  readonly sequence: number;
  /** Whose endpoints it calls. None: it has been removed. */
  readonly models: readonly string[];
  /** Where it is itself the endpoint of a model: whoever calls that one depends on `models`, too. */
  readonly endpoint: string | null;
  /** An authority of the policy, who answers for it. */
  readonly owner: string;
  readonly criticality: Criticality;
  /** The entry of the directory under which its people are written to. */
  readonly contact: string;
  readonly identities: readonly ConsumerIdentity[];
  readonly issuedAt: string;
  readonly expiresAt: string;
}

/** The newest statement about a consumer. */
export interface Declared {
  readonly digest: Digest;
  readonly predicate: ConsumerPredicate;
  /** `false`: whoever signed it may not any more. It still stands in the way of the statements before it. */
  readonly counts: boolean;
}

const MAX_DAYS = 366;
const DAY_MS = 86_400_000;
/** So that nobody who may sign for a consumer can use up all numbers before others correct it. */
const MAX_GAP = 1000;

/** One form of each identity, to tell whether two are the same. */
export function identityKey(identity: ConsumerIdentity): string {
  switch (identity.kind) {
    case 'token':
      return `token ${identity.sha256}`;
    case 'certificate':
      return `certificate ${identity.spki}`;
    case 'subject':
      return `subject ${identity.subject}`;
  }
}

/** Whether it is a consumer at this time, in milliseconds since the epoch. */
export function isEffective({ predicate, counts }: Declared, now: number): boolean {
  return counts && predicate.models.length > 0 && now <= Date.parse(predicate.expiresAt);
}

/** What a consumer is, in a word: `void` where whoever declared it may not any more. */
export function stateOf(declared: Declared, now: number): 'declared' | 'removed' | 'expired' | 'void' {
  if (declared.predicate.models.length === 0) return 'removed';
  if (!declared.counts) return 'void';
  return isEffective(declared, now) ? 'declared' : 'expired';
}

/**
 * An operator speaks for any consumer; an owner with the role `consumer` for its own, and takes nobody else's: `before` is
 * what was declared of it last.
 */
export function mayDeclare(
  policy: Policy,
  signers: readonly string[],
  { owner }: Pick<ConsumerPredicate, 'owner'>,
  before: Pick<ConsumerPredicate, 'owner'> | null,
): boolean {
  return signers.some((id) => {
    const roles = findAuthority(policy, id)?.roles ?? [];
    return (
      roles.includes('operator') || (roles.includes('consumer') && id === owner && (before ?? { owner }).owner === id)
    );
  });
}

/** The consumers of an environment, each by its newest statement: the ids that are taken, and what each is known by. */
export class ConsumerRegistry<D extends Declared = Declared> {
  readonly #byId = new Map<string, D>();
  readonly #looks = new Map<string, string>();
  readonly #holders = new Map<string, string>();

  get(consumer: string): D | null {
    return this.#byId.get(consumer) ?? null;
  }

  /** By id, those that count no more and those that were removed among them. */
  all(): readonly D[] {
    return [...this.#byId.values()].sort((a, b) => (a.predicate.consumer < b.predicate.consumer ? -1 : 1));
  }

  /** The consumer that is known by this at this time. */
  holder(key: string, now: number): string | null {
    const held = this.get(this.#holders.get(key) ?? '');
    return held !== null && isEffective(held, now) ? held.predicate.consumer : null;
  }

  take(declared: D): void {
    const { consumer } = declared.predicate;
    for (const identity of this.get(consumer)?.predicate.identities ?? []) {
      const key = identityKey(identity);
      if (this.#holders.get(key) === consumer) this.#holders.delete(key);
    }
    this.#byId.set(consumer, declared);
    this.#looks.set(lookOf(consumer), consumer);
    for (const identity of declared.predicate.identities) this.#holders.set(identityKey(identity), consumer);
  }

  /** Who has the same look as this id, and is another one. */
  twin(consumer: string): string | null {
    const found = this.#looks.get(lookOf(consumer)) ?? consumer;
    return found === consumer ? null : found;
  }
}

interface DeclarationRules {
  readonly environment: string;
  readonly newest: Policy;
  readonly known: ConsumerRegistry;
  readonly now: string;
}

/** Whether a statement takes its place after what is known: everything that a gateway asks of it, too. */
export function authoriseDeclaration(next: Verified<ConsumerPredicate>, rules: DeclarationRules): Permission {
  const { environment, newest, known, now } = rules;
  const said = next.predicate;
  const before = known.get(said.consumer)?.predicate ?? null;
  if (said.environment !== environment) return denied('REPLAYED', `it is for environment ${said.environment}`);
  if (!mayDeclare(newest, next.signers, said, before))
    return denied(
      'NOT_AUTHORISED',
      `${next.signers.join(', ')} may not speak for ${said.consumer}: its owner or an operator may`,
    );
  if (before !== null && said.sequence <= before.sequence)
    return denied(
      'REPLAYED',
      `${said.consumer} was declared with the number ${before.sequence}: this is ${said.sequence}`,
    );
  const twin = known.twin(said.consumer);
  if (twin !== null) return denied('POLICY_REFUSED', `${said.consumer} looks like ${twin}, which is another consumer`);
  for (const identity of said.identities) {
    const holder = known.holder(identityKey(identity), Date.parse(now));
    if (holder !== null && holder !== said.consumer)
      return denied('POLICY_REFUSED', `${holder} is known by the same ${identity.kind}: each is one consumer's`);
  }
  return { allowed: true, approvers: next.signers };
}

/** What is asked in addition of a statement that arrives now, before it is kept. */
export function authoriseNewDeclaration(next: Verified<ConsumerPredicate>, rules: DeclarationRules): Permission {
  const { owner, issuedAt, expiresAt, sequence, consumer } = next.predicate;
  const last = rules.known.get(consumer)?.predicate.sequence ?? 0;
  if (Date.parse(expiresAt) - Date.parse(issuedAt) > MAX_DAYS * DAY_MS)
    return denied(
      'POLICY_REFUSED',
      `a consumer is declared for ${MAX_DAYS} days at most: what nobody renews is forgotten`,
    );
  if (findAuthority(rules.newest, owner) === null)
    return denied('POLICY_REFUSED', `its owner ${owner} is nobody in the policy: people are named by their ids there`);
  if (sequence > last + MAX_GAP)
    return denied('POLICY_REFUSED', `the number ${sequence} is too far from ${last}, its last one`);
  return authoriseDeclaration(next, rules);
}
