import { activityInfo } from '@temporalio/activity';
import type { Digest } from '../domain/digest.js';
import { canonicalBytes } from '../formats/jcs.js';
import { sha256 } from '../formats/sha256.js';

/**
 * The same for every attempt of one activity, and of no other: an order that is spent for it is answered again when the
 * activity is tried again, and does nothing when somebody else sends it again.
 */
export function thisAct(): Digest {
  const { activityId, workflowExecution } = activityInfo();
  return sha256(canonicalBytes([workflowExecution?.runId ?? '', activityId]));
}
