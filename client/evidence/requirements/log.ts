import type { Change } from '../../../domain/audit.js';
import type { Progress } from '../../../domain/lifecycle.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { sha256 } from '../../../formats/sha256.js';
import { alsoBy, fails, holds, noEvidence, recordsOf, type Facts, type Finding } from '../facts.js';
import { prompts } from './reviewed.js';
import { draft, type Requirement } from './row.js';

/** The audit log, and what depends on it. */
export const LOG: readonly Requirement[] = [
  draft('C3.4.1', 1, 'Every change leaves an immutable record: time, actor, kind, before and after.', logged),
  draft('C3.4.2', 2, 'Reading the log needs authority, and every attempt is logged.', read),
  draft('C3.4.3', 2, 'Prompts and system messages are in version control, and reviewed.', prompts),
  draft('C3.4.4', 2, 'The records suffice to rebuild the state at any time.', rebuilt),
];

const STAGES: readonly (readonly [keyof Progress, Change])[] = [
  ['ingested', 'release.ingested'],
  ['validated', 'release.validated'],
  ['overridden', 'release.overridden'],
  ['approved', 'release.approved'],
  ['signed', 'release.signed'],
  ['rollout', 'rollout.ended'],
  ['reviewed', 'release.reviewed'],
];

/** Each stage of the release, as the store has it, is in the log with the digest of the very record. */
export function logged(facts: Facts): Finding {
  const { progress } = facts;
  const checked =
    'the digest of every record in the store against the one in the log, and the proof of each record against the signed root';
  if (progress.admission === undefined) return noEvidence('nothing has happened');
  const admitted = recordsOf(facts, 'release.admitted').filter(
    ({ record }) => record.after === progress.admission?.request,
  );
  const found = [...admitted];
  if (admitted.length === 0) return fails('the log does not have who asked for it', { checked });
  for (const [stage, change] of STAGES) {
    const value = progress[stage];
    if (value === undefined) continue;
    const digest = sha256(canonicalBytes(value));
    const own = recordsOf(facts, change).filter(({ record }) => record.after === digest);
    if (own.length === 0)
      return fails(`the store has a record of ${stage} that the log does not have`, { checked, records: found });
    found.push(...own);
  }
  const unlogged = facts.routes.find(
    ({ digest }) => !recordsOf(facts, 'route.changed').some(({ record }) => record.after === digest),
  );
  if (unlogged !== undefined)
    return fails(`the routing document of revision ${unlogged.document.revision} is not in the log`, { checked });
  const ends = recordsOf(facts, 'release.ended', 'release.retired', 'release.revoked', 'keys.destroyed');
  const { outcome } = progress;
  const end = outcome?.kind === 'retired' ? outcome.certificate : sha256(canonicalBytes(outcome ?? null));
  const ended = recordsOf(facts, outcome?.kind === 'retired' ? 'release.retired' : 'release.ended');
  if (outcome !== undefined && !ended.some(({ record }) => record.after === end))
    return fails('the store has how it ended, and the log does not', { checked, records: found });
  const says = `${found.length} stages and ${facts.routes.length} routing documents are in the log as the store has them; ${facts.entries.length} records are proved`;
  return holds(says, { checked, records: [...found, ...recordsOf(facts, 'route.changed'), ...ends] });
}

/** The reading of the log that this very dossier took. */
function read(facts: Facts): Finding {
  const reading = facts.entries.find(({ record }) => record.change === 'log.read' && record.actor.id === facts.by);
  const question = reading?.record.actor.statement ?? '';
  const stated = facts.documents.stated('auditQuestion', question);
  const checked = "the record of this dossier's own reading, and the signed question that it names";
  if (reading === undefined) return fails('the reading of the log for this dossier is not in it', { checked });
  const basis = { checked, records: [reading], documents: facts.documents.among(question) };
  if (stated === null) return fails('no signed question stands behind the reading', basis);
  return holds(`${facts.by} asked, and that was in the log before the answer`, basis);
}

/** The routing documents of its life follow on one another without a gap. */
function rebuilt(facts: Facts): Finding {
  const { routes } = facts;
  if (routes.length === 0) return noEvidence('it was never routed');
  const checked = 'that each routing document names the one before by its digest, and the log each of them';
  const basis = { checked, documents: routes.map(({ digest }) => digest), records: recordsOf(facts, 'route.changed') };
  const broken = routes.find(({ document }, at) => {
    const before = routes[at - 1];
    return before?.document.revision === document.revision - 1 && document.previous !== before.digest;
  });
  if (broken !== undefined) return fails(`revision ${broken.document.revision} follows another document`, basis);
  const found = logged(facts);
  if (found.state !== 'holds') return found;
  return alsoBy(holds(`what callers reached follows from ${routes.length} documents, one after another`, basis), []);
}
