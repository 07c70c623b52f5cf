import { vulnerabilityOf } from '../adapters/dossier.js';
import { gatherNotices, informedOf } from '../adapters/notices.js';
import type { Found } from '../adapters/records.js';
import { authoriseRetirement } from '../domain/authorise-retirement.js';
import type { Digest } from '../domain/digest.js';
import type { AcknowledgementPredicate, WaiverPredicate } from '../domain/ending-predicates.js';
import { CustodyError } from '../domain/errors.js';
import type { NoticeStanding, Retirement } from '../domain/lifecycle.js';
import type { ReleaseName } from '../domain/names.js';
import {
  acknowledges,
  endOf,
  nextLook,
  periodOf,
  reminderDue,
  silentIn,
  toldIn,
  unanswered,
  waives,
  type Answered,
} from '../domain/notice.js';
import type { Rules } from '../domain/permission.js';
import type { Verified } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isEmergency } from '../domain/vulnerability.js';
import { isoTime, plusSeconds } from '../domain/time.js';
import { demand, rulesFor } from '../formats/evidence.js';
import type { Decision, DecisionVerdict, LifecycleControl } from './contract.js';
import type { Desk } from './control.js';
import { refusals, verdictOn } from './journal.js';
import { letterFor, requested, type Ending } from './letters.js';
import { announce, dependents, noted, noticeOf, tell, tellTheRest, wasTold } from './telling.js';

/** The retirement in question. */
interface Of {
  readonly name: ReleaseName;
  readonly release: Digest;
  readonly retirement: Retirement;
}

type Noticing = Pick<LifecycleControl, 'giveNotice' | 'followNotice' | 'answerNotice'>;

