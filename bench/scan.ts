import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { scanFile } from '../adapters/scan/file.js';
import { openRegular, readChunks } from '../adapters/source/file.js';
import { CustodyError } from '../domain/errors.js';
import { canonicalBytes } from '../formats/jcs.js';
import { sha256 } from '../formats/sha256.js';
import { median, MIB, round, say, seconds, timed, type Run } from './measure.js';

/**
 * How fast and in how much memory a release is scanned: an opcode-dense pickle beside picklescan and modelscan, each a process
 * of its own, start-up and all, and with the same verdict; a large safetensors file beside hashing it alone; hostile files. Ratios above one
 * are in Custody's favour. Usage: scan [MiB of safetensors]
 */
const size = Number(process.argv[2] ?? 2048) * MIB;
const REPEATS = 5;
const python = process.env['CUSTODY_PYTHON'];
if (python === undefined)
  throw new CustodyError('TOOL_MISSING', 'name a Python with picklescan and modelscan in CUSTODY_PYTHON');
const MAIN = join(dirname(fileURLToPath(import.meta.url)), '../bundled/programs/scan.js');

const folder = await mkdtemp(join(tmpdir(), 'custody-bench-'));
try {
  say({ pickle: await besideScanners(densePickle(500_000)) });
  say({ safetensors: await besideHashing() });
  say({ headerBomb: await headerBombs() });
  say({ hostile: await hostile() });
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function besideScanners(pickle: Buffer): Promise<object> {
  const evil = Buffer.concat([pickle.subarray(0, -1), Buffer.from('0cposix\nsystem\n\x8c\x02id\x85R.', 'latin1')]);
  const [clean, infected] = [await released('clean', { 'a.pkl': pickle }), await released('evil', { 'a.pkl': evil })];
  const scanners = ['picklescan', 'modelscan'].map((name) => join(dirname(python ?? ''), name));
  for (const [at, scanner] of scanners.entries()) {
    const codes = [
      await timed(scanner, ['-p', join(clean, 'a.pkl')]),
      await timed(scanner, ['-p', join(infected, 'a.pkl')]),
    ];
    if (codes[0]?.exitCode !== 0 || codes[1]?.exitCode !== 1) throw new Error(`scanner ${at} says something else`);
  }
  const [ours, bad] = [await timed(process.execPath, [MAIN, clean]), await timed(process.execPath, [MAIN, infected])];
  if (ours.stdout.includes('"rule"') || !bad.stdout.includes('unsafe-global')) throw new Error('another verdict');
  // Each is counted from the start of its process to its end, so with the start-up of Node.js and of Python; a pickle of a few
  // bytes tells how much of it that is. The best of some runs, taken in turns, as the machine may have other things to do.
  const tiny = await released('tiny', { 'a.pkl': densePickle(1) });
  const runs: Run[][] = [[], [], []];
  const starts: Run[][] = [[], [], []];
  for (let repeat = 0; repeat < REPEATS; repeat += 1) {
    runs[0]?.push(await timed(process.execPath, [MAIN, clean]));
    starts[0]?.push(await timed(process.execPath, [MAIN, tiny]));
    for (const [at, scanner] of scanners.entries()) {
      runs[at + 1]?.push(await timed(scanner, ['-p', join(clean, 'a.pkl')]));
      starts[at + 1]?.push(await timed(scanner, ['-p', join(tiny, 'a.pkl')]));
    }
  }
  const best = (each: readonly Run[]): number => Math.min(...each.map(({ seconds }) => seconds));
  const figures = runs.map((each, at) => ({
    seconds: best(each),
    startSeconds: best(starts[at] ?? []),
    peakRssMib: Math.max(...each.map(({ peakRssMib }) => peakRssMib)),
  }));
  const [custody, picklescan, modelscan] = figures;
  const [times, timesAfterStart] = [
    figures.map(({ seconds }) => round(seconds / (custody?.seconds ?? 1))),
    figures.map(({ seconds, startSeconds }) =>
      round((seconds - startSeconds) / ((custody?.seconds ?? 1) - (custody?.startSeconds ?? 0))),
    ),
  ];
  return {
    mib: round(pickle.length / MIB),
    ...{ custody, picklescan, modelscan },
    ...{ timesPicklescan: times[1], timesModelscan: times[2] },
    ...{ timesPicklescanAfterStart: timesAfterStart[1], timesModelscanAfterStart: timesAfterStart[2] },
  };
}

async function besideHashing(): Promise<object> {
  const path = join(folder, 'model.safetensors');
  const header = JSON.stringify({ w: { dtype: 'U8', shape: [size], data_offsets: [0, size] } });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const handle = await open(path, 'w');
  await handle.write(Buffer.concat([length, Buffer.from(header)]));
  await handle.truncate(8 + header.length + size);
  await handle.close();
  const alone: number[] = [];
  const scanned: number[] = [];
  for (let repeat = 0; repeat < REPEATS; repeat += 1) {
    alone.push(await seconds(() => hashAlone(path)));
    scanned.push(await seconds(() => scanFile(path, 'model.safetensors')));
  }
  return {
    mib: size / MIB,
    ...{
      hashSeconds: median(alone),
      scanSeconds: median(scanned),
      ofHashingAlone: round(median(alone) / median(scanned)),
    },
  };
}

async function hashAlone(path: string): Promise<string> {
  const { handle, size: bytes } = await openRegular(path);
  try {
    const hash = createHash('sha256');
    for await (const chunk of readChunks(handle, bytes)) hash.update(chunk);
    return hash.digest('hex');
  } finally {
    await handle.close();
  }
}

async function headerBombs(): Promise<object> {
  const claims = { beyondAddresses: 2n ** 64n - 1n, beyondFile: 99_000_000n };
  const times = Object.entries(claims).map(async ([name, claim]) => {
    const bytes = Buffer.alloc(1000, '{');
    bytes.writeBigUInt64LE(claim);
    const path = join(folder, name);
    await writeFile(path, bytes);
    return [`${name}Ms`, round((await seconds(() => scanFile(path, name))) * 1000)] as const;
  });
  return Object.fromEntries(await Promise.all(times));
}

/** The most that each format lets a file ask for, in one process. */
async function hostile(): Promise<object> {
  const memo = Buffer.concat([Buffer.from('\x80\x04N', 'latin1'), Buffer.alloc(8_000_000, 0x94)]);
  const words = Array.from({ length: 1_300_000 }, (_, at) => `"token number ${at} of many":${at}`);
  const tensors = Array.from(
    { length: 100_000 },
    (_, at) => `"layers.${at}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`,
  );
  const withLength = (header: string): Buffer => {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    return Buffer.concat([length, Buffer.from(header)]);
  };
  const files = {
    'memo.pkl': memo,
    'stack.pkl': Buffer.concat([Buffer.from('\x80\x04', 'latin1'), Buffer.alloc(3_000_000, 'N')]),
    'vocabulary.json': `{${words.join(',')}}`.slice(0, 46 * MIB),
    'deep.json': `{"a":${'['.repeat(20 * MIB)}`,
    'strings.json': `["${'\u00e9'.repeat(23 * MIB)}"]`,
    'header.safetensors': withLength(`{${tensors.join(',')}}`),
    'metadata.safetensors': withLength(
      `{"__metadata__":{${Array.from({ length: 520_000 }, (_, at) => `"${at}":"a"`).join(',')}}}`,
    ),
    'escapes.json': `{"a":["${'\\u4e00'.repeat(600_000)}"${`,"${'\\u4e00'.repeat(600_000)}"`.repeat(11)}]}`,
    'pieces.model': Buffer.from('0a0a0a016115000000001801'.repeat(4 * MIB), 'hex'),
    'template.jinja': '{{ [ '.repeat(4 * MIB),
    'long.txt': 'x'.repeat(100 * MIB),
  };
  const {
    peakRssMib,
    seconds: took,
    exitCode,
  } = await timed(process.execPath, ['--max-old-space-size=160', MAIN, await released('hostile', files)]);
  return { seconds: took, peakRssMib, exitCode };
}

async function released(name: string, files: Readonly<Record<string, Uint8Array | string>>): Promise<string> {
  const release = join(folder, name);
  await mkdir(release);
  for (const [path, bytes] of Object.entries(files)) await writeFile(join(release, path), bytes);
  const listed = Object.entries(files).map(([path, bytes]) => ({
    ...{ path, size: Buffer.byteLength(bytes as string), sha256: sha256(bytes) },
  }));
  const manifest = {
    ...{ schema: 'https://custody.dev/manifest/v1', model: 'bench', version: '1.0.0' },
    components: [{ name: 'all', kind: 'weights', version: '1.0.0', files: Object.keys(files) }],
    files: listed,
    serving: { protocol: 'open-inference-v2', command: ['node', 'serve.mjs'] },
  };
  await writeFile(join(release, 'custody.json'), canonicalBytes(manifest));
  return release;
}

/** {"key0":0, …}, as Python's pickle writes it in protocol 4, but for frames. */
function densePickle(keys: number): Buffer {
  const parts: Buffer[] = [Buffer.from([0x80, 4, 0x7d, 0x94])];
  for (let from = 0; from < keys; from += 1000) {
    parts.push(Buffer.from('('));
    for (let at = from; at < Math.min(keys, from + 1000); at += 1) {
      const key = `the key of number ${at}`;
      const value = Buffer.alloc(5, 0x4a);
      value.writeInt32LE(at, 1);
      parts.push(Buffer.from([0x8c, key.length]), Buffer.from(key), Buffer.from([0x94]), value);
    }
    parts.push(Buffer.from('u'));
  }
  return Buffer.concat([...parts, Buffer.from('.')]);
}
