import { ownerOf, type Reading } from './connect.js';
import { readSigner } from './keys.js';
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
