import { expect, test } from 'vitest';
import { renderCertificate } from '../../../client/evidence/page/certificate.js';
import { certificateHolds } from '../../../domain/certificate.js';
import type { DestructionPredicate } from '../../../domain/ending-predicates.js';
import { verifyCertificate } from '../../../formats/certificate.js';
import { destructionOf } from '../../support/destruction.js';
import { createWorld } from '../../support/world.js';

const EVIL = `<script>alert("x")</script>'&`;

/** A retirement of which somebody has had a say in every text, and its certificate. */
function page(change: Partial<DestructionPredicate> = {}): string {
  const world = createWorld({
    policy: (p) => ({ ...p, retirement: { noticeSeconds: 10, waiver: 'security-authority' } }),
  });
  const { at } = world;
  const release = world.release();
  const subject = { name: 'lifecycle/digits/1.0.0', sha256: release.release };
  const retirement = world.retirement(release, {
    request: { action: { kind: 'retire', reason: EVIL, noticeSeconds: 10 } },
    notice: {
      consumers: [{ id: 'shop', owner: 'olga', criticality: 'critical', how: 'mail', messageId: '<1@x>' }],
    },
    waivers: (request) => [
      world.statement(
        'waiver',
        subject,
        {
          ...{ environment: 'test', ...release.name, consumer: 'shop', request: request.digest },
          ...{ reason: EVIL, issuedAt: at(-15) },
        },
        'sam',
      ),
    ],
  });
  const request = retirement.request.digest;
  const revoked = { environment: 'test', ...release.name, reason: EVIL, request, issuedAt: at(-9) };
  const revocation = world.statement('revocation', subject, revoked, 'release-signer');
  const { probes, destruction } = destructionOf(world, release, {
    ...{ request, orderedBy: 'rita', approvedBy: ['alice', 'bob'], revocation: revocation.digest },
    approvals: retirement.approvals.map(({ digest }) => digest),
    destroyed: release.manifest.files.map(({ path, sha256 }, blob) => ({ path, sha256, blob: `blob-${blob}` })),
    ...{ kept: [], remains: [{ blob: 'blob-0', size: 10, until: at(1000) }], destroyedAt: at(-8) },
  });
  const said = { ...destruction, residual: [{ what: EVIL, where: EVIL }], ...change };
  const certificate = world.statement('destruction', subject, said, 'release-signer');
  const evidence = {
    ...{ ...retirement.evidence, revocation: revocation.envelope, certificate: certificate.envelope },
    probes: probes.map(({ envelope }) => envelope),
  };
  const { gone, rules } = verifyCertificate(evidence, world.root, at(0));
  return renderCertificate(gone, certificateHolds(gone, rules));
}

test('tells people what is gone, why, who asked, agreed, was told and answered, what was tried and what remains', () => {
  const html = page();
  for (const told of [
    'It is gone',
    'rita',
    'alice',
    'bob',
    'shop',
    'was answered for: sam',
    'blob-0',
    'cryptographic erase',
  ])
    expect(html).toContain(told);
  for (const tried of ['having the vault open its keys', 'loading and starting it', 'being served by a gateway'])
    expect(html).toContain(tried);
  expect(html).toContain('custody certificate verify');
});

test('attack: nothing that anybody has written is anything but text, and the page loads nothing', () => {
  const html = page();
  expect(html).not.toContain('<script');
  expect(html.match(/&lt;script&gt;alert\(&quot;x&quot;\)&lt;\/script&gt;&#39;&amp;/g)?.length).toBeGreaterThanOrEqual(
    4,
  );
  expect(html).toContain(`default-src 'none'`);
  expect(html).not.toMatch(/\s(?:src|href)=|url\(|@import/);
});

test('attack: a certificate that does not hold is no page that says so', () => {
  const html = page({ orderedBy: 'mallory' });
  expect(html).toContain('This certificate does not hold');
  expect(html).not.toContain('It is gone');
});
