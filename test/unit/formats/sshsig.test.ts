import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { pae, parseEnvelope, signEnvelope, verifyEnvelope } from '../../../formats/dsse.js';
import { generateKey, importPrivateKey, importPublicKey, SSH_ALGORITHMS } from '../../../formats/keys.js';
import { importSshKey } from '../../../formats/ssh-keys.js';
import { sshString } from '../../../formats/ssh-wire.js';
import { assertSshSignature, dearmor } from '../../../formats/sshsig.js';
import { createSshKey, shortest, uint32, type SshsigOptions, type TestSshKey } from '../../support/ssh.js';

const message = Buffer.from('the message');
const keys = new Map(SSH_ALGORITHMS.map((algorithm) => [algorithm, createSshKey(algorithm)] as const));
const keyOf = (algorithm: (typeof SSH_ALGORITHMS)[number]): TestSshKey => keys.get(algorithm) ?? expect.fail(algorithm);
const ed25519 = keyOf('ssh-ed25519');
const p256 = keyOf('ecdsa-sha2-nistp256');
const touch = keyOf('sk-ssh-ed25519@openssh.com');
const error = (code: string, reason: RegExp): unknown =>
  expect.objectContaining({ code, message: expect.stringMatching(reason) as string });

/** Refused, for this reason; and for no signature at all where only yes or no is asked. */
function refuses(key: TestSshKey, signature: Buffer, code: string, reason: RegExp, said = message): void {
  const enrolled = importSshKey(key.line);
  expect(() => assertSshSignature(enrolled, said, signature)).toThrow(error(code, reason));
  expect(enrolled.verify(said, signature)).toBe(false);
}

describe.each(SSH_ALGORITHMS)('a signature by %s', (algorithm) => {
  const key = keyOf(algorithm);
  const enrolled = importSshKey(`${key.line} somebody@somewhere`);

  test('counts for the message it was made over, and for no other', () => {
    for (let i = 0; i < 20; i++) expect(enrolled.verify(message, key.sshsig(message))).toBe(true);
    refuses(key, key.sshsig(message), 'SIGNATURE_INVALID', /does not fit the message/, Buffer.from('another'));
  });

  const said: [string, SshsigOptions, string, RegExp][] = [
    ['for git', { namespace: 'git' }, 'SIGNATURE_INVALID', /it is for "git", not for custody@v1/],
    ['for the namespace of another version', { namespace: 'custody@v2' }, 'SIGNATURE_INVALID', /custody@v2/],
    ['for no namespace', { namespace: '' }, 'SIGNATURE_INVALID', /it is for ""/],
    ['with SHA-256', { hash: 'sha256' }, 'SIGNATURE_INVALID', /its hash is "sha256", expected sha512/],
    ['with something in the reserved field', { reserved: 'x' }, 'MALFORMED', /reserved field is not empty/],
    ['of another version', { version: 2 }, 'MALFORMED', /its version is 2/],
    ['that begins otherwise', { magic: 'SSHSIX' }, 'MALFORMED', /does not begin with SSHSIG/],
    ['that calls itself RSA', { named: 'rsa-sha2-512' }, 'SIGNATURE_INVALID', new RegExp(`not made by ${algorithm}`)],
  ];
  test.each(said)('attack: one %s is refused', (_, options, code, reason) => {
    refuses(key, key.sshsig(message, options), code, reason);
  });

  test('attack: with any one bit flipped it is refused', () => {
    const signature = key.sshsig(message);
    const bits = Array.from({ length: signature.length * 8 }, (_, bit) => bit);
    const accepted = bits.filter((bit) => {
      const changed = Buffer.from(signature);
      changed.writeUInt8((changed[bit >> 3] ?? 0) ^ (1 << (bit & 7)), bit >> 3);
      return enrolled.verify(message, changed);
    });
    expect(accepted).toEqual([]);
  });

  test('attack: cut short anywhere, or with bytes after it, it is refused', () => {
    const signature = key.sshsig(message);
    for (let length = 0; length < signature.length; length += 1)
      expect(enrolled.verify(message, signature.subarray(0, length)), `${length} bytes`).toBe(false);
    refuses(key, Buffer.concat([signature, Buffer.alloc(1)]), 'MALFORMED', /1 bytes follow its end/);
    refuses(key, Buffer.alloc(1_000_000), 'MALFORMED', /at most 2048 are read/);
  });

  test('attack: a length beyond its end is refused, and nothing of that size is allocated', () => {
    const signature = key.sshsig(message);
    for (const at of [10, 14 + key.blob.length]) {
      const changed = Buffer.from(signature);
      uint32(0xffffffff).copy(changed, at);
      refuses(key, changed, 'MALFORMED', /a field of 4294967295 bytes/);
    }
  });

  test('attack: a signature by another key that names this one is refused', () => {
    const other = createSshKey(algorithm);
    refuses(key, other.sshsig(message), 'SIGNATURE_INVALID', /by another key/);
    refuses(key, other.sshsig(message, { publicKey: key.blob }), 'SIGNATURE_INVALID', /does not fit/);
  });

  test('attack: a bare signature by the same key, as PEM keys sign, is none; nor does its SSHSIG count for the PEM', () => {
    for (const dsaEncoding of ['der', 'ieee-p1363'] as const)
      for (const hash of algorithm.includes('ed25519') ? [null] : ['sha256', 'sha384'])
        expect(enrolled.verify(message, sign(hash, message, { key: key.privateKey, dsaEncoding }))).toBe(false);
    expect(importPublicKey(key.spkiPem).verify(message, key.sshsig(message))).toBe(false);
    expect(enrolled.keyId).toBe(importPublicKey(key.spkiPem).keyId);
  });
});

