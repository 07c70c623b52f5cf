import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { chmod, cp, mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect, type Custody } from '../client/connect.js';
import { digitsStack, exampleFolder } from '../client/stack/digits.js';
import { Layout } from '../client/stack/layout.js';
import { startStack } from '../client/stack/stack.js';
import { until } from '../client/stack/until.js';
import { CustodyError } from '../domain/errors.js';
import { lifecycleId } from '../domain/names.js';
import { shippedFolder } from '../examples/digits/ship.js';
import { inTurns, MIB, round, say, timed } from './measure.js';

/**
 * What it takes to sign a release anew of which only the configuration changed: `custody pack --base`, on a real stack whose
 * locked store holds the base, beside `model_signing`, which reads the whole again. Each is a process of its own, from start
 * to end, in turns. Then what it takes to take it in: read whole, and with what did not change taken over from custody, each
 * measured by Temporal from the start of the activity to its end. Ratios above one are in Custody's favour. Usage: resign [MiB]
 */
const size = Number(process.argv[2] ?? 1024) * MIB;
const REPEATS = 5;
const MODEL = 'digits';
const PATIENCE_SECONDS = 600;
const python = process.env['CUSTODY_PYTHON'];
if (python === undefined) throw new CustodyError('TOOL_MISSING', 'name a Python with model_signing in CUSTODY_PYTHON');
const peer = join(dirname(python), 'model_signing');
const CLI = join(dirname(fileURLToPath(import.meta.url)), '../bundled/programs/custody.js');

const folder = await mkdtemp(join(tmpdir(), 'custody-bench-'));
await chmod(folder, 0o755);
const layout = new Layout(join(folder, 'state'));
const [whole, changes] = [join(folder, 'whole'), join(folder, 'changes')];
const stack = await startStack({ ...digitsStack(layout, 'smtp://127.0.0.1:9'), say: () => undefined });
try {
  const custody = await connect(layout);
  await fillWhole();
  await pack('1.0.0', whole, ['--model', MODEL, '--components', await writeParts(), ...trainingData()]);
  const readWhole = await takeIn(custody, '1.0.0', whole);
  await mkdir(changes);
  const config = JSON.parse(await readFile(join(whole, 'config.json'), 'utf8')) as object;
  await writeFile(join(changes, 'config.json'), JSON.stringify({ ...config, note: 'changed' }));
  await cp(join(changes, 'config.json'), join(whole, 'config.json'));
  const { privateKey, publicKey } = await keys();
  const signature = join(folder, 'whole.sig');
  const sign = ['sign', 'key', whole, '--private_key', privateKey, '--signature', signature];
  const memory = { custody: 0, modelSigning: 0 };
  const took = await inTurns(REPEATS, {
    custody: async () => {
      const run = await pack('1.1.0', changes, ['--base', `${MODEL}@1.0.0`]);
      memory.custody = Math.max(memory.custody, run.peakRssMib);
      return run.seconds;
    },
    modelSigning: async () => {
      const run = await demand(peer, sign);
      memory.modelSigning = Math.max(memory.modelSigning, run.peakRssMib);
      return run.seconds;
    },
    bareNode: async () => (await demand(process.execPath, ['-e', '0'])).seconds,
  });
  // What was signed without the bytes is a signature of the bytes.
  await cp(join(changes, 'custody.json'), join(whole, 'custody.json'));
  await demand(peer, ['verify', 'key', whole, '--public_key', publicKey, '--signature', bundleOf('1.1.0')]);
  say({ sign: { mib: size / MIB, seconds: took, peakRssMib: memory, ratio: round(took.modelSigning / took.custody) } });
  const takenOver = await takeIn(custody, '1.1.0', changes);
  say({ takeIn: { mib: size / MIB, seconds: { readWhole, takenOver }, ratio: round(readWhole / takenOver) } });
  const both = took.custody + takenOver;
  say({ signAndTakeIn: { seconds: round(both), ratioToSigningAlone: round(took.modelSigning / both) } });
  await custody.close();
} finally {
  await stack.stop();
  await rm(folder, { recursive: true, force: true });
}

