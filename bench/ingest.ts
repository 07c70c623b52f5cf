import { execa } from 'execa';
import { Client } from 'minio';
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StoreAdmin } from '../adapters/object-store/admin.js';
import { EMBEDDED_FOLDERS, embeddedStoreCommand } from '../adapters/object-store/embedded.js';
import { openBucket } from '../adapters/object-store/s3.js';
import { CustodyError } from '../domain/errors.js';
import { isoTime } from '../domain/time.js';
import { encryptStream } from '../formats/streaming-aead.js';
import { freePort } from '../client/stack/layout.js';
import { expectedBytes } from '../adapters/source/file.js';
import { until } from '../client/stack/until.js';
import { inTurns, MIB, round, say, seconds, writeRandom } from './measure.js';

/**
 * How fast and in how much memory one large file is checked, encrypted, stored, locked and read back, against the same bytes
 * sent plain, unlocked and not read back: by `putObject` of the store's client library, and by `curl -T`, which is the floor
 * of this store on this machine. Ratios above one are in Custody's favour. Usage: ingest [MiB]
 */
const size = Number(process.argv[2] ?? 2048) * MIB;
const REPEATS = 3;
const executable = process.env['CUSTODY_VERSITYGW'];
if (executable === undefined)
  throw new CustodyError('TOOL_MISSING', 'name the store in CUSTODY_VERSITYGW: npm run setup');

const folder = await mkdtemp(join(tmpdir(), 'custody-bench-'));
const port = await freePort();
const account = { region: 'us-east-1', accessKey: 'bench', secretKey: randomBytes(16).toString('hex') };
for (const name of EMBEDDED_FOLDERS) await mkdir(join(folder, 'store', name), { recursive: true });
const { command, args, env } = embeddedStoreCommand({ executable, folder: join(folder, 'store'), port, ...account });
const signed = [
  ...['--aws-sigv4', 'aws:amz:us-east-1:s3', '--user', `${account.accessKey}:${account.secretKey}`],
  ...['-H', 'x-amz-content-sha256: UNSIGNED-PAYLOAD'],
];
const store = execa(command, args, { env, stdio: 'ignore', reject: false });
try {
  const endpoint = `http://127.0.0.1:${port}`;
  await until('the store', 30, () => fetch(`${endpoint}/health`));
  await new StoreAdmin({ endpoint, ...account }).ensureBucket('bench', { objectLock: true, versioning: true });
  const file = join(folder, 'weights');
  await writeRandom(file, size);

  const digest = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: MIB })) digest.update(chunk as Buffer);
  const expected = { path: 'weights', sha256: digest.digest('hex'), size };
  const memory = { custody: 0 };
  let at = 0;
  const took = await inTurns(REPEATS, {
    custody: () =>
      seconds(async () => {
        const plain = expectedBytes(file, expected, {});
        const cipher = encryptStream(plain, randomBytes(32), Buffer.from(expected.sha256, 'hex'));
        const lock = { retainUntil: isoTime(Date.now() + 60_000) };
        await openBucket({ endpoint, ...account }, 'bench').upload(`blobs/ours-${(at += 1)}`, cipher, { lock });
        memory.custody = Math.max(memory.custody, Math.round(process.resourceUsage().maxRSS / 1024));
      }),
    putObject: () =>
      seconds(async () => {
        const client = new Client({ endPoint: '127.0.0.1', port, useSSL: false, ...account });
        await client.putObject('bench', `blobs/client-${(at += 1)}`, createReadStream(file), size);
      }),
    curl: () =>
      seconds(() => execa('curl', ['-sf', ...signed, '-T', file, `${endpoint}/bench/blobs/curl-${(at += 1)}`])),
  });
  say({
    mib: size / MIB,
    seconds: took,
    peakRssMib: memory.custody,
    timesPutObject: round(took.putObject / took.custody),
    timesCurl: round(took.curl / took.custody),
  });
} finally {
  store.kill('SIGTERM');
  await store;
  await rm(folder, { recursive: true, force: true });
}
