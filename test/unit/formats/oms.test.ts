import { bundleFromJSON } from '@sigstore/bundle';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeBase64 } from '../../../formats/base64.js';
import { signEnvelope } from '../../../formats/dsse.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { createSshKey } from '../../support/ssh.js';
import { generateKey, importPrivateKey, importPublicKey } from '../../../formats/keys.js';
import { makeOmsStatement, signOms, verifyOms } from '../../../formats/oms.js';
import type { OmsResource } from '../../../formats/oms.js';
import { sha256 } from '../../../formats/sha256.js';

/**
 * Made by model_signing 1.1.0 with P-384: scripts/tests/v1.1.0-elliptic-key of sigstore/model-transparency (Apache-2.0).
 */
const REFERENCE = {
  key: 'MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEsu6rZGBTjxtvRWPMixT+3HyndV0J0YbtaHZUcO4DEK+OJHO/4e32bb/fbJKSpRgcBsIpKLcVijUomyFOERbd7u+BTPSUjGZDQq6J7lTvp/EAXQGOKxW9RP0MGX3qAkvi',
  hint: 'e8450dec4eb99dae995da9af1bc2cc9f76ed669ee2e744f57abba763df3e3f8e',
  payload:
    'ewogICJfdHlwZSI6ICJodHRwczovL2luLXRvdG8uaW8vU3RhdGVtZW50L3YxIiwKICAic3ViamVjdCI6IFsKICAgIHsKICAgICAgIm5hbWUiOiAidjEuMS4wLWVsbGlwdGljLWtleSIsCiAgICAgICJkaWdlc3QiOiB7CiAgICAgICAgInNoYTI1NiI6ICI5Mjc0NTExMGIxYWI0MzY4NDcxY2JlMzE2NjRlMTAxNzRlOTU0YjExM2EzZGYzMzNkYjg2MDMxN2IyYzZkZWM0IgogICAgICB9CiAgICB9CiAgXSwKICAicHJlZGljYXRlVHlwZSI6ICJodHRwczovL21vZGVsX3NpZ25pbmcvc2lnbmF0dXJlL3YxLjAiLAogICJwcmVkaWNhdGUiOiB7CiAgICAicmVzb3VyY2VzIjogWwogICAgICB7CiAgICAgICAgImFsZ29yaXRobSI6ICJzaGEyNTYiLAogICAgICAgICJuYW1lIjogInNpZ25tZS0xIiwKICAgICAgICAiZGlnZXN0IjogImJjOWE3MTdkYjYwNjRhMzJjYmU5ZWFlNmZjNDA2NTFkZDZkMzZlZjE3NTcxODNmNTkwZWZmMmIxNzY1ZDdlYmMiCiAgICAgIH0sCiAgICAgIHsKICAgICAgICAiYWxnb3JpdGhtIjogInNoYTI1NiIsCiAgICAgICAgIm5hbWUiOiAic2lnbm1lLTIiLAogICAgICAgICJkaWdlc3QiOiAiMzJkY2IxZjhlMWFlNTJkNTk2M2U1NmE2YmEwNmFiNThiNDI0YzE1ZWQyYTZiNzBkMmZlY2ExZDA4OTM3MDAyOCIKICAgICAgfQogICAgXSwKICAgICJzZXJpYWxpemF0aW9uIjogewogICAgICAiYWxsb3dfc3ltbGlua3MiOiBmYWxzZSwKICAgICAgIm1ldGhvZCI6ICJmaWxlcyIsCiAgICAgICJoYXNoX3R5cGUiOiAic2hhMjU2IiwKICAgICAgImlnbm9yZV9wYXRocyI6IFsKICAgICAgICAiLmdpdCIsCiAgICAgICAgIm1vZGVsLnNpZyIsCiAgICAgICAgImlnbm9yZS1tZSIsCiAgICAgICAgIi5naXRhdHRyaWJ1dGVzIiwKICAgICAgICAiLmdpdGlnbm9yZSIsCiAgICAgICAgIi5naXRodWIiCiAgICAgIF0KICAgIH0KICB9Cn0=',
  sig: 'MGUCMQCVqSw64cBnPHqbyadq+OIgwQSg7WW8Mztp3dJ++atQsxzbtwafJJ164u7WEXmx5hECMBSiShuN7OTLec6wLXpHUjFIQA/hhiBCjSzM9Q2cIUZpDmv+tWs1AkNxstJDbNl0lQ==',
  resources: [
    { name: 'signme-1', sha256: 'bc9a717db6064a32cbe9eae6fc40651dd6d36ef1757183f590eff2b1765d7ebc' },
    { name: 'signme-2', sha256: '32dcb1f8e1ae52d5963e56a6ba06ab58b424c15ed2a6b70d2feca1d089370028' },
  ],
};
const MEDIA_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
const key = importPrivateKey(generateKey('ecdsa-p256').privatePem);
const other = importPrivateKey(generateKey('ecdsa-p384').privatePem);
const ed25519 = importPrivateKey(generateKey('ed25519').privatePem);
const resource = (name: string, content = name): OmsResource => ({ name, sha256: sha256(content) });
const files = ['config.json', 'custody.json', 'weights/a.safetensors', 'weights/b.safetensors'].map((name) =>
  resource(name),
);
const bundle = signOms('model', files, key);

