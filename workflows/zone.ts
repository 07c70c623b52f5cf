import { proxyActivities, type ActivityOptions } from '@temporalio/workflow';

/** For each activity the line that the UI shows beside it, or all of its options. */
type Lines<A> = {
  readonly [K in keyof A]: A[K] extends (...args: infer P) => unknown
    ? (...args: P) => string | ActivityOptions
    : never;
};

/** The activities of one zone, as a workflow calls them. */
export function zone<A extends object>(options: ActivityOptions, lines: Lines<A>): A {
  const proxy = proxyActivities(options);
  const calls = Object.entries<(...args: never[]) => string | ActivityOptions>(lines).map(([name, line]) => {
    const call = (...args: never[]): Promise<unknown> => {
      const said = line(...args);
      return proxy[name]!.executeWithOptions(typeof said === 'string' ? { summary: said } : said, args);
    };
    return [name, call] as const;
  });
  return Object.fromEntries(calls) as A;
}
