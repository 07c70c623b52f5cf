import {
  CONSTRUCTS,
  describeFindings,
  judgeScan,
  RULES,
  scannersFor,
  type ArtifactFormat,
  type ArtifactRules,
  type Construct,
  type Finding,
  type ScannedFile,
  type ScannerVerdict,
  type ScanVerdict,
} from './artifacts.js';
import type { Digest } from './digest.js';
import type { Isolation } from './isolation.js';

/** So many findings stand in the statement; all of them in the report that it names. */
export const STATED_FINDINGS = 100;

/** What the files of a release are, and what was found in them. Subject: the release. */
export interface ScanPredicate {
  readonly version: string;
  readonly verdict: ScanVerdict['verdict'];
  /** Of which formats it is, by content. */
  readonly formats: readonly { readonly format: ArtifactFormat; readonly files: number }[];
  /** Scanners that looked at every file of a format and found nothing. */
  readonly scanners: readonly { readonly name: string; readonly format: ArtifactFormat }[];
  /** What was found and the policy does not deny. */
  readonly tolerated: readonly Construct[];
  /** The first of them; `more` were found. */
  readonly findings: readonly Finding[];
  readonly more: number;
  /** How the scan was kept from the host. */
  readonly isolation: Isolation;
  /** Digest of the report: each file with its hash, format and findings. */
  readonly report: Digest;
}

/** What a scan comes to, by the policy's rules. */
export function concludeScan(
  files: readonly ScannedFile[],
  verdicts: readonly ScannerVerdict[],
  rules: ArtifactRules,
): Omit<ScanPredicate, 'version' | 'isolation' | 'report'> {
  const { verdict, findings } = judgeScan(files, verdicts, rules);
  const formats = new Map<ArtifactFormat, string[]>();
  for (const { format, path } of files) formats.set(format, [...(formats.get(format) ?? []), path]);
  const passed = (name: string, paths: readonly string[]): boolean =>
    paths.every((path) => {
      const said = verdicts.filter(({ scanner, file }) => scanner === name && file === path);
      return said.length > 0 && said.every((each) => each.verdict === 'clean');
    });
  const found = new Set<string>(files.flatMap((file) => file.findings.map(({ rule }) => rule)));
  const refused = new Set<string>(findings.map(({ rule }) => rule));
  return {
    verdict,
    formats: [...formats].map(([format, paths]) => ({ format, files: paths.length })),
    scanners: [...formats].flatMap(([format, paths]) =>
      (scannersFor(format, rules) ?? []).filter((name) => passed(name, paths)).map((name) => ({ name, format })),
    ),
    tolerated: CONSTRUCTS.filter((construct) => found.has(construct) && !refused.has(construct)),
    findings: findings.slice(0, STATED_FINDINGS),
    more: Math.max(0, findings.length - STATED_FINDINGS),
  };
}

/** Why a release may not come in after this scan, by rules that may be newer than those of the scan; `null`: it may. */
export function scanProblem(scan: ScanPredicate, rules: ArtifactRules): string | null {
  if (scan.verdict !== 'clean' || scan.findings.length > 0)
    return `the scan found it ${scan.verdict}: ${describeFindings(scan.findings)}`;
  for (const { format } of scan.formats) {
    const scanners = scannersFor(format, rules);
    if (scanners === null) return `the policy lets in no files that are ${format} by their content`;
    const missing = scanners.find(
      (name) => !scan.scanners.some((each) => each.name === name && each.format === format),
    );
    if (missing !== undefined) return `${missing} has not passed the files that are ${format} by their content`;
  }
  const denied: readonly Construct[] = rules.denied ?? CONSTRUCTS;
  const construct = scan.tolerated.find((each) => denied.includes(each));
  return construct === undefined ? null : `the policy denies ${construct} (${RULES[construct].atlas}), which it holds`;
}
