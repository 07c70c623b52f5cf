/** What a sandboxed run may be seen to do. The first four are attempts to get out of what it was given. */
export const OBSERVABLES = ['network', 'files', 'processes', 'privileges', 'limit', 'left-behind', 'output'] as const;
export type Observable = (typeof OBSERVABLES)[number];

const ATTEMPTS: readonly Observable[] = ['network', 'files', 'processes', 'privileges'];

export interface Observation {
  readonly kind: Observable;
  readonly count: number;
  /** A few of them, shortened. Names in it are the run's own choice. */
  readonly detail: string;
}

export interface Observed {
  /** What was looked out for. Nothing can be said of a kind that is not among these. */
  readonly watched: readonly Observable[];
  readonly seen: readonly Observation[];
}

/** What tried the network, the host's files, other processes, or more rights: whatever came of it. */
export function attemptsIn({ seen }: Observed): readonly Observation[] {
  return seen.filter(({ kind }) => ATTEMPTS.includes(kind));
}

/** Of several runs as of one: what not each was watched for is not known of all. */
export function observedTogether(all: readonly Observed[]): Observed {
  const seen = OBSERVABLES.flatMap((kind) => {
    const found = all.flatMap((each) => each.seen.filter((one) => one.kind === kind));
    const count = found.reduce((total, each) => total + each.count, 0);
    return found.length === 0 ? [] : [{ kind, count, detail: found.map(({ detail }) => detail).join('; ') }];
  });
  return { watched: OBSERVABLES.filter((kind) => all.every(({ watched }) => watched.includes(kind))), seen };
}

/** One line, for people. */
export function sayObserved(observed: Observed): string {
  const unwatched = OBSERVABLES.filter((kind) => !observed.watched.includes(kind));
  return [
    attemptsIn(observed).length > 0 ? 'it tried what it may not' : 'it tried nothing that it may not',
    ...observed.seen.map(({ kind, count, detail }) => `${kind} ${count} × (${detail})`),
    ...(unwatched.length > 0 ? [`not watched: ${unwatched.join(', ')}`] : []),
  ].join('; ');
}

/** What a provenance says of it; `null` where it says nothing of that form. */
export function observedIn(parameters: Readonly<Record<string, unknown>> | undefined): Observed | null {
  const said = parameters?.['observed'];
  if (typeof said !== 'object' || said === null || !('watched' in said) || !('seen' in said)) return null;
  const { watched, seen } = said;
  if (!Array.isArray(watched) || !watched.every(isObservable)) return null;
  if (!Array.isArray(seen) || !seen.every(isObservation)) return null;
  return { watched, seen };
}

function isObservable(value: unknown): value is Observable {
  return OBSERVABLES.some((kind) => kind === value);
}

function isObservation(value: unknown): value is Observation {
  if (typeof value !== 'object' || value === null) return false;
  const { kind, count, detail } = value as Partial<Record<keyof Observation, unknown>>;
  return isObservable(kind) && Number.isInteger(count) && typeof detail === 'string';
}
