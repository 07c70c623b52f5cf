import { encodeRecord } from '../../adapters/audit/record.js';
import { PublishedLog } from '../../adapters/audit/published.js';
import { createMemoryStore } from '../../adapters/object-store/memory.js';
import { Records } from '../../adapters/records.js';
import type { AuditRecord, Change } from '../../domain/audit.js';
import { storeKeys } from '../../domain/store-keys.js';
import { signCheckpoint } from '../../formats/checkpoint.js';
import { encodeVerifierKey } from '../../formats/signed-note.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { generateKey, importPrivateKey, type SigningKey } from '../../formats/keys.js';
import { sha256 } from '../../formats/sha256.js';
import { leafHash } from '../../formats/tlog.js';
import { bundlePath, encodeBundle, TiledTree, tilePath } from '../../formats/tlog-tiles.js';
import { recordsOf } from '../unit/serving/fixture.js';
import { createWorld, PASSED, type Release, type ReleaseOptions, type Route, type World } from './world.js';

export const NAME = { model: 'digits', version: '1.0.0' };
const GROUPS = ['input-validation/own/long', 'output-sanitisation/own/markup', ...PASSED];

/** A log of few records, as the desk publishes it. */
export async function publishedLog(
  records: readonly AuditRecord[],
  key: SigningKey = importPrivateKey(generateKey('ed25519').privatePem),
): Promise<{ readonly log: PublishedLog; readonly vkey: string }> {
  const origin = 'test-log';
  const entries = records.map(encodeRecord);
  const tree = new TiledTree();
  const leaves = entries.map(leafHash);
  for (const leaf of leaves) tree.append(leaf);
  const root = tree.root().toString('hex');
  const files = new Map([
    ['checkpoint', signCheckpoint({ origin, size: entries.length, root }, key)],
    [bundlePath(0, entries.length), encodeBundle(entries)],
    [tilePath(0, 0, entries.length), Buffer.concat(leaves)],
  ]);
  const vkey = encodeVerifierKey(origin, key);
  return { log: await PublishedLog.open(async (path) => files.get(path) ?? null, vkey), vkey };
}

interface LifeOptions {
  readonly release?: ReleaseOptions;
  /** Criteria that it does not meet. */
  readonly failed?: readonly string[];
  /** Every document of its endpoint; by default it is the first release, and serves. */
  readonly routes?: (release: Release) => readonly Route[];
  readonly rollout?: object;
}

/** A release in service in an organisation of its own: what the store has of it, and what the log. */
export function releaseInService(world: World = createWorld(), life: LifeOptions = {}) {
  const { at } = world;
  const failed = life.failed ?? [];
  const passed = GROUPS.filter((id) => !failed.includes(id));
  const says = (id: string) =>
    failed.includes(id) ? { verdict: 'failed', says: 'too few' } : { verdict: 'passed', says: null };
  const report = canonicalBytes({
    ...{ release: world.release(life.release).release, accuracy: 0.97 },
    results: GROUPS.map((id) => ({ id, ...says(id), tolerated: false })),
  });
  const configuration = [
    { name: 'isolation: bubblewrap', digest: { sha256: sha256('its limits') } },
    { name: 'suite', digest: { sha256: world.policy.validation.suites[0]?.sha256 ?? '' } },
    { name: 'report', digest: { sha256: sha256(report) } },
  ];
  const result = failed.length === 0 ? ('PASSED' as const) : ('FAILED' as const);
  const release = world.release({
    ...life.release,
    testResult: { configuration, result, passedTests: passed, failedTests: [...failed] },
  });
  const routes = life.routes?.(release) ?? world.inService(release);
  const status = world.status();
  const question = world.statement(
    'auditQuestion',
    { name: 'audit', sha256: sha256('a question') },
    {
      ...{
        environment: 'test',
        nonce: 'abcdefghijklmnop',
        question: 'log',
        model: null,
        at: null,
        version: null,
        seen: 0,
      },
      ...{ issuedAt: at(-5), expiresAt: at(60) },
    },
    'ada',
  );
  const rollout = life.rollout ?? { kind: 'promoted', revision: routes.length };
  const objects = new Map<string, Buffer>([
    ...recordsOf(release),
    [storeKeys.statement(sha256(report)), report],
    [storeKeys.version(release.name), canonicalBytes({ release: release.release })],
    [storeKeys.policy(1), canonicalBytes(world.policyEnvelope)],
    [storeKeys.status(status.predicate.version), canonicalBytes(status.envelope)],
    [storeKeys.record(release.name, 'rollout'), canonicalBytes(rollout)],
    [storeKeys.statement(question.digest), canonicalBytes(question.envelope)],
  ]);
  for (const { digest, predicate } of release.approvals)
    objects.set(
      storeKeys.nonce(predicate.nonce),
      canonicalBytes({ statement: digest, request: release.request.digest }),
    );
  for (const { document, envelope, digest, approvals } of routes) {
    objects.set(storeKeys.route('digits', document.revision), canonicalBytes(envelope));
    objects.set(storeKeys.grounds(digest), canonicalBytes(approvals.map((each) => each.digest)));
  }
  return {
    world,
    release,
    routes,
    status,
    objects,
    records: recordsInLog({ release, routes, objects, at, question: question.digest }),
  };
}

