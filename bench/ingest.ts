import { execa } from 'execa';
import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, mkdir, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StoreAdmin } from '../adapters/object-store/admin.js';
import { EMBEDDED_FOLDERS, embeddedStoreCommand } from '../adapters/object-store/embedded.js';
import { openBucket } from '../adapters/object-store/s3.js';
import { CustodyError } from '../domain/errors.js';
import { isoTime } from '../domain/time.js';
import { encryptStream } from '../formats/streaming-aead.js';
import { freePort } from '../client/stack/layout.js';
import { until } from '../client/stack/until.js';

/**
 * How fast and in how much memory one large file is encrypted and stored, locked and read back, against the same bytes sent
 * with `curl -T`, plain, unlocked and not read back: the floor of this store on this machine. Usage: ingest [MiB]
 */
const MIB = 1024 * 1024;
const size = Number(process.argv[2] ?? 1024) * MIB;
const executable = process.env['CUSTODY_VERSITYGW'];
if (executable === undefined)
  throw new CustodyError('TOOL_MISSING', 'name the store in CUSTODY_VERSITYGW: npm run setup');

const folder = await mkdtemp(join(tmpdir(), 'custody-bench-'));
const port = await freePort();
const account = { region: 'us-east-1', accessKey: 'bench', secretKey: randomBytes(16).toString('hex') };
for (const name of EMBEDDED_FOLDERS) await mkdir(join(folder, 'store', name), { recursive: true });
const { command, args, env } = embeddedStoreCommand({ executable, folder: join(folder, 'store'), port, ...account });
const store = execa(command, args, { env, stdio: 'ignore', reject: false });
try {
  const endpoint = `http://127.0.0.1:${port}`;
  await until('the store', 30, () => fetch(`${endpoint}/health`));
  await new StoreAdmin({ endpoint, ...account }).ensureBucket('bench', { objectLock: true, versioning: true });
  const file = join(folder, 'weights');
  await writeRandom(file);

  const ours = await seconds(async () => {
    const plain = createReadStream(file, { highWaterMark: MIB });
    const cipher = encryptStream(plain, randomBytes(32), randomBytes(32));
    const lock = { retainUntil: isoTime(Date.now() + 60_000) };
    await openBucket({ endpoint, ...account }, 'bench').upload('blobs/ours', cipher, { lock });
  });
  const peer = await seconds(async () => {
    const credential = `${account.accessKey}:${account.secretKey}`;
    const signed = [
      '--aws-sigv4',
      'aws:amz:us-east-1:s3',
      '--user',
      credential,
      '-H',
      'x-amz-content-sha256: UNSIGNED-PAYLOAD',
    ];
    await execa('curl', ['-sf', ...signed, '-T', file, `${endpoint}/bench/blobs/peer`]);
  });
  const result = {
    mib: size / MIB,
    seconds: round(ours),
    curlSeconds: round(peer),
    ratio: round(ours / peer),
    peakRssMib: Math.round(process.resourceUsage().maxRSS / 1024),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
} finally {
  store.kill('SIGTERM');
  await store;
  await rm(folder, { recursive: true, force: true });
}

async function writeRandom(path: string): Promise<void> {
  const handle = await open(path, 'w');
  try {
    for (let written = 0; written < size; written += 16 * MIB) await handle.write(randomBytes(16 * MIB));
  } finally {
    await handle.close();
  }
}

async function seconds(act: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await act();
  return (performance.now() - startedAt) / 1000;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
