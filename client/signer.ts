import { CustodyError } from '../domain/errors.js';
import { ownerOf, type Reading } from './connect.js';
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

/**
 * Whoever stops something. A policy that cannot be read, because the store is down or was tampered with, delays no kill: the
 * gateways know the policy, and decide whose order counts.
 */
export async function killerOf(
  session: { readonly layout: Layout; readonly custody: Reading },
  given: string,
): Promise<Pick<Signer, 'key' | 'environment'>> {
  const key = readSigner(session.layout.keyFile(given));
  try {
    await ownerOf(session.custody, key);
  } catch (error) {
    if (!(error instanceof CustodyError) || error.code === 'NOT_AUTHORISED') throw error;
    talk(
      plain(
        `warning: the policy cannot be read (${error.code}: ${error.message}): whether this key may kill is not known here`,
      ),
    );
  }
  return { key, environment: session.custody.description.environment };
}