/** Everybody who depends on a release is told of its end, and those who must answer are waited for. */
export function createNoticing(desk: Desk): Noticing {
  const { records, journal, id: own, notifier } = desk;
  return {
    giveNotice: async (name, release, { request: digest, approvals }) => {
      const kept = (await records.record(storeKeys.record(name, 'retirement'))) as Retirement | null;
      if (kept !== null) return kept;
      const request = (await records.get('request', digest)).verified;
      const found = await Promise.all(approvals.map((approval) => records.get('approval', approval)));
      const issuedAt = isoTime(Date.now());
      const rules = rulesFor(await records.policies(), request, issuedAt);
      const vulnerability = (await vulnerabilityOf(records, name))?.verified ?? null;
      const agreed = { ...name, release, request, approvals: found.map(({ verified }) => verified), vulnerability };
      demand(authoriseRetirement(agreed, rules));
      const how = { request: digest, approvals };
      const keep = (retirement: Retirement): Promise<Retirement> =>
        records.recordOnce(storeKeys.record(name, 'retirement'), retirement);
      // Who depends on it was told when it was condemned.
      if (isEmergency(agreed, rules)) return keep({ ...how, notice: await emergencyNotice(name), retiresAt: issuedAt });
      const retiresAt = plusSeconds(issuedAt, periodOf(request, rules));
      const ending = { name, release, ground: requested(request), retiresAt };
      const told = await tell(desk, await dependents(desk, name), ending);
      const envelope = noticeOf(desk, ending, told, issuedAt);
      const notice = await records.keep(envelope);
      const retirement = await keep({ ...how, notice, retiresAt });
      await noted(desk, { ...ending, retiresAt: retirement.retiresAt }, retirement.notice, told.length);
      return retirement;
    },

    followNotice: async (name, release, retirement) => {
      const { about, rules, found } = await standing({ name, release, retirement });
      const vulnerability = (await vulnerabilityOf(records, name))?.verified ?? null;
      if (isEmergency({ ...name, release, request: about.request, vulnerability }, rules))
        return { awaited: [], endsAt: retirement.retiresAt, lookAt: null };
      await announce(desk, found);
      const ending = { name, release, ground: requested(about.request), retiresAt: endOf(about, rules) };
      const told = { all: await dependents(desk, name), known: toldIn(about, rules), now: rules.now };
      // Who appears now is told of the end as it is; who was missed has the whole period from now on.
      const whole = plusSeconds(rules.now, periodOf(about.request, rules));
      await tellTheRest(desk, told, { fresh: ending, missed: { ...ending, retiresAt: whole } });
      await remind(ending, about, rules);
      const after = await standing({ name, release, retirement });
      await announce(desk, after.found);
      return standingIn(after);
    },

    answerNotice: async (name, release, retirement, decisions) => {
      const verdicts: DecisionVerdict[] = [];
      for (const decision of decisions) verdicts.push(await answer({ name, release, retirement }, decision));
      await journal.note(...refusals(decisions, verdicts, { ...name, release }));
      return { verdicts, ...standingIn(await standing({ name, release, retirement })) };
    },
  };

  async function emergencyNotice(name: ReleaseName): Promise<Digest> {
    const informed = await informedOf(records, name);
    if (informed === null) throw new CustodyError('PENDING', 'those who depend on it have not been told so far');
    return informed.notice;
  }

  /** What this retirement stands at, every statement checked. */
  async function standing({ name, release, retirement }: Of) {
    const [{ verified: request }, told, policies] = await Promise.all([
      records.get('request', retirement.request),
      gatherNotices(records, name, retirement),
      records.policies(),
    ]);
    const verified = <P>(all: readonly { readonly verified: Verified<P> }[]) => all.map((each) => each.verified);
    const about: Answered = {
      ...{ release, name, request },
      notices: verified([told.notice, ...told.laterNotices]),
      acknowledgements: verified(told.acknowledgements),
      waivers: verified(told.waivers),
    };
    const found = [told.notice, ...told.laterNotices];
    return { about, found, rules: rulesFor(policies, request, isoTime(Date.now())) };
  }

  async function answer(of: Of, { message, envelope }: Decision): Promise<DecisionVerdict> {
    return verdictOn(async () => {
      const { about, rules } = await standing(of);
      const isWaiver = message === 'waive';
      const kept = isWaiver
        ? await waived(about, rules, await records.receive('waiver', envelope))
        : await acknowledged(about, rules, await records.receive('acknowledgement', envelope));
      return { by: kept.by, statement: kept.statement };
    });
  }

  async function waived(about: Answered, rules: Rules, { envelope, verified }: Found<WaiverPredicate>) {
    demand(waives(about, verified, rules));
    await noteAnswer(
      'retirement.waived',
      about,
      verified,
      `for ${verified.predicate.consumer}: ${verified.predicate.reason}`,
    );
    await records.keep(envelope, storeKeys.waiver(about.name, verified.digest));
    return answered(verified);
  }

  async function acknowledged(about: Answered, rules: Rules, { envelope, verified }: Found<AcknowledgementPredicate>) {
    demand(acknowledges(about, verified, rules));
    await noteAnswer('retirement.acknowledged', about, verified, `for ${verified.predicate.consumer}`);
    await records.keep(envelope, storeKeys.acknowledgement(about.name, verified.digest));
    return answered(verified);
  }

  /** In the log first: what counts there is what has been answered. */
  async function noteAnswer(
    change: 'retirement.acknowledged' | 'retirement.waived',
    { name, release, request }: Answered,
    said: Verified<AcknowledgementPredicate>,
    reason: string,
  ): Promise<void> {
    await journal.note({
      ...{ change, key: said.digest, reason, before: request.digest, after: said.digest },
      actor: { id: said.signers.join(' and '), statement: said.digest },
      subject: { ...name, release },
      policy: request.predicate.policy,
    });
  }

  /** Once for each time that the policy sets, to everybody who was told and has not answered by then. */
  async function remind(ending: Ending, about: Answered, rules: Rules): Promise<void> {
    const at = reminderDue(about, rules);
    if (at === null || (await records.record(storeKeys.reminder(ending.name, at))) !== null) return;
    const silent = silentIn(about, rules);
    const known = toldIn(about, rules).filter(({ id, how }) => how !== 'failed' && silent.includes(id));
    const ids = new Set(known.map(({ id }) => id));
    const reminded: string[] = [];
    for (const each of (await dependents(desk, ending.name)).filter(({ id }) => ids.has(id))) {
      const letter = { consumer: each.contact, ...letterFor(ending, each, at) };
      if (wasTold(await notifier.send(letter))) reminded.push(each.id);
    }
    await journal.note({
      ...{ change: 'retirement.reminded', key: `${ending.ground.digest} ${at}` },
      actor: { id: own, statement: null },
      subject: { ...ending.name, release: ending.release },
      policy: ending.ground.policy,
      reason: `${reminded.length} consumers written to again: it retires at ${ending.retiresAt}`,
    });
    await records.recordOnce(storeKeys.reminder(ending.name, at), { reminded });
  }
}

function standingIn({ about, rules }: { readonly about: Answered; readonly rules: Rules }): NoticeStanding {
  return { awaited: unanswered(about, rules), endsAt: endOf(about, rules), lookAt: nextLook(about, rules) };
}

const answered = (said: Verified<unknown>) => ({ by: said.signers.join(' and '), statement: said.digest });
