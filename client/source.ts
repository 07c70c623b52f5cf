import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { openBase } from '../adapters/base.js';
import { NO_LIMITS, ownPart, readRelease } from '../adapters/source/folder.js';
import { inspectRelease } from '../adapters/source/inspect.js';
import { baseOf } from '../domain/base.js';
import { CustodyError } from '../domain/errors.js';
import { MANIFEST_FILE, type Manifest } from '../domain/manifest.js';
import type { ReleaseName } from '../domain/names.js';
import { comesRightly } from '../domain/promotion.js';
import { flawInProvenance } from '../domain/provenance.js';
import { isoTime } from '../domain/time.js';
import { demand, signerOf } from '../formats/evidence.js';
import { parseManifest } from '../formats/manifest.js';
import { sha256 } from '../formats/sha256.js';
import type { Reading } from './connect.js';

export interface ReleaseSource {
  readonly folder: string;
  readonly bundle: string;
  readonly provenance: string;
  /** The verification summary of the environment that it comes from. */
  readonly promotion?: string;
}

/** The name a folder gives itself, before anything is sent. INPUT_MISSING, INPUT_EMPTY or MALFORMED. */
export function readName({ folder, bundle, provenance }: ReleaseSource): ReleaseName & { readonly release: string } {
  if (!existsSync(folder)) throw new CustodyError('INPUT_MISSING', `there is no folder ${folder}`);
  const manifest = join(folder, MANIFEST_FILE);
  if (!existsSync(manifest))
    throw new CustodyError('INPUT_EMPTY', `${folder} holds no ${MANIFEST_FILE}: make it with \`custody pack\``);
  if (!existsSync(bundle))
    throw new CustodyError('UNSIGNED', `there is no signature ${bundle}: a release is signed by its producer`);
  if (!existsSync(provenance))
    throw new CustodyError('PROVENANCE_INVALID', `there is no provenance ${provenance}: make it with \`custody pack\``);
  const bytes = readFileSync(manifest);
  const { model, version } = parseManifest(bytes);
  return { model, version, release: sha256(bytes) };
}

/** What intake would refuse of a folder that has just been packed, before its producer signs it. */
export async function checkPacked(folder: string, base: Manifest | null): Promise<void> {
  await inspectRelease(ownPart(await readRelease(folder, NO_LIMITS, base), base));
}

/**
 * What intake would refuse at once, before a workflow begins under the release's name: names, links and sizes in the folder,
 * a signature that is no producer's, a provenance that is not the same producer's about these bytes, and a base that
 * nothing may be built on. The bytes themselves are hashed by intake alone.
 */
export async function checkSource({ records }: Reading, source: ReleaseSource): Promise<void> {
  const name = readName(source);
  const { newest } = await records.policies();
  const { verified } = await records.verify('provenance', readFileSync(source.provenance));
  const named = baseOf(verified.predicate);
  const base = named === null ? null : (await openBase(records, name, named)).manifest;
  const { manifest, text } = await readRelease(resolve(source.folder), newest.artifacts, base);
  const producer = signerOf(readFileSync(source.bundle, 'utf8'), 'producer', newest, manifest, text);
  const rules = { gate: newest, newest, now: isoTime(Date.now()) };
  const flaw = flawInProvenance({ release: sha256(text), producer }, verified, rules);
  if (flaw !== null) throw new CustodyError(flaw.code, flaw.reason);
  const summary =
    source.promotion === undefined
      ? null
      : await records.receive('verificationSummary', readFileSync(source.promotion));
  demand(comesRightly({ ...name, at: rules.now }, rules, summary?.verified ?? null));
}
