import { describe, expect, it } from 'vitest';
import { baseDependency } from '../../../domain/base.js';
import type { ErrorCode } from '../../../domain/errors.js';
import { failuresOf, type RecordLine, type ReleaseRecord } from '../../../domain/record.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { sha256 } from '../../../formats/sha256.js';
import { PASSED, createWorld, type Release, type ReleaseOptions } from '../../support/world.js';
import { recordsOf } from '../serving/fixture.js';
import { recordIn, storedOf } from './stored.js';

const world = createWorld();
const { policy, at } = world;
const RESULTS = PASSED.map((id) => ({ id, verdict: 'passed', says: null, tolerated: false }));
const CASES = PASSED.map((id) => ({ id, failure: null }));

const NAME = { model: 'digits', version: '1.0.0' };

type Objects = Map<string, Buffer>;

/** A release with the report of its validation, as an intake zone leaves it; `results` is what the report says of each case. */
function made(
  options: ReleaseOptions = {},
  results: readonly object[] = RESULTS,
): { release: Release; report: Buffer } {
  const digest = world.release(options).release;
  const report = canonicalBytes({ release: digest, accuracy: 0.97, results });
  const configuration = [
    { name: 'isolation: bubblewrap', digest: { sha256: sha256('its limits') } },
    { name: 'suite', digest: { sha256: policy.validation.suites[0]?.sha256 ?? '' } },
    { name: 'report', digest: { sha256: sha256(report) } },
  ];
  return { release: world.release({ ...options, testResult: { configuration, ...options.testResult } }), report };
}

function objectsOf({ release, report }: ReturnType<typeof made>): Objects {
  return storedOf(world, release).set(storeKeys.statement(sha256(report)), report);
}

const shown = (objects: Objects): Promise<ReleaseRecord> => recordIn(world, NAME, objects);

const states = ({ lines }: ReleaseRecord): Record<string, RecordLine['state']> =>
  Object.fromEntries(lines.map(({ part, state }) => [part, state]));
const lineOf = ({ lines }: ReleaseRecord, wanted: string): RecordLine | undefined =>
  lines.find(({ part }) => part === wanted);

describe('the record of a release that builds on another one', () => {
  it('names its base, as its provenance does, and that of any other names none', async () => {
    const base = { model: 'digits', version: '0.9.0', release: 'f'.repeat(64) };
    const { release, report } = made({
      provenance: ({ buildDefinition, ...usual }) => {
        const resolvedDependencies = [...buildDefinition.resolvedDependencies, baseDependency(base)];
        return { ...usual, buildDefinition: { ...buildDefinition, resolvedDependencies } };
      },
    });
    expect(lineOf(await shown(objectsOf({ release, report })), 'base')).toMatchObject({
      ...{ state: 'holds', says: `digits 0.9.0, release ${base.release}`, statement: expect.any(String) as string },
    });
    expect(lineOf(await shown(objectsOf(made())), 'base')).toBeUndefined();
  });
});

const part = (name: string): string => storeKeys.record(NAME, name);

