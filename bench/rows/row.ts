/** One figure: where it stands in what a bench says, beside whom, and what it is to be. */
export interface Row {
  readonly bench: string;
  readonly what: string;
  readonly unit: string;
  readonly ours: string;
  /** `there`: what it took on the machine on which the goals were set, where that is known. */
  readonly peer?: { readonly name: string; readonly at: string; readonly there?: number };
  readonly better: 'less' | 'more';
  /** As many times better than the peer, or so much in the row's unit. */
  readonly goal: { readonly times: number } | { readonly value: number };
  /** What is not equal in the comparison. */
  readonly note?: string;
  /** Where the goal is missed: why the rest is out of reach. */
  readonly limit?: string;
}
