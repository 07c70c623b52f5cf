import { readFileSync } from 'node:fs';
import type { Client, Connection } from '@temporalio/client';
import { openBucket } from '../adapters/object-store/s3.js';
import { Records } from '../adapters/records.js';
import { tracedCalls } from '../adapters/tracing/traces.js';
import { CustodyError } from '../domain/errors.js';
import type { Policy } from '../domain/policy.js';
import { bucketNames } from '../domain/store-keys.js';
import { parseJson } from '../formats/json.js';
import type { SignatureVerifier } from '../formats/keys.js';
import type { PinnedRoot } from '../formats/policy.js';
import { keyRing } from '../formats/statements.js';
import { readDescription, type Layout, type StackDescription } from './stack/layout.js';

/** What the store says of a stack, also while Temporal is down. */
export interface Reading {
  readonly layout: Layout;
  readonly description: StackDescription;
  readonly records: Records;
}

/** A running stack as a command sees it: it reads and knocks, and holds no credential that writes. */
export interface Custody extends Reading {
  readonly temporal: Client;
  close(): Promise<void>;
}

const CONNECT_MS = 5_000;

export function openReading(layout: Layout): Reading {
  const description = readDescription(layout);
  const root = parseJson(readFileSync(layout.root, 'utf8'), layout.root) as PinnedRoot;
  const records = new Records(openBucket(description.store, bucketNames(description.environment).custody), root);
  return { layout, description, records };
}

export async function connect(layout: Layout, withinMs = CONNECT_MS): Promise<Custody> {
  const reading = openReading(layout);
  const { address, namespace } = reading.description.temporal;
  // Loaded here, because many commands read the store alone.
  const { Client } = await import('@temporalio/client');
  const connection = await reach(address, withinMs);
  return {
    ...reading,
    temporal: new Client({ connection, namespace, interceptors: await tracedCalls() }),
    close: () => connection.close(),
  };
}

async function reach(address: string, withinMs: number): Promise<Connection> {
  const { connectTemporal } = await import('../adapters/temporal.js');
  try {
    return await connectTemporal(address, withinMs);
  } catch (cause) {
    throw new CustodyError(
      'TEMPORAL_UNAVAILABLE',
      `Temporal does not answer at ${address}: is the stack up? (\`custody doctor\`)`,
      { cause },
    );
  }
}

/** Whose key this is, by the newest policy. NOT_AUTHORISED for a key that nobody in it has. */
export async function ownerOf({ records }: Reading, key: SignatureVerifier): Promise<string> {
  return ownerIn((await records.policies()).newest, key);
}

export function ownerIn(policy: Policy, key: SignatureVerifier): string {
  const held = keyRing(policy).find((entry) => entry.key.keyId === key.keyId);
  if (held !== undefined && held.key.algorithm !== key.algorithm)
    throw new CustodyError(
      'NOT_AUTHORISED',
      `this key is ${held.owner}'s, enrolled as ${held.key.algorithm}: sign with that form of it, not as ${key.algorithm}`,
    );
  if (held !== undefined) return held.owner;
  throw new CustodyError('NOT_AUTHORISED', 'this key belongs to nobody in the policy: ask for it to be enrolled');
}
