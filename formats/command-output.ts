import { valueAt } from '../domain/assertion.js';
import { CustodyError } from '../domain/errors.js';
import type { CaseResult, SuiteCommand } from '../domain/suite.js';
import { parseJson, printable } from './json.js';

const MAX_BYTES = 4 * 1024 * 1024;
const MAX_CASES = 10_000;
const ID = /^[\x21-\x7e]{1,100}$/;

/** Reads the cases that a command printed as JSON, as its suite maps them. MALFORMED says which of them cannot be read. */
export function readCommandOutput(bytes: Buffer, { output, kind }: SuiteCommand): readonly CaseResult[] {
  const what = 'the output of the command';
  const list = valueAt(parseJson(bytes, what, { maxBytes: MAX_BYTES }), output.cases);
  if (!Array.isArray(list) || list.length === 0 || list.length > MAX_CASES)
    throw new CustodyError('MALFORMED', `${what} has no list of cases at "${output.cases}", or too long a one`);
  const ids = new Set<string>();
  return list.map((entry: unknown, at): CaseResult => {
    const wrong = (problem: string): CustodyError => new CustodyError('MALFORMED', `case ${at} in ${what} ${problem}`);
    const id = valueAt(entry, output.id);
    if (typeof id !== 'string' || !ID.test(id)) throw wrong(`has no id in printable ASCII at "${output.id}"`);
    if (ids.has(id)) throw wrong(`is called ${id}, like another one`);
    ids.add(id);
    const passed = valueAt(entry, output.passed);
    if (typeof passed !== 'boolean') throw wrong(`has neither true nor false at "${output.passed}"`);
    const weight = output.weight === undefined ? 1 : valueAt(entry, output.weight);
    if (typeof weight !== 'number' || weight <= 0 || weight > 1000)
      throw wrong(`has no weight at "${output.weight ?? ''}"`);
    const says = output.says === undefined ? undefined : valueAt(entry, output.says);
    const failure = typeof says === 'string' ? printable(says) : 'the command says that it failed';
    return { id, kind, weight, verdict: passed ? 'passed' : 'failed', failure: passed ? null : failure };
  });
}
