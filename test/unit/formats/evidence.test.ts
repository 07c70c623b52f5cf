import { describe, expect, test } from 'vitest';
import type { Policy } from '../../../domain/policy.js';
import { authoriseLoading, authoriseSigning } from '../../../domain/authorise.js';
import { demand, rulesFor, signerOf, verifyRelease, verifyRetirement } from '../../../formats/evidence.js';
import { generateKey } from '../../../formats/keys.js';
import { sha256 } from '../../../formats/sha256.js';
import { signPolicy } from '../../../formats/policy.js';
import { createWorld, type Release } from '../../support/world.js';

const world = createWorld();
const { at, policy, policyEnvelope, root } = world;
const good = world.release();
const other = world.release({ version: '2.0.0' });
const verify = (change: Partial<Release['evidence']>, now = at(0)) =>
  verifyRelease({ ...good.evidence, ...change }, root, now);
const error = (code: string, message: RegExp = /./): unknown =>
  expect.objectContaining({ code, message: expect.stringMatching(message) as string });

describe("a release's evidence", () => {
  test('gives what was signed, by whom, and under which rules', () => {
    const { release, manifest, rules, status } = verify({});
    expect(release).toMatchObject({
      release: good.release,
      model: 'digits',
      version: '1.0.0',
      producer: 'trainer',
      signer: 'release-signer',
      bundle: sha256(good.bundle),
    });
    expect(manifest).toEqual(good.manifest);
    expect(rules).toEqual({ environment: 'test', gate: policy, newest: policy, now: at(0) });
    expect(status?.signers).toEqual(['control']);
  });

  test('has no signer before the release was signed', () => {
    expect(verify({ signature: null, status: null })).toMatchObject({ release: { signer: null }, status: null });
  });

  test('attack: is refused from another pinned root', () => {
    const stranger = { ...root, rootKeys: [generateKey('ed25519').publicPem] };
    expect(() => verifyRelease(good.evidence, stranger, at(0))).toThrow(error('SIGNATURE_INVALID'));
    expect(() => verifyRelease(good.evidence, { ...root, environment: 'production' }, at(0))).toThrow(
      error('POLICY_REFUSED', /for the environment test/),
    );
  });

  test('attack: is refused under a policy of its own making', () => {
    const lax: Policy = { ...policy, validation: { ...policy.validation, suites: [] } };
    const { mallory, alice } = world.keys;
    expect(() => verify({ policies: [signPolicy(lax, [mallory, alice])] })).toThrow(error('SIGNATURE_INVALID'));
    expect(() => verify({ policies: [] })).toThrow(error('POLICY_REFUSED', /there is no policy/));
  });

  const kinds: [string, Partial<Release['evidence']>][] = [
    ['request is an approval', { request: good.evidence.approvals[0] as never }],
    ['approval is a request', { approvals: [good.evidence.request] }],
    ['start request is a test result', { admission: good.evidence.testResult }],
    ['test result is a request', { testResult: good.evidence.request }],
    ['statement of what it changes is a test result', { change: good.evidence.testResult }],
    ['status is a kill', { status: world.kill().envelope }],
  ];
  test.each(kinds)('attack: is refused where the %s', (_, change) => {
    expect(() => verify(change)).toThrow(error('MALFORMED', /counts for nothing here/));
  });

  const forged = world.release({ requestBy: 'mallory' });
  test.each([
    ['request', { request: forged.evidence.request }],
    ['start request', { admission: world.release({ admissionBy: 'mallory' }).evidence.admission }],
    ['test result', { testResult: world.release({ testedBy: 'mallory' }).evidence.testResult }],
    ['statement of what it changes', { change: world.release({ changedBy: 'mallory' }).evidence.change }],
    ['approval', { approvals: [world.approve(good.request, 'mallory').envelope] }],
    ['status', { status: world.status({}, 'mallory').envelope }],
  ])('attack: is refused where a stranger has signed the %s', (_, change) => {
    expect(() => verify(change)).toThrow(error('SIGNATURE_INVALID'));
  });

  test('attack: is refused where a manifest was swapped, changed, or cannot be read two ways', () => {
    expect(() => verify({ manifest: other.manifestText })).toThrow(error('DIGEST_MISMATCH', /custody\.json/));
    const changed = good.manifestText.replace('["node","serve.mjs"]', '["node","README.md"]');
    expect(changed).not.toBe(good.manifestText);
    expect(() => verify({ manifest: changed })).toThrow(error('DIGEST_MISMATCH', /changed: "custody\.json"/));
    expect(() => verify({ manifest: ` ${good.manifestText}` })).toThrow(error('MALFORMED', /canonical form/));
  });

  test("attack: is refused with another release's model signatures", () => {
    expect(() => verify({ bundle: other.bundle })).toThrow(error('DIGEST_MISMATCH'));
    expect(() => verify({ signature: other.evidence.signature })).toThrow(error('DIGEST_MISMATCH'));
  });

  test("attack: the producer's signature is no release signature, nor the other way round", () => {
    expect(() => verify({ signature: good.bundle })).toThrow(error('SIGNATURE_INVALID'));
    expect(() => verify({ bundle: good.evidence.signature ?? '' })).toThrow(error('SIGNATURE_INVALID'));
  });

  test('attack: an unsigned release is refused at the door', () => {
    expect(() => verify({ bundle: '' })).toThrow(error('MALFORMED'));
    expect(() => verify({ bundle: '{}' })).toThrow(error('MALFORMED'));
  });
});

