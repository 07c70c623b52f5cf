import { parseReleaseName } from '../../domain/names.js';
import { exitCodeFor, failuresOf, type RecordLine, type ReleaseRecord } from '../../domain/record.js';
import { openReading } from '../connect.js';
import { answer, bad, faint, good, heading, plain, talk } from '../output.js';
import { recordOf } from '../record/record.js';
import type { Session } from '../session.js';

const LABEL_WIDTH = 16;
const MARKS: Record<RecordLine['state'], string> = { holds: '✔', fails: '✘', absent: '…', fact: '·' };

export async function show(session: Session, given: string): Promise<void> {
  const name = parseReleaseName(given);
  // From the store alone: nothing that Temporal says is believed, so it is not asked.
  print(session, await recordOf(openReading(session.layout).records, name));
}

/** Prints it whole, also where something fails; then names what fails, and that decides the exit code. */
function print(session: Session, record: ReleaseRecord): void {
  const failing = failuresOf(record);
  const [first] = failing;
  const error = first === undefined ? {} : { error: { code: first.failure.code, message: told(first), details: {} } };
  answer(session, { ...record, ...error }, [
    heading(`${record.model} ${record.version}`),
    ...record.lines.flatMap(printed),
  ]);
  for (const line of failing) talk(`${bad(line.failure.code)} ${plain(told(line))}`);
  process.exitCode = exitCodeFor(failing);
}

function told({ part, failure }: RecordLine): string {
  return `${part}: ${failure?.reason ?? ''}`;
}

function printed({ part, state, says, checked, by, statement, policy }: RecordLine): string[] {
  const paint = { holds: good, fails: bad, absent: faint, fact: (text: string): string => text }[state];
  const line = `${paint(MARKS[state])} ${part.padEnd(LABEL_WIDTH)} ${plain(says)}`;
  if (checked === '') return [line];
  const facts = [
    `checked: ${checked}`,
    ...(by.length === 0 ? [] : [`by ${by.join(', ')}`]),
    ...(policy === null ? [] : [`policy ${policy}`]),
    ...(statement === null ? [] : [statement]),
  ];
  return [line, faint(`  ${' '.repeat(LABEL_WIDTH)} ${facts.join(' · ')}`)];
}
