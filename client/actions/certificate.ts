import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { gatherCertificate } from '../../adapters/certificate.js';
import { certificateHolds, type CertificateCheck, type Gone } from '../../domain/certificate.js';
import { exitCodeOf } from '../../domain/errors.js';
import { parseReleaseName } from '../../domain/names.js';
import { isoTime } from '../../domain/time.js';
import { verifyCertificate } from '../../formats/certificate.js';
import { envelopeDigest } from '../../formats/dsse.js';
import { certificateEvidenceSchema } from '../../formats/evidence-schema.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { checkShape, parseJson } from '../../formats/json.js';
import { readPinnedRoot } from '../../formats/policy.js';
import { sha256 } from '../../formats/sha256.js';
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
  const whole = await gatherCertificate(openReading(session.layout).records, name);
  const file = resolve(out ?? `certificate-${name.model}-${name.version}.json`);
  replaceFile(file, canonicalBytes(whole).toString('utf8'));
  const certificate = envelopeDigest(whole.certificate);
  answer(session, { file, release: sha256(whole.manifest), certificate }, [
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
