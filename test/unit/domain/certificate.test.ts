import { describe, expect, test } from 'vitest';
import { certificateHolds, type CertificateCheck } from '../../../domain/certificate.js';
import type { ErrorCode } from '../../../domain/errors.js';
import type { CertificateEvidence } from '../../../domain/evidence.js';
import type { DestructionPredicate, RevocationPredicate } from '../../../domain/statements.js';
import { verifyCertificate } from '../../../formats/certificate.js';
import { createWorld } from '../../support/world.js';

const world = createWorld({ policy: (p) => ({ ...p, retirement: { noticeSeconds: 10 } }) });
const { at } = world;
const release = world.release();
const other = world.release({ version: '2.0.0' });
const subject = { name: 'lifecycle/digits/1.0.0', sha256: release.release };
const { retirement, revocation, destruction } = parts();
type By = Parameters<typeof world.statement>[3];

/** The retirement, what revokes the release, and the certificate: all valid. */
function parts() {
  const made = world.retirement(release);
  const revoked: RevocationPredicate = {
    ...{ environment: 'test', ...release.name, reason: 'replaced', request: made.request.digest, issuedAt: at(-9) },
  };
  const revoking = world.statement('revocation', subject, revoked, 'release-signer');
  const [first, ...rest] = release.manifest.files.map(({ path, sha256 }) => ({ path, sha256 }));
  const destroyed: DestructionPredicate = {
    ...{ environment: 'test', ...release.name, method: 'cryptographic erase', request: made.request.digest },
    approvals: made.approvals.map(({ digest }) => digest),
    revocation: revoking.digest,
    destroyed: rest.map((file, at) => ({ ...file, blob: `blob-${at}` })),
    kept: first === undefined ? [] : [{ ...first, holders: [other.release] }],
    probes: rest.map(({ path }) => ({ path: `vault key of ${path}`, refused: true, answer: 'ERASED' })),
    remains: [{ blob: 'blob-0', size: 10, until: at(1000) }],
    destroyedAt: at(-8),
  };
  return { retirement: made, revocation: revoked, destruction: destroyed };
}

interface Change {
  readonly revocation?: Partial<RevocationPredicate>;
  readonly revokedBy?: By;
  readonly destruction?: Partial<DestructionPredicate>;
  readonly by?: By;
  readonly about?: string;
  readonly evidence?: Partial<CertificateEvidence>;
}

function checked(change: Change = {}): readonly CertificateCheck[] {
  const revoking = world.statement(
    'revocation',
    subject,
    { ...revocation, ...change.revocation },
    change.revokedBy ?? 'release-signer',
  );
  const said = { ...destruction, revocation: revoking.digest, ...change.destruction };
  const about = { ...subject, sha256: change.about ?? release.release };
  const certificate = world.statement('destruction', about, said, change.by ?? 'release-signer');
  const evidence = { ...retirement.evidence, revocation: revoking.envelope, certificate: certificate.envelope };
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
      },
      world.root,
      at(80_000),
    );
    expect(failing(certificateHolds(gone, rules)).map(([name]) => name)).not.toContain('retirement');
  });

  const file = release.manifest.files.at(-1)!;
  const without = <T extends { readonly path: string }>(all: readonly T[]): readonly T[] =>
    all.filter(({ path }) => path !== file.path);
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
      'a key still answers',
      { destruction: { probes: destruction.probes.map((each) => ({ ...each, refused: false, answer: 'here' })) } },
      'probes',
      'VALIDATION_FAILED',
      /still answers: here/,
    ],
    ['nobody has tried', { destruction: { probes: [] } }, 'probes', 'INPUT_MISSING', /nobody has tried/],
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
