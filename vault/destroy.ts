import { denied } from '../domain/authorise.js';
import { authoriseDestruction, revocationHolds } from '../domain/authorise-retirement.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { Manifest } from '../domain/manifest.js';
import { isoTime } from '../domain/time.js';
import type { DestroyAnswer, DestroyRequest, ProbeAnswer, ProbeRequest } from '../domain/vault.js';
import { envelopeDigest, parseEnvelope } from '../formats/dsse.js';
import { demand, verifyRetirement } from '../formats/evidence.js';
import { keyRing, verifyStatement } from '../formats/statements.js';
import type { Destruction } from './ledger-schema.js';
import { demandNotHeld } from './hold.js';
import { buried } from './open.js';
import type { Vault } from './vault.js';

const BURIED_AT_ONCE = 64;

/**
 * Destroys the keys that only this release holds. What will be destroyed is decided once, under the locks of all its files,
 * and on disk before the first key goes; from then on the same request is carried out to its end and gets the same answer.
 */
export async function destroy(vault: Vault, asked: DestroyRequest): Promise<DestroyAnswer> {
  const earlier = await vault.ledger.destruction(asked.release);
  if (earlier !== null) return repeat(vault, earlier, asked);
  const { request, revocation, manifest } = await authorise(vault, asked);
  const destruction = await vault.locks.hold([asked.release, ...digestsOf(manifest)], async () => {
    const raced = await vault.ledger.destruction(asked.release);
    if (raced !== null) return raced;
    await demandNotHeld(vault, asked.release);
    const answer = await decide(vault, asked.release, manifest);
    const decided = { release: asked.release, request, revocation, answer, done: false };
    await vault.ledger.recordDestruction(decided);
    await carryOut(vault, decided);
    return decided;
  });
  return repeat(vault, destruction, asked);
}

/** Before the first socket opens: what was decided is carried out. */
export async function finishDestructions(vault: Vault): Promise<void> {
  for (const destruction of await vault.ledger.unfinished()) await finish(vault, destruction);
}

/** What an attempt to read a blob's key comes to: refused only if it was destroyed, and no byte of it is found. */
export async function probe({ ledger }: Vault, { blob }: ProbeRequest): Promise<ProbeAnswer> {
  const left = await ledger.find(blob);
  left?.fill(0);
  if (left !== null)
    return { refused: false, answer: `the vault still has ${left.length} bytes of the key of blob ${blob}` };
  if (!(await ledger.isBuried(blob)))
    return { refused: false, answer: `the key of blob ${blob} is not there, and nobody has destroyed it` };
  // On a token: what has wrapped it is there, though what it wrapped is not.
  if (!(await ledger.isGone(blob)))
    return { refused: false, answer: `something of the key of blob ${blob} is left where keys are kept` };
  const { code, message } = buried(blob);
  return { refused: true, answer: `${code}: ${message}` };
}

async function repeat(vault: Vault, destruction: Destruction, asked: DestroyRequest): Promise<DestroyAnswer> {
  const { release, request, answer } = destruction;
  if (envelopeDigest(parseEnvelope(asked.evidence.request)) !== request)
    throw new CustodyError('REPLAYED', `the release ${release} was destroyed for another request, ${request}`);
  await finish(vault, destruction);
  return answer;
}

function finish(vault: Vault, { release, answer }: Destruction): Promise<void> {
  return vault.locks.hold(digestsOf({ files: [...answer.destroyed, ...answer.kept] }), async () => {
    const current = await vault.ledger.destruction(release);
    if (current?.done === false) await carryOut(vault, current);
  });
}

async function authorise(
  { root, seen }: Vault,
  { release, evidence, revocation: envelope }: DestroyRequest,
): Promise<{ request: Digest; revocation: Digest; manifest: Manifest }> {
  const { retirement, manifest, rules } = verifyRetirement(evidence, root, isoTime(Date.now()));
  await seen.acceptPolicy(rules.newest);
  if (retirement.release !== release)
    demand(denied('REPLAYED', `the evidence is about the release ${retirement.release}`));
  demand(authoriseDestruction(retirement, rules));
  const revocation = verifyStatement(envelope, 'revocation', keyRing(rules.newest));
  demand(revocationHolds(retirement, revocation, rules));
  return { request: retirement.request.digest, revocation: revocation.digest, manifest };
}

async function decide({ ledger }: Vault, release: Digest, { files }: Manifest): Promise<DestroyAnswer> {
  const destroyed: DestroyAnswer['destroyed'][number][] = [];
  const kept: DestroyAnswer['kept'][number][] = [];
  const remains = new Map<string, DestroyAnswer['remains'][number]>();
  for (const { path, sha256 } of files) {
    const entry = await ledger.living(sha256);
    if (entry === null) continue;
    const { blob, stored } = entry;
    const holders = entry.holders.filter((holder) => holder !== release && !ledger.isDestroyed(holder));
    if (holders.length > 0) kept.push({ path, sha256, holders });
    else {
      destroyed.push({ path, sha256, blob });
      if (stored !== null) remains.set(blob, { blob, versionId: stored.versionId, size: stored.ciphertextSize });
    }
  }
  return { destroyed, kept, remains: [...remains.values()], destroyedAt: isoTime(Date.now()) };
}

async function carryOut({ ledger }: Vault, destruction: Destruction): Promise<void> {
  const { release, request, answer } = destruction;
  // Files of the same bytes have one key. Several at a time, since each waits for the disk more than once.
  const doomed = [...new Map(answer.destroyed.map((file) => [file.blob, file])).values()];
  for (let at = 0; at < doomed.length; at += BURIED_AT_ONCE)
    await Promise.all(
      doomed
        .slice(at, at + BURIED_AT_ONCE)
        .map(({ sha256, blob }) => ledger.bury({ blob, sha256, release, request, destroyedAt: answer.destroyedAt })),
    );
  for (const { sha256 } of answer.kept) {
    const entry = await ledger.living(sha256);
    if (!entry?.holders.includes(release)) continue;
    await ledger.replace(entry, { ...entry, holders: entry.holders.filter((holder) => holder !== release) });
  }
  await ledger.recordDestruction({ ...destruction, done: true });
}

function digestsOf({ files }: { readonly files: readonly { readonly sha256: Digest }[] }): Digest[] {
  return files.map((file) => file.sha256);
}
