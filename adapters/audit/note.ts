import type { AuditRecord, Change } from '../../domain/audit.js';
import { CustodyError } from '../../domain/errors.js';
import { isoTime } from '../../domain/time.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { sha256 } from '../../formats/sha256.js';
import type { AuditLog } from './log.js';

/** Where the log has it. Writes down what came to the desk, outside any workflow; the same change with the same key is written once. */
export async function noteAtDesk(
  audit: AuditLog,
  change: Change,
  key: string,
  rest: Omit<AuditRecord, 'id' | 'time' | 'change' | 'before' | 'workflow'>,
): Promise<number> {
  const id = sha256(canonicalBytes([change, key]));
  const [noted] = await audit.append([
    { id, time: isoTime(Date.now()), change, before: null, workflow: null, ...rest },
  ]);
  if (noted === undefined) throw new CustodyError('INTERNAL', 'the log has not said where the record is');
  return noted.index;
}
