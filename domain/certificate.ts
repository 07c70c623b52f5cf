import { authoriseDestruction, revocationHolds, type VerifiedRetirement } from './authorise-retirement.js';
import type { DestructionPredicate, ProbePredicate } from './ending-predicates.js';
import type { Manifest } from './manifest.js';
import { denied, signedInRole, type Permission, type Rules } from './permission.js';
import { PROBING_ZONES, probesHold } from './probes.js';
import type { RevocationPredicate, Verified } from './statements.js';

/** A release that is said to be gone, and all that this rests on, every signature checked. */
export interface Gone {
  readonly retirement: VerifiedRetirement;
  readonly manifest: Manifest;
  readonly revocation: Verified<RevocationPredicate>;
  readonly certificate: Verified<DestructionPredicate>;
  /** What the zones have tried afterwards. */
  readonly probes: readonly Verified<ProbePredicate>[];
}

/** One thing that was looked at, in the words for whoever reads them. */
export interface CertificateCheck {
  readonly name: 'retirement' | 'revocation' | 'certificate' | 'keys' | 'probes';
  readonly permission: Permission;
  readonly says: string;
}

const HOLDS: Permission = { allowed: true, approvers: [] };

/**
 * Whether a certificate of destruction holds, as of when it says that the keys went: people had agreed by then, the notice was
 * over and answered, the release revoked; every file of it is accounted for, and each zone has tried every way that it has. That
 * no copy of a key is left is what the probes can show, and no more.
 */
export function certificateHolds(gone: Gone, rules: Rules): readonly CertificateCheck[] {
  const { retirement, manifest, revocation, certificate } = gone;
  const { destroyed, kept, probes, destroyedAt, method } = certificate.predicate;
  const then: Rules = { ...rules, now: destroyedAt };
  const agreed = authoriseDestruction(retirement, then);
  const by = agreed.allowed ? agreed.approvers.join(' and ') : '';
  const { requester, action } = retirement.request.predicate;
  return [
    {
      name: 'retirement',
      permission: agreed,
      says: `${requester} asked${action.kind === 'retire' ? `: ${action.reason}` : ''}; ${by} agreed; the notice was over and answered`,
    },
    {
      name: 'revocation',
      permission: revokedBefore(gone, then),
      says: `revoked at ${revocation.predicate.issuedAt}`,
    },
    {
      name: 'certificate',
      permission: isOfThis(gone, then, agreed),
      says: `by ${certificate.signers.join(' and ')}: ${method} at ${destroyedAt}`,
    },
    {
      name: 'keys',
      permission: isWhole(manifest, certificate.predicate),
      says: `${destroyed.length} keys destroyed, ${kept.length} files kept for other releases: every file is accounted for`,
    },
    {
      name: 'probes',
      permission: allRefused(gone, then),
      says: `${probes.length} tries afterwards, by ${PROBING_ZONES.join(', ')}: each refused`,
    },
  ];
}

function revokedBefore({ retirement, revocation }: Gone, rules: Rules): Permission {
  const held = revocationHolds(retirement, revocation, rules);
  if (!held.allowed) return held;
  return revocation.predicate.issuedAt <= rules.now
    ? held
    : denied('EXPIRED', `its keys were destroyed at ${rules.now}, before it was revoked`);
}

function isOfThis({ retirement, revocation, certificate }: Gone, rules: Rules, agreed: Permission): Permission {
  const said = certificate.predicate;
  if (!signedInRole(rules, certificate, 'release-signer'))
    return denied('NOT_AUTHORISED', `${certificate.signers.join(', ')} may not certify a destruction`);
  const isSame =
    certificate.subject === retirement.release &&
    said.environment === rules.environment &&
    said.model === retirement.model &&
    said.version === retirement.version;
  if (!isSame) return denied('REPLAYED', `it is about ${said.model} ${said.version} of ${said.environment}`);
  const { requester } = retirement.request.predicate;
  if (said.orderedBy !== requester) return denied('REPLAYED', `it names ${said.orderedBy}, and ${requester} asked`);
  if (agreed.allowed && !isSameSet(said.approvedBy, agreed.approvers))
    return denied('REPLAYED', `it names ${said.approvedBy.join(', ')}, and ${agreed.approvers.join(', ')} agreed`);
  const names = [said.request, said.revocation, ...said.approvals];
  const found = [retirement.request.digest, revocation.digest, ...retirement.approvals.map(({ digest }) => digest)];
  return names.every((digest) => found.includes(digest)) && said.approvals.length === retirement.approvals.length
    ? HOLDS
    : denied('REPLAYED', 'it rests on other documents than these');
}

/** Each file once: its key is gone, or somebody else holds it. */
function isWhole({ files }: Manifest, { destroyed, kept }: DestructionPredicate): Permission {
  const told = new Map([...destroyed, ...kept].map(({ path, sha256 }) => [path, sha256] as const));
  const missing = files.find(({ path, sha256 }) => told.get(path) !== sha256);
  if (missing !== undefined) return denied('INPUT_MISSING', `it says nothing of ${missing.path}`);
  if (destroyed.length + kept.length !== files.length)
    return denied('DIGEST_MISMATCH', 'it names files that the release does not have, or one of them twice');
  const nobodys = kept.find(({ holders }) => holders.length === 0);
  return nobodys === undefined ? HOLDS : denied('INPUT_MISSING', `${nobodys.path} is kept, and for nobody`);
}

/** The certificate says what the zones have said, neither less nor more. */
function allRefused({ retirement, certificate, probes: statements }: Gone, rules: Rules): Permission {
  const { probed, probes, ...said } = certificate.predicate;
  const named = probed.map(({ zone, by, statement }) => JSON.stringify([zone, by, statement]));
  const given = statements.map((each) =>
    JSON.stringify([each.predicate.zone, each.signers.join(' and '), each.digest]),
  );
  if (!isSameSet(named, given)) return denied('REPLAYED', 'it rests on other probes than these');
  const held = probesHold(statements, { ...said, release: retirement.release }, rules);
  if (!held.allowed) return held;
  const same = (probe: (typeof probes)[number]): string =>
    JSON.stringify([probe.zone, probe.kind, probe.path, probe.refused, probe.answer]);
  const found = statements.flatMap(({ predicate: { zone, probes: own } }) =>
    own.map((probe) => same({ zone, ...probe })),
  );
  return isSameSet(probes.map(same), found)
    ? HOLDS
    : denied('DIGEST_MISMATCH', 'it says something else of the probes than the zones do');
}

function isSameSet(some: readonly string[], others: readonly string[]): boolean {
  return JSON.stringify([...some].sort()) === JSON.stringify([...others].sort());
}