/** The example's release, beside weights of so many bytes. */
async function fillWhole(): Promise<void> {
  await cp(shippedFolder('1.0.0'), whole, { recursive: true });
  const tensor = { 'layer.weight': { dtype: 'U8', shape: [size], data_offsets: [0, size] } };
  const header = Buffer.from(JSON.stringify(tensor).padEnd(128));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const handle = await open(join(whole, 'large.safetensors'), 'w');
  try {
    await handle.write(Buffer.concat([length, header]));
    const block = Buffer.alloc(MIB, 7);
    for (let at = 0; at < size; at += MIB) {
      block.writeUInt32LE(at / MIB);
      await handle.write(block);
    }
  } finally {
    await handle.close();
  }
}

async function writeParts(): Promise<string> {
  const { components, serving } = JSON.parse(
    await readFile(join(exampleFolder(), 'training', 'recipe.json'), 'utf8'),
  ) as {
    components: object[];
    serving: object;
  };
  const parts = join(folder, 'parts.json');
  const large = { name: 'large', kind: 'weights', files: ['large.safetensors'] };
  await writeFile(parts, JSON.stringify({ components: [...components, large], serving }));
  return parts;
}

function trainingData(): readonly string[] {
  return ['--training-data', join(exampleFolder(), 'data', 'digits', 'digits.csv.gz')];
}

function bundleOf(version: string): string {
  return join(folder, `${version}.sig.json`);
}

function custodyCommand(...args: readonly string[]): ReturnType<typeof timed> {
  return demand(process.execPath, [CLI, '--state', layout.state, '--json', ...args]);
}

function pack(version: string, from: string, more: readonly string[]): ReturnType<typeof timed> {
  return custodyCommand('pack', from, '--as', version, '--key', 'trainer', '--bundle', bundleOf(version), ...more);
}

/** Has a release taken in, tried, approved and signed; answers the seconds that intake took to take it in. */
async function takeIn(custody: Custody, version: string, from: string): Promise<number> {
  await custodyCommand('release', from, '--bundle', bundleOf(version), '--key', 'ci');
  await until('a request', PATIENCE_SECONDS, async () => {
    const { stdout } = await custodyCommand('approvals');
    const [waiting] = JSON.parse(stdout) as { gate: { requestId: string } }[];
    if (waiting === undefined) throw new CustodyError('PENDING', 'nothing waits yet');
    await custodyCommand('approve', waiting.gate.requestId, '--key', 'alice', '--reason', 'bench', '--yes');
  });
  await until('its signature', PATIENCE_SECONDS, async () => {
    const { stdout } = await custodyCommand('status', MODEL, version);
    const { progress } = JSON.parse(stdout) as { progress: { signed?: object } };
    if (progress.signed === undefined) throw new CustodyError('PENDING', `${version} is not signed yet`);
  });
  return ingestSeconds(custody, version);
}

async function ingestSeconds({ temporal }: Custody, version: string): Promise<number> {
  const { events } = await temporal.workflow.getHandle(lifecycleId({ model: MODEL, version })).fetchHistory();
  const time = (at: number): number => {
    const { seconds = 0, nanos = 0 } = events?.[at]?.eventTime ?? {};
    return Number(seconds) + Number(nanos) / 1e9;
  };
  const scheduled = events?.findIndex((e) => e.activityTaskScheduledEventAttributes?.activityType?.name === 'ingest');
  const id = events?.[scheduled ?? -1]?.eventId;
  const isOf = (of: { scheduledEventId?: unknown } | null | undefined): boolean =>
    of != null && String(of.scheduledEventId) === String(id);
  const started = events?.findIndex((e) => isOf(e.activityTaskStartedEventAttributes)) ?? -1;
  const completed = events?.findIndex((e) => isOf(e.activityTaskCompletedEventAttributes)) ?? -1;
  if (started < 0 || completed < 0) throw new CustodyError('INTERNAL', `${version} was not taken in`);
  return round(time(completed) - time(started));
}

async function keys(): Promise<{ privateKey: string; publicKey: string }> {
  const [privateKey, publicKey] = [join(folder, 'key.pem'), join(folder, 'producer.pub')];
  const pair = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  await writeFile(privateKey, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const producer = createPublicKey(await readFile(layout.keyFile('trainer')));
  await writeFile(publicKey, producer.export({ type: 'spki', format: 'pem' }));
  return { privateKey, publicKey };
}

async function demand(program: string, args: readonly string[]): ReturnType<typeof timed> {
  const run = await timed(program, args);
  if (run.exitCode !== 0) throw new CustodyError('INTERNAL', `${program} ${args.join(' ')}: ${run.stdout}`);
  return run;
}