type Json = Record<string, unknown>;
const error = (code: string, text: string | RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(text) as string });

/** A bundle signed by `signer` over any statement at all. */
function signStatement(statement: unknown, signer = key): Buffer {
  const envelope = signEnvelope('application/vnd.in-toto+json', canonicalBytes(statement), [signer]);
  const publicKey = { hint: sha256(signer.pem) };
  return canonicalBytes({
    mediaType: MEDIA_TYPE,
    verificationMaterial: { publicKey, tlogEntries: [] },
    dsseEnvelope: envelope,
  });
}

/** A validly signed bundle whose statement was changed before it was signed. */
function signedOver(
  change: (statement: { subject: Json[]; predicate: { serialization: Json; resources: Json[] } } & Json) => void,
): Buffer {
  const statement = JSON.parse(canonicalBytes(makeOmsStatement('model', files)).toString()) as never;
  change(statement);
  return signStatement(statement);
}

/** Our bundle, changed after it was signed. */
function changed(change: (bundle: { dsseEnvelope: Json; verificationMaterial: Json } & Json) => void): Buffer {
  const value = JSON.parse(bundle.toString()) as never;
  change(value);
  return Buffer.from(JSON.stringify(value));
}

describe('makeOmsStatement', () => {
  test('computes the root digest that model_signing computed', () => {
    const { subject } = makeOmsStatement('v1.1.0-elliptic-key', REFERENCE.resources.toReversed());
    expect(subject).toEqual([
      {
        name: 'v1.1.0-elliptic-key',
        digest: { sha256: '92745110b1ab4368471cbe31664e10174e954b113a3df333db860317b2c6dec4' },
      },
    ]);
  });

  test('orders by code point where JavaScript would order by UTF-16 unit', () => {
    const names = ['\u{1f600}', '\uff5a', 'z', 'a/b', 'a-b', 'B'];
    const { predicate } = makeOmsStatement(
      'm',
      names.map((name) => resource(name)),
    );
    expect(predicate.resources.map(({ name }) => name)).toEqual(['B', 'a-b', 'a/b', 'z', '\uff5a', '\u{1f600}']);
    expect(['\uff5a', '\u{1f600}'].sort()).toEqual(['\u{1f600}', '\uff5a']);
  });

  test('the order is that of the code points, whatever the order of the input', () => {
    const codePoints = (name: string) => Array.from(name, (char) => char.codePointAt(0) ?? 0);
    const isBefore = (a: number[], b: number[]): boolean => {
      const at = a.findIndex((value, i) => value !== b[i]);
      return at === -1 ? a.length < b.length : (a[at] ?? 0) < (b[at] ?? -1);
    };
    const unit = fc.constantFrom('a', 'b', '-', '~', '\u00e9', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{10ffff}');
    const name = fc.string({ unit, minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(fc.uniqueArray(name, { minLength: 2 }), (names) => {
        const { predicate } = makeOmsStatement(
          'm',
          names.map((each) => resource(each)),
        );
        const sorted = predicate.resources.map((each) => codePoints(each.name));
        sorted.slice(1).forEach((each, i) => expect(isBefore(sorted[i] ?? [], each)).toBe(true));
      }),
    );
  });

  test('refuses an empty model', () => {
    expect(() => makeOmsStatement('m', [])).toThrow(error('INPUT_EMPTY', 'without files'));
  });

  test.each(['', '/etc/passwd', '../x', 'a/../b', './a', 'a/./b', 'a//b', 'a/', '.', '..', 'a\0b', '\ud800'])(
    'refuses the name "%s"',
    (name) => {
      expect(() => makeOmsStatement('m', [resource(name)])).toThrow(error('INPUT_UNSAFE', 'cannot sign'));
    },
  );

  test('refuses one name twice', () => {
    expect(() => makeOmsStatement('m', [resource('a'), resource('a', 'x')])).toThrow(error('INPUT_UNSAFE', 'twice'));
  });
});

describe('signOms', () => {
  test('makes a bundle that verifyOms and @sigstore/bundle accept', () => {
    expect(verifyOms(bundle, [other, key], files)).toEqual({ keyId: key.keyId });
    const parsed = bundleFromJSON(JSON.parse(bundle.toString()));
    expect(parsed.mediaType).toBe(MEDIA_TYPE);
    expect(parsed.verificationMaterial.content).toEqual({
      $case: 'publicKey',
      publicKey: { hint: sha256(key.pem) },
    });
  });

  test('signs with P-384 too, and refuses Ed25519, which the format does not have in key mode', () => {
    expect(verifyOms(signOms('m', files, other), [other], files)).toEqual({ keyId: other.keyId });
    expect(() => signOms('m', files, ed25519)).toThrow(error('CONFIG_INVALID', 'ECDSA'));
  });
});

describe('verifyOms accepts', () => {
  const reference = (publicKey: Json, keyid: unknown, rest: Json = {}) =>
    Buffer.from(
      JSON.stringify({
        mediaType: MEDIA_TYPE,
        verificationMaterial: { publicKey, ...rest },
        dsseEnvelope: {
          payload: REFERENCE.payload,
          payloadType: 'application/vnd.in-toto+json',
          signatures: [{ sig: REFERENCE.sig, ...(keyid === undefined ? {} : { keyid }) }],
        },
      }),
    );
  const referenceKey = importPublicKey(REFERENCE.key);

  test('a bundle of model_signing 1.1.0, and the variants of section 11.1', () => {
    expect(sha256(referenceKey.pem)).toBe(REFERENCE.hint);
    const rawBytes = encodeBase64(Buffer.from(referenceKey.pem));
    for (const bytes of [
      reference({ hint: REFERENCE.hint }, '', { tlogEntries: [] }),
      reference({ hint: REFERENCE.hint }, undefined),
      reference({ rawBytes, keyDetails: 'PKIX_ECDSA_P384_SHA_256' }, null),
    ]) {
      expect(verifyOms(bytes, [referenceKey], REFERENCE.resources)).toEqual({ keyId: referenceKey.keyId });
    }
  });

  test('no bundle just because it brings its own key along', () => {
    const rawBytes = encodeBase64(Buffer.from(referenceKey.pem));
    expect(() => verifyOms(reference({ rawBytes }, ''), [key], REFERENCE.resources)).toThrow(
      error('SIGNATURE_INVALID', 'none of the 1 signatures'),
    );
  });

  test('files in any order, and resources that the signer listed in another order', () => {
    expect(verifyOms(bundle, [key], files.toReversed()).keyId).toBe(key.keyId);
    const reversed = signedOver(({ predicate, subject }) => {
      predicate.resources.reverse();
      const digests = predicate.resources.map(({ digest }) => String(digest)).join('');
      subject[0] = { name: 'model', digest: { sha256: sha256(Buffer.from(digests, 'hex')) } };
    });
    expect(verifyOms(reversed, [key], files).keyId).toBe(key.keyId);
  });

  test('fields that later versions may add to the predicate and to a resource', () => {
    const bytes = signedOver(({ predicate }) => {
      (predicate as Json).later = 1;
      predicate.resources.forEach((each) => (each.mediaType = 'x'));
    });
    expect(verifyOms(bytes, [key], files).keyId).toBe(key.keyId);
  });
});

describe('verifyOms refuses with DIGEST_MISMATCH', () => {
  const [first, second, ...more] = files as [OmsResource, OmsResource, ...OmsResource[]];
  const verify = (resources: OmsResource[]) => () => verifyOms(bundle, [key], resources);

  test('a changed file', () => {
    expect(verify([{ ...first, sha256: sha256('evil') }, second, ...more])).toThrow(
      error('DIGEST_MISMATCH', /changed: "config\.json"/),
    );
  });

  test('an added file, even one that model_signing ignores', () => {
    for (const name of ['evil.py', '.git/hooks/post-checkout', '.gitattributes', 'model.sig']) {
      expect(verify([...files, resource(name)])).toThrow(
        expect.objectContaining({ code: 'DIGEST_MISMATCH', details: { added: [name] } }),
      );
    }
  });

  test('a removed file', () => {
    expect(verify([first, ...more])).toThrow(error('DIGEST_MISMATCH', /missing: "custody\.json"/));
    expect(verify([])).toThrow(error('DIGEST_MISMATCH', 'missing'));
  });

  test('a file renamed so that the root digest stays the same', () => {
    expect(verify([{ ...first, name: 'config.jsoo' }, second, ...more])).toThrow(
      expect.objectContaining({ details: { added: ['config.jsoo'], missing: ['config.json'] } }),
    );
  });

  test('two files whose contents were exchanged', () => {
    expect(verify([{ ...first, sha256: second.sha256 }, { ...second, sha256: first.sha256 }, ...more])).toThrow(
      expect.objectContaining({ details: { changed: ['config.json', 'custody.json'] } }),
    );
  });

  test('a name that differs in case or in normal form', () => {
    const signed = signOms('m', [resource('caf\u00e9')], key);
    for (const name of ['Caf\u00e9', 'cafe\u0301']) {
      expect(() => verifyOms(signed, [key], [resource(name, 'caf\u00e9')])).toThrow(error('DIGEST_MISMATCH', 'added'));
    }
  });

  test('one name twice, on disk or in the signature', () => {
    expect(verify([first, ...files])).toThrow(expect.objectContaining({ details: { duplicate: ['config.json'] } }));
    const twice = signedOver(({ predicate, subject }) => {
      predicate.resources.push({ ...predicate.resources[0] });
      const digests = predicate.resources.map(({ digest }) => String(digest)).join('');
      subject[0] = { digest: { sha256: sha256(Buffer.from(digests, 'hex')) } };
    });
    expect(() => verifyOms(twice, [key], files)).toThrow(error('DIGEST_MISMATCH', 'duplicate: "config.json"'));
  });

  test('a root digest that is not that of the listed files', () => {
    const bytes = signedOver(({ subject }) => (subject[0] = { digest: { sha256: sha256('x') } }));
    expect(() => verifyOms(bytes, [key], files)).toThrow(error('DIGEST_MISMATCH', 'contradicts itself'));
  });

  test('a file that the signer asks to ignore', () => {
    const bytes = signedOver(({ predicate }) => (predicate.serialization.ignore_paths = ['payload', '.git', '.']));
    expect(verifyOms(bytes, [key], files).keyId).toBe(key.keyId);
    expect(() => verifyOms(bytes, [key], [...files, resource('payload/evil.py')])).toThrow(
      error('DIGEST_MISMATCH', 'added: "payload/evil.py"'),
    );
  });

  test('any change of any name or content', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: files.length - 1 }),
        fc.string({ minLength: 1, unit: 'binary' }),
        fc.boolean(),
        (at, text, rename) => {
          const target = files[at] as OmsResource;
          fc.pre(text !== target.name);
          const altered = files.with(at, rename ? { ...target, name: text } : { ...target, sha256: sha256(text) });
          expect(verify(altered)).toThrow(error('DIGEST_MISMATCH', 'not the ones that were signed'));
        },
      ),
    );
  });
});