describe.each(SSH_ALGORITHMS.filter((algorithm) => algorithm.startsWith('sk-')))('a security key, %s', (algorithm) => {
  const key = keyOf(algorithm);

  test('signs with touch, also after a PIN or a fingerprint, whatever its counter', () => {
    for (const options of [{ flags: 1 }, { flags: 5 }, { counter: 0 }, { counter: 0xffffffff }])
      expect(importSshKey(key.line).verify(message, key.sshsig(message, options))).toBe(true);
  });

  test.each([0, 4, 0xfe])('attack: without touch, flags %i, it signs nothing', (flags) => {
    refuses(key, key.sshsig(message, { flags }), 'SIGNATURE_INVALID', /nobody touched/);
  });

  test('attack: touch that was put in afterwards does not fit', () => {
    const signature = key.sshsig(message, { flags: 0 });
    signature.writeUInt8(1, signature.length - 5);
    refuses(key, signature, 'SIGNATURE_INVALID', /does not fit/);
  });

  test('attack: what it signed for another application is refused', () => {
    refuses(key, key.sshsig(message, { application: 'https://example.com' }), 'SIGNATURE_INVALID', /does not fit/);
  });

  test('attack: without flags and counter, or with bytes after them, the signature is none', () => {
    const inner = (signature: Buffer, change: (inner: Buffer) => Buffer): Buffer => {
      const head = 6 + 4 + 4 + key.blob.length + 4 + 'custody@v1'.length + 4 + 4 + 'sha512'.length;
      return Buffer.concat([signature.subarray(0, head), sshString(change(signature.subarray(head + 4)))]);
    };
    const signature = key.sshsig(message);
    expect(inner(signature, (bytes) => bytes)).toEqual(signature);
    refuses(
      key,
      inner(signature, (bytes) => bytes.subarray(0, -5)),
      'MALFORMED',
      /ends too early/,
    );
    refuses(
      key,
      inner(signature, (bytes) => Buffer.concat([bytes, Buffer.alloc(1)])),
      'MALFORMED',
      /1 bytes follow/,
    );
  });

  test('attack: a plain key of the same point cannot stand in for it', () => {
    const plain = createSshKey(algorithm.includes('ed25519') ? 'ssh-ed25519' : 'ecdsa-sha2-nistp256');
    refuses(key, plain.sshsig(message, { publicKey: key.blob }), 'SIGNATURE_INVALID', /not made by sk-/);
  });
});

