import { setTimeout } from 'node:timers/promises';
import { CustodyError } from '../domain/errors.js';
import type { Policy } from '../domain/policy.js';
import { ownerIn, ownerOf, type Reading } from './connect.js';
import { readSigner } from './keys.js';
import { plain, talk } from './output.js';
import type { Signer } from './requests.js';
import type { Layout } from './stack/layout.js';

/** The person behind `--key`. */
export async function signerOf(
  session: { readonly layout: Layout; readonly custody: Reading },
  given: string,
): Promise<Signer> {
  const key = readSigner(session.layout.keyFile(given));
  const { records } = session.custody;
  const { newestDigest } = await records.policies();
  return { key, id: await ownerOf(session.custody, key), environment: records.environment, policy: newestDigest };
}

/** Who stops something, and the policy where it could be read at once. */
export interface Killer extends Pick<Signer, 'key' | 'environment'> {
  readonly policy: Policy | null;
}

/**
 * Whoever stops something. A policy that cannot be read, because the store is down, silent or was tampered with, delays no
 * kill: the gateways know the policy, and decide whose order counts.
 */
export async function killerOf(
  { layout, custody }: { readonly layout: Layout; readonly custody: Reading },
  given: string,
): Promise<Killer> {
  const key = readSigner(layout.keyFile(given));
  const policy = await policyAtOnce(custody);
  if (policy !== null) ownerIn(policy, key);
  return { key, environment: custody.description.environment, policy };
}

const POLICY_MS = 2_000;

async function policyAtOnce({ records }: Reading): Promise<Policy | null> {
  const silence = setTimeout(POLICY_MS, null, { ref: false });
  try {
    const policies = await Promise.race([records.policies(), silence]);
    if (policies !== null) return policies.newest;
    talk('warning: the store does not answer: whether this key may kill is not known here');
  } catch (error) {
    if (!(error instanceof CustodyError)) throw error;
    talk(
      plain(`warning: the policy cannot be read (${error.code}: ${error.message}): it is not known here who may kill`),
    );
  }
  return null;
}
