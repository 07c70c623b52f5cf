import { mkdir, mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import type { OpenBase } from '../adapters/base.js';
import { shredTree } from '../adapters/durable.js';
import type { Records } from '../adapters/records.js';
import type { Scanners } from '../adapters/scan/external.js';
import type { Inspection, Inspector } from '../adapters/scan/inspect.js';
import { contentsOf, mayBeJoined, releaseFacts } from '../adapters/source/facts.js';
import type { ReadOptions } from '../adapters/source/file.js';
import { partOf, type SourceRelease } from '../adapters/source/folder.js';
import { copyRelease } from '../adapters/source/inspect.js';
import type { ScannerVerdict } from '../domain/artifacts.js';
import { takenOver } from '../domain/base.js';
import { MANIFEST_FILE, type ManifestFile } from '../domain/manifest.js';
import type { Policy } from '../domain/policy.js';
import { reuseFlaw, type TakenFrom } from '../domain/scan.js';
import { bytesOf, resultsOf, type Result } from './based.js';
import { NOTHING_TAKEN, type Taken } from './take-over.js';

/** What was found in a release, and what of it rests on an earlier scan. */
export interface Look extends Inspection {
  readonly verdicts: readonly ScannerVerdict[];
  /** `null` for a release that builds on no other. */
  readonly takenFrom: TakenFrom | null;
  /** Paths whose results are those of the base's scan. */
  readonly reused: ReadonlySet<string>;
}

export interface LookDependencies {
  readonly records: Records;
  readonly inspect: Inspector;
  readonly scanners: Scanners;
  /** A private folder for copies of what is looked into. */
  readonly work: string;
}

/** Where a release builds on another one: that, and what it takes over, for when it has to be read again. */
export interface Basis {
  readonly base: OpenBase;
  readonly take: () => Promise<Taken>;
}

/**
 * Looks into every file of a release. What it has of its base is not read again, where looking again would find the same: by
 * the same program, isolated the same way, under the same rules. Otherwise it is fetched from custody and looked into.
 */
export async function lookInto(
  deps: LookDependencies,
  source: SourceRelease,
  basis: Basis | null,
  rules: Policy['artifacts'],
  options: ReadOptions,
): Promise<Look> {
  if (basis === null) {
    const seen = await see(deps, source, rules, options);
    return { ...seen, takenFrom: null, reused: new Set() };
  }
  const { manifest, release: verified } = basis.base;
  const known = await resultsOf(deps.records, basis.base, source.manifest, rules);
  const seen = await seeCopy(deps, source, basis, rules, options, ({ path }) => !known.has(path));
  const from = { release: verified.release, files: takenOver(source.manifest, manifest).length };
  const joined = reuseFlaw(verified.scan.predicate, seen) === null ? joinedWith(source, seen, known) : null;
  if (joined !== null) {
    const takenFrom = { ...from, reused: known.size, scan: known.size === 0 ? null : verified.scan.digest };
    return { ...seen, ...joined, takenFrom, reused: new Set(known.keys()) };
  }
  const all = known.size === 0 ? seen : await seeCopy(deps, source, basis, rules, options, () => true);
  return { ...all, takenFrom: { ...from, reused: 0, scan: null }, reused: new Set() };
}

type Seen = Inspection & { readonly verdicts: readonly ScannerVerdict[] };

async function see(
  { inspect, scanners }: LookDependencies,
  source: SourceRelease,
  rules: Policy['artifacts'],
  options: ReadOptions,
): Promise<Seen> {
  const inspection = await inspect(source, options);
  return { ...inspection, verdicts: await scanners(source, inspection.files, rules, options.signal) };
}

/** Looks into some files, in a private copy whose every byte was checked: of them alone, and from wherever they are. */
async function seeCopy(
  deps: LookDependencies,
  source: SourceRelease,
  { base, take }: Basis,
  rules: Policy['artifacts'],
  options: ReadOptions,
  isWanted: (file: ManifestFile) => boolean,
): Promise<Seen> {
  const part = partOf(source, source.manifest.files.filter(isWanted));
  const taken = takenOver(part.manifest, base.manifest).length === 0 ? NOTHING_TAKEN : await take();
  await mkdir(deps.work, { recursive: true, mode: 0o700 });
  const folder = await mkdtemp(join(deps.work, 'look-'));
  try {
    const copy = join(folder, 'release');
    const { signal } = options;
    const reading = signal === undefined ? {} : { signal };
    const from = bytesOf(deps.records, part, base.manifest, taken, reading);
    await copyRelease(part, copy, MANIFEST_FILE, { bytesOf: from });
    return await see(deps, { ...part, folder: copy }, rules, options);
  } finally {
    taken.close();
    await shredTree(folder);
  }
}

/** Both as one, in the order of the manifest; `null` where they would be more than is found in one go. */
function joinedWith(
  { manifest }: SourceRelease,
  seen: Seen,
  known: ReadonlyMap<string, Result>,
): Pick<Inspection, 'files' | 'facts'> | null {
  const contents = new Map(contentsOf(seen.facts));
  const files = new Map(seen.files.map((file) => [file.path, file]));
  for (const [path, { scanned, content }] of known) {
    files.set(path, scanned);
    contents.set(path, content);
  }
  if (!mayBeJoined(contents.values())) return null;
  return {
    files: manifest.files.flatMap(({ path }) => files.get(path) ?? []),
    facts: releaseFacts(manifest, contents),
  };
}