describe('an ECDSA signature', () => {
  const mpints: [string, (number: Buffer) => Buffer][] = [
    ['negative', (number) => Buffer.concat([Buffer.from([0x80]), number.subarray(1)])],
    ['padded with a zero more', (number) => Buffer.concat([Buffer.alloc(1), shortest(number)])],
    ['zero', () => Buffer.alloc(0)],
    ['zero, written out', () => Buffer.alloc(1)],
    ['as long as a number may not be', (number) => Buffer.concat([Buffer.from([1]), number])],
    ['endless', () => Buffer.alloc(400, 1)],
  ];
  test.each(mpints)('attack: with a number that is %s is refused', (_, mpint) => {
    refuses(p256, p256.sshsig(message, { mpint }), 'MALFORMED', /a number in it|a field of/);
  });

  test('attack: with a number that is the order of the curve is refused', () => {
    const order = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex');
    const raw = (signature: Buffer): Buffer => Buffer.concat([signature.subarray(0, 32), order]);
    refuses(p256, p256.sshsig(message, { raw }), 'SIGNATURE_INVALID', /does not fit/);
  });

  test('attack: in DER or P1363 where SSH has two numbers is refused', () => {
    for (const dsaEncoding of ['der', 'ieee-p1363'] as const) {
      const other = sign('sha256', message, { key: p256.privateKey, dsaEncoding });
      const inner = Buffer.concat([sshString('ecdsa-sha2-nistp256'), sshString(other)]);
      const fields = [p256.blob, 'custody@v1', '', 'sha512', inner].map(sshString);
      expect(p256.verify(message, Buffer.concat([Buffer.from('SSHSIG'), uint32(1), ...fields]))).toBe(false);
    }
  });
});

