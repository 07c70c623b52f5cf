import type { Change } from '../../../domain/audit.js';
import { authoriseData } from '../../../domain/data-source.js';
import type { Digest } from '../../../domain/digest.js';
import { probesHold } from '../../../domain/probes.js';
import { observedIn, sayObserved } from '../../../domain/observed.js';
import { sayTraffic, trafficIn } from '../../../domain/traffic.js';
import { dependenciesOf } from '../../../domain/provenance.js';
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
import { promoted } from './promotion.js';
import { code } from './reviewed.js';
import { draft, type Requirement } from './row.js';

/** Environments and training; retirement. */
export const ENDS: readonly Requirement[] = [
  draft('C3.5.1', 1, 'Development, test and production are separated.', promoted),
  draft('C3.5.2', 1, 'Training is isolated, with controlled network.', isolation),
  draft('C3.5.3', 1, 'Training data: integrity, trusted source and chain of custody before use.', data),
  draft('C3.5.4', 2, 'Hyperparameters, scripts and configurations are reviewed before training.', code),
  draft('C3.6.1', 1, 'Retirement finds every consumer and gives the agreed notice.', noticed),
  draft('C3.6.2', 1, 'Retired artifacts are erased, with a verified certificate.', erased),
  draft('C3.6.3', 2, 'Retirement is logged with time and actor; signatures are revoked.', revoked),
  draft('C3.6.4', 2, 'Emergency retirement disables access within the agreed time.', (facts) =>
    isRetired(facts) ? noEvidence('how urgent its retirement was is not recorded') : notConcerned('it is not retired'),
  ),
];

function isolation({ provenance }: Facts): Finding {
  const said = provenance?.buildDefinition.internalParameters;
  const sandbox = said?.['sandbox'];
  if (typeof sandbox !== 'string') return noEvidence('how its training was isolated is not recorded');
  const observed = observedIn(said);
  const tried = observed === null ? 'what it tried there is not recorded' : sayObserved(observed);
  const network = trafficIn(said);
  const without = said?.['network'] === undefined ? 'it had no network' : 'what it reached is not recorded';
  const reached = network === null ? without : sayTraffic(network);
  return noEvidence(
    `its producer says that it was trained in a sandbox (${sandbox}): nobody else does; ${tried}; ${reached}`,
  );
}

/** The statement about each data set, with its chain, by the rules of when it was vouched for. */
function data(facts: Facts): Finding {
  const sets = facts.provenance === null ? [] : dependenciesOf(facts.provenance, 'training-data');
  const documents = facts.documents.among(...linesOf(facts, 'provenance').map(({ statement }) => statement));
  const vouched = sets.map((set) => ({ set, source: sourceOf(facts, set) }));
  const missing = vouched.find(({ source }) => source === null);
  if (sets.length > 0 && missing === undefined) return custodyOf(facts, vouched, documents);
  const named =
    sets.length === 0 ? '' : `its producer has signed the SHA-256 of ${sets.map(({ name }) => name).join(', ')}; `;
  return noEvidence(`${named}source and custody of the data before that are not recorded`, { documents });
}

function sourceOf(facts: Facts, { statement, sha256 }: ReturnType<typeof dependenciesOf>[number]) {
  const source = statement === undefined ? null : facts.documents.stated('dataSource', statement);
  return source?.subject === sha256 ? source : null;
}

