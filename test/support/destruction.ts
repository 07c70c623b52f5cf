import type { DestructionPredicate, ProbePredicate, ProbingZone } from '../../domain/ending-predicates.js';
import { PROBES } from '../../domain/ending-predicates.js';
import { lifecycleId } from '../../domain/names.js';
import type { Digest } from '../../domain/digest.js';
import type { KeyName, Release, Signed, World } from './world.js';

export const KEY_OF: Readonly<Record<ProbingZone, KeyName>> = {
  signing: 'release-signer',
  serving: 'serving',
  control: 'control',
};
const ZONES = Object.keys(PROBES) as ProbingZone[];

/** What a zone says that has tried everything, and was refused. */
export function probedBy(
  world: World,
  release: Release,
  about: Pick<ProbePredicate, 'zone' | 'request' | 'blobs' | 'issuedAt'> & { readonly files: readonly string[] },
  change: Partial<ProbePredicate> = {},
  by: KeyName = KEY_OF[about.zone],
  sha256: Digest = release.release,
): Signed<ProbePredicate> {
  const { zone, files, ...said } = about;
  const kinds = PROBES[zone].filter((kind) => kind !== 'vault key');
  const own = zone === 'signing' ? files.map((path) => ({ kind: 'vault key', path }) as const) : [];
  const probes = [...own, ...kinds.map((kind) => ({ kind, path: kind }))].map((each) => ({
    ...{ ...each, refused: true, answer: 'ERASED: it has been destroyed' },
  }));
  const predicate = { environment: world.environment, ...release.name, zone, ...said, probes, ...change };
  return world.statement('probe', { name: lifecycleId(release.name), sha256 }, predicate, by);
}

/** Every zone's statement, and the certificate that rests on them. */
export function destructionOf(
  world: World,
  release: Release,
  said: Pick<
    DestructionPredicate,
    'request' | 'approvals' | 'revocation' | 'destroyed' | 'kept' | 'remains' | 'destroyedAt' | 'orderedBy'
  > & { readonly approvedBy: readonly string[] },
  probe: (zone: ProbingZone) => { change?: Partial<ProbePredicate>; by?: KeyName; about?: Digest } = () => ({}),
): { readonly probes: readonly Signed<ProbePredicate>[]; readonly destruction: DestructionPredicate } {
  const blobs = said.destroyed.map(({ blob }) => blob);
  const files = said.destroyed.map(({ path }) => path);
  const probes = ZONES.map((zone) => {
    const { change, by, about } = probe(zone);
    const usual = { zone, request: said.request, blobs, issuedAt: said.destroyedAt, files };
    return probedBy(world, release, usual, change, by, about);
  });
  const destruction: DestructionPredicate = {
    ...{ environment: world.environment, ...release.name },
    ...{ standard: 'NIST SP 800-88r2', method: 'cryptographic erase', sanitization: 'purge' },
    ...{
      cachesMethod: 'overwrite',
      cachesSanitization: 'clear',
      media: 'keys',
      tool: 'custody',
      verification: 'tried',
    },
    ...said,
    probed: probes.map(({ digest, predicate: { zone } }) => ({
      ...{ zone, by: probe(zone).by ?? KEY_OF[zone], statement: digest },
    })),
    probes: probes.flatMap(({ predicate: { zone, probes: own } }) => own.map((each) => ({ zone, ...each }))),
    residual: [{ what: 'what was ingested', where: 'file:///releases' }],
  };
  return { probes, destruction };
}
