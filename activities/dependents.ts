import type { Digest } from '../domain/digest.js';
import { dependentsOfRelease, endpointsOn, releasesOn, standInTheWay } from '../domain/dependents.js';
import type { DependentsPredicate } from '../domain/ending-predicates.js';
import { CustodyError } from '../domain/errors.js';
import { mayLeave } from '../domain/fallback.js';
import { lifecycleId, type ReleaseName } from '../domain/names.js';
import type { Policy } from '../domain/policy.js';
import type { RequestPredicate, Verified } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime } from '../domain/time.js';
import { demand } from '../formats/evidence.js';
import { parseManifest } from '../formats/manifest.js';
import { signStatement } from '../formats/statements.js';
import type { Desk } from './control.js';
import { inventoryOf } from './telling.js';

/**
 * Who and what depends on a release, as a statement of control's that is in the log before people are asked whether it may end.
 * POLICY_REFUSED where callers would be left with nothing though the policy forbids that, or where something serves that was
 * made from it and that the request does not name.
 */
export async function scanDependents(
  desk: Desk,
  name: ReleaseName,
  release: Digest,
  { digest: request, predicate }: Verified<RequestPredicate>,
  policy: Policy,
): Promise<void> {
  const { records, journal, router, key, id } = desk;
  const { action } = predicate;
  if (action.kind !== 'retire') throw new CustodyError('REPLAYED', 'the request is not to retire');
  const [inventory, current] = await Promise.all([inventoryOf(desk), router.current(name.model)]);
  const { files } = parseManifest(await records.getBytes(release, storeKeys.manifest));
  const releases = releasesOn(inventory, { ...name, files: files.map(({ sha256 }) => sha256) });
  const document = current?.document ?? null;
  demand(mayLeave(document, release, action, policy));
  const inTheWay = standInTheWay(releases, name, action.despite ?? []);
  if (inTheWay.length > 0)
    throw new CustodyError(
      'POLICY_REFUSED',
      `${inTheWay.join(', ')} serves and was made from it: retire that first, or ask for it despite that`,
    );
  const said: DependentsPredicate = {
    environment: records.environment,
    ...name,
    request,
    consumers: dependentsOfRelease(inventory, name).map((each) => ({
      id: each.id,
      owner: each.owner,
      criticality: each.criticality,
    })),
    releases,
    weight: document?.releases.find((entry) => entry.release === release)?.weight ?? null,
    endpoints: endpointsOn(inventory.graph, name),
    isDrilled: policy.drills?.model === name.model,
    issuedAt: isoTime(Date.now()),
  };
  const at = storeKeys.dependents(name, request);
  const kept = await records.find('dependents', at);
  const envelope =
    kept?.envelope ?? signStatement('dependents', { name: lifecycleId(name), sha256: release }, said, [key]);
  const statement = await records.keep(envelope, at);
  await journal.note({
    ...{ change: 'retirement.scanned', key: request, before: request, after: statement },
    actor: { id, statement },
    subject: { ...name, release },
    policy: predicate.policy,
    reason: `${said.consumers.length} consumers, ${releases.length} releases, ${said.endpoints.length} endpoints depend on it`,
  });
}
