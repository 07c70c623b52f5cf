import { log } from '@temporalio/activity';
import { inParts } from '../adapters/in-parts.js';
import { gatherInventory, type GatewayView, type Inventory } from '../adapters/inventory.js';
import type { Found } from '../adapters/records.js';
import type { Digest } from '../domain/digest.js';
import { dependentsOfRelease, type Dependent } from '../domain/dependents.js';
import type { Noticed, NoticePredicate } from '../domain/ending-predicates.js';
import { lifecycleId, type ReleaseName } from '../domain/names.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { envelopeDigest } from '../formats/dsse.js';
import { canonicalBytes } from '../formats/jcs.js';
import { signStatement } from '../formats/statements.js';
import type { Desk } from './control.js';
import { letterFor, type Ending } from './letters.js';

/**
 * Everybody who needs the release or its endpoint, also through other models: those who are declared, by the entry of the
 * directory that they name, and those whom the gateways have seen calling by a name.
 */
export async function dependents(desk: Desk, name: ReleaseName): Promise<readonly Dependent[]> {
  return dependentsOfRelease(await inventoryOf(desk), name);
}

/** The same as far as gateways answer, and how many do not: whoever is declared does not wait for them. */
export async function dependentsSoFar(
  desk: Desk,
  name: ReleaseName,
): Promise<{ readonly all: readonly Dependent[]; readonly silent: number }> {
  const views = await Promise.allSettled(desk.gateways.map(viewOf));
  const had = views.flatMap((view) => (view.status === 'fulfilled' ? [view.value] : []));
  const inventory = await gatherInventory(desk.records, desk.consumers, had);
  return { all: dependentsOfRelease(inventory, name), silent: views.length - had.length };
}

export async function inventoryOf({ records, consumers, gateways }: Desk): Promise<Inventory> {
  return gatherInventory(records, consumers, await Promise.all(gateways.map(viewOf)));
}

const viewOf = async (gateway: Desk['gateways'][number]): Promise<GatewayView> => ({
  state: await gateway.state(),
  callers: await gateway.callers(),
});

/** Writes to each of them, and says how each was told. */
export async function tell(
  { notifier }: Desk,
  told: readonly Dependent[],
  ending: Ending,
): Promise<readonly Noticed[]> {
  return inParts(told, async (each) => {
    const { id, owner, criticality, contact } = each;
    const { how, messageId, why } = await notifier.send({ consumer: contact, ...letterFor(ending, each) });
    for (const problem of why) log.warn('a notice was not taken', { consumer: id, problem });
    return { id, owner, criticality, how, messageId };
  });
}

/**
 * Those who have appeared since, and once more those whom no way had reached; answers how many of both none has reached now.
 * Of whom no way reaches again nothing new is said.
 */
export async function tellTheRest(
  desk: Desk,
  { all, known, now }: { readonly all: readonly Dependent[]; readonly known: readonly Noticed[]; readonly now: string },
  of: { readonly fresh: Ending; readonly missed: Ending },
): Promise<number> {
  const before = new Map(known.map((each) => [each.id, each]));
  const fresh = all.filter(({ id }) => !before.has(id));
  const missed = all.filter(({ id }) => before.get(id)?.how === 'failed');
  const told = [
    ...(await tellLater(desk, of.fresh, fresh, now)),
    ...(await tellLater(desk, of.missed, missed, now, wasTold)),
  ];
  return fresh.length + missed.length - told.filter(({ how }) => how !== 'failed').length;
}

/** One more notice, to those of them of whom it is worth telling. */
async function tellLater(
  desk: Desk,
  ending: Ending,
  whom: readonly Dependent[],
  now: string,
  worth: (told: Noticed) => boolean = () => true,
): Promise<readonly Noticed[]> {
  const told = (await tell(desk, whom, ending)).filter(worth);
  if (told.length === 0) return told;
  const envelope = noticeOf(desk, ending, told, now);
  const key = storeKeys.laterNotice(ending.name, envelopeDigest(envelope));
  await noted(desk, ending, await desk.records.keep(envelope, key), told.length);
  return told;
}

export function noticeOf(
  { records, key }: Desk,
  { name, release, ground, retiresAt }: Ending,
  told: readonly Noticed[],
  issuedAt: string,
): SignedEnvelope {
  const predicate: NoticePredicate = {
    environment: records.environment,
    ...name,
    consumers: told,
    retiresAt,
    request: ground.digest,
    issuedAt,
  };
  return signStatement('notice', { name: lifecycleId(name), sha256: release }, predicate, [key]);
}

/** Callers are told by the next status document, which is made at once where there is something new. */
export async function announce(
  { records, reissueStatus }: Desk,
  notices: readonly Found<NoticePredicate>[],
): Promise<void> {
  let isNew = false;
  for (const { envelope, verified } of notices) {
    const { model, issuedAt } = verified.predicate;
    const key = storeKeys.notice(model, verified.subject, Date.parse(issuedAt), verified.digest);
    const { created } = await records.bucket.createOnce(key, canonicalBytes(envelope), await records.lock());
    isNew ||= created;
  }
  if (isNew) await reissueStatus();
}

/** In the log: who was told, and of what. */
export function noted(
  { journal, id }: Desk,
  { name, release, ground, retiresAt }: Ending,
  notice: Digest,
  count: number,
): Promise<void> {
  return journal.note({
    ...{ change: 'retirement.noticed', key: notice, after: notice },
    actor: { id, statement: notice },
    subject: { ...name, release },
    policy: ground.policy,
    reason: `${count} consumers told; ${ground.kind === 'retirement' ? `retires at ${retiresAt}` : `condemned: ${ground.says}`}`,
  });
}

export const wasTold = ({ how }: Pick<Noticed, 'how'>): boolean => how === 'mail' || how === 'webhook';
