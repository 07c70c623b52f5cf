import type { Digest } from '../domain/digest.js';
import type { Retiring } from '../domain/ending-predicates.js';
import type { LastServed, RoutingDocument } from '../domain/routing.js';
import type { Refusal } from './refusal.js';

/** The ends of one model's releases that have been announced. */
export type Endings = ReadonlyMap<Digest, Retiring>;

export const NO_ENDINGS: Endings = new Map();

/** By model, of what a status document announces. */
export function endingsOf(retiring: readonly Retiring[]): ReadonlyMap<string, Endings> {
  const models = new Map<string, Map<Digest, Retiring>>();
  for (const each of retiring) {
    const endings = models.get(each.model) ?? new Map<Digest, Retiring>();
    models.set(each.model, endings.set(each.release, each));
  }
  return models;
}

/** What the answers of a release that is going to end say of that: Deprecation (RFC 9745) and Sunset (RFC 8594). */
export function announcedBy(ending: Retiring | undefined): readonly string[] {
  if (ending === undefined) return [];
  const since = Math.floor(Date.parse(ending.since) / 1000);
  return ['deprecation', `@${since}`, 'sunset', new Date(ending.endsAt).toUTCString()];
}

/** What callers of an endpoint are told that serves nothing any more: what, since when, and where that is known why and what instead. */
export function withdrawn(document: RoutingDocument, gone: LastServed | null, endings: Endings): Refusal {
  const { model, revision, change } = document;
  const refusal = { status: 410, code: 'WITHDRAWN' } as const;
  if (gone === null) return { ...refusal, reason: `revision ${revision} of ${model} serves nothing, by ${change}` };
  const { release, version, since } = gone;
  const about = { model, version, release, since };
  const ending = endings.get(release);
  if (ending === undefined)
    return { ...refusal, reason: `${model} ${version} serves nothing, by ${change}, since ${since}`, about };
  const { reason: why, instead } = ending;
  const hint = instead === undefined ? '' : `; instead: ${instead}`;
  return {
    ...refusal,
    reason: `${model} ${version} was taken out of service at ${since}: ${why}${hint}`,
    about: { ...about, why, ...(instead === undefined ? {} : { instead }) },
  };
}
