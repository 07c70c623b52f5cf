import { NOTHING_COUNTED } from '../domain/analysis.js';
import { CustodyError } from '../domain/errors.js';
import { MAX_REASON, type StepVerdictPredicate } from '../domain/step-verdict.js';
import { signStatement } from '../formats/statements.js';
import type { Desk } from './control.js';
import type { EndpointControl } from './contract.js';

/** What the watches of steps have counted, for whoever asks later why a rollout went on, or did not. */
export function createVerdictDesk({ records, journal, router, key, id }: Desk): Pick<EndpointControl, 'noteVerdict'> {
  return {
    noteVerdict: async (model, { verdict, watchedSince, reachedAt }) => {
      const { revision, kind, counts = {} } = verdict;
      const { digest, document } = await router.route(model, revision);
      const [watched] = document.releases;
      if (document.plan === null || watched === undefined)
        throw new CustodyError('REPLAYED', `revision ${revision} of ${model} is no step of a rollout`);
      const { release, version } = watched;
      const reason = verdict.kind === 'pass' ? null : verdict.reason.slice(0, MAX_REASON);
      const predicate: StepVerdictPredicate = {
        ...{ environment: records.environment, model, version, document: digest, revision, verdict: kind, reason },
        counts: document.releases.map((entry) => ({
          ...{ release: entry.release, version: entry.version, weight: entry.weight },
          ...(counts[entry.release] ?? NOTHING_COUNTED),
        })),
        // Not the time of this attempt: tried again, it is the same statement.
        ...{ watchedSince, issuedAt: reachedAt },
      };
      const statement = signStatement('stepVerdict', { name: `${model}@${version}`, sha256: release }, predicate, [
        key,
      ]);
      const { verified } = await records.receive('stepVerdict', statement);
      await records.keep(statement);
      const { requests, failures, slow } = counts[release] ?? NOTHING_COUNTED;
      const seen = `${requests} answers, ${failures} failed, ${slow} slow`;
      await journal.note({
        change: 'rollout.judged',
        key: `${digest} ${reachedAt}`,
        actor: { id, statement: verified.digest },
        subject: { model, version, release },
        before: digest,
        after: verified.digest,
        time: reachedAt,
        reason: `step ${document.plan.step + 1}: ${kind}${reason === null ? '' : `: ${reason}`} (${seen})`,
      });
    },
  };
}