export type InService = ReturnType<typeof releaseInService>;

type More = Partial<AuditRecord> & { readonly statement?: string };

/** A record about a release, so many seconds from now. */
export function recordAbout(
  { name, release }: Pick<Release, 'name' | 'release'>,
  at: World['at'],
): (change: Change, seconds: number, actor: string, more?: More) => AuditRecord {
  return (change, seconds, actor, { statement = null, ...more } = {}) => ({
    id: sha256(`${change} ${seconds} ${statement} ${JSON.stringify(more)}`),
    time: at(seconds),
    actor: { id: actor, statement },
    change,
    subject: { ...name, release },
    ...{ before: null, after: null, policy: null, workflow: null, reason: `${change} by ${actor}` },
    ...more,
  });
}

function recordsInLog(of: {
  readonly release: Release;
  readonly routes: readonly Route[];
  readonly objects: ReadonlyMap<string, Buffer>;
  readonly at: World['at'];
  readonly question: string;
}): AuditRecord[] {
  const { release, routes, objects, at, question } = of;
  const made = recordAbout(release, at);
  const stage = (change: Change, part: string, seconds: number): AuditRecord =>
    made(change, seconds, 'control', { after: sha256(objects.get(storeKeys.record(release.name, part)) ?? '') });
  const other = { model: 'letters', version: '2.0.0', release: null };
  return [
    made('policy.applied', -120, 'root-a', { subject: { model: '', version: null, release: null } }),
    made('release.admitted', -90, 'ci', { statement: release.admission.digest, after: release.admission.digest }),
    stage('release.ingested', 'ingested', -70),
    made('release.admitted', -65, 'ci', { subject: other }),
    stage('release.validated', 'validated', -50),
    ...release.approvals.map(({ digest }) =>
      made('decision.accepted', -30, 'alice', { statement: digest, before: release.request.digest, after: digest }),
    ),
    stage('release.approved', 'approved', -29),
    stage('release.signed', 'signed', -28),
    ...routes.map(({ digest, document }, index) =>
      made('route.changed', -20 + index, 'control', {
        ...{ subject: { model: 'digits', version: null, release: release.release }, statement: digest, after: digest },
        ...{ before: document.previous, reason: `${document.change}, revision ${document.revision}` },
      }),
    ),
    stage('rollout.ended', 'rollout', -10),
    made('log.read', -5, 'ada', {
      ...{ statement: question, after: question, subject: { model: '', version: null, release: null } },
    }),
  ];
}

/** The store of an organisation as its own processes see it. */
export async function storeOf({ world, objects }: Pick<InService, 'world' | 'objects'>): Promise<Records> {
  const bucket = createMemoryStore().bucket('test-custody');
  for (const [key, bytes] of objects) await bucket.createOnce(key, bytes);
  return new Records(bucket, world.root);
}
