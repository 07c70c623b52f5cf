import { progressOf } from '../../adapters/dossier.js';
import type { Records } from '../../adapters/records.js';
import { CustodyError } from '../../domain/errors.js';
import { parseReleaseName, type ReleaseName } from '../../domain/names.js';
import { holdsRole } from '../../domain/policy.js';
import type { ReportedResult, ValidationReport } from '../../domain/report.js';
import { parseJson } from '../../formats/json.js';
import { REPORTS } from '../../formats/reports.js';
import { openReading } from '../connect.js';
import { answer, bad, faint, good, heading, plain } from '../output.js';
import type { Session } from '../session.js';

type Form = 'html' | 'junit' | 'sarif';
const MAX_REPORT_BYTES = 64 * 1024 * 1024;

export async function report(session: Session, given: string, { as }: { as?: Form }): Promise<void> {
  const bytes = await reportOf(openReading(session.layout).records, parseReleaseName(given), as ?? 'json');
  if (as !== undefined) {
    process.stdout.write(bytes);
    return;
  }
  const found = parseJson(bytes, 'the report', { maxBytes: MAX_REPORT_BYTES }) as ValidationReport;
  answer(session, found, [
    heading(`${found.model} ${found.version}: ${found.verdict}`),
    ...found.results.map(line),
    ...(found.remedy === null ? [] : [plain(`An override would need ${found.remedy}`)]),
  ]);
}

/** The bytes that a validator's test result of this very release names, checked by their digest. */
async function reportOf(records: Records, name: ReleaseName, form: Form | 'json'): Promise<Buffer> {
  const { ingested, validated } = await progressOf(records, name);
  if (ingested === undefined || validated === undefined)
    throw new CustodyError('PENDING', `${name.model} ${name.version} has not been validated yet, or there is none`);
  const { subject, signers, predicate } = (await records.get('testResult', validated.testResult)).verified;
  const { newest } = await records.policies();
  if (subject !== ingested.release || !signers.some((id) => holdsRole(newest, newest, id, 'validator')))
    throw new CustodyError('NOT_AUTHORISED', 'the test result is not by a validator, or about another release');
  const digest = predicate.configuration.find((each) => each.name === REPORTS[form])?.digest.sha256;
  if (digest === undefined)
    throw new CustodyError(
      'INPUT_MISSING',
      `the test result names no ${REPORTS[form]}: it was made by an older version`,
    );
  return records.getBytes(digest);
}

function line({ id, verdict, says, tolerated }: ReportedResult): string {
  const mark = verdict === 'passed' ? good('✔') : tolerated ? '·' : bad(verdict === 'failed' ? '✘' : '?');
  return `${mark} ${plain(id)}${says === null ? '' : faint(`  ${plain(says)}`)}`;
}
