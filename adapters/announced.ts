import { isDigest, type Digest } from '../domain/digest.js';
import type { NoticePredicate, Retiring } from '../domain/ending-predicates.js';
import type { ReleaseName } from '../domain/names.js';
import { MAX_TOLD } from '../domain/notice.js';
import { holdsRole } from '../domain/policy.js';
import type { Verified } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime } from '../domain/time.js';
import { condemns, sayVulnerability } from '../domain/vulnerability.js';
import { leadsNowhere } from '../domain/errors.js';
import { nameOf } from './dossier.js';
import { inParts } from './in-parts.js';
import type { PolicyChain, Records } from './records.js';

/** Why a release ends, and what to use instead. */
type Why = Pick<Retiring, 'reason' | 'instead'> & { readonly isCondemned?: true };
type About = ReleaseName & { readonly release: Digest };

interface Announced extends Why {
  readonly notice: Verified<NoticePredicate>;
}

/** The notices of one release: where they lie, the newest first. */
interface Place {
  readonly release: Digest;
  readonly keys: readonly string[];
}

/**
 * The ends of releases that control has given notice of, as the store has them. What somebody else has put there announces
 * nothing. What has been read is read again only under another policy.
 */
export class AnnouncedEnds {
  readonly #records: Records;
  /** `null`: of no use to anybody. */
  readonly #read = new Map<string, Announced | null>();
  #under: Digest | null = null;

  constructor(records: Records) {
    this.#records = records;
  }

