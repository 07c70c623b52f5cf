import { canonicalBytes } from '../../formats/jcs.js';
import type { Gathered } from './gather.js';

export function bomBytes({ evidence }: Gathered): Buffer {
  return canonicalBytes({ name: evidence.model });
}
