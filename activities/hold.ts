import { nameOf, progressOf } from '../adapters/dossier.js';
import { isLifted, openHolds } from '../adapters/holds.js';
import { CustodyError } from '../domain/errors.js';
import { authoriseHold, namedHolds } from '../domain/hold.js';
import { liftId, type ReleaseName } from '../domain/names.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime, outsideValidity } from '../domain/time.js';
import { demand } from '../formats/evidence.js';
import { holdLiftedSignal } from '../workflows/messages.js';
import type { Desk } from './control.js';
import { openAskedGate } from './gate.js';
import type { HoldControl } from './keeping-contract.js';
import { wakeLifecycle } from './wake.js';

type Holds = Pick<HoldControl, 'admitHold' | 'openLiftGate' | 'recordLifted'>;

/** Control's part in legal holds: who asks is verified, kept and in the log. The signing zone and the vault check it again. */
export function createHolds(desk: Desk): Holds {
  const { records, journal, temporal } = desk;
  return {
    admitHold: (name, envelope) =>
      journal.refusing({ name: 'hold', envelope, subject: { ...name, release: null } }, async () => {
        const about = await aboutOf(name);
        const { envelope: given, verified } = await records.receive('hold', envelope);
        const { newest, newestDigest } = await records.policies();
        const now = isoTime(Date.now());
        const { predicate, digest } = verified;
        demand(authoriseHold(about, verified, { environment: records.environment, gate: newest, newest, now }));
        if (await isLifted(records, about, digest))
          throw new CustodyError('REPLAYED', 'this hold was lifted by a quorum: it does nothing any more');
        const key = storeKeys.hold(about.release, digest);
        const outside = outsideValidity(predicate, now);
        // One that was kept in time goes on counting: expiry bounds its acceptance, never its effect.
        if (outside !== null && (await records.record(key)) === null)
          throw new CustodyError('EXPIRED', `the hold is ${outside}`);
        if ((await records.record(storeKeys.record(name, 'destruction'))) !== null)
          throw new CustodyError('ERASED', `the keys of ${name.model} ${name.version} have been destroyed`);
        await records.spend(predicate.nonce, { statement: digest, request: digest });
        await records.keep(given, key);
        const by = verified.signers.join(' and ');
        await journal.note({
          change: 'release.held',
          key: digest,
          actor: { id: by, statement: digest },
          subject: about,
          after: digest,
          policy: newestDigest,
          reason: predicate.reason,
        });
        return { release: about.release, hold: digest, by, reason: predicate.reason };
      }),

    openLiftGate: async (name, envelope) => {
      const about = await aboutOf(name);
      return openAskedGate(desk, {
        kind: 'lift',
        envelope,
        workflowId: liftId(name),
        subject: about,
        check: async ({ predicate: asked }) => {
          if (asked.release !== about.release || asked.model !== name.model || asked.version !== name.version)
            throw new CustodyError('REPLAYED', 'the request is about another release');
          const open = (await openHolds(records, about)).map(({ digest }) => digest);
          const unknown = namedHolds(asked).find((hold) => !open.includes(hold));
          if (unknown !== undefined)
            throw new CustodyError('POLICY_REFUSED', `no hold ${unknown.slice(0, 12)} stands on the release`);
        },
      });
    },

    recordLifted: async (name, { request: digest, approvers }, { open }) => {
      const { verified } = await records.get('request', digest);
      const { action, policy, release } = verified.predicate;
      const holds = namedHolds(verified.predicate);
      const left = open.length === 0 ? '' : `; ${open.length} other holds stand`;
      await journal.note({
        change: 'release.unheld',
        key: digest,
        actor: { id: approvers.join(' and '), statement: digest },
        subject: { ...name, release },
        before: holds[0] ?? null,
        after: digest,
        policy,
        reason: `${holds.length} holds lifted: ${action.kind === 'lift' ? action.reason : ''}${left}`,
      });
      // It looks again at once whether its keys may be destroyed, if it has ever come to that.
      await wakeLifecycle(temporal, name, holdLiftedSignal);
    },
  };

  /** The release behind a name, by its manifest and not by the record's word alone. */
  async function aboutOf(name: ReleaseName) {
    const { ingested } = await progressOf(records, name);
    if (ingested === undefined)
      throw new CustodyError('INPUT_MISSING', `there is no release ${name.model} ${name.version}`);
    const { release } = ingested;
    const found = await nameOf(records, release);
    if (found.model !== name.model || found.version !== name.version)
      throw new CustodyError('DIGEST_MISMATCH', `${name.model} ${name.version} is not the release ${release}`);
    return { ...name, release };
  }
}
