import { progressOf } from '../../adapters/dossier.js';
import type { PolicyChain, Records } from '../../adapters/records.js';
import type { Rules } from '../../domain/authorise.js';
import type { Digest } from '../../domain/digest.js';
import { CustodyError, exitCodeOf } from '../../domain/errors.js';
import type { Progress } from '../../domain/lifecycle.js';
import type { Manifest } from '../../domain/manifest.js';
import type { ReleaseName } from '../../domain/names.js';
import type { CaseVerdict, RecordLine } from '../../domain/record.js';
import type {
  PredicateName,
  PredicateOf,
  ProvenancePredicate,
  RequestPredicate,
  TestResultPredicate,
  Verified,
} from '../../domain/statements.js';
import { rulesFor } from '../../formats/evidence.js';

/** What one check found; `value` is for the lines that build on it. */
export interface Found<T> {
  readonly value: T;
  readonly says: string;
  /** Where it is checked and yet nothing to be glad of. */
  readonly state?: 'fact';
  readonly by?: readonly string[];
  readonly statement?: Digest;
  readonly policy?: number;
}

/** What the lines so far have shown to hold. */
export interface Shown {
  admission?: Verified<RequestPredicate>;
  manifest?: { readonly manifest: Manifest; readonly text: Buffer };
  producer?: string;
  provenance?: Verified<ProvenancePredicate>;
  testResult?: Verified<TestResultPredicate>;
  request?: Verified<RequestPredicate>;
}

const DEPENDENCY_DOWN = 7;

/**
 * One release under examination: everything is read from the store and checked against this process's own pinned root, each
 * line by itself, so that one that fails hides no other.
 */
export class Examination {
  readonly lines: RecordLine[] = [];
  readonly shown: Shown = {};
  cases: readonly CaseVerdict[] = [];
  readonly records: Records;
  readonly name: ReleaseName;
  readonly progress: Progress;
  readonly policies: PolicyChain;
  readonly now: string;

  private constructor(records: Records, name: ReleaseName, progress: Progress, policies: PolicyChain) {
    this.records = records;
    this.now = records.now();
    this.name = name;
    this.progress = progress;
    this.policies = policies;
  }

  /** INPUT_MISSING: nobody was ever admitted to ask for such a release. */
  static async of(records: Records, name: ReleaseName): Promise<Examination> {
    const [progress, policies] = await Promise.all([progressOf(records, name), records.policies()]);
    if (progress.admission === undefined)
      throw new CustodyError('INPUT_MISSING', `there is no release ${name.model} ${name.version}`);
    return new Examination(records, name, progress, policies);
  }

  get title(): string {
    return `${this.name.model} ${this.name.version}`;
  }

  /** The rules of the last request shown, and the newest. */
  get rules(): Rules {
    const request = this.shown.request ?? this.shown.admission;
    const { newest } = this.policies;
    if (request !== undefined) return rulesFor(this.policies, request, this.now);
    return { environment: this.records.environment, gate: newest, newest, now: this.now };
  }

  /** Makes one check: it holds, or it fails with what it throws. A store that does not answer ends the whole examination. */
  async check<T>(part: string, checked: string, check: () => Promise<Found<T>> | Found<T>): Promise<T | null> {
    try {
      const { value, says, state = 'holds', by = [], statement = null, policy = null } = await check();
      this.lines.push({ part, state, says, checked, by, statement, policy, failure: null });
      return value;
    } catch (error) {
      if (!(error instanceof CustodyError)) throw error;
      const { code, message } = error;
      if (exitCodeOf(code) === DEPENDENCY_DOWN) throw error;
      // What a record names has been kept: where it is not, somebody took it away.
      const failure = { code: code === 'PENDING' ? 'WORM_VIOLATED' : code, reason: message } as const;
      this.lines.push({ ...UNSIGNED, part, state: 'fails', says: message, checked, failure });
      return null;
    }
  }

  /** It has not come to that, and never will for a release that has ended; or what it builds on has failed. */
  absent(part: string, isRecorded = false): void {
    const never = this.progress.outcome === undefined ? 'not yet' : 'it never came to that';
    const says = isRecorded ? 'cannot be checked: what it builds on has failed' : never;
    this.lines.push({ ...UNSIGNED, part, state: 'absent', says, checked: '' });
  }

  /** What a line that does hold says in detail. */
  detail(part: string, says: string, of: Verified<unknown>): void {
    const checked = 'as the statement says whose signature was just checked';
    this.lines.push({ ...UNSIGNED, part, state: 'holds', says, checked, by: of.signers, statement: of.digest });
  }

  fact(part: string, says: string, checked: string): void {
    this.lines.push({ ...UNSIGNED, part, state: 'fact', says, checked });
  }

  /** A statement by its digest, its signature checked. */
  async statement<K extends PredicateName>(name: K, digest: Digest): Promise<Verified<PredicateOf[K]>> {
    return (await this.records.get(name, digest)).verified;
  }
}

const UNSIGNED = { by: [], statement: null, policy: null, failure: null } as const;