test('attack: an Ed25519 signature whose S was raised by the group order is refused', () => {
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  const raw = (signature: Buffer): Buffer => {
    const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`) + order;
    return Buffer.concat([signature.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse()]);
  };
  refuses(ed25519, ed25519.sshsig(message, { raw }), 'SIGNATURE_INVALID', /does not fit/);
});

describe('in an envelope', () => {
  const payload = Buffer.from('{"approved":true}');
  const TYPE = 'application/json';
  const envelope = (sig: Buffer, keyid: string) =>
    parseEnvelope({
      payloadType: TYPE,
      payload: payload.toString('base64'),
      signatures: [{ keyid, sig: sig.toString('base64') }],
    });
  const pem = importPrivateKey(generateKey('ed25519').privatePem);
  const trusted = [pem, touch, p256, ed25519];

  test('SSH keys sign beside PEM keys, each in its own way', () => {
    const signed = signEnvelope(TYPE, payload, [ed25519, pem, touch, p256]);
    expect(verifyEnvelope(parseEnvelope(JSON.stringify(signed)), trusted).keyIds).toEqual(trusted.map((k) => k.keyId));
  });

  const none: unknown = expect.objectContaining({ code: 'SIGNATURE_INVALID' });
  test('attack: an SSHSIG over the payload, over another type, or over the hash alone is refused', () => {
    expect(verifyEnvelope(envelope(ed25519.sshsig(pae(TYPE, payload)), ed25519.keyId), trusted).keyIds).toHaveLength(1);
    for (const over of [payload, pae('text/plain', payload), pae(TYPE, Buffer.from('{"approved":false}'))])
      expect(() => verifyEnvelope(envelope(ed25519.sshsig(over), ed25519.keyId), trusted)).toThrow(none);
  });

  test('attack: a stranger who names an enrolled key is a stranger', () => {
    const stranger = createSshKey('ssh-ed25519');
    const forged = stranger.sshsig(pae(TYPE, payload), { publicKey: ed25519.blob });
    expect(() => verifyEnvelope(envelope(forged, ed25519.keyId), trusted)).toThrow(none);
    expect(() => verifyEnvelope(envelope(stranger.sshsig(pae(TYPE, payload)), ed25519.keyId), trusted)).toThrow(none);
  });

  test('attack: the armored text is not the binary', () => {
    const armored = `-----BEGIN SSH SIGNATURE-----\n${ed25519.sshsig(pae(TYPE, payload)).toString('base64')}\n-----END SSH SIGNATURE-----`;
    expect(() => verifyEnvelope(envelope(Buffer.from(armored), ed25519.keyId), trusted)).toThrow(none);
    expect(verifyEnvelope(envelope(dearmor(armored), ed25519.keyId), trusted).keyIds).toEqual([ed25519.keyId]);
  });

  test('the keyid only says which key to try first', () => {
    const signature = ed25519.sshsig(pae(TYPE, payload));
    for (const keyid of ['', touch.keyId])
      expect(verifyEnvelope(envelope(signature, keyid), trusted).keyIds).toEqual([ed25519.keyId]);
  });
});

describe('a line of a public key is refused', () => {
  const line = (...fields: (string | Buffer)[]): string => {
    const [name] = fields;
    return `${String(name)} ${Buffer.concat(fields.map(sshString)).toString('base64')} me@here`;
  };
  const rsa = Buffer.alloc(256, 1);
  const point = (curve: string): Buffer => {
    const { x = '', y = '' } = generateKeyPairSync('ec', { namedCurve: curve }).publicKey.export({ format: 'jwk' });
    return Buffer.concat([Buffer.from([4]), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
  };
  const whole = point('prime256v1');
  const lines: [string, () => string, RegExp][] = [
    ['of RSA', () => line('ssh-rsa', Buffer.from([1, 0, 1]), rsa), /"ssh-rsa" is not one of ssh-ed25519/],
    ['of DSA', () => line('ssh-dss', rsa), /"ssh-dss" is not one of/],
    ['of P-521', () => line('ecdsa-sha2-nistp521', 'nistp521', point('secp521r1')), /"ecdsa-sha2-nistp521" is not/],
    ['of a certificate', () => line('ssh-ed25519-cert-v01@openssh.com', rsa), /cert-v01@openssh.com" is not one of/],
    ['that is called otherwise', () => p256.line.replace('nistp256', 'nistp384'), /and holds ecdsa-sha2-nistp256/],
    ['of another curve than its name says', () => line('ecdsa-sha2-nistp256', 'nistp384', whole), /its curve is not/],
    ['of a point off the curve', () => line('ecdsa-sha2-nistp256', 'nistp256', shifted(whole)), /not on the curve/],
    [
      'of a compressed point',
      () => line('ecdsa-sha2-nistp256', 'nistp256', Buffer.concat([Buffer.from([2]), whole.subarray(1, 33)])),
      /not given whole/,
    ],
    ['of a point cut short', () => line('ecdsa-sha2-nistp256', 'nistp256', whole.subarray(0, 64)), /must be/],
    ['of a point at infinity', () => line('ecdsa-sha2-nistp256', 'nistp256', Buffer.alloc(1)), /not given whole/],
    ['of small order', () => line('ssh-ed25519', Buffer.alloc(32)), /small order/],
    ['of small order in a security key', () => line('sk-ssh-ed25519@openssh.com', Buffer.alloc(32), 'ssh:'), /small/],
    ['of 31 bytes', () => line('ssh-ed25519', Buffer.alloc(31, 3)), /must be/],
    ['of 33 bytes', () => line('ssh-ed25519', Buffer.alloc(33, 3)), /must be/],
    ['with bytes after the key', () => line('ssh-ed25519', ed25519.blob.subarray(-32), 'more'), /follow its end/],
    [
      'of a security key for a web site',
      () => createSshKey('sk-ssh-ed25519@openssh.com', 'example.com').line,
      /registered for "example.com"/,
    ],
    [
      'of a security key without application',
      () => line('sk-ssh-ed25519@openssh.com', Buffer.alloc(32, 3)),
      /too early/,
    ],
    ['with options before it', () => `no-touch-required ${touch.line}`, /expected one line|is not one of/],
    ['with two keys', () => `${ed25519.line}\n${p256.line}`, /expected one line/],
    ['in PEM', () => ed25519.spkiPem, /expected one line/],
    ['of nothing', () => '', /expected one line/],
    ['without end', () => `ssh-ed25519 ${'A'.repeat(100_000)}`, /at most 2048/],
  ];
  test.each(lines)('%s', (_, text, reason) => {
    expect(() => importSshKey(text())).toThrow(error('MALFORMED', reason));
  });

  function shifted(bytes: Buffer): Buffer {
    const changed = Buffer.from(bytes);
    changed[64] = (changed[64] ?? 0) ^ 1;
    return changed;
  }
});
