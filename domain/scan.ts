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
import type { ComponentKind } from './manifest.js';
import { unreviewed, type PromptsFound } from './prompts.js';

/** So many findings stand in the statement; all of them in the report that it names. */
export const STATED_FINDINGS = 100;

/** What a release has of its base, and what its scan says of that without having looked again. */
export interface TakenFrom {
  readonly release: Digest;
  /** How many files are the base's. */
  readonly files: number;
  /** Of how many the results are those of the base's scan. */
  readonly reused: number;
  /** Digest of that statement; `null` where every file was looked into anew. */
  readonly scan: Digest | null;
}

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
  /** Digest of the program that read the files, its libraries in it; older statements do not say. */
  readonly reader?: Digest;
  /** Where the producer names a release that this one builds on. */
  readonly takenFrom?: TakenFrom;
  /** Of its prompts; statements of before that was asked do not say. */
  readonly prompts?: PromptsFound;
  /** Digest of the report: each file with its hash, format and findings, and from where it was taken over. */
  readonly report: Digest;
}

/** By what, and how, files are looked into. */
export interface ScanMeans {
  readonly reader: Digest;
  readonly isolation: Isolation;
  readonly rules: ArtifactRules;
}

/** Why what an earlier scan says of a file may not be what one of today would; `null`: looking again would find the same. */
export function reuseFlaw(
  earlier: Pick<ScanPredicate, 'reader' | 'isolation'>,
  now: Pick<ScanMeans, 'reader' | 'isolation'>,
): string | null {
  if (earlier.reader === undefined) return 'it does not say what has read the files';
  if (earlier.reader !== now.reader) return 'another program has read the files';
  return earlier.isolation === now.isolation
    ? null
    : `it was isolated by ${earlier.isolation}, not by ${now.isolation}`;
}

/**
 * Whether the result of one file may stand: in the same kind of component, which decides what code may be in it, and of a
 * format that no scanner is asked about, since those change without a trace.
 */
export function resultStands(
  { format }: Pick<ScannedFile, 'format'>,
  kinds: { readonly before: ComponentKind | undefined; readonly now: ComponentKind | undefined },
  rules: ArtifactRules,
): boolean {
  return kinds.before !== undefined && kinds.before === kinds.now && scannersFor(format, rules)?.length === 0;
}

/** What a scan comes to, by the policy's rules. */
export function concludeScan(
  files: readonly ScannedFile[],
  verdicts: readonly ScannerVerdict[],
  rules: ArtifactRules,
): Omit<ScanPredicate, 'version' | 'isolation' | 'report' | 'reader' | 'takenFrom' | 'prompts'> {
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
  const unread = scan.prompts === undefined ? null : unreviewed(scan.prompts, rules);
  if (unread !== null) return unread;
  const denied: readonly Construct[] = rules.denied ?? CONSTRUCTS;
  const construct = scan.tolerated.find((each) => denied.includes(each));
  return construct === undefined ? null : `the policy denies ${construct} (${RULES[construct].atlas}), which it holds`;
}
