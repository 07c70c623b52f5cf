import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CustodyError } from '../domain/errors.js';
import { inTurns, MIB, round, say, timed, writeRandom } from './measure.js';

/**
 * How fast `custody verify` checks an OpenSSF model signature beside `model_signing`, which has made it: each a process of its
 * own, from start to end, in turns, with warm files. Ratios above one are in Custody's favour. Usage: verify [MiB]
 */
const size = Number(process.argv[2] ?? 1024) * MIB;
const REPEATS = 5;
const python = process.env['CUSTODY_PYTHON'];
if (python === undefined) throw new CustodyError('TOOL_MISSING', 'name a Python with model_signing in CUSTODY_PYTHON');
const peer = join(dirname(python), 'model_signing');
const CLI = join(dirname(fileURLToPath(import.meta.url)), '../bundled/programs/custody.js');

const folder = await mkdtemp(join(tmpdir(), 'custody-bench-'));
const [privateKey, publicKey] = [join(folder, 'key.pem'), join(folder, 'key.pub')];
try {
  const pair = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  await writeFile(privateKey, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  await writeFile(publicKey, pair.publicKey.export({ type: 'spki', format: 'pem' }));
  say({ oneTinyFile: await beside('tiny', (model) => writeFile(join(model, 'config.json'), '{"hidden_size":64}')) });
  say({ oneLargeFile: { mib: size / MIB, ...(await beside('large', large)) } });
  say({ fourFiles: { mib: size / MIB, ...(await beside('four', four)) } });
  say({ tenThousandFiles: await beside('many', many) });
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function large(model: string): Promise<void> {
  await writeRandom(join(model, 'model.safetensors'), size);
  await writeFile(join(model, 'config.json'), '{}');
}

/** As much as the large one, in four. */
async function four(model: string): Promise<void> {
  for (let at = 1; at <= 4; at += 1)
    await writeRandom(join(model, `model-0000${at}-of-00004.safetensors`), Math.ceil(size / 4));
  await writeRandom(join(model, 'tokenizer.json'), 4 * MIB);
  await writeFile(join(model, 'config.json'), '{}');
}

async function many(model: string): Promise<void> {
  for (let at = 0; at < 10_000; at += 1) {
    const part = join(model, `part-${at % 100}`);
    await mkdir(part, { recursive: true });
    await writeFile(join(part, `${at}.bin`), randomBytes(4096));
  }
}

async function beside(name: string, fill: (model: string) => Promise<void>): Promise<object> {
  const [model, signature] = [join(folder, name), join(folder, `${name}.sig`)];
  await mkdir(model);
  await fill(model);
  await demand(peer, ['sign', 'key', model, '--private_key', privateKey, '--signature', signature]);
  const memory = { custody: 0, modelSigning: 0 };
  const run = async (which: keyof typeof memory, program: string, args: readonly string[]): Promise<number> => {
    const { seconds, peakRssMib } = await demand(program, args);
    memory[which] = Math.max(memory[which], peakRssMib);
    return seconds;
  };
  const custody = [CLI, 'verify', model, '--bundle', signature, '--public-key', publicKey];
  const modelSigning = ['verify', 'key', model, '--public_key', publicKey, '--signature', signature];
  const took = await inTurns(REPEATS, {
    custody: () => run('custody', process.execPath, custody),
    modelSigning: () => run('modelSigning', peer, modelSigning),
  });
  return { seconds: took, peakRssMib: memory, ratio: round(took.modelSigning / took.custody) };
}

async function demand(program: string, args: readonly string[]): ReturnType<typeof timed> {
  const run = await timed(program, args);
  if (run.exitCode !== 0) throw new CustodyError('INTERNAL', `${program} ended with ${run.exitCode}: ${run.stdout}`);
  return run;
}
