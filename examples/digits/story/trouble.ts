import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { open, rename, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { createGatewayClient } from '../../../adapters/gateway/client.js';
import { auditLog, readWhole } from '../../../client/audit.js';
import { replaceFile } from '../../../client/files.js';
import { endpointStatus, lifecycleStatus } from '../../../client/messages.js';
import { orderKill, requestRestore } from '../../../client/requests.js';
import { CustodyError } from '../../../domain/errors.js';
import { endpointId } from '../../../domain/names.js';
import { isoTime } from '../../../domain/time.js';
import { approve, endpointGate, eventually, hasPassed, MODEL, NotYet, signer, tell, type Scene } from './scene.js';

const TAMPERED = '1.0.0';

/** One bit of a file on the serving host is flipped; whatever starts from it next is refused. */
export async function tamper(scene: Scene): Promise<void> {
  const { narrator, custody, stack } = scene;
  narrator.step('One bit of an artifact is flipped on the serving host: the load is refused');
  const { progress, stage } = await eventually('its status', () =>
    lifecycleStatus(custody, { model: MODEL, version: TAMPERED }),
  );
  if (hasPassed(stage, 'in service'))
    return narrator.say(`${TAMPERED} has been retired before: it is not here any more`);
  const release = progress.ingested?.release ?? '';
  const gateway = createGatewayClient(custody.description.gateway.admin);
  await eventually('the replica', () => replicaOf(gateway, release));
  const file = stack.layout.path('zones', 'serving', 'state', 'releases', release, 'weights.safetensors');
  const original = (await stat(file)).ino;
  await flipOneBit(file);
  narrator.say(`one bit of ${TAMPERED}'s weights is flipped, and its model server killed`);
  process.kill(await eventually('its process', async () => processIn(dirname(file))), 'SIGKILL');

  const startedAt = performance.now();
  await eventually('the report of the refused load', async () => {
    const ada = await signer(scene, 'ada');
    const log = await readWhole(await auditLog(custody, ada));
    const refused = log.records.some(
      ({ change, subject }) => change === 'load.refused' && subject.version === TAMPERED,
    );
    if (!refused) throw new NotYet('the refusal');
  });
  narrator.say('the load was refused, and the refusal is in the audit log');
  await eventually('a verified copy', async () => {
    if ((await stat(file)).ino === original) throw new NotYet('a fresh copy');
    return replicaOf(gateway, release);
  });
  narrator.say(`a fresh, verified copy serves again after ${Math.round(performance.now() - startedAt)} ms`);
}

type Gateway = ReturnType<typeof createGatewayClient>;

async function replicaOf(gateway: Gateway, release: string): Promise<void> {
  const { models } = await gateway.state();
  const replica = models.find(({ model }) => model === MODEL)?.replicas.find((live) => live.release === release);
  if (replica === undefined) throw new NotYet('the replica');
}

/** As somebody with the rights of the host's administrator could: the copy itself is read-only. */
async function flipOneBit(file: string): Promise<void> {
  const bytes = readFileSync(file);
  const at = bytes.length - 1;
  bytes.writeUInt8((bytes[at] ?? 0) ^ 1, at);
  const { mode, uid, gid } = await stat(file);
  const swapped = `${file}.swapped`;
  const handle = await open(swapped, 'w', mode);
  try {
    await handle.writeFile(bytes);
    if (process.getuid?.() === 0) await handle.chown(uid, gid);
    await handle.chmod(mode);
  } finally {
    await handle.close();
  }
  await rename(swapped, file);
}

/** The model server that runs in a release's folder. */
function processIn(folder: string): number {
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      if (readlinkSync(join('/proc', pid, 'cwd')) === folder) return Number(pid);
    } catch (error) {
      // Processes end while one looks at them, and others' are none of our business.
      if (!['ENOENT', 'ESRCH', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
  throw new NotYet(`a process in ${folder}`);
}

/** One person stops the endpoint with the plain Temporal CLI; two others must agree before it serves again. */
export async function killAndRestore(scene: Scene): Promise<void> {
  const { narrator, custody } = scene;
  narrator.step('An operator kills the endpoint with `temporal workflow signal`; a quorum of two restores it');
  const before = await eventually('the endpoint', () => endpointStatus(custody, MODEL));
  if (before.killedBy.length === 0) await kill(scene);
  const { killedBy, revision, gate } = await eventually('the kill in the workflow', async () => {
    const status = await endpointStatus(custody, MODEL);
    if (status.killedBy.length === 0) throw new NotYet('the kill');
    return status;
  });
  scene.moments.set('killed', isoTime(Date.now()));
  if (gate === null) {
    const policies = await eventually('the policy', () => custody.records.policies());
    const within = policies.newest.approvals.restore.withinSeconds;
    const request = requestRestore(await signer(scene, 'otto'), MODEL, { kills: killedBy, revision }, within);
    await tell(scene, endpointId(MODEL), 'restore', request);
    narrator.decided('otto', 'asks to restore it');
  }
  const waiting = await endpointGate(scene);
  await approve(scene, waiting, 'oscar', 'it was a wrong alarm');
  await approve(scene, waiting, 'olga', 'checked: the digits are right');
  await narrator.timed('callers are served again', () => eventually('200 for callers', () => served(scene)));
}

async function kill(scene: Scene): Promise<void> {
  const { narrator, custody, stack } = scene;
  const order = orderKill(await signer(scene, 'oscar'), MODEL, 'a customer reports wrong digits');
  const file = stack.layout.path('kill.json');
  replaceFile(file, JSON.stringify(order));
  const { address, namespace } = custody.description.temporal;
  const command = ['workflow', 'signal', '--workflow-id', endpointId(MODEL), '--name', 'kill', '--input-file', file];
  const startedAt = performance.now();
  await eventually('the kill', () =>
    execa(temporalCli(), [...command, '--address', address, '--namespace', namespace], {
      env: { HOME: stack.layout.state },
    }),
  );
  const sentAt = performance.now();
  narrator.decided('oscar', 'signals `kill`: “a customer reports wrong digits”');
  const reason = await eventually('503 for callers', () => refusal(scene));
  const now = performance.now();
  narrator.say(`callers get 503: ${reason}`);
  narrator.say(
    `${Math.round(now - sentAt)} ms after the signal was taken (${Math.round(now - startedAt)} ms with the CLI's own start)`,
  );
}

function temporalCli(): string {
  return process.env['CUSTODY_TEMPORAL'] ?? 'temporal';
}

async function call({ custody }: Scene): Promise<Response> {
  const image = Array.from({ length: 64 }, () => 0);
  return fetch(new URL(`/v2/models/${MODEL}/infer`, custody.description.gateway.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ inputs: [{ name: 'image', shape: [1, 64], datatype: 'FP32', data: image }] }),
  });
}

async function refusal(scene: Scene): Promise<string> {
  const answer = await call(scene);
  const text = await answer.text();
  if (answer.status !== 503) throw new NotYet('503');
  return (JSON.parse(text) as { reason?: string }).reason ?? text;
}

async function served(scene: Scene): Promise<void> {
  const answer = await call(scene);
  await answer.arrayBuffer();
  if (answer.status !== 200) throw new CustodyError('PENDING', `callers get ${answer.status}`);
}
