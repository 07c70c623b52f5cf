import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { gatherRetirement, progressOf } from '../../adapters/dossier.js';
import { certificateHolds, type CertificateCheck, type Gone } from '../../domain/certificate.js';
import { CustodyError, exitCodeOf } from '../../domain/errors.js';
import type { CertificateEvidence } from '../../domain/evidence.js';
import { parseReleaseName } from '../../domain/names.js';
import { storeKeys } from '../../domain/store-keys.js';
import { isoTime } from '../../domain/time.js';
import { verifyCertificate } from '../../formats/certificate.js';
import { certificateEvidenceSchema } from '../../formats/evidence-schema.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { checkShape, parseJson } from '../../formats/json.js';
import { readPinnedRoot } from '../../formats/policy.js';
import { openReading } from '../connect.js';
import { renderCertificate } from '../evidence/page/certificate.js';
import { replaceFile } from '../files.js';
import { answer, bad, faint, good, plain, talk } from '../output.js';
import type { Session } from '../session.js';

const MAX_BYTES = 64 * 1024 * 1024;

export async function exportCertificate(
  session: Session,
  given: string,
  { out }: { readonly out?: string },
): Promise<void> {
  const name = parseReleaseName(given);
  const { records } = openReading(session.layout);
  const { ingested, retirement, outcome } = await progressOf(records, name);
  if (ingested === undefined || retirement === undefined || outcome?.kind !== 'retired')
    throw new CustodyError('INPUT_MISSING', `${given} has not been retired: there is no certificate`);
  const { release } = ingested;
  const [evidence, revocation, certificate] = await Promise.all([
    gatherRetirement(records, { ...name, release }, retirement),
    records.find('revocation', storeKeys.revocation(release)),
    records.get('destruction', outcome.certificate),
  ]);
  if (revocation === null) throw new CustodyError('WORM_VIOLATED', `the revocation of ${given} is gone from the store`);
  const { probed } = certificate.verified.predicate;
  const probes = await Promise.all(probed.map(({ statement }) => records.get('probe', statement)));
  const whole: CertificateEvidence = {
    ...evidence,
    revocation: revocation.envelope,
    certificate: certificate.envelope,
    probes: probes.map(({ envelope }) => envelope),
  };
  const file = resolve(out ?? `certificate-${name.model}-${name.version}.json`);
  replaceFile(file, canonicalBytes(whole).toString('utf8'));
  answer(session, { file, release, certificate: outcome.certificate }, [
    `certificate of ${given} in ${file}`,
    faint(`whoever checks it needs the pinned root from you: ${session.layout.root}`),
  ]);
}

export async function verifyCertificateFile(
  session: Session,
  file: string,
  { root = session.layout.root }: { readonly root?: string },
): Promise<void> {
  const { gone, checks } = readCertificate(file, root);
  const { model, version, remains, residual, destroyed, kept, destroyedAt } = gone.certificate.predicate;
  const release = gone.retirement.release;
  answer(session, { model, version, release, destroyedAt, destroyed, kept, remains, residual, checks }, [
    ...checks.map(line),
    ...remains.map(({ blob, size, until }) => `  ciphertext ${blob}, ${size} bytes, lies in the store until ${until}`),
    ...residual.map(({ what, where }) => plain(`  ${what}: ${where}`)),
  ]);
  judged(checks);
}

/** The same for people, as a page. */
export async function pageOfCertificate(
  session: Session,
  given: string,
  { root = session.layout.root, out }: { readonly root?: string; readonly out?: string },
): Promise<void> {
  const { gone, checks } = readCertificate(given, root);
  const { model, version } = gone.certificate.predicate;
  const file = resolve(out ?? `certificate-${model}-${version}.html`);
  replaceFile(file, renderCertificate(gone, checks));
  answer(session, { file, model, version, checks }, [`certificate of ${model}@${version} as a page in ${file}`]);
  judged(checks);
}

function readCertificate(file: string, rootFile: string): { gone: Gone; checks: readonly CertificateCheck[] } {
  const root = readPinnedRoot(readFileSync(rootFile, 'utf8'), rootFile);
  const read = parseJson(readFileSync(file), file, { maxBytes: MAX_BYTES });
  const evidence = checkShape(certificateEvidenceSchema, read, file);
  const { gone, rules } = verifyCertificate(evidence, root, isoTime(Date.now()));
  return { gone, checks: certificateHolds(gone, rules) };
}

/** What does not hold decides the exit code. */
function judged(checks: readonly CertificateCheck[]): void {
  const failing = checks.flatMap(({ permission }) => (permission.allowed ? [] : [permission]));
  for (const { code, reason } of failing) talk(`${bad(code)} ${plain(reason)}`);
  process.exitCode = failing[0] === undefined ? 0 : exitCodeOf(failing[0].code);
}

function line({ name, permission, says }: CertificateCheck): string {
  const text = permission.allowed ? says : permission.reason;
  return `${permission.allowed ? good('✔') : bad('✘')} ${name.padEnd(12)} ${plain(text)}`;
}
