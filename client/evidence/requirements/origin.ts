import type { Approved } from '../../../domain/lifecycle.js';
import { overrideAgreed } from '../../../domain/override.js';
import { type SUITE_GROUPS } from '../../../domain/suite.js';
import { rulesFor } from '../../../formats/evidence.js';
import {
  alsoBy,
  byLines,
  fails,
  holds,
  linesOf,
  noEvidence,
  notConcerned,
  recordsOf,
  type Facts,
  type Finding,
} from '../facts.js';
import { draft, type Requirement } from './row.js';

/** Authorisation, integrity, origin; validation and override. */
export const ORIGIN: readonly Requirement[] = [
  draft('C3.1.1', 1, 'Every artifact is signed by an authorised signer before it is deployed.', signed),
  draft('C3.1.2', 1, 'Integrity is checked at deployment; a signature that fails stops the load.', loadable),
  draft(
    'C3.1.3',
    2,
    'Provenance: who authorised it, checksums of the training data, results of the validation, time of creation.',
    (facts) => byLines(facts, ['approval', 'training-data', 'validation', 'created', 'provenance']),
  ),
  draft('C3.1.4', 2, 'Release and components have semantic versions, raised by written criteria.', (facts) =>
    byLines(facts, ['change']),
  ),
  draft('C3.1.5', 2, 'A live inventory says which systems consume the model.', () =>
    noEvidence('who consumes the model is no part of a dossier: it is what `custody consumers show` says at the time'),
  ),
  draft(
    'C3.2.1',
    1,
    'Input validation, output sanitisation and safety are tested automatically, with thresholds fixed before.',
    tested,
  ),
  draft('C3.2.2', 1, 'A failed validation blocks; only a designated authority lifts it, with a reason.', overridden),
  draft('C3.2.3', 2, 'Results of tests are signed, and bound to the very release.', (facts) =>
    byLines(facts, ['validation', 'cases']),
  ),
  draft(
    'C3.2.4',
    2,
    "An emergency deployment needs a risk assessment and the security authority's approval.",
    emergency,
  ),
];

export function signed(facts: Facts): Finding {
  const found = byLines(facts, ['producer', 'signature', 'release']);
  const [signing] = recordsOf(facts, 'release.signed');
  const [routing] = recordsOf(facts, 'route.changed');
  if (found.state !== 'holds' || routing === undefined) return found;
  if (signing === undefined || signing.index > routing.index)
    return fails('the log does not have it signed before callers were routed to it', {
      checked: 'the order of the records in the log',
      records: [routing],
    });
  const { checked } = found;
  const { manifest } = facts;
  const says = `${manifest?.files.length ?? 0} files: ${linesOf(facts, 'producer', 'signature')
    .map((line) => line.says)
    .join(', then ')}; in the log before anybody was routed to it`;
  return alsoBy({ ...found, says, checked: `${checked}; the order of the records in the log` }, [], [signing, routing]);
}

/** What every load checks, checked once more. */
export function loadable(facts: Facts): Finding {
  const refused = recordsOf(facts, 'load.refused');
  const [line] = linesOf(facts, 'serving');
  const count = refused.length === 0 ? 'no load was refused' : `${refused.length} loads were refused`;
  if (line?.state === 'fact') {
    const documents = facts.documents.among(line.statement);
    const revoked = byLines(facts, ['producer', 'signature']);
    const says = `it is revoked, so every load refuses it now; ${count}`;
    return revoked.state === 'holds' ? alsoBy({ ...revoked, says }, documents, refused) : revoked;
  }
  const found = byLines(facts, ['serving', 'signature', 'producer']);
  return found.state === 'holds'
    ? alsoBy({ ...found, says: `what a load checks holds, checked again: ${line?.says ?? ''}; ${count}` }, [], refused)
    : alsoBy(found, [], refused);
}

const DEMANDED: readonly (typeof SUITE_GROUPS)[number][] = ['input-validation', 'output-sanitisation', 'safety'];

