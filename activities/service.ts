import type { Digest } from '../domain/digest.js';
import type { RoutedPosition } from '../domain/endpoint.js';
import { CustodyError } from '../domain/errors.js';
import { establishedOf, rollbackTo, type RoutingDocument } from '../domain/routing.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime } from '../domain/time.js';
import type { Desk } from './control.js';
import type { EndpointControl } from './contract.js';
import { notBefore } from './router.js';

/** What becomes of a release in service that breaks what it was rolled out with. */
export function createServiceDesk({
  records,
  journal,
  router,
  id,
}: Desk): Pick<EndpointControl, 'revertService' | 'noteBreach'> {
  /** The release to go back to, or why there is none by itself. */
  const wayBack = async (model: string, document: RoutingDocument): Promise<Digest | { readonly not: string }> => {
    const [serving, before] = establishedOf(document);
    const { windowSeconds } = (await records.usablePolicies()).newest.rollback;
    if (windowSeconds === undefined) return { not: 'the policy lets nothing be rolled back by itself once it serves' };
    const promotedAt = await promotionOf(model, document.revision, serving?.release);
    if (promotedAt === null || Date.now() - Date.parse(promotedAt) > windowSeconds * 1000)
      return { not: `it was promoted more than ${windowSeconds} s ago, or not at all` };
    if (before === undefined) return { not: 'no release before it is kept warm' };
    if ((await records.bucket.read(storeKeys.revocation(before.release))) !== null)
      return { not: `the release before it, ${before.version}, has been revoked` };
    return before.release;
  };

  const promotionOf = async (model: string, revision: number, release: Digest | undefined): Promise<string | null> => {
    for (let at = revision; at > 0; at -= 1) {
      const document = await router.at(model, at);
      if (document === null || document.releases[0]?.release !== release) return null;
      if (document.change === 'promote') return document.issuedAt;
    }
    return null;
  };

  const moved = async (model: string): Promise<{ kind: 'rolled back'; position: RoutedPosition }> => ({
    kind: 'rolled back',
    position: await router.lower(model),
  });

  return {
    revertService: async (model, revision, release, reason) => {
      const current = await router.current(model);
      const document = await router.at(model, revision);
      const serving = document === null || document.plan !== null ? undefined : establishedOf(document)[0];
      if (current === null || document === null || serving?.release !== release) return moved(model);
      const breach = { revision, release, reason, since: isoTime(Date.now()) };
      if (current.document.revision === revision) {
        const back = await wayBack(model, document);
        if (typeof back !== 'string') {
          const outcome = `it serves on: ${back.not}`;
          const breached = { ...breach, outcome };
          return { kind: 'alarm', reason: `${reason}; ${back.not}`, breached };
        }
        await router.draw(model, current, rollbackTo(document, back), null);
      }
      const to = await moved(model);
      // Also when this is tried again.
      const next = await router.at(model, revision + 1);
      return next?.change === 'rollback' ? { ...to, breached: { ...breach, outcome: 'rolled back' } } : to;
    },

    noteBreach: async (model, { revision, release, reason, since, outcome }) => {
      const { digest: before, document } = await router.route(model, revision);
      const serving = establishedOf(document)[0];
      if (serving?.release !== release)
        throw new CustodyError('REPLAYED', `revision ${revision} of ${model} serves another release`);
      await journal.note({
        change: 'service.breached',
        key: `${before} ${reason}`,
        actor: { id, statement: before },
        subject: { model, version: serving.version, release },
        before,
        time: notBefore(document, since),
        reason: `${reason}; ${outcome}`,
      });
    },
  };
}
