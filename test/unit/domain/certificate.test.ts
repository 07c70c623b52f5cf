import { describe, expect, test } from 'vitest';
import { certificateHolds, type CertificateCheck } from '../../../domain/certificate.js';
import type { ErrorCode } from '../../../domain/errors.js';
import type { CertificateEvidence } from '../../../domain/evidence.js';
import { PROBES, type ProbeKind, type ProbingZone } from '../../../domain/ending-predicates.js';
import { PROBING_ZONES as ZONES } from '../../../domain/probes.js';
import type { DestructionPredicate, RevocationPredicate } from '../../../domain/statements.js';
import { verifyCertificate } from '../../../formats/certificate.js';
import { destructionOf } from '../../support/destruction.js';
import { createWorld } from '../../support/world.js';

const world = createWorld({ policy: (p) => ({ ...p, retirement: { noticeSeconds: 10 } }) });
const { at } = world;
const release = world.release();
const other = world.release({ version: '2.0.0' });
const subject = { name: 'lifecycle/digits/1.0.0', sha256: release.release };
const { retirement, revocation, said: usual, destruction, probes } = parts();
type By = Parameters<typeof world.statement>[3];

/** The retirement, what revokes the release, and the certificate: all valid. */
function parts() {
  const made = world.retirement(release);
  const revoked: RevocationPredicate = {
    ...{ environment: 'test', ...release.name, reason: 'replaced', request: made.request.digest, issuedAt: at(-9) },
  };
  const revoking = world.statement('revocation', subject, revoked, 'release-signer');
  const [first, ...rest] = release.manifest.files.map(({ path, sha256 }) => ({ path, sha256 }));
  const destroyed = {
    ...{ request: made.request.digest, orderedBy: 'rita', approvedBy: ['alice', 'bob'] },
    approvals: made.approvals.map(({ digest }) => digest),
    revocation: revoking.digest,
    destroyed: rest.map((file, at) => ({ ...file, blob: `blob-${at}` })),
    kept: first === undefined ? [] : [{ ...first, holders: [other.release] }],
    remains: [{ blob: 'blob-0', size: 10, until: at(1000) }],
    destroyedAt: at(-8),
  };
  return { retirement: made, revocation: revoked, said: destroyed, ...destructionOf(world, release, destroyed) };
}

interface Change {
  readonly revocation?: Partial<RevocationPredicate>;
  readonly revokedBy?: By;
  readonly destruction?: Partial<DestructionPredicate>;
  readonly by?: By;
  readonly about?: string;
  readonly probe?: Parameters<typeof destructionOf>[3];
  readonly evidence?: Partial<CertificateEvidence>;
}

function checked(change: Change = {}): readonly CertificateCheck[] {
  const revoking = world.statement(
    'revocation',
    subject,
    { ...revocation, ...change.revocation },
    change.revokedBy ?? 'release-signer',
  );
  const made = destructionOf(world, release, { ...usual, revocation: revoking.digest }, change.probe);
  const said = { ...made.destruction, ...change.destruction };
  const about = { ...subject, sha256: change.about ?? release.release };
  const certificate = world.statement('destruction', about, said, change.by ?? 'release-signer');
  const tried = made.probes.map(({ envelope }) => envelope);
  const evidence = {
    ...{ ...retirement.evidence, revocation: revoking.envelope, certificate: certificate.envelope, probes: tried },
  };
  const { gone, rules } = verifyCertificate({ ...evidence, ...change.evidence }, world.root, at(0));
  return certificateHolds(gone, rules);
}

const failing = (checks: readonly CertificateCheck[]) =>
  checks.flatMap(({ name, permission }) => (permission.allowed ? [] : [[name, permission.code, permission.reason]]));

