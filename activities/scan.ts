import type { Records } from '../adapters/records.js';
import { describeFindings } from '../domain/artifacts.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { ReleaseName } from '../domain/names.js';
import type { Policy } from '../domain/policy.js';
import { concludeScan, type ScanPredicate } from '../domain/scan.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { canonicalBytes } from '../formats/jcs.js';
import type { SigningKey } from '../formats/keys.js';
import { sha256 } from '../formats/sha256.js';
import { signStatement } from '../formats/statements.js';
import type { Look } from './look.js';

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
  { files, isolation, reader, verdicts, takenFrom, reused }: Look,
  rules: Policy['artifacts'],
): SignedScan {
  const concluded = concludeScan(files, verdicts, rules);
  const means = { isolation, reader, ...(takenFrom === null ? {} : { takenFrom }) };
  const told = files.map((file) => (reused.has(file.path) ? { ...file, takenFrom: 'base' } : file));
  const about = { release, model, version, rules, ...means };
  const report = canonicalBytes({ ...about, ...concluded, files: told, scanners: verdicts });
  const predicate: ScanPredicate = { ...concluded, version, ...means, report: sha256(report) };
  const subject = { name: `${model} ${version}`, sha256: release };
  return { predicate, report, envelope: signStatement('scan', subject, predicate, [key]) };
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
