import { authoriseRetirement } from '../domain/authorise-retirement.js';
import { CustodyError } from '../domain/errors.js';
import type { Retirement } from '../domain/lifecycle.js';
import { lifecycleId, type ReleaseName } from '../domain/names.js';
import { withdraw } from '../domain/routing.js';
import type { NoticePredicate } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime, plusSeconds } from '../domain/time.js';
import { demand, rulesFor } from '../formats/evidence.js';
import { sha256 } from '../formats/sha256.js';
import { signStatement } from '../formats/statements.js';
import type { Desk } from './control.js';
import type { LifecycleControl } from './contract.js';
import { openAskedGate } from './gate.js';

type Retirements = Pick<LifecycleControl, 'openRetireGate' | 'giveNotice' | 'withdrawRelease'>;

/** The end of a release: asked for, agreed to, told to everyone who depends on it, and taken out of service. */
export function createRetirement(desk: Desk): Retirements {
  const { records, journal, router, gateways, key, id, notifier } = desk;
  return {
    openRetireGate: (name, release, envelope) =>
      openAskedGate(desk, {
        kind: 'retire',
        envelope,
        workflowId: lifecycleId(name),
        subject: { ...name, release },
        check: ({ action, release: about }, { retirement }) => {
          if (about !== release) throw new CustodyError('REPLAYED', 'the request is about another release');
          const least = retirement.noticeSeconds;
          if (action.kind === 'retire' && action.noticeSeconds < least)
            throw new CustodyError('POLICY_REFUSED', `the policy demands ${least} s of notice`);
        },
      }),

    giveNotice: async (name, release, { request: digest, approvals }) => {
      const kept = (await records.record(storeKeys.record(name, 'retirement'))) as Retirement | null;
      if (kept !== null) return kept;
      const request = (await records.get('request', digest)).verified;
      const found = await Promise.all(approvals.map((approval) => records.get('approval', approval)));
      const issuedAt = isoTime(Date.now());
      const rules = rulesFor(await records.policies(), request, issuedAt);
      const agreed = { ...name, release, request, approvals: found.map(({ verified }) => verified) };
      demand(authoriseRetirement(agreed, rules));
      const { action } = request.predicate;
      const period = action.kind === 'retire' ? action.noticeSeconds : rules.gate.retirement.noticeSeconds;
      const retiresAt = plusSeconds(issuedAt, period);
      const consumers: NoticePredicate['consumers'][number][] = [];
      for (const consumer of await consumersOf(name.model)) {
        const messageId = `<${sha256(`${digest} ${consumer}`).slice(0, 32)}@custody>`;
        const letter = { consumer, messageId, ...letterFor(name, release, retiresAt, action) };
        consumers.push({ id: consumer, ...(await notifier.send(letter)) });
      }
      const predicate: NoticePredicate = {
        environment: records.environment,
        ...name,
        consumers,
        retiresAt,
        request: digest,
        issuedAt,
      };
      const subject = { name: lifecycleId(name), sha256: release };
      const notice = await records.keep(signStatement('notice', subject, predicate, [key]));
      const retirement = await records.recordOnce<Retirement>(storeKeys.record(name, 'retirement'), {
        request: digest,
        approvals,
        notice,
        retiresAt,
      });
      await journal.note({
        change: 'retirement.noticed',
        key: digest,
        actor: { id, statement: retirement.notice },
        subject: { ...name, release },
        after: retirement.notice,
        policy: request.predicate.policy,
        reason: `${consumers.length} consumers told; retires at ${retirement.retiresAt}`,
      });
      return retirement;
    },

    withdrawRelease: ({ model }, release) => router.takeOut(model, release, withdraw),
  };

  /** Those who have declared that they depend on the model, and those whom the gateways have seen calling it. */
  async function consumersOf(model: string): Promise<readonly string[]> {
    const consumers = new Set<string>();
    for await (const found of records.bucket.list(`consumers/${model}/`)) {
      const declared = await records.find('consumer', found);
      if (declared !== null) consumers.add(declared.verified.predicate.consumer);
    }
    for (const gateway of gateways) {
      const { models } = await gateway.state();
      for (const caller of models.find((served) => served.model === model)?.callers ?? []) consumers.add(caller);
    }
    return [...consumers].sort();
  }
}

function letterFor(
  { model, version }: ReleaseName,
  release: string,
  retiresAt: string,
  action: { readonly kind: string; readonly reason?: string },
): { readonly subject: string; readonly text: string } {
  return {
    subject: `${model} ${version} is going to be retired at ${retiresAt}`,
    text: [
      `The release ${version} of the model ${model} is going to be retired at ${retiresAt}.`,
      `Reason: ${action.reason ?? ''}`,
      `After that it answers no request, its keys are destroyed, and nobody can load it again.`,
      `Release digest: ${release}`,
    ].join('\n\n'),
  };
}
