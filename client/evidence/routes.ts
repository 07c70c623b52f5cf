import type { PolicyChain, Records } from '../../adapters/records.js';
import type { Digest } from '../../domain/digest.js';
import { signedInRole } from '../../domain/authorise.js';
import type { RoutingDocument } from '../../domain/routing.js';
import { storeKeys } from '../../domain/store-keys.js';
import type { Documents } from './documents.js';

/** A routing document that control has signed, for its place. */
export interface Routed {
  readonly digest: Digest;
  readonly document: RoutingDocument;
}

/** The routing documents of a release's life: those that list it, and each that ended one of them. */
export async function routesOf(
  records: Records,
  policies: PolicyChain,
  documents: Documents,
  { model, release }: { readonly model: string; readonly release: Digest | null },
): Promise<readonly Routed[]> {
  if (release === null) return [];
  const found: (Routed & { readonly key: string })[] = [];
  for await (const key of records.bucket.list(`routes/${model}/`)) {
    const route = await genuine(records, policies, model, key);
    if (route !== null) found.push({ ...route, key });
  }
  const lists = ({ document }: Routed): boolean => document.releases.some((entry) => entry.release === release);
  const own = found.filter((route) => {
    const before = found.find(({ document }) => document.revision === route.document.revision - 1);
    return lists(route) || (before !== undefined && lists(before));
  });
  for (const { key, digest } of own) {
    await documents.addKey(key);
    await documents.addKey(storeKeys.grounds(digest));
    await documents.addKey(storeKeys.proceed(digest));
  }
  return own.sort((a, b) => a.document.revision - b.document.revision);
}

async function genuine(records: Records, { newest }: PolicyChain, model: string, key: string): Promise<Routed | null> {
  const found = await records.findGenuine('route', key);
  if (found === null) return null;
  const { predicate, digest } = found.verified;
  const place = storeKeys.route(model, predicate.revision);
  const isControls = signedInRole({ gate: newest, newest }, found.verified, 'control');
  const isHere = predicate.environment === records.environment && predicate.model === model;
  return isControls && isHere && (key === place || key.startsWith(`${place}-`))
    ? { digest, document: predicate }
    : null;
}
