import { join } from 'node:path';
import type { OpenBase } from '../adapters/base.js';
import { readFacts } from '../adapters/release-facts.js';
import type { Records } from '../adapters/records.js';
import { openSealed } from '../adapters/sealed.js';
import { contentsOf } from '../adapters/source/facts.js';
import { checkedBytes, expectedBytes, type ReadOptions } from '../adapters/source/file.js';
import type { SourceRelease } from '../adapters/source/folder.js';
import type { BytesOf } from '../adapters/source/inspect.js';
import type { ScannedFile } from '../domain/artifacts.js';
import { takenOver } from '../domain/base.js';
import { CustodyError } from '../domain/errors.js';
import type { Manifest } from '../domain/manifest.js';
import type { FileContent } from '../domain/release-facts.js';
import { resultStands } from '../domain/scan.js';
import type { Policy } from '../domain/policy.js';
import { canonicalBytes } from '../formats/jcs.js';
import { parseScanReport } from '../formats/scan/report.js';
import type { Taken } from './take-over.js';

/** What was found of one file when its release was taken in. */
export interface Result {
  readonly scanned: ScannedFile;
  readonly content: FileContent;
}

/** Where the bytes of a release's files are: in its folder, or in custody. */
export function bytesOf(
  records: Records,
  { folder, manifest }: SourceRelease,
  base: Manifest | null,
  taken: Taken,
  options: ReadOptions,
): BytesOf {
  const over = new Set(base === null ? [] : takenOver(manifest, base));
  return (file) => {
    if (!over.has(file)) return expectedBytes(join(folder, file.path), file, options);
    const blob = taken.files.get(file.sha256);
    if (blob === undefined) throw new CustodyError('INTERNAL', `${file.path} was not taken over from custody`);
    return checkedBytes(openSealed(records.bucket, blob, file.path), file, options);
  };
}

/**
 * What the base's scan found in the files that a release has of it, as far as it may stand under these rules: judged by the
 * same rules then, and file by file. Empty where they differ. Its statements were verified with the base.
 */
export async function resultsOf(
  records: Records,
  base: OpenBase,
  manifest: Manifest,
  rules: Policy['artifacts'],
): Promise<ReadonlyMap<string, Result>> {
  const { scan, change, release } = base.release;
  const report = parseScanReport(await records.getBytes(scan.predicate.report));
  if (report.release !== release)
    throw new CustodyError('REPLAYED', `the scan report of ${base.release.version} is about ${report.release}`);
  if (!canonicalBytes(report.rules).equals(canonicalBytes(rules))) return new Map();
  const contents = contentsOf(await readFacts(records, change.predicate.facts));
  const found = new Map(report.files.map((file) => [file.path, file]));
  const [before, now] = [kindsOf(base.manifest), kindsOf(manifest)];
  const results = new Map<string, Result>();
  for (const { path, size, sha256 } of takenOver(manifest, base.manifest)) {
    const [scanned, content] = [found.get(path), contents.get(path)];
    if (scanned === undefined || content === undefined) continue;
    if (scanned.size !== size || scanned.sha256 !== sha256) continue;
    if (resultStands(scanned, { before: before.get(path), now: now.get(path) }, rules))
      results.set(path, { scanned, content });
  }
  return results;
}

function kindsOf({ components }: Manifest) {
  return new Map(components.flatMap(({ kind, files }) => files.map((path) => [path, kind] as const)));
}
