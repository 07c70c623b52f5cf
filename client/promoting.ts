import { cpSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { openBase } from '../adapters/base.js';
import { checkRelease, newestStatus, progressOf } from '../adapters/dossier.js';
import { placeOf } from '../adapters/evidence/folder.js';
import { RecordingBucket } from '../adapters/evidence/recording.js';
import { Records } from '../adapters/records.js';
import { NO_LIMITS, ownPart, readRelease } from '../adapters/source/folder.js';
import { hashFiles } from '../adapters/source/hashing.js';
import { baseOf } from '../domain/base.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import { lifecycleId, type ReleaseName } from '../domain/names.js';
import { signedInRole } from '../domain/permission.js';
import { dependenciesOf } from '../domain/provenance.js';
import type { ProvenancePredicate, SignedEnvelope } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { sha256 } from '../formats/sha256.js';
import { startPromote } from '../workflows/messages.js';
import type { PromoteOutcome } from '../workflows/promote.js';
import type { Custody } from './connect.js';
import { makeFolder, writeBelow } from './files.js';
import { runToEnd } from './messages.js';
import { provenanceBeside } from './provenance.js';
import { requestPromotion, type Signer } from './requests.js';

/** Where everything lies in a bundle: what `custody release` is given in the next environment. */
export const BUNDLE = { release: 'release', signature: 'release.sig.json', summary: 'summary.intoto.jsonl' } as const;

export interface Promotion {
  readonly folder: string;
  readonly release: Digest;
  /** Digest of the verification summary. */
  readonly summary: Digest;
  /** How many objects of the store are in it. */
  readonly objects: number;
}

/**
 * Has a release verified by the signing zone, and writes it into a folder that is not there yet: the producer's files, which are
 * compared with what serves byte by byte, the summary, and everything in the store that the finding rests on.
 */
export async function promoteRelease(
  custody: Custody,
  signer: Signer,
  name: ReleaseName,
  { files, out }: { readonly files: string; readonly out: string },
): Promise<Promotion> {
  const bucket = new RecordingBucket(custody.records.bucket);
  const records = new Records(bucket, custody.records.root);
  const { ingested } = await progressOf(records, name);
  if (ingested === undefined)
    throw new CustodyError('INPUT_MISSING', `there is no release ${name.model} ${name.version}`);
  const { release } = ingested;
  const { verified: provenance } = await records.get('provenance', ingested.provenance);
  return makeFolder(out, async (partial) => {
    cpSync(resolve(files), join(partial, BUNDLE.release), { recursive: true, verbatimSymlinks: true });
    await demandFiles(records, name, release, provenance.predicate, join(partial, BUNDLE.release));
    const { summary } = await askFor(custody, signer, name, release);
    const { envelope, verified } = await records.get('verificationSummary', summary);
    const policies = await records.policies();
    const isSound =
      verified.subject === release &&
      verified.predicate.verificationResult === 'PASSED' &&
      signedInRole({ gate: policies.newest, newest: policies.newest }, verified, 'release-signer');
    if (!isSound)
      throw new CustodyError(
        'NOT_AUTHORISED',
        `the summary ${summary} is not the signing zone's, or not of this release`,
      );
    const { evidence } = await checkRelease(records, name, release, await newestStatus(records));
    await readOrigin(records, provenance.predicate);
    const signature = join(partial, BUNDLE.signature);
    writeFileSync(signature, evidence.bundle);
    writeFileSync(provenanceBeside(signature), lineOf(evidence.provenance));
    writeFileSync(join(partial, BUNDLE.summary), lineOf(envelope));
    const taken = await bucket.taken();
    for (const [key, { body }] of taken) writeBelow(partial, placeOf(key, body), body);
    return { folder: resolve(out), release, summary, objects: taken.length };
  });
}

function askFor(
  custody: Custody,
  signer: Signer,
  name: ReleaseName,
  release: Digest,
): Promise<Extract<PromoteOutcome, { kind: 'promoted' }>> {
  return runToEnd(custody, 'promote', startPromote(name), { request: requestPromotion(signer, name, release) });
}

/** DIGEST_MISMATCH unless the folder holds exactly the files of this release; what it has of a base need not be there. */
async function demandFiles(
  records: Records,
  name: ReleaseName,
  release: Digest,
  provenance: ProvenancePredicate,
  folder: string,
): Promise<void> {
  const named = baseOf(provenance);
  const base = named === null ? null : (await openBase(records, name, named)).manifest;
  const source = await readRelease(folder, NO_LIMITS, base);
  const found = sha256(source.text);
  if (found !== release)
    throw new CustodyError('DIGEST_MISMATCH', `the folder holds the release ${found}, in service is ${release}`);
  const listed = ownPart(source, base).manifest.files;
  const hashed = await hashFiles(
    folder,
    listed.map(({ path, size }) => ({ path, size, mode: 0 })),
  );
  const differing = listed.find(({ path, sha256: digest }) =>
    hashed.every((file) => file.path !== path || file.sha256 !== digest),
  );
  if (differing !== undefined)
    throw new CustodyError('DIGEST_MISMATCH', `${differing.path} is not the file of ${lifecycleId(name)}`, {
      details: { file: differing.path },
    });
}

/** What its provenance leads to: who vouches for its data, through whose hands they came, and who has reviewed its code. */
async function readOrigin(records: Records, provenance: ProvenancePredicate): Promise<void> {
  for (const { reviews = [] } of dependenciesOf(provenance, 'training-code'))
    for (const review of reviews) await records.bucket.read(storeKeys.statement(review));
  for (const { statement } of dependenciesOf(provenance, 'training-data')) {
    if (statement === undefined) continue;
    const found = await records.findGenuine('dataSource', storeKeys.statement(statement));
    for (const link of found?.verified.predicate.chain ?? []) await records.bucket.read(storeKeys.statement(link));
  }
}

const lineOf = (envelope: SignedEnvelope): string => `${JSON.stringify(envelope)}\n`;