describe('verifyOms refuses with POLICY_REFUSED', () => {
  test.each<[string, Json, RegExp]>([
    ['links that were followed', { allow_symlinks: true }, /allow_symlinks/],
    ['shards', { method: 'shards', shard_size: 1 }, /"shards\/sha256"/],
    ['whole files with a shard size', { shard_size: 1 }, /whole files/],
    ['another hash', { hash_type: 'blake3' }, /"files\/blake3"/],
    ['a pattern to ignore', { ignore_paths: ['*.py'] }, /"\*\.py"/],
    ['a path to ignore outside the model', { ignore_paths: ['a/../../b'] }, /ignore/],
    ['an absolute path to ignore', { ignore_paths: ['/etc'] }, /ignore/],
  ])('%s', (_, serialization, problem) => {
    const bytes = signedOver(({ predicate }) => Object.assign(predicate.serialization, serialization));
    expect(() => verifyOms(bytes, [key], files)).toThrow(error('POLICY_REFUSED', problem));
  });

  test('a resource hashed with another algorithm', () => {
    const bytes = signedOver(({ predicate }) => Object.assign(predicate.resources[0] ?? {}, { algorithm: 'blake3' }));
    expect(() => verifyOms(bytes, [key], files)).toThrow(error('POLICY_REFUSED', 'blake3'));
  });
});

