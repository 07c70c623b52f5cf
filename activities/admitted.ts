import type { Records } from '../adapters/records.js';
import { personAsks, type Rules } from '../domain/authorise.js';
import { CustodyError } from '../domain/errors.js';
import type { Admission } from '../domain/lifecycle.js';
import { lifecycleId, type ReleaseName } from '../domain/names.js';
import { isoTime } from '../domain/time.js';
import { demand, rulesFor } from '../formats/evidence.js';

/**
 * The rules that an admitted release is handled under. What control says of an admission is only a reference: the request
 * itself must be in WORM, signed by its requester, for this release, this source and this policy.
 */
export async function checkAdmission(records: Records, name: ReleaseName, admission: Admission): Promise<Rules> {
  const [policies, { verified: request }] = await Promise.all([
    records.policies(),
    records.get('request', admission.request),
  ]);
  const rules = rulesFor(policies, request, isoTime(Date.now()));
  demand(personAsks(rules, request, 'release', lifecycleId(name)));
  const { action, policy } = request.predicate;
  const isSame =
    action.kind === 'release' &&
    action.source === admission.source &&
    action.bundle === admission.bundle &&
    action.provenance === admission.provenance &&
    action.promotion === admission.promotion &&
    policy === admission.policy;
  if (!isSame)
    throw new CustodyError('REPLAYED', `the admission of ${name.model} ${name.version} is not what was asked for`);
  return rules;
}
