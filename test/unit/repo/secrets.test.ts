import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generateKey } from '../../../formats/keys.js';
import { Secrets } from '../../e2e/support/secrets.js';

const state = mkdtempSync(join(tmpdir(), 'custody-secrets-'));
const { privatePem } = generateKey('ed25519');
const blobKey = randomBytes(32);
const put = (path: string, content: string | Buffer): void => {
  mkdirSync(dirname(join(state, path)), { recursive: true });
  writeFileSync(join(state, path), content);
};
let secrets: Secrets;

beforeAll(() => {
  put('keys/alice.pem', privatePem);
  put('zones/vault/state/keys/one', blobKey);
  put('store-secrets.json', JSON.stringify({ control: 'a secret of the store', reader: 'what anybody may read' }));
  put('zones/control/config.json', 'a secret of the store');
  put('logs/control.log', 'what anybody may read, and nothing else');
  secrets = new Secrets(state);
  secrets.take();
});
afterAll(() => rmSync(state, { recursive: true }));

test('secrets that lie where they are kept are no leak', () => {
  expect(secrets.names.toSorted()).toEqual(['alice.pem', 'the key of one', "the store's account control"]);
  expect(secrets.leaks()).toEqual([]);
});

/** The last 32 bytes of an Ed25519 key in PKCS #8. */
const scalar = Buffer.from(privatePem.replaceAll(/-----.*-----|\s/g, ''), 'base64').subarray(-32);

test.each([
  ['a blob key as it is', 'the key of one', blobKey],
  ['a blob key in hex', 'the key of one', blobKey.toString('hex')],
  ['a blob key in base64, in the middle of JSON', 'the key of one', `{"key":"${blobKey.toString('base64')}"}`],
  ['a blob key for URLs', 'the key of one', blobKey.toString('base64url')],
  ['a private key', 'alice.pem', scalar],
  ['a private key as text', 'alice.pem', scalar.toString('base64')],
  ["a store's secret", "the store's account control", 'who has said: a secret of the store'],
  ['a signed URL', 'a signed URL', 'GET /b/k?X-Amz-Signature=00ff'],
] as const)('attack: %s is found in a log, and in a database', (_, name, text) => {
  for (const file of ['logs/leaky.log', 'temporal/temporal.db']) {
    put(file, Buffer.concat([Buffer.from('before '), Buffer.from(text), Buffer.from(' after')]));
    expect(secrets.leaks()).toEqual([`${name} in ${file}`]);
    rmSync(join(state, file));
  }
});
