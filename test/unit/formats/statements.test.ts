import { describe, expect, test } from 'vitest';
import type { Policy } from '../../../domain/policy.js';
import { PREDICATES } from '../../../domain/statements.js';
import { encodeBase64 } from '../../../formats/base64.js';
import { envelopeDigest, signEnvelope } from '../../../formats/dsse.js';
import { makeStatement, PAYLOAD_TYPE } from '../../../formats/in-toto.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { sha256 } from '../../../formats/sha256.js';
import { keyRing, keysOfRole, signStatement, validAt, verifyStatement } from '../../../formats/statements.js';
import { createWorld } from '../../support/world.js';

const world = createWorld();
const { at, keys, policy } = world;
const ring = keyRing(policy);
const { request } = world.release();
const approval = world.approve(request, 'alice');
const invalid = (message: RegExp): unknown =>
  expect.objectContaining({ code: 'SIGNATURE_INVALID', message: expect.stringMatching(message) as string });
const malformed = (message: RegExp): unknown =>
  expect.objectContaining({ code: 'MALFORMED', message: expect.stringMatching(message) as string });

describe('a statement', () => {
  test('is read with its digest, its subject and the people behind its signatures', () => {
    expect(verifyStatement(approval.envelope, 'approval', ring)).toEqual({
      digest: approval.digest,
      subject: request.digest,
      predicate: approval.predicate,
      signers: ['alice'],
    });
  });

  test('is read from its JSON as well as from an object', () => {
    const text = JSON.stringify(approval.envelope);
    expect(verifyStatement(text, 'approval', ring).digest).toBe(approval.digest);
    expect(verifyStatement(Buffer.from(text), 'approval', ring).digest).toBe(approval.digest);
  });

  test('names one person once, however many keys signed, and every person who signed', () => {
    const signed = world.approve(request, ['alice-2', 'bob', 'alice']);
    expect(verifyStatement(signed.envelope, 'approval', ring).signers).toEqual(['alice', 'bob']);
  });

  test('attack: is not believed about whose key signed it', () => {
    const { signatures, ...rest } = world.approve(request, 'bob').envelope;
    const claimed = signatures.map(({ sig }) => ({ keyid: keys.alice.keyId, sig }));
    expect(verifyStatement({ ...rest, signatures: claimed }, 'approval', ring).signers).toEqual(['bob']);
  });

  test('attack: signatures by strangers and garbage are passed over, but never counted', () => {
    const { signatures, ...rest } = world.approve(request, ['alice', 'mallory']).envelope;
    const garbage = { keyid: keys.bob.keyId, sig: encodeBase64(Buffer.alloc(64, 7)) };
    const envelope = { ...rest, signatures: [garbage, ...signatures] };
    expect(verifyStatement(envelope, 'approval', ring).signers).toEqual(['alice']);
  });

  test('attack: is refused when only a stranger has signed it', () => {
    expect(() => verifyStatement(world.approve(request, 'mallory').envelope, 'approval', ring)).toThrow(
      invalid(/none of the 1 signatures/),
    );
  });

  const NAMES = Object.keys(PREDICATES).filter((name) => name !== 'approval') as (keyof typeof PREDICATES)[];
  test.each(NAMES)('attack: an approval is never read as a %s', (name) => {
    expect(() => verifyStatement(approval.envelope, name, ring)).toThrow(malformed(/counts for nothing here/));
  });

  test('attack: is refused under the predicate type of another kind', () => {
    const subject = [{ digest: { sha256: request.digest } }];
    const payload = canonicalBytes(makeStatement(PREDICATES.kill, subject, approval.predicate));
    expect(() => verifyStatement(signEnvelope(PAYLOAD_TYPE, payload, [keys.alice]), 'kill', ring)).toThrow(
      malformed(/does not have the expected shape/),
    );
  });

  test('attack: is refused as the payload of another type', () => {
    const payload = Buffer.from(approval.envelope.payload, 'base64');
    const other = signEnvelope('application/json', payload, [keys.alice]);
    expect(() => verifyStatement(other, 'approval', ring)).toThrow(malformed(/not an in-toto statement/));
    const relabelled = { ...other, payloadType: PAYLOAD_TYPE };
    expect(() => verifyStatement(relabelled, 'approval', ring)).toThrow(invalid(/none of the/));
  });

  test.each([0, 2])('attack: is refused with %i subjects', (count) => {
    const subject = [request.digest, sha256('another')]
      .slice(0, count)
      .map((digest) => ({ digest: { sha256: digest } }));
    const statement = {
      _type: 'https://in-toto.io/Statement/v1',
      subject,
      predicateType: PREDICATES.approval,
      predicate: approval.predicate,
    };
    const envelope = signEnvelope(PAYLOAD_TYPE, canonicalBytes(statement), [keys.alice]);
    expect(() => verifyStatement(envelope, 'approval', ring)).toThrow(malformed(/subject/));
  });

  test('attack: is refused with a member that nobody understands', () => {
    const predicate = { ...approval.predicate, scope: 'everything' };
    const envelope = signStatement('approval', { name: 'x', sha256: request.digest }, predicate, [keys.alice]);
    expect(() => verifyStatement(envelope, 'approval', ring)).toThrow(malformed(/scope/));
  });

  test('attack: is refused with a key twice in its JSON', () => {
    const text = Buffer.from(approval.envelope.payload, 'base64').toString('utf8');
    const twice = text.replace('"decision":"approve"', '"decision":"reject","decision":"approve"');
    const envelope = signEnvelope(PAYLOAD_TYPE, Buffer.from(twice), [keys.alice]);
    expect(() => verifyStatement(envelope, 'approval', ring)).toThrow(malformed(/stands twice/));
  });

  test('attack: the bytes that were verified are the bytes that are read', () => {
    const { payload, ...rest } = approval.envelope;
    const changed = Buffer.from(Buffer.from(payload, 'base64').toString('utf8').replace('approve', 'reject'));
    expect(() => verifyStatement({ ...rest, payload: encodeBase64(changed) }, 'approval', ring)).toThrow(
      invalid(/none of the/),
    );
  });

  test('has another digest with another signature: what is approved is one envelope', () => {
    const again = world.approve(request, ['alice', 'bob'], approval.predicate);
    expect(envelopeDigest(again.envelope)).not.toBe(approval.digest);
  });
});

