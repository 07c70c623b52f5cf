import { dependenciesOf } from '../../../domain/provenance.js';
import {
  alsoBy,
  byLines,
  holds,
  linesOf,
  noEvidence,
  notConcerned,
  recordsOf,
  type Facts,
  type Finding,
} from '../facts.js';
import { draft, type Requirement } from './row.js';

/** Environments and training; retirement. */
export const ENDS: readonly Requirement[] = [
  draft('C3.5.1', 1, 'Development, test and production are separated.', () =>
    noEvidence('a dossier is of one environment, and says nothing of the others'),
  ),
  draft('C3.5.2', 1, 'Training is isolated, with controlled network.', isolation),
  draft('C3.5.3', 1, 'Training data: integrity, trusted source and chain of custody before use.', data),
  draft('C3.5.4', 2, 'Hyperparameters, scripts and configurations are reviewed before training.', () =>
    noEvidence('the review of what it was trained with is not recorded'),
  ),
  draft('C3.6.1', 1, 'Retirement finds every consumer and gives the agreed notice.', noticed),
  draft('C3.6.2', 1, 'Retired artifacts are erased, with a verified certificate.', erased),
  draft('C3.6.3', 2, 'Retirement is logged with time and actor; signatures are revoked.', revoked),
  draft('C3.6.4', 2, 'Emergency retirement disables access within the agreed time.', (facts) =>
    isRetired(facts) ? noEvidence('how urgent its retirement was is not recorded') : notConcerned('it is not retired'),
  ),
];

function isolation({ provenance }: Facts): Finding {
  const sandbox = provenance?.buildDefinition.internalParameters?.['sandbox'];
  return noEvidence(
    typeof sandbox === 'string'
      ? `its producer says that it was trained in a sandbox (${sandbox}): nobody else does`
      : 'how its training was isolated is not recorded',
  );
}

function data(facts: Facts): Finding {
  const sets = facts.provenance === null ? [] : dependenciesOf(facts.provenance, 'training-data');
  const documents = facts.documents.among(...linesOf(facts, 'provenance').map(({ statement }) => statement));
  const named =
    sets.length === 0 ? '' : `its producer has signed the SHA-256 of ${sets.map(({ name }) => name).join(', ')}; `;
  return noEvidence(`${named}source and custody of the data before that are not recorded`, { documents });
}

function isRetired({ progress }: Facts): boolean {
  return progress.outcome?.kind === 'retired';
}

function noticed(facts: Facts): Finding {
  const { retirement } = facts.progress;
  if (retirement === undefined) return notConcerned('nobody has announced its retirement');
  const notice = facts.documents.stated('notice', retirement.notice);
  const found = byLines(facts, ['retirement']);
  const told = notice?.predicate.consumers ?? [];
  const by =
    told.length === 0
      ? 'it had no consumer to tell'
      : `${told.length} consumers, ${told.filter(({ how }) => how === 'mail').length} by mail`;
  const says = found.state === 'holds' ? `${by}; ${found.says}` : found.says;
  return alsoBy({ ...found, says }, facts.documents.among(retirement.notice), recordsOf(facts, 'retirement.noticed'));
}

function erased(facts: Facts): Finding {
  const { outcome } = facts.progress;
  if (outcome?.kind !== 'retired') return notConcerned('it is not retired');
  const documents = facts.documents.among(outcome.certificate);
  const [line] = linesOf(facts, 'destruction');
  return noEvidence(
    `the certificate is signed (${line?.says ?? ''}); that nobody can decrypt its bytes any more is not shown by a signature`,
    { documents, records: recordsOf(facts, 'keys.destroyed') },
  );
}

function revoked(facts: Facts): Finding {
  if (!isRetired(facts)) return notConcerned('it is not retired');
  const [line] = linesOf(facts, 'serving');
  const records = recordsOf(facts, 'release.retired', 'release.revoked');
  const checked = 'the revocation’s signature, and the record of the retirement in the log';
  if (line?.state !== 'fact' || !records.some(({ record }) => record.change === 'release.retired'))
    return { ...byLines(facts, ['serving', 'retirement']), state: 'fails', says: 'it is retired, and not revoked' };
  return holds(line.says, { checked, records, documents: facts.documents.among(line.statement) });
}
