import { denied } from '../domain/authorise.js';
import type { Digest } from '../domain/digest.js';
import { authoriseHold, authoriseLift, namedHolds } from '../domain/hold.js';
import { isoTime } from '../domain/time.js';
import type { HoldAnswer, HoldingsAnswer, HoldingsRequest, HoldRequest, LiftRequest } from '../domain/vault.js';
import { demand, verifyHold, verifyLift } from '../formats/evidence.js';
import { assertNotErased } from './open.js';
import type { Vault } from './vault.js';

/**
 * Remembers that a release is held: whoever asks from then on for its destruction is refused, whatever else speaks for it. On
 * disk before it is answered; a destruction that was decided before goes on, and the hold is refused.
 */
export async function hold(vault: Vault, { evidence }: HoldRequest): Promise<HoldAnswer> {
  const { about, hold: given, rules } = verifyHold(evidence, vault.root, isoTime(Date.now()));
  await vault.seen.acceptPolicy(rules.newest);
  demand(authoriseHold(about, given, rules));
  return vault.locks.hold([about.release], async () => {
    assertNotErased(vault, about.release);
    await vault.ledger.recordHold(about.release, given.digest);
    return stateOf(vault, about.release);
  });
}

/** Ends the holds that a quorum has agreed to end: one that it does not name stands. */
export async function lift(vault: Vault, { evidence }: LiftRequest): Promise<HoldAnswer> {
  const { lift: given, rules } = verifyLift(evidence, vault.root, isoTime(Date.now()));
  await vault.seen.acceptPolicy(rules.newest);
  demand(authoriseLift(given, rules));
  const { release, request } = given;
  return vault.locks.hold([release], async () => {
    await vault.ledger.recordLift(release, namedHolds(request.predicate), request.digest);
    return stateOf(vault, release);
  });
}

/** Where the ciphertext lies of what a release holds and has stored. It gives no key away. */
export async function holdings({ ledger }: Vault, { release, sha256s }: HoldingsRequest): Promise<HoldingsAnswer> {
  const blobs: HoldingsAnswer['blobs'][number][] = [];
  for (const sha256 of sha256s) {
    const entry = await ledger.living(sha256);
    if (entry === null || entry.stored === null || !entry.holders.includes(release)) continue;
    blobs.push({ blob: entry.blob, versionId: entry.stored.versionId });
  }
  return { blobs };
}

export async function demandNotHeld({ ledger }: Vault, release: Digest): Promise<void> {
  const [open] = await ledger.openHolds(release);
  if (open !== undefined)
    demand(denied('HELD', `the release ${release} is held by ${open}: its keys stay until the hold is lifted`));
}

async function stateOf({ ledger }: Vault, release: Digest): Promise<HoldAnswer> {
  return { release, open: await ledger.openHolds(release) };
}
