import { activityInfo, log } from '@temporalio/activity';
import { condemnationOf } from '../adapters/dossier.js';
import { gatherNotices, informedOf } from '../adapters/notices.js';
import type { PolicyChain } from '../adapters/records.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import type { Condemned } from '../domain/lifecycle.js';
import type { ReleaseName } from '../domain/names.js';
import { toldIn } from '../domain/notice.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime, outsideValidity } from '../domain/time.js';
import { condemns, sayVulnerability, type Vulnerability } from '../domain/vulnerability.js';
import { demand } from '../formats/evidence.js';
import { orderKill } from '../formats/requests.js';
import type { DecisionVerdict } from './contract.js';
import type { Desk } from './control.js';
import type { EmergencyControl } from './emergency-contract.js';
import { verdictOn } from './journal.js';
import { createKill } from './kill.js';
import { found as foundIn } from './letters.js';
import { announce, dependentsSoFar, noted, noticeOf, tell, tellTheRest } from './telling.js';

interface Counted {
  readonly envelope: SignedEnvelope;
  readonly verified: Vulnerability;
}

/** A security authority's word is enough to stop a release: everything else comes after that. */
export function createCondemning(desk: Desk): EmergencyControl {
  const { records, journal, router, key, reissueStatus } = desk;
  const { killEndpoint } = createKill(desk);
  return {
    condemnRelease: async (name, release, notices) => {
      // It lowers exposure: somebody's forgery in the place of a policy does not keep it from counting.
      const [policies, hasCallers] = await Promise.all([policiesAtHand(), mayHaveCallers(name.model, release)]);
      const counted: Counted[] = [];
      const verdicts: DecisionVerdict[] = [];
      for (const { envelope } of notices)
        verdicts.push(
          await verdictOn(async () => {
            const given = await genuine(name, release, envelope, policies);
            counted.push(given);
            return { by: given.verified.signers.join(' and '), statement: given.verified.digest };
          }),
        );
      const told = await journal.noteRefused(notices, verdicts, { ...name, release });
      const [first] = counted;
      if (first === undefined) return { verdicts: told, condemned: await recorded(name) };
      const isServed = hasCallers || (await mayHaveCallers(name.model, release));
      const order = isServed ? await stop(name, first.verified) : null;
      for (const { envelope } of counted) await records.keep(envelope);
      const said: Condemned = { vulnerability: first.verified.digest, order };
      return { verdicts: told, condemned: await records.recordOnce(storeKeys.record(name, 'condemned'), said) };
    },

    noteCondemned: async (name, release) => {
      const { verified } = await condemnationOf(records, name);
      const reason = sayVulnerability(verified.predicate);
      await journal.note({
        ...{ change: 'release.condemned', key: verified.digest, after: verified.digest, reason },
        actor: { id: verified.signers.join(' and '), statement: verified.digest },
        subject: { ...name, release },
      });
    },

    informCondemned: async (name, release) => {
      // What keeps a status document from being made keeps nobody from being told.
      const [reissued] = await Promise.allSettled([reissueStatus()]);
      if (reissued.status === 'rejected') log.warn('no status document was made', { reason: String(reissued.reason) });
      const { verified } = await condemnationOf(records, name);
      const { newest } = await records.policies();
      const now = isoTime(Date.now());
      const ending = { name, release, ground: foundIn(verified), retiresAt: now };
      const { all, silent } = await dependentsSoFar(desk, name);
      const informed = await informedOf(records, name);
      if (informed === null) {
        const first = await tell(desk, all, ending);
        const notice = await records.keep(noticeOf(desk, ending, first, now));
        await noted(desk, ending, notice, first.length);
        await records.recordOnce(storeKeys.record(name, 'informed'), { notice });
        await announce(desk, [await records.get('notice', notice)]);
        return silent + first.filter(({ how }) => how === 'failed').length;
      }
      const { notice, laterNotices } = await gatherNotices(records, name, informed);
      const notices = [notice, ...laterNotices].map((each) => each.verified);
      const rules = { environment: records.environment, gate: newest, newest, now };
      const known = toldIn({ release, request: verified, notices }, rules);
      const missed = await tellTheRest(desk, { all, known, now }, { fresh: ending, missed: ending });
      await announce(desk, [notice]);
      return silent + missed;
    },
  };

  async function genuine(
    name: ReleaseName,
    release: Digest,
    envelope: unknown,
    policies: PolicyChain,
  ): Promise<Counted> {
    const { newest } = policies;
    const now = isoTime(Date.now());
    const given = await records.verify('vulnerability', envelope, policies, now);
    const { environment } = records;
    demand(condemns(given.verified, { ...name, release }, { environment, gate: newest, newest, now }));
    // What has counted once has been acted on: it is answered as it was, however late it comes again.
    const outside = outsideValidity(given.verified.predicate, now);
    if (outside !== null && (await recorded(name))?.vulnerability !== given.verified.digest)
      throw new CustodyError('EXPIRED', `the notice is ${outside}`);
    return given;
  }

  /** A store that does not answer keeps nothing from being stopped: then those of before count. */
  async function policiesAtHand(): Promise<PolicyChain> {
    try {
      return await records.usablePolicies();
    } catch (error) {
      if (!(error instanceof CustodyError)) throw error;
      return records.knownPolicies();
    }
  }

  function recorded(name: ReleaseName): Promise<Condemned | null> {
    return records.record(storeKeys.record(name, 'condemned')) as Promise<Condemned | null>;
  }

  /** Where the store cannot say it, it may. */
  async function mayHaveCallers(model: string, release: Digest): Promise<boolean> {
    try {
      const document = (await router.current(model))?.document;
      const at = document?.releases.findIndex((entry) => entry.release === release) ?? -1;
      const isUnderRollout = at === 0 && document?.plan != null;
      return isUnderRollout || (document?.releases[at]?.weight ?? 0) > 0;
    } catch (error) {
      if (error instanceof CustodyError) return true;
      throw error;
    }
  }

  /** By control's own order: one for each notice, however often it is tried. */
  async function stop({ model, ...name }: ReleaseName, { digest, predicate }: Vulnerability): Promise<Digest> {
    const { issuedAt, expiresAt } = predicate;
    const nonce = Buffer.from(digest, 'hex').subarray(0, 18).toString('base64url');
    const signer = { key, environment: records.environment };
    const made = orderKill(signer, model, sayVulnerability(predicate), { nonce, issuedAt, expiresAt });
    // Keys whose signatures differ each time would make another one at each attempt; without a store that has to do.
    const at = storeKeys.record({ model, ...name }, `stopped-by-${digest}`);
    const recorded = records.recordOnce<SignedEnvelope>(at, made).catch((error: unknown) => {
      if (error instanceof CustodyError && !isPermanent(error.code)) return made;
      throw error;
    });
    // The first attempt waits for no store.
    const order = activityInfo().attempt === 1 ? made : await recorded;
    const [killed] = await Promise.all([killEndpoint(model, order), recorded]);
    return killed.order;
  }
}