function tested(facts: Facts): Finding {
  const found = byLines(facts, ['validation', 'cases']);
  const { testResult } = facts.progress.validated ?? {};
  const result = testResult === undefined ? null : facts.documents.stated('testResult', testResult);
  if (found.state !== 'holds' || result === null) return found;
  const { passedTests, warnedTests = [], failedTests } = result.predicate;
  const all = [...passedTests, ...warnedTests, ...failedTests];
  const counts = DEMANDED.map((group) => ({ group, cases: all.filter((id) => id.startsWith(`${group}/`)).length }));
  const missing = counts.find(({ cases }) => cases === 0);
  if (missing !== undefined)
    return noEvidence(`no case of the suites is of ${missing.group}`, { documents: found.documents });
  const says = counts.map(({ group, cases }) => `${cases} of ${group}`).join(', ');
  return { ...found, says: `${says}; ${passedTests.length} criteria passed, ${failedTests.length} failed` };
}

function overridden(facts: Facts): Finding {
  const { validated, overridden: lifted, outcome } = facts.progress;
  if (validated === undefined) return noEvidence('it has not been validated');
  const documents = facts.documents.among(validated.testResult);
  const failed = facts.documents.stated('testResult', validated.testResult)?.predicate.failedTests;
  if (failed === undefined) return noEvidence('its test result is not there, or nobody has signed it');
  if (failed.length === 0) return notConcerned('nothing failed, so nothing was to be lifted', { documents });
  if (lifted !== undefined) return lawfullyLifted(facts, lifted);
  const ended = recordsOf(facts, 'release.ended');
  const checked = 'the outcome in the store, and that no document ever routed anybody to it';
  const says = `${failed.length} criteria failed, nobody lifted them, and it went no further`;
  if (facts.routes.length > 0) return fails('it failed, nobody lifted that, and it was routed', { checked, documents });
  return outcome === undefined
    ? notConcerned('it has failed, and people may still lift that', { documents })
    : holds(says, { checked, documents, records: ended });
}

/** What failed was lifted by those who may, for this very request; until when that holds is what a load asks. */
function lawfullyLifted(facts: Facts, { request, approvals }: Approved): Finding {
  const { documents, policies, now, progress } = facts;
  const found = alsoBy(byLines(facts, ['validation']), documents.among(request, ...approvals));
  const deploy = documents.stated('request', progress.approved?.request ?? progress.gate?.request ?? '');
  const asked = documents.stated('request', request);
  if (found.state !== 'holds' || deploy === null || asked === null)
    return found.state === 'holds' ? noEvidence('no request shows what was lifted for it') : found;
  const statements = documents.of('override').map(({ verified }) => verified);
  const override = { request: asked, gate: policies.byDigest(asked.predicate.policy), statements };
  const agreed = overrideAgreed(deploy, override, rulesFor(policies, deploy, now));
  const checked = `${found.checked}; that override authorities have lifted exactly this, apart from whoever asked for it and made it`;
  if (!agreed.allowed) return { ...found, state: 'fails', says: `${agreed.code}: ${agreed.reason}`, checked };
  return { ...found, says: `${found.says}; lifted by ${agreed.approvers.join(', ')}`, checked };
}

function emergency(facts: Facts): Finding {
  const { admission, reviewed, lapsed } = facts.progress;
  const assessment = admission?.riskAssessment;
  if (assessment === undefined) return notConcerned('it was no emergency deployment');
  const found = byLines(facts, ['request', 'approval', 'quorum']);
  const documents = facts.documents.among(assessment, reviewed?.request, ...(reviewed?.approvals ?? []));
  const reviews = recordsOf(facts, 'release.reviewed', 'release.lapsed');
  if (found.state !== 'holds') return found;
  const review =
    reviewed !== undefined
      ? 'reviewed'
      : lapsed !== undefined
        ? 'not reviewed in time, and taken back'
        : 'its review is open';
  return alsoBy({ ...found, says: `${found.says}; ${review}` }, documents, reviews);
}
