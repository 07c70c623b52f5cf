import { gatherLift, openHolds } from '../adapters/holds.js';
import { keepLocked, walk } from '../adapters/lock-keeper.js';
import { reachOf } from '../adapters/reach.js';
import type { Records } from '../adapters/records.js';
import type { VaultClient } from '../adapters/vault/client.js';
import { isDigest, type Digest } from '../domain/digest.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import { authoriseLift, namedHolds, type HeldRelease } from '../domain/hold.js';
import { isModelName, isVersion, type ReleaseName } from '../domain/names.js';
import { addTallies, addTrouble, after, inUse, NOTHING_YET, type LockTally, type Need } from '../domain/retention.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime } from '../domain/time.js';
import { demand, verifyLift } from '../formats/evidence.js';
import { parseManifest } from '../formats/manifest.js';
import { destroyAgain } from './destroyed-again.js';
import { withHeartbeat } from './heartbeat.js';
import type { KeepingActivities } from './keeping-contract.js';
import { resumable } from './resumable.js';
import { StoredRoutes } from './stored-routes.js';

export interface KeepingDeps {
  readonly records: Records;
  readonly vault: Pick<VaultClient, 'holdings' | 'hold' | 'lift' | 'destroy'>;
}

/** What keeps a release whole, or gone: the locks of its bytes, legal holds, and that no destroyed key comes back. */
export function createKeeping({ records, vault }: KeepingDeps): KeepingActivities {
  const { bucket } = records;
  return {
    extendReleases: () =>
      resumable((from, signal, reached) =>
        walk([{ prefix: 'versions/' }], { bucket, from, signal, part: 1 }, ([key = '']) => keepRelease(key), reached),
      ),

    holdRelease: (name, { release, hold }) =>
      withHeartbeat(
        () => null,
        async (signal) => {
          const about = { ...name, release };
          const found = await records.bucket.read(storeKeys.hold(release, hold));
          if (found === null)
            throw new CustodyError('PENDING', `no hold is stored as ${storeKeys.hold(release, hold)}`);
          const [manifest, policies] = await Promise.all([
            records.getBytes(release, storeKeys.manifest),
            records.policies(),
          ]);
          const { envelope } = await records.verify('hold', found.body.toString('utf8'));
          const evidence = { policies: policies.envelopes, manifest: manifest.toString('utf8'), hold: envelope };
          const { open } = await vault.hold({ evidence });
          return { objects: open.length === 0 ? 0 : await setHolds(await objectsOf(about), true, signal), open };
        },
      ),

    liftHolds: (name, { request, approvals }) =>
      withHeartbeat(
        () => null,
        async (signal) => {
          const release = (await records.get('request', request)).verified.predicate.release ?? '';
          const about = { ...name, release };
          const evidence = await gatherLift(records, release, { request, approvals });
          const { lift, rules } = verifyLift(evidence, records.root, isoTime(Date.now()));
          demand(authoriseLift(lift, rules));
          if (lift.release !== release || lift.model !== name.model || lift.version !== name.version)
            throw new CustodyError('DIGEST_MISMATCH', `${name.model} ${name.version} is not the release ${release}`);
          for (const hold of namedHolds(lift.request.predicate))
            await records.recordOnce(storeKeys.lift(release, hold, request), { request, approvals });
          const { open } = await vault.lift({ evidence });
          const standing = [...new Set([...open, ...(await openHolds(records, about)).map(({ digest }) => digest)])];
          if (standing.length > 0) return { objects: (await objectsOf(about)).size, open: standing };
          const needed = await heldBesides(release);
          const free = new Set([...(await objectsOf(about))].filter((key) => !needed.has(key)));
          await setHolds(free, false, signal);
          return { objects: 0, open: [] };
        },
      ),
  };

  async function keepRelease(key: string): Promise<LockTally> {
    const [, model = '', version = ''] = key.split('/');
    if (!isModelName(model) || !isVersion(version)) return NOTHING_YET;
    const name = { model, version };
    try {
      const ingested = (await records.record(storeKeys.record(name, 'ingested'))) as { release?: unknown } | null;
      if (!isDigest(ingested?.release)) return NOTHING_YET;
      const about = { ...name, release: ingested.release };
      const back = await destroyAgain(records, vault, about);
      const kept = await keepWhole(about);
      if (back === 0) return kept;
      return addTrouble(
        kept,
        `${model} ${version}: ${back} destroyed keys were in the vault again, and are destroyed anew`,
      );
    } catch (error) {
      // Records are references that anyone who may write can make: one that leads nowhere keeps no other release from its own.
      if (!(error instanceof CustodyError) || !(isPermanent(error.code) || error.code === 'PENDING')) throw error;
      return addTrouble(NOTHING_YET, `${model} ${version}: ${error.code}: ${error.message}`);
    }
  }

  async function keepWhole(about: HeldRelease): Promise<LockTally> {
    const now = Date.now();
    const hold = (await openHolds(records, about)).length > 0;
    const need = await needOf(about, hold, now);
    if (need.until <= now) return NOTHING_YET;
    const blobs = await blobsOf(about);
    const keep = { need: () => need, hold };
    return addTallies(
      await keepLocked(bucket, [...(await reachOf(bucket, about))], keep),
      await keepLocked(bucket, blobs, keep),
    );
  }

  /** What is routed to is in use, whatever anybody has recorded of its end. */
  async function needOf(about: HeldRelease, isHeld: boolean, now: number): Promise<Need> {
    const { newest } = await records.policies();
    const days = newest.retention.releasesDays;
    const outcome = await bucket.read(storeKeys.record(about, 'outcome'));
    if (outcome === null || isHeld) return inUse(now, days);
    const route = await new StoredRoutes(records, () => undefined).newest(about.model);
    const isRouted = route?.document.releases.some(({ release }) => release === about.release) === true;
    return isRouted ? inUse(now, days) : after(outcome.storedAt, days);
  }

  /** Where its ciphertext lies, as far as its keys stand: what was erased is left to the end of its lock. */
  async function blobsOf({ release }: HeldRelease): Promise<readonly string[]> {
    const { files } = parseManifest(await records.getBytes(release, storeKeys.manifest));
    const blobs = await vault.holdings({ release, sha256s: files.map(({ sha256 }) => sha256) });
    return blobs.map(({ blob }) => storeKeys.blob(blob));
  }

  async function objectsOf(about: HeldRelease): Promise<ReadonlySet<string>> {
    return new Set([...(await reachOf(bucket, about)), ...(await blobsOf(about))]);
  }

  /** What other releases that are held need: bytes and statements are shared. */
  async function heldBesides(release: Digest): Promise<ReadonlySet<string>> {
    const needed = new Set<string>();
    const seen = new Set<string>([release]);
    for await (const key of bucket.list('holds/')) {
      const other = key.split('/')[1] ?? '';
      if (seen.has(other)) continue;
      seen.add(other);
      const name = await namedBy(other);
      if (name === null) continue;
      const about = { ...name, release: other };
      if ((await openHolds(records, about)).length > 0) for (const each of await objectsOf(about)) needed.add(each);
    }
    return needed;
  }

  async function namedBy(release: Digest): Promise<ReleaseName | null> {
    const manifest = await bucket.read(storeKeys.manifest(release));
    if (manifest === null) return null;
    const { model, version } = parseManifest(manifest.body);
    return { model, version };
  }

  /** On every version of every key; answers how many keys. */
  async function setHolds(keys: ReadonlySet<string>, on: boolean, signal: AbortSignal): Promise<number> {
    for (const key of keys) {
      signal.throwIfAborted();
      for (const { versionId, isDeleteMarker } of await bucket.versions(key))
        if (!isDeleteMarker && (await bucket.head(key, versionId))?.legalHold === !on)
          await bucket.setLegalHold(key, versionId, on);
    }
    return keys.size;
  }
}
