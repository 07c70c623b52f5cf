import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { CustodyError } from '../../domain/errors.js';
import type { Policy } from '../../domain/policy.js';
import { parseConfig } from '../../formats/json.js';
import { importPrivateKey, type SigningKey } from '../../formats/keys.js';
import { readPinnedRoot, type PinnedRoot } from '../../formats/policy.js';
import { openReading, type Reading } from '../connect.js';
import { Layout } from '../stack/layout.js';

/** An environment on this host as whoever administers it sees it: its services, and every credential in its state folder. */
export interface Environment {
  readonly name: string;
  readonly reading: Reading;
  readonly policy: Policy;
  /** What its processes trust from the start. */
  readonly root: PinnedRoot;
  /** Store accounts with their secrets, the administrator's among them. */
  readonly accounts: Readonly<Record<string, string>>;
  /** Private keys of people and processes, by their id. */
  readonly keys: ReadonlyMap<string, SigningKey>;
  /** What its Alertmanager shows to the api. */
  readonly alertToken: string | null;
}

const accountsSchema = z.record(z.string(), z.string());

export async function openEnvironment(state: string | undefined): Promise<Environment> {
  const layout = new Layout(state);
  const reading = openReading(layout);
  const { newest } = await reading.records.policies();
  const secrets = layout.path('store-secrets.json');
  const files = readdirSync(layout.path('keys')).filter((name) => name.endsWith('.pem'));
  return {
    name: reading.description.environment,
    reading,
    policy: newest,
    root: readPinnedRoot(readFileSync(layout.root, 'utf8'), layout.root),
    accounts: parseConfig(accountsSchema, readFileSync(secrets, 'utf8'), secrets),
    keys: new Map(
      files.map((name) => [
        name.replace(/\.pem$/, ''),
        importPrivateKey(readFileSync(layout.path('keys', name), 'utf8')),
      ]),
    ),
    alertToken: existsSync(layout.alertToken) ? readFileSync(layout.alertToken, 'utf8').trim() : null,
  };
}

/** USAGE where an environment is named that has no such key: nothing could be tried with it. */
export function keyOf({ name, keys }: Environment, id: string): SigningKey {
  const key = keys.get(id);
  if (key !== undefined) return key;
  throw new CustodyError('USAGE', `the environment ${name} has no key of ${id} in its folder`);
}
