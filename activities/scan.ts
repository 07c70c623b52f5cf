import type { Records } from '../adapters/records.js';
import { MAX_DOCUMENT_BYTES } from '../adapters/source/folder.js';
import { describeFindings, type ScannedFile } from '../domain/artifacts.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { ReleaseName } from '../domain/names.js';
import type { Policy } from '../domain/policy.js';
import type { PromptsFound } from '../domain/prompts.js';
import { concludeScan, type ScanPredicate } from '../domain/scan.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { canonicalBytes } from '../formats/jcs.js';
import type { SigningKey } from '../formats/keys.js';
import { sha256 } from '../formats/sha256.js';
import { signStatement } from '../formats/statements.js';
import type { Look } from './look.js';

/** With names of 1,024 bytes, these take half of what a report may have. */
const MAX_COUNTED = 4000;

/** What a scan came to, signed, and the report that it names: neither is kept yet. */
export interface SignedScan {
  readonly predicate: ScanPredicate;
  readonly envelope: SignedEnvelope;
  /** Every file with its hash, format and findings, and what each scanner said. */
  readonly report: Buffer;
}

export function signScan(
  key: SigningKey,
  { model, version }: ReleaseName,
  release: Digest,
  { files, isolation, reader, verdicts, takenFrom, reused, prompts }: Look & { readonly prompts: PromptsFound },
  rules: Policy['artifacts'],
): SignedScan {
  const concluded = concludeScan(files, verdicts, rules);
  const means = { isolation, reader, prompts, ...(takenFrom === null ? {} : { takenFrom }) };
  const told = files.map((file) => (reused.has(file.path) ? { ...file, takenFrom: 'base' } : file));
  const about = { release, model, version, rules, ...means };
  const whole = canonicalBytes({ ...about, ...concluded, files: told, scanners: verdicts });
  const report = whole.length <= MAX_DOCUMENT_BYTES ? whole : shortened({ ...about, ...concluded }, files);
  const predicate: ScanPredicate = { ...concluded, version, ...means, report: sha256(report) };
  const subject = { name: `${model} ${version}`, sha256: release };
  return { predicate, report, envelope: signStatement('scan', subject, predicate, [key]) };
}

/**
 * The report of a release with more findings than the store takes at once: the statement's are in it, and of each file how many
 * it has. POLICY_REFUSED for what would be clean: everything that is borne with must be told.
 */
function shortened(
  about: Pick<ScanPredicate, 'verdict' | 'findings'> & { readonly release: Digest },
  files: readonly ScannedFile[],
): Buffer {
  if (about.verdict === 'clean')
    throw new CustodyError('POLICY_REFUSED', 'the policy bears with more in this release than a report can hold');
  const refused = files.filter(({ findings }) => findings.length > 0);
  const counts = refused.map(({ path, findings }) => [path, findings.length] as const);
  return canonicalBytes({ ...about, files: [], refused: counts.slice(0, MAX_COUNTED) });
}

/** Keeps both; answers the statement's digest. */
export async function keepScan(records: Records, { envelope, report }: SignedScan): Promise<Digest> {
  await records.keepBytes(report);
  return records.keep(envelope);
}

/** POLICY_REFUSED unless the release is clean: with what was found, and the statement that says so, which is kept. */
export async function demandClean(records: Records, scan: SignedScan): Promise<void> {
  const { verdict, findings, more } = scan.predicate;
  if (verdict === 'clean') return;
  const statement = await keepScan(records, scan);
  const count = findings.length + more;
  throw new CustodyError(
    'POLICY_REFUSED',
    `the scan found the release ${verdict}, ${count} findings: ${describeFindings(findings)}; statement ${statement}`,
    { details: { statement, findings: findings.map((each) => describeFindings([each])) } },
  );
}
