import type { PolicyChain } from '../../adapters/records.js';
import type { Change } from '../../domain/audit.js';
import type { Digest } from '../../domain/digest.js';
import type { Progress } from '../../domain/lifecycle.js';
import type { Manifest } from '../../domain/manifest.js';
import type { ReleaseName } from '../../domain/names.js';
import type { RecordLine } from '../../domain/record.js';
import type { ProvenancePredicate } from '../../domain/statements.js';
import type { Documents } from './documents.js';
import type { EvidenceQuorum, EvidenceStep, RequirementFinding } from './model.js';
import type { Routed } from './routes.js';
import type { LogEntry } from './timeline.js';

/** Everything that the requirements are checked by: statements whose signatures hold, and records that are proved. */
export interface Facts {
  readonly name: ReleaseName;
  readonly release: Digest | null;
  readonly by: string;
  /** The moment by which everything is judged. */
  readonly now: string;
  readonly lines: readonly RecordLine[];
  readonly progress: Progress;
  readonly manifest: Manifest | null;
  readonly provenance: ProvenancePredicate | null;
  readonly policies: PolicyChain;
  readonly documents: Documents;
  readonly entries: readonly LogEntry[];
  readonly routes: readonly Routed[];
  readonly steps: readonly EvidenceStep[];
  readonly quorums: readonly EvidenceQuorum[];
  /** What has used each nonce of an approval; `null`: nothing has. */
  readonly nonces: ReadonlyMap<string, { readonly statement: string; readonly request: string } | null>;
}

export type Finding = Pick<RequirementFinding, 'state' | 'says' | 'checked' | 'documents' | 'records'>;

interface Basis {
  readonly checked?: string;
  readonly documents?: readonly Digest[];
  readonly records?: readonly LogEntry[];
}

function finding(
  state: Finding['state'],
  says: string,
  { checked = '', documents = [], records = [] }: Basis,
): Finding {
  return { state, says, checked, documents: [...new Set(documents)], records: records.map(({ index }) => index) };
}

export const holds = (says: string, basis: Basis & { readonly checked: string }): Finding =>
  finding('holds', says, basis);
export const fails = (says: string, basis: Basis & { readonly checked: string }): Finding =>
  finding('fails', says, basis);
/** It has nothing to do with this release, for the reason that is said. */
export const notConcerned = (why: string, basis: Basis = {}): Finding => finding('not concerned', why, basis);
/** Nothing in the dossier shows it, for the reason that is said: never a pass. */
export const noEvidence = (why: string, basis: Basis = {}): Finding => finding('no evidence', why, basis);

export const linesOf = ({ lines }: Facts, ...parts: readonly string[]): readonly RecordLine[] =>
  lines.filter(({ part }) => parts.includes(part));

/** The records of these changes. */
export const recordsOf = ({ entries }: Facts, ...changes: readonly Change[]): readonly LogEntry[] =>
  entries.filter(({ record }) => changes.includes(record.change));

/** What holds if every one of these lines of the release's record does. */
export function byLines(facts: Facts, parts: readonly string[], says?: string): Finding {
  const found = linesOf(facts, ...parts);
  const documents = facts.documents.among(...found.map(({ statement }) => statement));
  const basis = { checked: checksOf(found), documents };
  const failing = found.find(({ state }) => state === 'fails');
  if (failing !== undefined) return fails(`${failing.part}: ${failing.says}`, basis);
  const missing = parts.find((part) => !found.some((line) => line.part === part && line.state !== 'absent'));
  if (missing !== undefined) {
    const line = found.find(({ part }) => part === missing);
    return noEvidence(`${missing}: ${line?.says ?? 'nothing is recorded'}`, { documents });
  }
  return holds(says ?? found.map((line) => `${line.part}: ${line.says}`).join('; '), basis);
}

function checksOf(lines: readonly RecordLine[]): string {
  return [
    ...new Set(lines.filter(({ checked }) => checked !== '').map(({ part, checked }) => `${part}: ${checked}`)),
  ].join('; ');
}

/** The same, with more to rest on. */
export function alsoBy(found: Finding, documents: readonly Digest[], records: readonly LogEntry[] = []): Finding {
  return {
    ...found,
    documents: [...new Set([...found.documents, ...documents])],
    records: [...new Set([...found.records, ...records.map(({ index }) => index)])],
  };
}
