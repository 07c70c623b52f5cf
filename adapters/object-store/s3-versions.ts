import { isoTime } from '../../domain/time.js';
import type { ObjectVersion } from './port.js';
import { compareKeys } from './rules.js';
import { failure, type S3Session } from './s3-session.js';
import { elementsOf, textOf } from './xml.js';

const PAGE = 1000;

/** Newest first within a key, as the store lists them. */
interface Page {
  readonly versions: readonly ObjectVersion[];
  readonly markers: readonly ObjectVersion[];
  readonly next: { readonly key: string; readonly versionId: string } | null;
}

function parseVersion(inner: string, isDeleteMarker: boolean): ObjectVersion {
  const versionId = textOf(inner, 'VersionId');
  return {
    key: textOf(inner, 'Key') ?? '',
    versionId: versionId === 'null' || versionId === '' ? null : versionId,
    etag: textOf(inner, 'ETag') ?? '',
    size: Number(textOf(inner, 'Size') ?? 0),
    isDeleteMarker,
    lastModified: isoTime(Date.parse(textOf(inner, 'LastModified') ?? '')),
  };
}

async function* pages(
  session: S3Session,
  bucket: string,
  prefix: string,
  { startAfter, size }: { startAfter?: string; size: number },
): AsyncGenerator<Page> {
  let marker: Record<string, string> = startAfter === undefined ? {} : { 'key-marker': startAfter };
  for (;;) {
    const query = { versions: '', prefix, 'max-keys': String(size), ...marker };
    const answer = await session.text({ method: 'GET', bucket, query });
    if (answer.status !== 200) throw failure(`list ${bucket}/${prefix}`, answer);
    const found = elementsOf(answer.text, 'Version', 'DeleteMarker').map(({ name, inner }) =>
      parseVersion(inner, name === 'DeleteMarker'),
    );
    const next = {
      key: textOf(answer.text, 'NextKeyMarker') ?? '',
      versionId: textOf(answer.text, 'NextVersionIdMarker') ?? '',
    };
    const more = textOf(answer.text, 'IsTruncated') === 'true' && next.key !== '';
    yield {
      versions: found.filter((version) => !version.isDeleteMarker),
      markers: found.filter((version) => version.isDeleteMarker),
      next: more ? next : null,
    };
    if (!more) return;
    marker = { 'key-marker': next.key, ...(next.versionId === '' ? {} : { 'version-id-marker': next.versionId }) };
  }
}

/**
 * Oldest first. Among versions the store's own order counts. Where the store tells times to the second only, a marker
 * and a version of the same second may change places: which version is the record never depends on it.
 */
function merge(versions: ObjectVersion[], markers: ObjectVersion[]): ObjectVersion[] {
  const merged: ObjectVersion[] = [];
  const rest = [...markers];
  for (const version of versions) {
    while (rest[0] !== undefined && Date.parse(rest[0].lastModified) < Date.parse(version.lastModified))
      merged.push(...rest.splice(0, 1));
    merged.push(version);
  }
  return [...merged, ...rest];
}

/** What the pages tell of one key. A page begins with the version that ended the one before, on some stores. */
class Found {
  readonly #versions = new Map<string | null, ObjectVersion>();
  readonly #markers = new Map<string | null, ObjectVersion>();

  add(version: ObjectVersion): void {
    (version.isDeleteMarker ? this.#markers : this.#versions).set(version.versionId, version);
  }

  get all(): ObjectVersion[] {
    return merge([...this.#versions.values()].reverse(), [...this.#markers.values()].reverse());
  }
}

/** All versions and delete markers of exactly this key, oldest first. */
export async function listVersions(session: S3Session, bucket: string, key: string): Promise<ObjectVersion[]> {
  const found = new Found();
  for await (const { versions, markers, next } of pages(session, bucket, key, { size: PAGE })) {
    for (const each of [...versions, ...markers]) if (each.key === key) found.add(each);
    // The key itself sorts before every other key that begins with it.
    if (next !== null && next.key !== key) break;
  }
  return found.all;
}

/**
 * The same of many keys of one folder: pages are read from just before one wanted key on, and what lies between it and the next
 * one that no page has shown is passed over. Every page begins behind the one before it, whatever somebody has put there.
 */
export async function listVersionsOf(
  session: S3Session,
  bucket: string,
  keys: readonly string[],
): Promise<ReadonlyMap<string, readonly ObjectVersion[]>> {
  const wanted = [...new Set(keys)].sort(compareKeys);
  const found = new Map(wanted.map((key) => [key, new Found()]));
  const prefix = commonPrefix(wanted[0] ?? '', wanted.at(-1) ?? '');
  for (let at = 0; at < wanted.length;) {
    const startAfter = (wanted[at] ?? '').slice(0, -1);
    for await (const { versions, markers, next } of pages(session, bucket, prefix, { size: PAGE, startAfter })) {
      // What a page before has told in full is not heard again: it would lose its order.
      const from = wanted[at] ?? '';
      for (const each of [...versions, ...markers])
        if (compareKeys(each.key, from) >= 0) found.get(each.key)?.add(each);
      const left =
        next === null ? -1 : wanted.findIndex((key, index) => index >= at && compareKeys(key, next.key) >= 0);
      at = left < 0 ? wanted.length : left;
      const skipTo = wanted[at]?.slice(0, -1);
      if (skipTo === undefined || next === null || compareKeys(skipTo, next.key) > 0) break;
    }
  }
  return new Map([...found].map(([key, of]) => [key, of.all] as const).filter(([, all]) => all.length > 0));
}

/** Of sorted keys, that of the first and the last is that of all. */
function commonPrefix(first: string, last: string): string {
  let length = 0;
  while (length < first.length && first[length] === last[length]) length += 1;
  return first.slice(0, length);
}

/** Keys in code-point order, each once, those under a delete marker included. */
export async function* listKeys(
  session: S3Session,
  bucket: string,
  prefix: string,
  { startAfter, limit = Infinity }: { startAfter?: string; limit?: number },
): AsyncGenerator<string> {
  let last = startAfter;
  let left = limit;
  if (left <= 0) return;
  // One more than asked for: on some stores the first page begins with the key it should start after.
  const size = Math.min(PAGE, left + 1);
  for await (const page of pages(session, bucket, prefix, {
    size,
    ...(startAfter === undefined ? {} : { startAfter }),
  })) {
    const keys = new Set([...page.versions, ...page.markers].map((version) => version.key));
    for (const key of [...keys].sort(compareKeys)) {
      if (last !== undefined && compareKeys(key, last) <= 0) continue;
      yield key;
      last = key;
      left -= 1;
      if (left === 0) return;
    }
  }
}