describe('the provenance record', () => {
  it('of a release in service shows every part, each with the check that was made of it', async () => {
    const { release, report } = made();
    const record = await shown(objectsOf({ release, report }));
    expect(failuresOf(record)).toEqual([]);
    expect(record).toMatchObject({ ...NAME, release: release.release, cases: CASES });
    expect(record.lines.map(({ part: name }) => name)).toEqual([
      ...['policy', 'requester', 'release', 'producer', 'provenance', 'created', 'build', 'training-data'],
      ...['scan', 'change', 'validation', 'cases', 'request', 'approval', 'quorum', 'signature', 'serving'],
    ]);
    expect(lineOf(record, 'requester')).toMatchObject({ by: ['ci'], statement: release.admission.digest, policy: 1 });
    expect(lineOf(record, 'release')?.says).toContain(release.release);
    expect(lineOf(record, 'producer')).toMatchObject({ by: ['trainer'], statement: sha256(release.bundle) });
    expect(lineOf(record, 'provenance')).toMatchObject({ by: ['trainer'], statement: release.provenance.digest });
    expect(lineOf(record, 'created')?.says).toContain(at(-60));
    expect(lineOf(record, 'training-data')?.says).toBe(`data.csv sha256 ${sha256('the training data')}`);
    expect(lineOf(record, 'validation')).toMatchObject({ by: ['intake'], says: 'PASSED: 5 cases passed, 0 failed' });
    expect(lineOf(record, 'cases')?.says).toBe('5 criteria, accuracy 0.97');
    expect(lineOf(record, 'approval')).toMatchObject({
      by: ['alice'],
      says: `alice: approve at ${at(-30)}: looks right`,
    });
    expect(lineOf(record, 'signature')).toMatchObject({ by: ['release-signer'] });
    expect(lineOf(record, 'serving')).toMatchObject({ state: 'holds', by: ['control'] });
  });

  it('of one under way says of what has not come yet that it has not', async () => {
    const objects = objectsOf(made());
    for (const later of ['approved', 'signed']) objects.delete(part(later));
    const record = await shown(objects);
    expect(failuresOf(record)).toEqual([]);
    expect(lineOf(record, 'request')).toMatchObject({ state: 'absent', says: 'not yet' });
    expect(states(record)).toMatchObject({ validation: 'holds', signature: 'absent', serving: 'absent' });
    objects.delete(part('ingested'));
    const earlier = await shown(objects);
    expect(states(earlier)).toMatchObject({ requester: 'holds', release: 'absent', provenance: 'absent' });
  });

  it('of one that was rejected says why, and that nothing came of the rest', async () => {
    const broken = { id: 'safety/own/robustness', verdict: 'failed', says: 'status 500', tolerated: false };
    const failed = { results: [...RESULTS.filter(({ id }) => id !== broken.id), broken] };
    const tests = {
      result: 'FAILED' as const,
      passedTests: PASSED.filter((id) => id !== broken.id),
      failedTests: [broken.id],
    };
    const objects = objectsOf(made({ testResult: tests }, failed.results));
    for (const later of ['approved', 'signed']) objects.delete(part(later));
    const reason = 'failed: robustness';
    objects.set(
      part('outcome'),
      canonicalBytes({ kind: 'rejected', stage: 'validate', code: 'VALIDATION_FAILED', reason }),
    );
    const record = await shown(objects);
    expect(failuresOf(record).map(({ part: name }) => name)).toEqual(['validation']);
    expect(lineOf(record, 'cases')).toMatchObject({
      state: 'holds',
      says: expect.stringContaining('robustness (status 500)') as string,
    });
    expect(record.cases).toEqual(
      failed.results.map(({ id, verdict, says }) => ({ id, failure: verdict === 'passed' ? null : says })),
    );
    expect(lineOf(record, 'signature')?.says).toBe('it never came to that');
    expect(lineOf(record, 'outcome')?.says).toBe(`rejected at validate: VALIDATION_FAILED ${reason}`);
  });

  it('of a retired one shows the revocation', async () => {
    const { release, report } = made();
    const objects = objectsOf({ release, report });
    const predicate = { environment: 'test', ...NAME, reason: 'replaced', request: 'a'.repeat(64), issuedAt: at(-5) };
    const revocation = world.statement(
      'revocation',
      { name: 'x', sha256: release.release },
      predicate,
      'release-signer',
    );
    objects.set(storeKeys.revocation(release.release), canonicalBytes(revocation.envelope));
    expect(lineOf(await shown(objects), 'serving')).toMatchObject({ state: 'fact', by: ['release-signer'] });
    const forged = world.statement('revocation', { name: 'x', sha256: release.release }, predicate, 'control');
    objects.set(storeKeys.revocation(release.release), canonicalBytes(forged.envelope));
    expect(lineOf(await shown(objects), 'serving')).toMatchObject({ state: 'fails' });
  });

  it('attack: of a release that nobody was admitted to ask for, there is none', async () => {
    const objects = objectsOf(made());
    objects.delete(part('admission'));
    await expect(shown(objects)).rejects.toMatchObject({ code: 'INPUT_MISSING' });
  });
});

const other = world.release({ version: '2.0.0' });
const good = made();
const set = (key: string, bytes: Buffer | object) => (objects: Objects) =>
  objects.set(key, Buffer.isBuffer(bytes) ? bytes : canonicalBytes(bytes));
const record = (name: string, change: object) => (objects: Objects) =>
  objects.set(part(name), canonicalBytes({ ...(JSON.parse(String(objects.get(part(name)))) as object), ...change }));
const also = (release: Release) => (objects: Objects) => {
  for (const [key, bytes] of recordsOf(release)) if (!key.startsWith('records/')) objects.set(key, bytes);
};
const both =
  (...changes: readonly ((objects: Objects) => unknown)[]) =>
  (objects: Objects): void => {
    for (const change of changes) change(objects);
  };
const from = (options: ReleaseOptions) => made(options).release;

