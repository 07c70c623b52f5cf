import type { Assertion } from './assertion.js';
import type { Digest } from './digest.js';
import type { Protocol } from './protocol.js';

/** What a case is about: criteria are set by these groups, and a policy speaks of them as `safety/*`. */
export const SUITE_GROUPS = ['contract', 'input-validation', 'output-sanitisation', 'safety', 'quality'] as const;
export type SuiteGroup = (typeof SUITE_GROUPS)[number];

/** What a release has to do before anyone may approve it: cases, labelled data, or a command of the author's own. */
export interface Suite {
  readonly suite: string;
  readonly version: string;
  readonly protocol: Protocol;
  readonly accuracy?: AccuracyCheck;
  readonly cases: readonly SuiteCase[];
  readonly command?: SuiteCommand;
}

export interface AccuracyCheck {
  /** Where the author keeps it, beside the suite; what is used is whatever has the digest. */
  readonly dataset: string;
  readonly sha256: Digest;
  readonly split: string;
  /** Least share of rows that are right. A policy may ask for more, never for less. */
  readonly floor: number;
  /** Rows in one request; chat takes one at a time. */
  readonly batch: number;
}

export interface SuiteCase {
  readonly id: string;
  readonly kind: SuiteGroup;
  readonly weight: number;
  readonly request: SuiteRequest;
  readonly expect: readonly Assertion[];
}

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

export type SuiteRequest =
  | { readonly kind: 'chat'; readonly messages: readonly ChatMessage[]; readonly stream: boolean }
  | {
      readonly kind: 'http';
      readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'HEAD';
      readonly path: string;
      /** Sent as JSON. */
      readonly body?: unknown;
      /** Sent as it stands: `fill` takes the place of `{fill}` in it, and spaces fill it up to `padTo` bytes. */
      readonly rawBody?: string;
      readonly fill?: { readonly text: string; readonly times: number };
      readonly padTo?: number;
      /** A client that sends half of it, and then nothing more. */
      readonly stall?: boolean;
    };

/**
 * A program of the author's own, run in the sandbox beside the candidate, and how its JSON output is read. Of its arguments
 * `{socket}` becomes the path of the unix socket where the candidate answers, and `{model}` its name.
 */
export interface SuiteCommand {
  readonly run: readonly string[];
  /** Put into the folder in which it runs; what is used is whatever has the digest. */
  readonly files: readonly { readonly path: string; readonly sha256: Digest }[];
  readonly timeoutSeconds: number;
  readonly output: {
    /** The dotted path of the list of cases; the whole output where it is empty. */
    readonly cases: string;
    /** Dotted paths in each: its id, whether it passed (`true` or `false`), and what is said of it. */
    readonly id: string;
    readonly passed: string;
    readonly says?: string;
    readonly weight?: string;
  };
  readonly kind: SuiteGroup;
}

/** Rows that no training has seen, each with the label that is right. */
export interface LabelledData {
  readonly input: string;
  readonly output: string;
  readonly rows: readonly LabelledRow[];
}

export interface LabelledRow {
  /** Numbers of a tensor, or what is said to a chat model. */
  readonly values: readonly number[] | string;
  readonly label: string;
  /** Whom or what it stands for, where fairness is measured. */
  readonly group: string | null;
}

/** `inconclusive`: it could not be found out. Never a pass. */
export type Verdict = 'passed' | 'failed' | 'inconclusive';

export interface CaseResult {
  readonly id: string;
  readonly kind: SuiteGroup;
  readonly weight: number;
  readonly verdict: Verdict;
  /** Why it did not pass; `null` where it did. */
  readonly failure: string | null;
}

/** Rows whose label came back right, of all rows, and the same by group. */
export interface LabelledResult {
  readonly right: number;
  readonly rows: number;
  readonly groups: Readonly<Record<string, { readonly right: number; readonly rows: number }>>;
  /** Of all rows, those that nobody could be asked: none of them is right. Older reports do not say. */
  readonly untried?: number;
  /** Why rows got no answer: the first problem, `null` when all had one. */
  readonly unanswered: string | null;
}

/** What came of one suite. */
export interface SuiteRun {
  readonly cases: readonly CaseResult[];
  readonly labelled: LabelledResult | null;
}

/** The same text or JSON with the model's name wherever `{model}` stands. */
export function withModel<T>(value: T, model: string): T {
  if (typeof value === 'string') return value.replaceAll('{model}', model) as T;
  if (Array.isArray(value)) return value.map((entry: unknown) => withModel(entry, model)) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, entry]) => [key, withModel(entry as unknown, model)]),
  ) as T;
}

/** Every case with the same verdict, where none of them could be tried on its own. */
export function alike(cases: readonly SuiteCase[], verdict: Verdict, failure: string): readonly CaseResult[] {
  return cases.map(({ id, kind, weight }) => ({ id, kind, weight, verdict, failure }));
}

/** A command that came to nothing has one case: itself. */
export const COMMAND_CASE = 'command';
