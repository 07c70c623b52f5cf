import { Session, type Profiler } from 'node:inspector';

type Range = readonly [begin: number, end: number];

/** Which blocks of our own code have run, as V8 counts them. */
export class Coverage {
  private readonly session = new Session();
  /** Of each function that has run, the blocks of it that have not. */
  private readonly missed = new Map<string, readonly Range[]>();

  constructor() {
    this.session.connect();
    this.session.post('Profiler.enable');
    this.session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** How many functions have run, and how many of their blocks have not. */
  get reached(): { readonly functions: number; readonly missed: number } {
    return {
      functions: this.missed.size,
      missed: [...this.missed.values()].reduce((sum, each) => sum + each.length, 0),
    };
  }

  /** What has run since the last time and had never run before, once `counts` says that it now has. */
  look(): { readonly isNew: boolean; counts(): void } {
    const found = new Map<string, readonly Range[]>();
    for (const { url, functions } of this.take())
      if (/\/dist\/(formats|domain|adapters|api|gateway|workflows)\//.test(url))
        for (const each of functions) this.compare(url, each, found);
    return {
      isNew: found.size > 0,
      counts: () => {
        for (const [key, missed] of found) this.missed.set(key, missed);
      },
    };
  }

  private take(): readonly Profiler.ScriptCoverage[] {
    let result: readonly Profiler.ScriptCoverage[] = [];
    // The inspector answers its own thread before it returns.
    this.session.post('Profiler.takePreciseCoverage', (error, answer) => {
      if (error !== null) throw error;
      result = answer.result;
    });
    return result;
  }

  private compare(url: string, { ranges }: Profiler.FunctionCoverage, found: Map<string, readonly Range[]>): void {
    const [whole, ...blocks] = ranges;
    if (whole === undefined || whole.count === 0) return;
    const key = `${url} ${whole.startOffset}-${whole.endOffset}`;
    const now = blocks.filter(({ count }) => count === 0).map((each): Range => [each.startOffset, each.endOffset]);
    const before = this.missed.get(key);
    if (before === undefined) return void found.set(key, now);
    const still = before.filter((each) => isWithin(each, now));
    if (still.length === before.length) return;
    // Of a block that has run for the first time, parts may not have.
    found.set(key, [...still, ...now.filter((each) => isWithin(each, before) && !isWithin(each, still))]);
  }
}

function isWithin([begin, end]: Range, list: readonly Range[]): boolean {
  return list.some((other) => other[0] <= begin && end <= other[1]);
}