describe('the validity of keys', () => {
  const dated = (validity: { validFrom?: string; validUntil?: string }): Policy => ({
    ...policy,
    authorities: policy.authorities.map((held) =>
      held.id === 'alice'
        ? { ...held, keys: [{ pem: keys.alice.pem, ...validity }, { pem: keys['alice-2'].pem }] }
        : held,
    ),
  });
  const issuedAt = at(-30);
  const signed = world.approve(request, 'alice', { issuedAt });
  const early = at(-30.001);
  const late = at(-29.999);

  test.each([
    ['from that moment on', { validFrom: issuedAt }],
    ['up to that moment', { validUntil: issuedAt }],
    ['from before till after', { validFrom: early, validUntil: late }],
  ])('lets a key sign that is valid %s', (_, validity) => {
    expect(verifyStatement(signed.envelope, 'approval', keyRing(dated(validity))).signers).toEqual(['alice']);
  });

  test.each([
    ['not yet', { validFrom: late }],
    ['no more', { validUntil: early }],
  ])('attack: refuses what was signed with a key that was valid %s', (_, validity) => {
    expect(() => verifyStatement(signed.envelope, 'approval', keyRing(dated(validity)))).toThrow(
      invalid(/outside the validity of the key/),
    );
  });

  test('attack: a valid signature beside one of a key that is no longer valid counts alone', () => {
    const both = world.approve(request, ['alice', 'bob'], { issuedAt });
    expect(verifyStatement(both.envelope, 'approval', keyRing(dated({ validUntil: early }))).signers).toEqual(['bob']);
  });

  test('decides which keys of a ring count at a time', () => {
    const held = keyRing(dated({ validUntil: early }));
    expect(validAt(held, early)).toHaveLength(held.length);
    expect(validAt(held, issuedAt)).toHaveLength(held.length - 1);
  });
});

describe('the key ring', () => {
  test('holds every key with its owner, and by role only the keys of those who hold it', () => {
    expect(ring.filter(({ owner }) => owner === 'alice')).toHaveLength(2);
    expect(keysOfRole(policy, 'release-approver').map(({ owner }) => owner)).toEqual(['alice', 'alice', 'bob']);
    expect(keysOfRole(policy, 'root').map(({ owner }) => owner)).toEqual(['root-a', 'root-b']);
    expect(keysOfRole(policy, 'data-steward').map(({ owner }) => owner)).toEqual(['dana', 'dora']);
  });
});