describe('a certificate of destruction', () => {
  test('holds by all that it rests on, and says what happened', () => {
    const checks = checked();
    expect(failing(checks)).toEqual([]);
    expect(checks.map(({ name }) => name)).toEqual(['retirement', 'revocation', 'certificate', 'keys', 'probes']);
    expect(checks[0]?.says).toBe('rita asked: replaced; alice and bob agreed; the notice was over and answered');
  });

  test('holds for as long as its keys do, however much time has passed since', () => {
    const { gone, rules } = verifyCertificate(
      {
        ...retirement.evidence,
        revocation: world.statement('revocation', subject, revocation, 'release-signer').envelope,
        certificate: world.statement('destruction', subject, destruction, 'release-signer').envelope,
        probes: probes.map(({ envelope }) => envelope),
      },
      world.root,
      at(80_000),
    );
    expect(failing(certificateHolds(gone, rules)).map(([name]) => name)).not.toContain('retirement');
  });

  const file = release.manifest.files.at(-1)!;
  const without = <T extends { readonly path: string }>(all: readonly T[]): readonly T[] =>
    all.filter(({ path }) => path !== file.path);
  const others = (zone: ProbingZone) => probes.filter(({ predicate }) => predicate.zone !== zone);
  const of =
    (wrong: ProbingZone, made: ReturnType<NonNullable<Change['probe']>>): Change['probe'] =>
    (zone) =>
      zone === wrong ? made : {};
  /** All that a zone has tried, but that one kind was not refused, or not tried at all. */
  const probesBut = (zone: ProbingZone, wrong: ProbeKind, refused: false | null) =>
    probes
      .find(({ predicate }) => predicate.zone === zone)!
      .predicate.probes.flatMap((each) =>
        each.kind !== wrong ? [each] : refused === null ? [] : [{ ...each, refused, answer: 'here it is' }],
      );
  const attacks: [string, Change, CertificateCheck['name'], ErrorCode, RegExp][] = [
    [
      'the keys went before the notice was over',
      { destruction: { destroyedAt: at(-11) }, revocation: { issuedAt: at(-12) } },
      'retirement',
      'PENDING',
      /notice period ends/,
    ],
    ['the keys went before it was revoked', { revocation: { issuedAt: at(-7) } }, 'revocation', 'EXPIRED', /before it/],
    ['an operator revoked it', { revokedBy: 'oscar' }, 'revocation', 'NOT_AUTHORISED', /oscar may not revoke/],
    ['something else was revoked', { revocation: { version: '2.0.0' } }, 'revocation', 'REPLAYED', /another release/],
    ['control certifies it', { by: 'control' }, 'certificate', 'NOT_AUTHORISED', /control may not certify/],
    ['it is about other bytes', { about: other.release }, 'certificate', 'REPLAYED', /it is about/],
    ['it is about another version', { destruction: { version: '2.0.0' } }, 'certificate', 'REPLAYED', /2\.0\.0/],
    ['it is of another environment', { destruction: { environment: 'prod' } }, 'certificate', 'REPLAYED', /of prod/],
    [
      'it rests on another request',
      { destruction: { request: other.request.digest } },
      'certificate',
      'REPLAYED',
      /other documents/,
    ],
    [
      'it leaves out who agreed',
      { destruction: { approvals: [retirement.approvals[0]!.digest] } },
      'certificate',
      'REPLAYED',
      /other documents/,
    ],
    [
      'it says nothing of a file',
      { destruction: { destroyed: without(destruction.destroyed) } },
      'keys',
      'INPUT_MISSING',
      /says nothing of/,
    ],
    [
      'it names other bytes of a file',
      { destruction: { destroyed: destruction.destroyed.map((each) => ({ ...each, sha256: 'f'.repeat(64) })) } },
      'keys',
      'INPUT_MISSING',
      /says nothing of/,
    ],
    [
      'it names a file that there is not',
      { destruction: { destroyed: [...destruction.destroyed, { path: 'x', sha256: 'f'.repeat(64), blob: 'b' }] } },
      'keys',
      'DIGEST_MISMATCH',
      /does not have/,
    ],
    [
      'a file is kept for nobody',
      { destruction: { kept: destruction.kept.map((each) => ({ ...each, holders: [] })) } },
      'keys',
      'INPUT_MISSING',
      /for nobody/,
    ],
    [
      'it names somebody else who asked',
      { destruction: { orderedBy: 'mallory' } },
      'certificate',
      'REPLAYED',
      /rita asked/,
    ],
    [
      'it names somebody who never agreed',
      { destruction: { approvedBy: ['alice', 'bob', 'carol'] } },
      'certificate',
      'REPLAYED',
      /alice, bob agreed/,
    ],
    ...ZONES.flatMap((zone): typeof attacks => [
      [
        `${zone} has tried nothing`,
        { evidence: { probes: others(zone).map(({ envelope }) => envelope) } },
        'probes',
        'REPLAYED',
        /other probes/,
      ],
      [
        `the certificate leaves out what ${zone} has tried`,
        {
          evidence: { probes: others(zone).map(({ envelope }) => envelope) },
          destruction: { probed: destruction.probed.filter((each) => each.zone !== zone) },
        },
        'probes',
        'INPUT_MISSING',
        new RegExp(`zone ${zone} has tried nothing`),
      ],
      [
        `somebody else says what ${zone} has tried`,
        { probe: of(zone, { by: 'oscar' }) },
        'probes',
        'NOT_AUTHORISED',
        /oscar may not say what the zone/,
      ],
      ...PROBES[zone].flatMap((kind): typeof attacks => [
        [
          `${zone} was not refused: ${kind}`,
          { probe: of(zone, { change: { probes: probesBut(zone, kind, false) } }) },
          'probes',
          'VALIDATION_FAILED',
          /is not refused: here it is/,
        ],
        [
          `${zone} has not tried: ${kind}`,
          { probe: of(zone, { change: { probes: probesBut(zone, kind, null) } }) },
          'probes',
          'INPUT_MISSING',
          kind === 'vault key' ? /nobody has tried the key of/ : new RegExp(`has not tried: ${kind}`),
        ],
      ]),
      [
        `what ${zone} has tried is another release`,
        { probe: of(zone, { about: other.release }) },
        'probes',
        'REPLAYED',
        /another/,
      ],
      [
        `what ${zone} has tried is of another retirement`,
        { probe: of(zone, { change: { request: other.request.digest } }) },
        'probes',
        'REPLAYED',
        /another destruction/,
      ],
      [
        `${zone} tried before the keys went`,
        { probe: of(zone, { change: { issuedAt: at(-90) } }) },
        'probes',
        'REPLAYED',
        /before the keys went/,
      ],
      [
        `${zone} has looked at no ciphertext`,
        { probe: of(zone, { change: { blobs: [] } }) },
        'probes',
        'INPUT_MISSING',
        /not looked at the ciphertext/,
      ],
    ]),
    [
      'it says something else than the zones',
      { destruction: { probes: destruction.probes.map((each) => ({ ...each, answer: 'all is well' })) } },
      'probes',
      'DIGEST_MISMATCH',
      /something else/,
    ],
  ];
  test.each(attacks)('attack: does not hold where %s', (_, change, name, code, reason) => {
    expect(failing(checked(change))).toContainEqual([name, code, expect.stringMatching(reason)]);
  });

  test('attack: one whose payload was changed, or with a key of nobody, is not even read', () => {
    const { envelope } = world.statement('destruction', subject, destruction, 'release-signer');
    const payload = Buffer.from(envelope.payload, 'base64').toString('utf8').replace('1.0.0', '1.0.1');
    const edited = { ...envelope, payload: Buffer.from(payload).toString('base64') };
    const read = (certificate: typeof envelope) => () => checked({ evidence: { certificate } });
    expect(read(edited)).toThrow(expect.objectContaining({ code: 'SIGNATURE_INVALID' }) as Error);
    const stranger = world.statement('destruction', subject, destruction, 'mallory').envelope;
    expect(read(stranger)).toThrow(expect.objectContaining({ code: 'SIGNATURE_INVALID' }) as Error);
  });
});
