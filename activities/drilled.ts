import type { Found, PolicyChain, Records } from '../adapters/records.js';
import { CustodyError } from '../domain/errors.js';
import { holdsRole, type Policy } from '../domain/policy.js';
import type { KillPredicate, RequestPredicate, Verified } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';

/** Whether a drill has signed it, by the policy of then and by the newest. */
export function isDrills({ signers }: Verified<unknown>, gate: Policy, newest: Policy): boolean {
  return signers.some((id) => holdsRole(gate, newest, id, 'drill'));
}

/** The orders that a drill asks to lift, for whoever has to see that they are its own; none for people's requests. */
export async function killsDrilled(
  records: Records,
  request: Verified<RequestPredicate>,
  policies: PolicyChain,
): Promise<readonly Found<KillPredicate>[]> {
  const { action, model, policy } = request.predicate;
  if (action.kind !== 'restore' || !isDrills(request, policies.byDigest(policy), policies.newest)) return [];
  return Promise.all(
    action.kills.map(async (order) => {
      const found = await records.find('kill', storeKeys.kill(model, order), policies);
      if (found === null) throw new CustodyError('POLICY_REFUSED', `no order ${order.slice(0, 12)} stops the endpoint`);
      return found;
    }),
  );
}