function custodyOf(
  facts: Facts,
  vouched: readonly { readonly source: ReturnType<typeof sourceOf> }[],
  documents: readonly Digest[],
): Finding {
  const checked =
    'for each data set the signatures of its statement and of every handover, that they lead from a publisher of the policy to whoever vouches, and the record in the log';
  const says: string[] = [];
  const found = [...documents];
  const records = recordsOf(facts, 'data.registered');
  for (const { source } of vouched) {
    if (source === null) continue;
    const { predicate, digest } = source;
    const links = predicate.chain.flatMap((link) => facts.documents.stated('handover', link) ?? []);
    const basis = { checked, documents: [...found, digest], records };
    const rules = { environment: predicate.environment, newest: facts.policies.newest, now: facts.now };
    const permission = authoriseData({ source, links }, rules);
    if (!permission.allowed) return fails(`${predicate.source}: ${permission.reason}`, basis);
    if (!records.some(({ record }) => record.after === digest))
      return fails(`the log does not have that ${predicate.source} was registered`, basis);
    found.push(digest, ...predicate.chain);
    const hands = [predicate.publisher, ...links.map((link) => link.predicate.to)].join(' → ');
    says.push(`${predicate.source}: ${predicate.files} files, ${predicate.licence}, ${hands}`);
  }
  return holds(says.join('; '), { checked, documents: facts.documents.among(...found), records });
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
      : `${told.length} consumers, ${told.filter(({ messageId }) => messageId !== null).length} reached`;
  const says = found.state === 'holds' ? `${by}; ${found.says}` : found.says;
  const [revocation] = recordsOf(facts, 'release.revoked');
  if (revocation !== undefined && Date.parse(revocation.record.time) < Date.parse(retirement.retiresAt))
    return fails('it was revoked before its notice was over', { checked: found.checked, records: [revocation] });
  return alsoBy({ ...found, says }, facts.documents.among(retirement.notice), recordsOf(facts, 'retirement.noticed'));
}

/** The certificate: what it says is compared with the release, with what people agreed to, and with the log. */
function erased(facts: Facts): Finding {
  const { outcome, retirement } = facts.progress;
  if (outcome?.kind !== 'retired') return notConcerned('it is not retired');
  const records = recordsOf(facts, 'keys.destroyed');
  const checked =
    'the certificate’s signature, that it is about this release, what was agreed and its revocation, that it names every file, whose key is gone or which another release needs, that each zone has tried every path and was refused, and the record in the log';
  const certificate = facts.documents.stated('destruction', outcome.certificate);
  const statements = certificate?.predicate.probed.map(({ statement }) => statement) ?? [];
  const basis = { checked, documents: facts.documents.among(outcome.certificate, ...statements), records };
  const [line] = linesOf(facts, 'destruction');
  const said = certificate?.predicate;
  if (line?.state !== 'holds' || said === undefined) return fails(line?.says ?? 'there is no certificate', basis);
  if (said.request !== retirement?.request || said.revocation !== linesOf(facts, 'serving')[0]?.statement)
    return fails('the certificate rests on another request, or on another revocation', basis);
  const named = new Set([...said.destroyed, ...said.kept].map(({ path }) => path));
  const missing = facts.manifest?.files.find(({ path }) => !named.has(path));
  if (missing !== undefined) return fails(`the certificate says nothing of ${missing.path}`, basis);
  const { newest } = facts.policies;
  const tried = said.probed.flatMap(({ statement }) => facts.documents.stated('probe', statement) ?? []);
  const held = probesHold(
    tried,
    { ...said, release: facts.release ?? '' },
    { environment: said.environment, gate: newest, newest, now: said.destroyedAt },
  );
  if (!held.allowed) return fails(`not every path was tried and found closed: ${held.reason}`, basis);
  if (!records.some(({ record }) => record.after === outcome.certificate))
    return fails('the log does not have that its keys were destroyed', basis);
  return holds(
    `${line.says}; every path was tried afterwards, and refused. What a signature cannot show: no copy of a key`,
    basis,
  );
}

function revoked(facts: Facts): Finding {
  if (!isRetired(facts)) return notConcerned('it is not retired');
  const [line] = linesOf(facts, 'serving');
  const records = recordsOf(facts, 'release.retired', 'release.revoked');
  const checked = 'the revocation’s signature, and the records of it and of the retirement in the log';
  const documents = facts.documents.among(line?.statement ?? null);
  if (line?.state !== 'fact') return fails('it is retired, and not revoked', { checked, records, documents });
  const has = (change: Change, after: string | null): boolean =>
    records.some(({ record }) => record.change === change && record.after === after);
  if (!has('release.retired', certificateOf(facts)) || !has('release.revoked', line.statement))
    return fails('the log does not have its retirement, or its revocation', { checked, records, documents });
  return holds(line.says, { checked, records, documents });
}

function certificateOf({ progress: { outcome } }: Facts): string | null {
  return outcome?.kind === 'retired' ? outcome.certificate : null;
}
