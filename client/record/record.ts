import type { Records } from '../../adapters/records.js';
import type { ReleaseName } from '../../domain/names.js';
import type { ReleaseRecord } from '../../domain/record.js';
import { decision, signature, validation } from './decision.js';
import { holds, outcome, policy, retirement } from './ending.js';
import { Examination } from './examination.js';
import { serving } from './serving.js';
import { scan, version } from './version.js';
import { producer, promotion, provenance, release, requester } from './origin.js';

/** What a record consists of, in its order: a later part may build on what an earlier one has shown. */
const PARTS: readonly ((exam: Examination) => Promise<void> | void)[] = [
  policy,
  requester,
  release,
  producer,
  provenance,
  scan,
  version,
  validation,
  decision,
  promotion,
  signature,
  serving,
  holds,
  retirement,
  outcome,
];

/** Examines everything there is of a release. INPUT_MISSING: there is no such release. */
export async function examine(records: Records, name: ReleaseName): Promise<Examination> {
  const exam = await Examination.of(records, name);
  for (const part of PARTS) await part(exam);
  return exam;
}

/** A release's provenance record, each line checked now. INPUT_MISSING: there is no such release. */
export async function recordOf(records: Records, name: ReleaseName): Promise<ReleaseRecord> {
  const exam = await examine(records, name);
  return { ...name, release: exam.progress.ingested?.release ?? null, lines: exam.lines, cases: exam.cases };
}
