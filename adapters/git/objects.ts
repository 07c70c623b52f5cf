import { CustodyError } from '../../domain/errors.js';
import type { Clone } from './git.js';

/** Objects whose ids are known, one after the other. MALFORMED: one is missing, or of another kind. */
export async function readObjects(
  clone: Clone,
  kind: 'blob' | 'commit',
  ids: readonly string[],
): Promise<readonly Buffer[]> {
  if (ids.length === 0) return [];
  const output = await clone.run(['cat-file', '--batch'], `${ids.join('\n')}\n`);
  const found: Buffer[] = [];
  let at = 0;
  for (const id of ids) {
    const end = output.indexOf('\n', at);
    const header = output.toString('latin1', at, end < 0 ? output.length : end);
    const [name, type, size] = header.split(' ');
    if (name !== id || type !== kind || size === undefined)
      throw new CustodyError('MALFORMED', `the repository has no ${kind} ${id.slice(0, 12)}: ${header.slice(0, 100)}`);
    found.push(output.subarray(end + 1, end + 1 + Number(size)));
    at = end + 1 + Number(size) + 1;
  }
  return found;
}