  /** Of releases that are to end, whichever ends first; then of each model the last one that has ended. */
  async newest(revoked: ReadonlySet<Digest>, policies: PolicyChain): Promise<readonly Retiring[]> {
    if (this.#under !== policies.newestDigest) this.#read.clear();
    this.#under = policies.newestDigest;
    const models = [...(await this.#places())];
    const toCome = models.flatMap(([, places]) => places.filter(({ release }) => !revoked.has(release)));
    const over = models.map(([, places]) => places.filter(({ release }) => revoked.has(release)));
    const [retiring, retired] = [
      await inParts(toCome, (place) => this.#endAt(place, policies)),
      await inParts(over, (places) => this.#lastOf(places, policies)),
    ];
    const byEnd = (a: Retiring, b: Retiring): number => Date.parse(a.endsAt) - Date.parse(b.endsAt);
    return [...retiring.filter(isThere).sort(byEnd), ...retired.filter(isThere).sort((a, b) => byEnd(b, a))];
  }

  /** By model, whichever was announced last first. */
  async #places(): Promise<ReadonlyMap<string, readonly Place[]>> {
    const found = new Map<string, Map<Digest, string[]>>();
    for await (const key of this.#records.bucket.list(storeKeys.notices)) {
      const [, model = '', release = ''] = key.split('/');
      if (!isDigest(release)) continue;
      const releases = found.get(model) ?? new Map<Digest, string[]>();
      found.set(model, releases);
      releases.set(release, [key, ...(releases.get(release) ?? [])]);
    }
    const newestFirst = ({ keys: [a = ''] }: Place, { keys: [b = ''] }: Place): number =>
      timeOf(a) < timeOf(b) ? 1 : -1;
    return new Map(
      [...found].map(([model, releases]) => [
        model,
        [...releases].map(([release, keys]) => ({ release, keys })).sort(newestFirst),
      ]),
    );
  }

  async #lastOf(places: readonly Place[], policies: PolicyChain): Promise<Retiring | null> {
    for (const place of places) {
      const end = await this.#endAt(place, policies);
      if (end !== null) return end;
    }
    return null;
  }

  /** As it was announced last: its first notice says since when, and the one that gives the most time until when. */
  async #endAt({ release, keys }: Place, policies: PolicyChain): Promise<Retiring | null> {
    const all: Announced[] = [];
    for (const key of keys) {
      const announced = await this.#at(key, policies);
      if (announced !== null) all.push(announced);
    }
    const [last] = all;
    if (last === undefined) return null;
    const { model, version, request } = last.notice.predicate;
    const same = all.map(({ notice }) => notice.predicate).filter((notice) => notice.request === request);
    const since = same.map(({ issuedAt }) => issuedAt).sort()[0] ?? '';
    const endsAt =
      same
        .map(({ retiresAt }) => retiresAt)
        .sort()
        .at(-1) ?? '';
    // What is dangerous is said to be that, also where it was going to end anyway.
    const { reason } = all.find(({ isCondemned }) => isCondemned) ?? last;
    const instead = all.find((each) => each.instead !== undefined)?.instead;
    return { model, version, release, since, endsAt, reason, ...(instead === undefined ? {} : { instead }) };
  }

  async #at(key: string, policies: PolicyChain): Promise<Announced | null> {
    const known = this.#read.get(key);
    if (known !== undefined) return known;
    const found = await this.#genuine(key, policies);
    this.#read.set(key, found);
    return found;
  }

  async #genuine(key: string, policies: PolicyChain): Promise<Announced | null> {
    const { newest } = policies;
    const notice = (await this.#records.findGenuine('notice', key, policies))?.verified;
    if (notice === undefined || !notice.signers.some((id) => holdsRole(newest, newest, id, 'control'))) return null;
    const { environment, model, version, issuedAt, request: asked } = notice.predicate;
    if (environment !== this.#records.environment) return null;
    if (key !== storeKeys.notice(model, notice.subject, Date.parse(issuedAt), notice.digest)) return null;
    const about = { model, version, release: notice.subject };
    const why = (await this.#requested(asked, about, policies)) ?? (await this.#condemned(asked, about, policies));
    return why === null ? null : { notice, ...why };
  }

  /** By the people who agreed to its retirement. */
  async #requested(asked: Digest, about: About, policies: PolicyChain): Promise<Why | null> {
    const request = (await this.#records.findGenuine('request', storeKeys.request(asked), policies))?.verified;
    if (request?.digest !== asked || request.predicate.action.kind !== 'retire') return null;
    const { release, model, version } = request.predicate;
    if (release !== about.release || model !== about.model || version !== about.version) return null;
    const { reason, instead } = request.predicate.action;
    return { reason: shortened(reason), ...(instead === undefined ? {} : { instead }) };
  }

  /** By a security authority. */
  async #condemned(asked: Digest, about: About, policies: PolicyChain): Promise<Why | null> {
    const found = (await this.#records.findGenuine('vulnerability', storeKeys.statement(asked), policies))?.verified;
    const { newest } = policies;
    const rules = { environment: this.#records.environment, gate: newest, newest, now: isoTime(Date.now()) };
    if (found?.digest !== asked || !condemns(found, about, rules).allowed) return null;
    return { reason: shortened(sayVulnerability(found.predicate)), isCondemned: true };
  }
}

/** What is revoked, by the names in the store alone: whatever else somebody puts there keeps nobody from reading the rest. */
export async function revokedReleases({ bucket }: Records): Promise<ReadonlySet<Digest>> {
  const revoked = new Set<Digest>();
  for await (const key of bucket.list('revocations/')) {
    const release = key.split('/').at(-1) ?? '';
    if (isDigest(release)) revoked.add(release);
  }
  return revoked;
}

/** Releases of a model whose end somebody has given notice of, and that are not revoked so far: by names alone, as above. */
export async function endingReleases(records: Records, model: string): Promise<readonly ReleaseName[]> {
  const ending = new Set<Digest>();
  for await (const key of records.bucket.list(`${storeKeys.notices}${model}/`)) {
    const release = key.split('/')[2] ?? '';
    if (isDigest(release)) ending.add(release);
  }
  const names = await inParts([...ending], async (release) => {
    if ((await records.bucket.versions(storeKeys.revocation(release))).length > 0) return null;
    return nameOf(records, release).catch(passedOver);
  });
  return names.filter((name) => name !== null);
}

/** There is no such release. */
function passedOver(error: unknown): null {
  if (leadsNowhere(error)) return null;
  throw error;
}

const isThere = (end: Retiring | null): end is Retiring => end !== null;

const timeOf = (key: string): string => key.split('/').at(-1) ?? '';

/** No half of a character at its end. */
function shortened(text: string): string {
  return text.slice(0, MAX_TOLD).replace(/[\uD800-\uDBFF]$/, '');
}
