import { factsOf } from '../adapters/release-facts.js';
import type { Records } from '../adapters/records.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { ReleaseName } from '../domain/names.js';
import type { RecordLine } from '../domain/record.js';
import type { FileFacts } from '../domain/release-facts.js';
import type { RouteEntry, RoutingDocument } from '../domain/routing.js';
import type { StateAt } from '../domain/state.js';
import { policyDigest } from '../formats/policy.js';
import { examine } from './record/record.js';

/** What a model served at a time: what the log has digests of, from WORM, where each is checked against its own. */
export interface Served {
  readonly policy: number | null;
  readonly route: RoutingDocument | null;
  readonly releases: readonly ServedRelease[];
}

export interface ServedRelease extends RouteEntry {
  readonly command: readonly string[];
  readonly files: readonly {
    readonly component: string;
    readonly version: string;
    readonly path: string;
    readonly sha256: Digest;
  }[];
  /** Leaves of its configuration by file and dotted path, as JSON or, where that is long, as a digest. */
  readonly config: Readonly<Record<string, string>>;
  /** Version by package, of its dependency lock. */
  readonly dependencies: Readonly<Record<string, string>>;
  /** Who approved it, and by what policy; checked now. */
  readonly approved: readonly RecordLine[];
}

const APPROVAL: ReadonlySet<string> = new Set(['approval', 'quorum']);

/** WORM_VIOLATED: the store has lost what the log names. */
export async function servedBy(records: Records, state: StateAt): Promise<Served> {
  const { chain } = await records.policies();
  const policy = chain.find((each) => policyDigest(each) === state.policy?.digest)?.version ?? null;
  if (state.policy !== null && policy === null) throw lost('policy', state.policy.digest);
  const route = state.route === null ? null : await routeOf(records, state.model, state.route.digest);
  const releases: ServedRelease[] = [];
  for (const entry of route?.releases ?? []) releases.push(await served(records, state.model, entry));
  return { policy, route, releases };
}

async function routeOf(records: Records, model: string, digest: Digest): Promise<RoutingDocument> {
  for await (const key of records.bucket.list(`routes/${model}/`)) {
    const found = await records.findGenuine('route', key);
    if (found?.verified.digest === digest) return found.verified.predicate;
  }
  throw lost('routing document', digest);
}

async function served(records: Records, model: string, entry: RouteEntry): Promise<ServedRelease> {
  const name: ReleaseName = { model, version: entry.version };
  const { release, facts } = await factsOf(records, name);
  if (release !== entry.release)
    throw new CustodyError('DIGEST_MISMATCH', `${model} ${entry.version} is ${release}, not what was routed`);
  const files = facts.components.flatMap(({ name: component, version, files: each }) =>
    each.map((file) => ({ component, version, file })),
  );
  const { lines } = await examine(records, name);
  return {
    ...entry,
    command: facts.serving.command,
    files: files.map(({ component, version, file: { path, sha256 } }) => ({ component, version, path, sha256 })),
    config: Object.fromEntries(files.flatMap(({ file }) => configOf(file))),
    dependencies: Object.fromEntries(files.flatMap(({ file }) => packagesOf(file))),
    approved: lines.filter(({ part }) => APPROVAL.has(part)),
  };
}

function configOf({ path, content }: FileFacts): (readonly [string, string])[] {
  return content.kind === 'config' ? Object.entries(content.values).map(([at, value]) => [`${path}#${at}`, value]) : [];
}

function packagesOf({ content }: FileFacts): (readonly [string, string])[] {
  return content.kind === 'dependencies' ? Object.entries(content.packages) : [];
}

function lost(what: string, digest: Digest): CustodyError {
  return new CustodyError('WORM_VIOLATED', `the store has lost the ${what} ${digest}`);
}
