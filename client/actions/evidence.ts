import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { CustodyError } from '../../domain/errors.js';
import { exitCodeFor, failuresOf } from '../../domain/record.js';
import { parseReleaseName } from '../../domain/names.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { readPinnedRoot } from '../../formats/policy.js';
import { sha256 } from '../../formats/sha256.js';
import { auditLog, logKeyOf } from '../audit.js';
import { openReading } from '../connect.js';
import { makeDossier } from '../evidence/dossier.js';
import type { Evidence } from '../evidence/model.js';
import { verifyDossier } from '../evidence/verify.js';
import { answer, bad, counted, faint, good, plain, talk } from '../output.js';
import type { Session } from '../session.js';
import { signerOf } from '../signer.js';

export async function makeEvidence(
  session: Session,
  given: string,
  { key, out }: { readonly key?: string; readonly out?: string },
): Promise<void> {
  const name = parseReleaseName(given);
  if (key === undefined) throw new CustodyError('USAGE', 'say with --key which auditor makes it');
  const custody = openReading(session.layout);
  const signer = await signerOf({ ...session, custody }, key);
  const log = await auditLog(custody, signer);
  const { vkey } = custody.description.audit;
  const folder = resolve(out ?? `evidence-${name.model}-${name.version}`);
  const evidence = await makeDossier({ records: custody.records, log, signer, vkey }, name, folder);
  const root = sha256(canonicalBytes(custody.records.root));
  told(session, evidence, { folder, root, vkey }, [
    faint(`who checks it needs two things from you, not from the folder:`),
    faint(`  the pinned root  ${session.layout.root}, whose canonical form has the sha256 ${root}`),
    faint(`  the log's key    ${vkey}`),
  ]);
}

export async function verifyEvidence(
  session: Session,
  given: string,
  { root: file = session.layout.root, logKey }: { readonly root?: string; readonly logKey?: string },
): Promise<void> {
  const root = readPinnedRoot(readFileSync(file, 'utf8'), file);
  const vkey = logKeyOf(session, logKey);
  const folder = resolve(given);
  const evidence = await verifyDossier(folder, { root, vkey });
  told(session, evidence, { folder, root: sha256(canonicalBytes(root)), vkey }, []);
}

/** What the dossier comes to; what it says does not hold decides the exit code, as for `custody show`. */
function told(session: Session, evidence: Evidence, where: object, more: readonly string[]): void {
  const { model, version, standing, madeAt, madeBy, requirements, documents, timeline, log } = evidence;
  const count = (state: string): number => requirements.filter((each) => each.state === state).length;
  const states = ['holds', 'fails', 'not concerned', 'no evidence'].map((state) => `${state}: ${count(state)}`);
  const failing = failuresOf(evidence);
  const refused = requirements.filter(({ state }) => state === 'fails');
  const isSound = failing.length === 0 && refused.length === 0;
  answer(session, { ...where, ...{ model, version, standing, madeAt, madeBy, log, failing, refused } }, [
    (isSound ? good : bad)(`${model} ${version}, ${standing}: by ${madeBy} at ${madeAt}`),
    `${counted(documents.length, 'document')} and ${counted(timeline.length, 'record')} of a log of ${log.size}, every check made again`,
    `requirements: ${states.join(', ')}`,
    ...more,
  ]);
  for (const { part, failure } of failing) talk(`${bad(failure.code)} ${plain(`${part}: ${failure.reason}`)}`);
  for (const { id, says } of refused) talk(`${bad('fails')} ${plain(`${id}: ${says}`)}`);
  process.exitCode = failing.length === 0 && refused.length > 0 ? REFUSED : exitCodeFor(failing);
}

const REFUSED = 3;
