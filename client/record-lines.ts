import type { AuditRecord } from '../domain/audit.js';
import { plain } from './output.js';

/** One record, one line, whatever is in it: nobody's reason looks like a record of its own. */
export function lineOf({ time, change, actor, subject, reason }: AuditRecord): string {
  const text = `${time}  ${change.padEnd(18)} ${actor.id.padEnd(10)} ${subject.model} ${subject.version ?? ''}  ${reason}`;
  return plain(text).replaceAll('\n', '\\n');
}

const NAME_WIDTH = 9;

/** Every field of a record by its name; what has several lines goes on under its first, never where a name would be. */
export function fieldsOf(record: AuditRecord): string[] {
  return Object.entries(record).map(([name, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return `${name.padEnd(NAME_WIDTH)} ${plain(text).replaceAll('\n', `\n${' '.repeat(NAME_WIDTH + 1)}`)}`;
  });
}
