import { z } from 'zod';
import { CustodyError } from '../domain/errors.js';
import type { LabelledData } from '../domain/suite.js';
import { checkShape, parseJson } from './json.js';

const MAX_DATA_BYTES = 8 * 1024 * 1024;

const name = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,62}$/);
const dataSchema = z.strictObject({
  input: name,
  output: name,
  group: name.exactOptional(),
  cases: z.array(z.record(z.string(), z.union([z.string(), z.array(z.number())]))).min(1),
});

/**
 * Reads labelled rows: `input` and `output` name the members of each case that hold what is asked (numbers of a tensor, or a
 * text for a chat) and the right label; `group`, where there is one, that which says whom it stands for. MALFORMED: no case,
 * rows of different widths, a case without one of them, the same twice, which would count as two.
 */
export function parseLabelledData(bytes: Buffer): LabelledData {
  const what = 'the labelled data';
  const { input, output, group, cases } = checkShape(
    dataSchema,
    parseJson(bytes, what, { maxBytes: MAX_DATA_BYTES }),
    what,
  );
  const members = group === undefined ? 2 : 3;
  const rows = cases.map((entry, at) => {
    const values = entry[input];
    const label = entry[output];
    const of = group === undefined ? null : entry[group];
    const isWhole = values !== undefined && typeof label === 'string' && of !== undefined && !Array.isArray(of);
    if (!isWhole || Object.keys(entry).length !== members)
      throw new CustodyError('MALFORMED', `case ${at} of ${what} must have ${[input, output, group ?? ''].join(' ')}`);
    return { values, label, group: of };
  });
  const width = widthOf(rows[0]?.values);
  const odd = rows.findIndex(({ values }) => widthOf(values) !== width || width === 0);
  if (odd >= 0)
    throw new CustodyError('MALFORMED', `case ${odd} of ${what} is empty or of another width than the first`);
  const seen = new Set<string>();
  rows.forEach(({ values }, at) => {
    const asked = JSON.stringify(values);
    if (seen.has(asked)) throw new CustodyError('MALFORMED', `case ${at} of ${what} asks what another one asks`);
    seen.add(asked);
  });
  return { input, output, rows };
}

/** Of numbers, how many; of texts, that there is one. */
function widthOf(values: string | readonly number[] | undefined): number | 'text' {
  if (typeof values === 'string') return values === '' ? 0 : 'text';
  return values?.length ?? 0;
}
