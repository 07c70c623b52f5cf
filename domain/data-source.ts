import type { Digest } from './digest.js';
import { denied, type Permission } from './permission.js';
import { findAuthority, type Policy, type Role } from './policy.js';
import type { Verified } from './statements.js';
import { MAX_SKEW_MS } from './time.js';

/**
 * What a model may be trained on: data, whose they are, and through whose hands they have come. The subject is the SHA-256 of the
 * list of their files, as `sha256sum` prints it in the order of the paths' bytes (in-toto's dirHash). Signed by whoever holds
 * them last.
 */
export interface DataSourcePredicate {
  readonly environment: string;
  /** What people call the data. */
  readonly source: string;
  /** An authority of the policy with the role publisher. */
  readonly publisher: string;
  /** SPDX expression, or the name of a licence. */
  readonly licence: string;
  /** Where the publisher has them for everybody: an address, or words. */
  readonly origin: string;
  readonly files: number;
  /** The Croissant description that came with them: one of the files, by its SHA-256. */
  readonly croissant: Digest | null;
  /** Digests of the handovers, in their order. */
  readonly chain: readonly Digest[];
  readonly issuedAt: string;
}

/** One has given data to another, who has them from then on. Subject: as of the data source. Signed by who gives. */
export interface HandoverPredicate {
  readonly environment: string;
  readonly source: string;
  readonly from: string;
  readonly to: string;
  /** The handover before this; `null`: it comes from the publisher. */
  readonly previous: Digest | null;
  readonly reason: string;
  readonly issuedAt: string;
}

interface Custody {
  readonly source: Verified<DataSourcePredicate>;
  /** Those that it names, as far as they were found. */
  readonly links: readonly Verified<HandoverPredicate>[];
}

const HOLDERS: readonly Role[] = ['publisher', 'data-steward'];

/**
 * Whether data may be used: their publisher is trusted, and they have come from there to whoever vouches for them through the
 * hands of people and systems that the policy names for it, without a gap and without going round. Bytes are compared elsewhere.
 */
export function authoriseData(
  { source, links }: Custody,
  { environment, newest, now }: { readonly environment: string; readonly newest: Policy; readonly now: string },
): Permission {
  const said = source.predicate;
  const mayHold = (id: string): boolean => rolesOf(newest, id).some((role) => HOLDERS.includes(role));
  if (said.environment !== environment) return denied('REPLAYED', `it is for environment ${said.environment}`);
  if (!rolesOf(newest, said.publisher).includes('publisher'))
    return denied('NOT_AUTHORISED', `${said.publisher} is no publisher whose data the policy trusts`);
  const strays = said.chain.findIndex((digest, at) => links[at]?.digest !== digest);
  if (strays >= 0 || links.length !== said.chain.length)
    return denied('CUSTODY_BROKEN', `handover ${Math.max(0, strays) + 1} of ${said.chain.length} is missing`);

  const held = new Set([said.publisher]);
  let holder = said.publisher;
  let before: Verified<HandoverPredicate> | null = null;
  for (const [at, link] of links.entries()) {
    const { from, to, previous, issuedAt, ...about } = link.predicate;
    const broken = (why: string): Permission => denied('CUSTODY_BROKEN', `handover ${at + 1}: ${why}`);
    if (about.environment !== environment) return denied('REPLAYED', `handover ${at + 1} is for ${about.environment}`);
    if (link.subject !== source.subject || about.source !== said.source) return broken('it is of other data');
    if (from !== holder) return broken(`${from} gives what ${holder} has: there is a gap`);
    if (previous !== (before?.digest ?? null)) return broken('it follows another one than that before it');
    if (!link.signers.includes(from)) return broken(`${link.signers.join(', ')} has signed it, not ${from}`);
    if (held.has(to)) return broken(`it goes round: ${to} had them before`);
    if (!mayHold(from) || !mayHold(to)) return broken(`${mayHold(from) ? to : from} is no publisher or data steward`);
    if (before !== null && Date.parse(issuedAt) < Date.parse(before.predicate.issuedAt))
      return broken('it was before the one before it');
    held.add(to);
    [holder, before] = [to, link];
  }
  const last = before?.predicate.issuedAt ?? said.issuedAt;
  if (!source.signers.includes(holder))
    return denied('NOT_AUTHORISED', `${holder} has them, and ${source.signers.join(', ')} has signed for them`);
  if (Date.parse(said.issuedAt) < Date.parse(last))
    return denied('CUSTODY_BROKEN', 'it was signed before the data came');
  if (Date.parse(said.issuedAt) > Date.parse(now) + MAX_SKEW_MS) return denied('EXPIRED', 'it is not yet valid');
  return { allowed: true, approvers: source.signers };
}

function rolesOf(policy: Policy, id: string): readonly Role[] {
  return findAuthority(policy, id)?.roles ?? [];
}
