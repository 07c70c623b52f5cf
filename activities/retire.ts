import { gatherInventory } from '../adapters/inventory.js';
import type { Records } from '../adapters/records.js';
import { authoriseRetirement } from '../domain/authorise-retirement.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import { dependentsOf, modelKey, releaseKey } from '../domain/inventory.js';
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
import type { Entry } from './journal.js';

type Retirements = Pick<LifecycleControl, 'openRetireGate' | 'giveNotice' | 'withdrawRelease' | 'noteErasure'>;

/** The end of a release: asked for, agreed to, told to everyone who depends on it, and taken out of service. */
export function createRetirement(desk: Desk): Retirements {
  const { records, journal, router, gateways, consumers, key, id: own, notifier } = desk;
  return {
    openRetireGate: (name, release, envelope) =>
      openAskedGate(desk, {
        kind: 'retire',
        envelope,
        workflowId: lifecycleId(name),
        subject: { ...name, release },
        check: ({ predicate: { action, release: about } }, { newest: { retirement } }) => {
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
      const told: NoticePredicate['consumers'][number][] = [];
      for (const { id, contact } of await consumersOf(name)) {
        const messageId = `<${sha256(`${digest} ${id}`).slice(0, 32)}@custody>`;
        const letter = { consumer: contact, messageId, ...letterFor(name, release, retiresAt, action) };
        told.push({ id, ...(await notifier.send(letter)) });
      }
      const predicate: NoticePredicate = {
        environment: records.environment,
        ...name,
        consumers: told,
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
        actor: { id: own, statement: retirement.notice },
        subject: { ...name, release },
        after: retirement.notice,
        policy: request.predicate.policy,
        reason: `${told.length} consumers told; retires at ${retirement.retiresAt}`,
      });
      return retirement;
    },

    withdrawRelease: ({ model }, release) => router.takeOut(model, release, withdraw),

    noteErasure: async (name, release) => journal.note(...(await erasureOf(records, name, release))),
  };

  /**
   * Everybody who needs the release or its endpoint, also through other models: those who are declared, by the entry of the
   * directory that they name, and those whom the gateways have seen calling by a name.
   */
  async function consumersOf(name: ReleaseName): Promise<readonly Told[]> {
    const views = await Promise.all(
      gateways.map(async (gateway) => ({ state: await gateway.state(), callers: await gateway.callers() })),
    );
    const { graph, consumers: declared } = await gatherInventory(records, consumers, views);
    const contacts = new Map(declared.map(({ predicate }) => [predicate.consumer, predicate.contact] as const));
    const told = new Map<string, Told>();
    for (const { node } of dependentsOf(graph, [modelKey(name.model), releaseKey(name)])) {
      if ((node.kind !== 'consumer' && node.kind !== 'caller') || node.id === '') continue;
      const contact = node.kind === 'consumer' ? contacts.get(node.id) : undefined;
      // Who is declared is told as declared: nobody takes its place by calling under its name.
      if (node.kind === 'consumer' || !told.has(node.id))
        told.set(node.id, { id: node.id, contact: contact ?? node.id });
    }
    return [...told.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }
}

/**
 * What the signing zone has done to a release, by its own statements: it has no way to the log. Both lower exposure, so they are
 * told of afterwards, with the time that they have.
 */
export async function erasureOf(records: Records, name: ReleaseName, release: Digest): Promise<Entry[]> {
  const now = isoTime(Date.now());
  const entry = (
    { signers, digest }: { readonly signers: readonly string[]; readonly digest: Digest },
    at: string,
  ): Pick<Entry, 'key' | 'actor' | 'subject' | 'after' | 'time'> => ({
    key: digest,
    actor: { id: signers.join(' and '), statement: digest },
    subject: { ...name, release },
    after: digest,
    time: at < now ? at : now,
  });
  const revocation = await records.find('revocation', storeKeys.revocation(release));
  if (revocation === null) return [];
  const { predicate: said, digest: revoked } = revocation.verified;
  const { policy } = (await records.get('request', said.request)).verified.predicate;
  const entries: Entry[] = [
    {
      ...entry(revocation.verified, said.issuedAt),
      ...{ change: 'release.revoked', before: said.request, policy, reason: said.reason },
    },
  ];
  const made = (await records.record(storeKeys.record(name, 'destruction'))) as { readonly certificate: Digest } | null;
  if (made === null) return entries;
  const { verified } = await records.get('destruction', made.certificate);
  const { destroyed, kept, destroyedAt, method } = verified.predicate;
  const reason = `${method}: ${destroyed.length} keys destroyed, ${kept.length} files kept for other releases`;
  return [
    ...entries,
    { ...entry(verified, destroyedAt), ...{ change: 'keys.destroyed', before: revoked, policy, reason } },
  ];
}

interface Told {
  readonly id: string;
  readonly contact: string;
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
