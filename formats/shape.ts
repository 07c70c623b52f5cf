import type { z } from 'zod';
import { CustodyError } from '../domain/errors.js';
import { printable } from './printable.js';

const LISTED_PROBLEMS = 20;

/** What `schema` makes of a value; otherwise MALFORMED, listing every path that does not fit. */
export function checkShape<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => {
    const path = issue.path.length === 0 ? '(root)' : issue.path.map(String).join('.');
    return printable(`${path}: ${issue.message}`);
  });
  const listed = problems.slice(0, LISTED_PROBLEMS);
  const more = problems.length > listed.length ? `; and ${problems.length - listed.length} more` : '';
  throw new CustodyError('MALFORMED', `${what} does not have the expected shape: ${listed.join('; ')}${more}`, {
    details: { what, problems: listed },
  });
}