describe('verifyOms refuses', () => {
  test('a key that is not trusted, no keys, and Ed25519', () => {
    expect(() => verifyOms(bundle, [other], files)).toThrow(error('SIGNATURE_INVALID', 'none of'));
    expect(() => verifyOms(bundle, [], files)).toThrow(error('SIGNATURE_INVALID', 'none of'));
    const bytes = signStatement(makeOmsStatement('model', files), ed25519);
    expect(() => verifyOms(bytes, [ed25519], files)).toThrow(error('SIGNATURE_INVALID', 'none of'));
  });

  test('attack: an SSH key of ECDSA, which has signed in its own way', () => {
    const ssh = createSshKey('ecdsa-sha2-nistp256');
    const bytes = signStatement(makeOmsStatement('model', files), { ...key, keyId: ssh.keyId, sign: ssh.sign });
    expect(() => verifyOms(bytes, [ssh], files)).toThrow(error('SIGNATURE_INVALID', 'none of'));
  });

  test('a payload changed after signing', () => {
    const bytes = changed(({ dsseEnvelope }) => {
      const payload = Buffer.from(String(dsseEnvelope.payload), 'base64').toString();
      dsseEnvelope.payload = encodeBase64(Buffer.from(payload.replace('config.json', 'config.jsom')));
    });
    expect(() => verifyOms(bytes, [key], files)).toThrow(error('SIGNATURE_INVALID', 'none of'));
  });

  test('another statement by the same key about the same subject', () => {
    const approval = { ...makeOmsStatement('model', files), predicateType: 'urn:custody:predicate:approval:v1' };
    expect(() => verifyOms(signStatement(approval), [key], files)).toThrow(
      error('MALFORMED', 'counts for nothing here'),
    );
  });

  test.each<[string, (statement: Json & { predicate: { resources: unknown[] }; subject: unknown[] }) => void, RegExp]>([
    ['two subjects', (statement) => statement.subject.push(statement.subject[0]), /2 subjects/],
    ['no files', (statement) => (statement.predicate.resources = []), /resources/],
    [
      'a file without a digest',
      (statement) => (statement.predicate.resources[0] = { name: 'a', algorithm: 'sha256' }),
      /digest/,
    ],
    [
      'the deprecated predicate',
      (statement) => (statement.predicateType = 'https://model_signing/Digests/v0.1'),
      /v0\.1/,
    ],
    [
      'an unknown way to serialise',
      (statement) => Object.assign(statement.predicate, { serialization: { method: 'files' } }),
      /hash_type/,
    ],
  ])('a signed statement with %s', (_, change, problem) => {
    const bytes = signedOver(change);
    expect(() => verifyOms(bytes, [key], files)).toThrow(error('MALFORMED', problem));
  });

  test.each<[string, Buffer, RegExp]>([
    ['another media type', changed((value) => (value.mediaType = 'application/json')), /mediaType/],
    ['another payload type', changed(({ dsseEnvelope }) => (dsseEnvelope.payloadType = 'text/plain')), /payloadType/],
    ['no signature', changed(({ dsseEnvelope }) => (dsseEnvelope.signatures = [])), /signatures/],
    [
      'two signatures',
      changed(({ dsseEnvelope }) => (dsseEnvelope.signatures as unknown[]).push({ sig: 'AAAA' })),
      /signatures/,
    ],
    ['no envelope', changed((value) => delete (value as Json).dsseEnvelope), /dsseEnvelope/],
    [
      'no verification material',
      changed((value) => delete (value as Json).verificationMaterial),
      /verificationMaterial/,
    ],
    [
      'a certificate',
      changed((value) => (value.verificationMaterial = { certificate: { rawBytes: '' } })),
      /publicKey/,
    ],
    [
      'a log entry that nobody checks',
      changed((value) => (value.verificationMaterial.tlogEntries = [{}])),
      /tlogEntries/,
    ],
    ['a message signature beside it', changed((value) => (value.messageSignature = {})), /messageSignature/],
    [
      'junk in its base64',
      changed(({ dsseEnvelope }) => (dsseEnvelope.payload = `${String(dsseEnvelope.payload)} `)),
      /base64/,
    ],
    ['a second payload', Buffer.from(bundle.toString().replace('"payload":', '"payload":"e30=","payload":')), /twice/],
    ['nothing in it', Buffer.alloc(0), /ends too early/],
    ['a list in it', Buffer.from('[]'), /shape/],
  ])('a bundle with %s', (_, bytes, problem) => {
    expect(() => verifyOms(bytes, [key], files)).toThrow(error('MALFORMED', problem));
  });

  test('names in its messages that would forge a line of a log', () => {
    const bad = resource('a\n\u001b[31mverified');
    expect(() => verifyOms(bundle, [key], [...files, bad])).toThrow(
      error('DIGEST_MISMATCH', /"a\\u\{a\}\\u\{1b\}\[31mverified"/),
    );
  });
});

test('a model of 20 000 files is signed and verified within seconds', () => {
  const many = Array.from({ length: 20_000 }, (_, i) => resource(`shard-${i}/weights.safetensors`));
  const start = performance.now();
  expect(verifyOms(signOms('m', many, key), [key], many).keyId).toBe(key.keyId);
  expect(performance.now() - start).toBeLessThan(10_000);
});