describe('what bears no time of its own', () => {
  /** The key of somebody, valid only from or until some seconds from now. */
  function withKey(id: 'trainer' | 'intake', validity: { validFrom?: string; validUntil?: string }) {
    const keys = [{ pem: world.keys[id].pem, ...validity }];
    const next = world.nextPolicy((p) => ({
      ...p,
      authorities: p.authorities.map((held) => (held.id === id ? { ...held, keys } : held)),
    }));
    return { policies: [policyEnvelope, next.envelope] };
  }

  test.each(['trainer', 'intake'] as const)('counts by a key of %s that was valid when the request was made', (id) => {
    expect(verify(withKey(id, { validUntil: at(-40) })).release.release).toBe(good.release);
    expect(verify(withKey(id, { validFrom: at(-40) })).release.release).toBe(good.release);
  });

  test.each(['trainer', 'intake'] as const)('attack: counts for nothing by a key of %s from another time', (id) => {
    expect(() => verify(withKey(id, { validUntil: at(-41) }))).toThrow(error('SIGNATURE_INVALID'));
    expect(() => verify(withKey(id, { validFrom: at(-39) }))).toThrow(error('SIGNATURE_INVALID'));
  });

  test('is judged by any key of the policy where no time is given', () => {
    const text = Buffer.from(good.manifestText);
    expect(signerOf(good.bundle, 'producer', policy, good.manifest, text)).toBe('trainer');
    expect(signerOf(good.bundle, 'producer', policy, good.manifest, text, at(0))).toBe('trainer');
    expect(() => signerOf(good.bundle, 'release-signer', policy, good.manifest, text)).toThrow(
      error('SIGNATURE_INVALID'),
    );
  });
});

describe("a retirement's evidence", () => {
  const { evidence } = world.retirement(good);

  test('gives what was signed, by whom, and under which rules', () => {
    const { retirement, manifest, rules } = verifyRetirement(evidence, root, at(0));
    expect(retirement).toMatchObject({ release: good.release, model: 'digits', version: '1.0.0' });
    expect(retirement.notice?.signers).toEqual(['control']);
    expect(manifest).toEqual(good.manifest);
    expect(rules.gate).toEqual(policy);
  });

  test('attack: is refused where a stranger has signed any part of it', () => {
    const by = (options: Parameters<typeof world.retirement>[1]) => () =>
      verifyRetirement(world.retirement(good, options).evidence, root, at(0));
    expect(by({ requestBy: 'mallory' })).toThrow(error('SIGNATURE_INVALID'));
    expect(by({ noticeBy: 'mallory' })).toThrow(error('SIGNATURE_INVALID'));
    expect(by({ approvals: (asked) => [world.approve(asked, 'mallory')] })).toThrow(error('SIGNATURE_INVALID'));
  });
});

describe('the rules', () => {
  const second = world.nextPolicy((p) => ({ ...p, rollback: { warmReleases: 0 } }));
  const policies = [policyEnvelope, second.envelope];

  test("are those of the request's own policy, with the newest for what was revoked since", () => {
    const checked = verify({ policies });
    expect(checked.rules.gate).toEqual(policy);
    expect(checked.rules.newest).toEqual(second.policy);
    expect(rulesFor(checked.policies, checked.release.request, at(5)).now).toBe(at(5));
  });
});

describe('a demand', () => {
  test('answers who approved, or throws the denial as the error it is', () => {
    const { release, rules, status } = verify({});
    expect(demand(authoriseSigning(release, rules))).toEqual(['alice']);
    expect(() => demand(authoriseLoading(release, rules, null))).toThrow(error('STATUS_STALE', /no status document/));
    expect(demand(authoriseLoading(release, rules, status))).toEqual(['alice']);
  });
});
