import type { MetricMeter } from '@temporalio/common';
import { pino, type Logger } from 'pino';
import type { S3Config } from '../adapters/object-store/s3-session.js';
import { openBucket } from '../adapters/object-store/s3.js';
import { Records } from '../adapters/records.js';
import { CustodyError } from '../domain/errors.js';
import { holdsRole } from '../domain/policy.js';
import type { StoreProofPredicate } from '../domain/statements.js';
import { bucketNames } from '../domain/store-keys.js';
import { isoTime, outsideValidity } from '../domain/time.js';
import { readFileSync } from 'node:fs';
import { aboutActivity } from './about-activity.js';
import { loadRoot, type ZoneConfig } from './config.js';

/** What a zone brings to its worker. */
export interface Zone {
  readonly activities: object;
  readonly stop: () => Promise<void>;
}

/** What every zone works with. */
export interface ZoneBase {
  readonly records: Records;
  readonly log: Logger;
  readonly meter: MetricMeter;
}

export function zoneLogger(zone: string): Logger {
  const options = { base: { zone }, timestamp: pino.stdTimeFunctions.isoTime, mixin: () => ({ ...aboutActivity() }) };
  return pino(options, pino.destination(2));
}

export function storeOf({ store }: ZoneConfig): S3Config {
  const { endpoint, region, accessKey, secretKey } = store;
  return { endpoint, region, accessKey, secretKey };
}

/** The store, once it is known to be WORM. */
export async function openRecords(config: ZoneConfig): Promise<Records> {
  const records = new Records(openBucket(storeOf(config), bucketNames(config.environment).custody), loadRoot(config));
  await provenWorm(config, records);
  return records;
}

/** By a signed proof that has not expired and names this very store. */
export async function provenWorm(config: ZoneConfig, records: Records): Promise<StoreProofPredicate> {
  const store = storeOf(config);
  const { newest } = await records.policies();
  const { verified } = await records.verify('storeProof', readFileSync(config.store.proof, 'utf8'));
  const { endpoint, holds } = verified.predicate;
  const refuse = (problem: string): CustodyError =>
    new CustodyError('STORE_NOT_WORM', `${problem}: run \`custody doctor --store\``);
  if (!verified.signers.some((id) => holdsRole(newest, newest, id, 'control')))
    throw refuse(`${verified.signers.join(', ')} may not vouch for the store`);
  if (endpoint !== store.endpoint) throw refuse(`the proof is of the store ${endpoint}, not of ${store.endpoint}`);
  if (!holds) throw refuse(`the store ${endpoint} is not WORM`);
  const outside = outsideValidity(verified.predicate, isoTime(Date.now()));
  if (outside !== null) throw refuse(`the proof of the store is ${outside}`);
  return verified.predicate;
}