const second = from({ testResult: { passedTests: [...PASSED, 'contract/own/more'] } });
const byOther = from({ provenanceBy: 'intake' });
const noData = from({
  provenance: (p) => ({ ...p, buildDefinition: { ...p.buildDefinition, resolvedDependencies: [] } }),
});

const ATTACKS: [string, (objects: Objects) => unknown, string, ErrorCode][] = [
  [
    'a manifest with a flipped bit',
    set(storeKeys.manifest(good.release.release), Buffer.from('{}')),
    'release',
    'DIGEST_MISMATCH',
  ],
  [
    'a version that names another release',
    set(storeKeys.version(NAME), { release: other.release }),
    'release',
    'DIGEST_MISMATCH',
  ],
  [
    'a producer’s signature of another release',
    both(also(other), record('ingested', { bundle: sha256(other.bundle) })),
    'producer',
    'DIGEST_MISMATCH',
  ],
  [
    'the provenance of another release',
    both(also(other), record('ingested', { provenance: other.provenance.digest })),
    'provenance',
    'REPLAYED',
  ],
  [
    'a provenance by the validator',
    both(also(byOther), record('ingested', { provenance: byOther.provenance.digest })),
    'provenance',
    'NOT_AUTHORISED',
  ],
  [
    'a provenance without training data',
    both(also(noData), record('ingested', { provenance: noData.provenance.digest })),
    'provenance',
    'PROVENANCE_INVALID',
  ],
  ['a provenance that is not there', record('ingested', { provenance: 'a'.repeat(64) }), 'provenance', 'WORM_VIOLATED'],
  [
    'the test result of another release',
    both(also(other), record('validated', { testResult: other.testResult.digest })),
    'validation',
    'REPLAYED',
  ],
  [
    'a newer test result than was approved',
    both(also(second), record('validated', { testResult: second.testResult.digest })),
    'request',
    'REPLAYED',
  ],
  [
    'a report with other verdicts',
    set(storeKeys.statement(sha256(good.report)), Buffer.from('{}')),
    'cases',
    'DIGEST_MISMATCH',
  ],
  [
    'an approval of another release',
    both(also(other), record('approved', { approvals: other.approvals.map(({ digest }) => digest) })),
    'approval',
    'REPLAYED',
  ],
  ['no approval', record('approved', { approvals: [] }), 'quorum', 'NOT_AUTHORISED'],
  [
    'the request of another release',
    both(also(other), record('approved', { request: other.request.digest })),
    'request',
    'REPLAYED',
  ],
  [
    'the producer’s signature in place of Custody’s',
    record('signed', { signature: sha256(good.release.bundle) }),
    'signature',
    'SIGNATURE_INVALID',
  ],
  [
    'a start request that asks for another source',
    record('admission', { source: 'file:///elsewhere' }),
    'requester',
    'REPLAYED',
  ],
  [
    'no status document',
    (objects) => [...objects.keys()].filter((key) => key.startsWith('status/')).forEach((key) => objects.delete(key)),
    'serving',
    'STATUS_STALE',
  ],
];

describe('the record of a release that was tampered with', () => {
  it.each(ATTACKS)('attack: names the line that fails: %s', async (_, change, failing, failure) => {
    const objects = objectsOf(good);
    change(objects);
    const seen = await shown(objects);
    const failed = failuresOf(seen);
    expect(failed.map(({ part: name, failure: why }) => [name, why.code])).toContainEqual([failing, failure]);
    expect(states(seen)).toMatchObject({ policy: 'holds' });
  });

  it('attack: bytes that are not what was signed come before every other failure', async () => {
    const objects = objectsOf(good);
    both(
      record('approved', { approvals: [] }),
      set(storeKeys.statement(sha256(good.report)), Buffer.from('{}')),
    )(objects);
    expect(failuresOf(await shown(objects))[0]).toMatchObject({ part: 'cases', failure: { code: 'DIGEST_MISMATCH' } });
  });

  it('attack: an edited statement holds nothing up, whoever is said to have signed it', async () => {
    const objects = objectsOf(good);
    const key = storeKeys.statement(good.release.testResult.digest);
    const envelope = JSON.parse(String(objects.get(key))) as { payload: string };
    const said = Buffer.from(envelope.payload, 'base64').toString('utf8').replace('robustness', 'robustnesz');
    objects.set(key, canonicalBytes({ ...envelope, payload: Buffer.from(said).toString('base64') }));
    const [first] = failuresOf(await shown(objects)).filter(({ part: name }) => name === 'validation');
    expect(first?.failure.code).toBe('SIGNATURE_INVALID');
  });
});
