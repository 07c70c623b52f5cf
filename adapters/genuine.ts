import type { PredicateName, PredicateOf } from '../domain/statements.js';
import type { Found, Records } from './records.js';

/**
 * The statements of one kind that lie under a prefix and whose signatures count today: whoever lost his key since then says
 * nothing any more, and what somebody else has put there says nothing at all.
 */
export async function genuineUnder<K extends PredicateName>(
  records: Records,
  kind: K,
  prefix: string,
): Promise<readonly Found<PredicateOf[K]>[]> {
  const found: Found<PredicateOf[K]>[] = [];
  for await (const key of records.bucket.list(prefix)) {
    const statement = await records.findGenuine(kind, key);
    if (statement !== null) found.push(statement);
  }
  return found;
}
