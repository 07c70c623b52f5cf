import { OBSERVABLES, type Observable, type Observation } from '../../domain/observed.js';
import { printable } from '../../formats/printable.js';

const SAMPLES = 3;
const LONGEST = 100;

/** Counts what is seen, and keeps the first of each kind. However much a run does, it stays small. */
export class Tally {
  readonly #found = new Map<Observable, { count: number; readonly samples: Set<string> }>();

  add(kind: Observable, sample: string, count = 1): void {
    const entry = this.#found.get(kind) ?? { count: 0, samples: new Set() };
    entry.count += count;
    if (entry.samples.size < SAMPLES) entry.samples.add(printable(sample.slice(0, LONGEST)));
    this.#found.set(kind, entry);
  }

  /** At least so many, though not each was told of otherwise. */
  atLeast(kind: Observable, count: number, sample: string): void {
    const missing = count - (this.#found.get(kind)?.count ?? 0);
    if (missing > 0) this.add(kind, sample, missing);
  }

  get seen(): readonly Observation[] {
    return OBSERVABLES.flatMap((kind) => {
      const entry = this.#found.get(kind);
      return entry === undefined ? [] : [{ kind, count: entry.count, detail: [...entry.samples].join(', ') }];
    });
  }
}
