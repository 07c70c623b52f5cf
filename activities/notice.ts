import { log } from '@temporalio/activity';
import { gatherInventory } from '../adapters/inventory.js';
import { gatherNotices } from '../adapters/notices.js';
import type { Found } from '../adapters/records.js';
import { authoriseRetirement } from '../domain/authorise-retirement.js';
import type { Digest } from '../domain/digest.js';
import { dependentsOfRelease, type Dependent } from '../domain/dependents.js';
import type {
  AcknowledgementPredicate,
  Noticed,
  NoticePredicate,
  WaiverPredicate,
} from '../domain/ending-predicates.js';
import type { NoticeStanding, Retirement } from '../domain/lifecycle.js';
import { lifecycleId, type ReleaseName } from '../domain/names.js';
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
import { isoTime, plusSeconds } from '../domain/time.js';
import { envelopeDigest } from '../formats/dsse.js';
import { demand, rulesFor } from '../formats/evidence.js';
import { signStatement } from '../formats/statements.js';
import type { Decision, DecisionVerdict, LifecycleControl } from './contract.js';
import type { Desk } from './control.js';
import { refusals, verdictOn } from './journal.js';
import { letterFor, type Ending } from './letters.js';

/** The retirement in question. */
interface Of {
  readonly name: ReleaseName;
  readonly release: Digest;
  readonly retirement: Retirement;
}

type Noticing = Pick<LifecycleControl, 'giveNotice' | 'followNotice' | 'answerNotice'>;

