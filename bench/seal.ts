import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Readable, Writable } from 'node:stream';
import { expectedBytes } from '../adapters/source/file.js';
import { encryptStream } from '../formats/streaming-aead.js';
import { inTurns, MIB, round, say, seconds, writeRandom } from './measure.js';

/**
 * How fast one file is checked against its SHA-256 and encrypted, the output thrown away, beside the AWS Encryption SDK, which
 * only encrypts: as it comes, and with frames of one MiB. Ratios above one are in Custody's favour. Usage: seal [MiB]
 */
const size = Number(process.argv[2] ?? 256) * MIB;
const REPEATS = 5;

/** Of `@aws-crypto/client-node`, which is installed apart from Custody. */
interface Peer {
  buildClient(policy: string): { encryptStream(keyring: object, options: object): Writable & Readable };
  readonly CommitmentPolicy: { readonly REQUIRE_ENCRYPT_REQUIRE_DECRYPT: string };
  readonly RawAesKeyringNode: new (options: object) => object;
  readonly RawAesWrappingSuiteIdentifier: { readonly AES256_GCM_IV12_TAG16_NO_PADDING: number };
}
const peer = createRequire(pathToFileURL(join(process.cwd(), 'bench/peers/')))('@aws-crypto/client-node') as Peer;
const client = peer.buildClient(peer.CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT);
const keyring = new peer.RawAesKeyringNode({
  ...{ keyName: 'bench', keyNamespace: 'custody' },
  unencryptedMasterKey: new Uint8Array(randomBytes(32)),
  wrappingSuite: peer.RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
});

const folder = await mkdtemp(join(tmpdir(), 'custody-bench-'));
try {
  const path = join(folder, 'weights');
  await writeRandom(path, size);
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  const expected = { path: 'weights', size, sha256: hash.digest('hex') };
  const took = await inTurns(REPEATS, {
    custody: () =>
      seconds(() =>
        drain(encryptStream(expectedBytes(path, expected), randomBytes(32), Buffer.from(expected.sha256, 'hex'))),
      ),
    awsDefault: () => seconds(() => encrypted(path, {})),
    awsFramesOfOneMib: () => seconds(() => encrypted(path, { frameLength: MIB })),
  });
  say({
    mib: size / MIB,
    gigabytesPerSecond: Object.fromEntries(
      Object.entries(took).map(([name, each]) => [name, round(size / 1e9 / each)] as const),
    ),
    timesDefault: round(took.awsDefault / took.custody),
    timesFramesOfOneMib: round(took.awsFramesOfOneMib / took.custody),
  });
} finally {
  await rm(folder, { recursive: true, force: true });
}

function encrypted(path: string, options: object): Promise<void> {
  return drain(createReadStream(path, { highWaterMark: MIB }).pipe(client.encryptStream(keyring, options)));
}

async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const chunk of stream) void chunk;
}
