import type { Digest } from './digest.js';

/** What a release has to do before anyone may approve it: requests with what their answers must be, and an accuracy floor. */
export interface Suite {
  readonly suite: string;
  readonly version: string;
  readonly protocol: 'open-inference-v2';
  readonly accuracy: AccuracyCheck;
  readonly cases: readonly SuiteCase[];
}

export interface AccuracyCheck {
  /** Where the author keeps it, beside the suite; what is used is whatever has the digest. */
  readonly dataset: string;
  readonly sha256: Digest;
  readonly split: string;
  readonly floor: number;
  /** Rows in one request. */
  readonly batch: number;
}

export interface SuiteCase {
  readonly id: string;
  readonly kind: 'contract' | 'input-validation' | 'safety';
  readonly request: {
    readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'HEAD';
    readonly path: string;
    /** Sent as JSON. */
    readonly body?: unknown;
    /** Sent as it stands, filled up with spaces to `padTo` bytes. */
    readonly rawBody?: string;
    readonly padTo?: number;
  };
  readonly expect: Expectation;
}

export interface Expectation {
  readonly status: number | readonly number[];
  readonly contains?: string;
  readonly notContains?: string;
  /** Values at dotted paths of the answer. */
  readonly json?: Readonly<Record<string, unknown>>;
}

/** Rows that no training has seen, each with the label that is right. */
export interface LabelledData {
  readonly input: string;
  readonly output: string;
  readonly rows: readonly { readonly values: readonly number[]; readonly label: string }[];
}

export interface CaseResult {
  readonly id: string;
  /** `null`: passed. */
  readonly failure: string | null;
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

/** Why an answer is not the expected one; `null` when it is. */
export function judge(expected: Expectation, answer: { status: number; text: string }, model: string): string | null {
  const allowed = [expected.status].flat();
  if (!allowed.includes(answer.status)) return `status ${answer.status}, expected ${allowed.join(' or ')}`;
  const { contains, notContains, json } = withModel(expected, model);
  if (contains !== undefined && !answer.text.includes(contains)) return `the answer does not contain "${contains}"`;
  if (notContains !== undefined && answer.text.includes(notContains)) return `the answer contains "${notContains}"`;
  if (json === undefined) return null;
  const found = parse(answer.text);
  if (found === undefined) return 'the answer is not JSON';
  const wrong = Object.entries(json).find(([path, value]) => !isSame(valueAt(found, path), value));
  return wrong === undefined ? null : `the answer has another value at ${wrong[0]}`;
}

/** What a case is called in a test result: its kind stands in front, so that a policy can speak of all of one kind. */
export function criterionOf({ kind, id }: Pick<SuiteCase, 'kind' | 'id'>): string {
  return `${kind}/${id}`;
}

/** What the demand for enough cases is called. */
export function casesCase(minimum: number): string {
  return `cases>=${minimum}`;
}

/** What the accuracy case is called: its floor is the stricter of the suite's and the policy's. */
export function accuracyCase(floor: number): string {
  return `accuracy>=${floor}`;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function valueAt(value: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>(
      (found, key) =>
        typeof found === 'object' && found !== null && Object.hasOwn(found, key)
          ? (found as Record<string, unknown>)[key]
          : undefined,
      value,
    );
}

function isSame(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every(
      (key) =>
        Object.hasOwn(b, key) && isSame((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]),
    )
  );
}