/** Everybody who depends on a release is told of its end, and those who must answer are waited for. */
export function createNoticing(desk: Desk): Noticing {
  const { records, journal, gateways, consumers, key, id: own, notifier } = desk;
  return {
    giveNotice: async (name, release, { request: digest, approvals }) => {
      const kept = (await records.record(storeKeys.record(name, 'retirement'))) as Retirement | null;
      if (kept !== null) return kept;
      const request = (await records.get('request', digest)).verified;
      const found = await Promise.all(approvals.map((approval) => records.get('approval', approval)));
      const issuedAt = isoTime(Date.now());
      const rules = rulesFor(await records.policies(), request, issuedAt);
      const agreed = { ...name, release, request, approvals: found.map(({ verified }) => verified) };
      demand(authoriseRetirement(agreed, rules));
      const retiresAt = plusSeconds(issuedAt, periodOf(request, rules));
      const told = await tell(await dependents(name), { name, release, request, retiresAt });
      const envelope = noticeOf({ name, release, request, retiresAt }, told, issuedAt);
      const notice = await records.keep(envelope);
      const retirement = await records.recordOnce<Retirement>(storeKeys.record(name, 'retirement'), {
        request: digest,
        approvals,
        notice,
        retiresAt,
      });
      await noted({ name, release, request, retiresAt: retirement.retiresAt }, retirement.notice, told.length);
      return retirement;
    },

    followNotice: async (name, release, retirement) => {
      const { about, rules } = await standing({ name, release, retirement });
      const ending = { name, release, request: about.request, retiresAt: endOf(about, rules) };
      const known = new Map(toldIn(about, rules).map((told) => [told.id, told]));
      const all = await dependents(name);
      const isMissed = ({ id }: Dependent): boolean => known.get(id)?.how === 'failed';
      // Who appears now is told of the end as it is; who was missed has the whole period from now on.
      await tellLater(
        ending,
        all.filter(({ id }) => !known.has(id)),
        rules,
      );
      const whole = plusSeconds(rules.now, periodOf(about.request, rules));
      await tellLater({ ...ending, retiresAt: whole }, all.filter(isMissed), rules, wasTold);
      await remind(ending, about, rules);
      return standingOf({ name, release, retirement });
    },

    answerNotice: async (name, release, retirement, decisions) => {
      const verdicts: DecisionVerdict[] = [];
      for (const decision of decisions) verdicts.push(await answer({ name, release, retirement }, decision));
      await journal.note(...refusals(decisions, verdicts, { ...name, release }));
      return { verdicts, ...(await standingOf({ name, release, retirement })) };
    },
  };

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
    return { about, rules: rulesFor(policies, request, isoTime(Date.now())) };
  }

  async function standingOf(of: Of): Promise<NoticeStanding> {
    const { about, rules } = await standing(of);
    return { awaited: unanswered(about, rules), endsAt: endOf(about, rules), lookAt: nextLook(about, rules) };
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

  async function tell(told: readonly Dependent[], ending: Ending): Promise<readonly Noticed[]> {
    const noticed: Noticed[] = [];
    for (const each of told) {
      const { id, owner, criticality, contact } = each;
      const { how, messageId, why } = await notifier.send({ consumer: contact, ...letterFor(ending, each) });
      noticed.push({ id, owner, criticality, how, messageId });
      for (const problem of why) log.warn('a notice was not taken', { consumer: id, problem });
    }
    return noticed;
  }

  /** One more notice, to those of them of whom it is worth telling. */
  async function tellLater(
    ending: Ending,
    whom: readonly Dependent[],
    { now }: Rules,
    worth: (told: Noticed) => boolean = () => true,
  ): Promise<void> {
    const told = (await tell(whom, ending)).filter(worth);
    if (told.length === 0) return;
    const envelope = noticeOf(ending, told, now);
    const digest = await records.keep(envelope, storeKeys.laterNotice(ending.name, envelopeDigest(envelope)));
    await noted(ending, digest, told.length);
  }

  /** Once for each time that the policy sets, to everybody who was told and has not answered by then. */
  async function remind(ending: Ending, about: Answered, rules: Rules): Promise<void> {
    const at = reminderDue(about, rules);
    if (at === null || (await records.record(storeKeys.reminder(ending.name, at))) !== null) return;
    const silent = silentIn(about, rules);
    const known = toldIn(about, rules).filter(({ id, how }) => how !== 'failed' && silent.includes(id));
    const ids = new Set(known.map(({ id }) => id));
    const reminded: string[] = [];
    for (const each of (await dependents(ending.name)).filter(({ id }) => ids.has(id))) {
      const letter = { consumer: each.contact, ...letterFor(ending, each, at) };
      if (wasTold(await notifier.send(letter))) reminded.push(each.id);
    }
    await journal.note({
      ...{ change: 'retirement.reminded', key: `${ending.request.digest} ${at}` },
      actor: { id: own, statement: null },
      subject: { ...ending.name, release: ending.release },
      policy: ending.request.predicate.policy,
      reason: `${reminded.length} consumers written to again: it retires at ${ending.retiresAt}`,
    });
    await records.recordOnce(storeKeys.reminder(ending.name, at), { reminded });
  }

  function noticeOf({ name, release, request, retiresAt }: Ending, told: readonly Noticed[], issuedAt: string) {
    const predicate: NoticePredicate = {
      environment: records.environment,
      ...name,
      consumers: told,
      retiresAt,
      request: request.digest,
      issuedAt,
    };
    return signStatement('notice', { name: lifecycleId(name), sha256: release }, predicate, [key]);
  }

  function noted({ name, release, request, retiresAt }: Ending, notice: Digest, count: number): Promise<void> {
    return journal.note({
      ...{ change: 'retirement.noticed', key: notice, after: notice },
      actor: { id: own, statement: notice },
      subject: { ...name, release },
      policy: request.predicate.policy,
      reason: `${count} consumers told; retires at ${retiresAt}`,
    });
  }

  /**
   * Everybody who needs the release or its endpoint, also through other models: those who are declared, by the entry of the
   * directory that they name, and those whom the gateways have seen calling by a name.
   */
  async function dependents(name: ReleaseName): Promise<readonly Dependent[]> {
    const views = await Promise.all(
      gateways.map(async (gateway) => ({ state: await gateway.state(), callers: await gateway.callers() })),
    );
    return dependentsOfRelease(await gatherInventory(records, consumers, views), name);
  }
}

const wasTold = ({ how }: Pick<Noticed, 'how'>): boolean => how === 'mail' || how === 'webhook';

const answered = (said: Verified<unknown>) => ({ by: said.signers.join(' and '), statement: said.digest });
