import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openBucket } from '../../adapters/object-store/s3.js';
import type { S3Config } from '../../adapters/object-store/s3-session.js';
import { endpointStatus, lifecycleStatus, type WaitingGate } from '../../client/messages.js';
import { decide, orderKill } from '../../client/requests.js';
import { endpointId, type ReleaseName } from '../../domain/names.js';
import type { SignedEnvelope } from '../../domain/statements.js';
import { bucketNames } from '../../domain/store-keys.js';
import { generateKey, importPrivateKey } from '../../formats/keys.js';
import { requestOf } from '../../client/messages.js';
import { Bench, MODEL } from './harness.js';
import { until } from './support/until.js';

const NAME: ReleaseName = { model: MODEL, version: '1.0.1' };
const ENDPOINT = endpointId(MODEL);
/** Temporal takes no more signals than this in one run. */
const SIGNALS_OF_A_RUN = 10_000;
const AT_ONCE = 100;

let bench: Bench;
let waiting: WaitingGate;

beforeAll(async () => {
  bench = await Bench.start();
  await bench.putFirstInService();
  await bench.start(await bench.source(NAME.version));
  waiting = await bench.openGate(NAME.version);
});

afterAll(() => bench.stop());

/** How many objects the store holds for good: control's bucket, and the truth of the log. */
async function objects(): Promise<number> {
  const { store, audit } = JSON.parse(readFileSync(join(bench.state, 'zones', 'control', 'config.json'), 'utf8')) as {
    store: S3Config;
    audit: { store: Pick<S3Config, 'accessKey' | 'secretKey'> };
  };
  const { endpoint, region, accessKey, secretKey } = store;
  const names = bucketNames(bench.custody.description.environment);
  const buckets: readonly [S3Config, string][] = [
    [{ endpoint, region, accessKey, secretKey }, names.custody],
    [{ endpoint, region, ...audit.store }, names.audit],
  ];
  let count = 0;
  for (const [credential, name] of buckets)
    for await (const key of openBucket(credential, name).list('')) if (!key.startsWith('status/')) count += 1;
  return count;
}

const eventsOf = async (workflowId: string): Promise<number> =>
  (await bench.custody.temporal.workflow.getHandle(workflowId).describe()).historyLength;

/** Signals that nobody in the policy has signed; answers how many Temporal took. */
async function forge(workflowId: string, name: string, count: number, make: () => SignedEnvelope): Promise<number> {
  let taken = 0;
  for (let sent = 0; sent < count; sent += AT_ONCE) {
    const size = Math.min(AT_ONCE, count - sent);
    const sending = Array.from({ length: size }, () => bench.signal(workflowId, name, make()));
    taken += (await Promise.allSettled(sending)).filter(({ status }) => status === 'fulfilled').length;
  }
  return taken;
}

test('attack: a thousand forged approvals cost few events and fewer objects, and the genuine one counts', async () => {
  const stranger = { key: importPrivateKey(generateKey('ed25519').privatePem) };
  const request = await requestOf(bench.custody, waiting);
  const [events, stored] = [await eventsOf(waiting.workflowId), await objects()];

  const forged = () => decide(stranger, request, 'approve', 'let it pass');
  expect(await forge(waiting.workflowId, 'approve', 1_000, forged)).toBe(1_000);

  const genuine = await bench.decision('alice', waiting);
  const counted = await until('the verdict on the genuine approval', 180, async () => {
    const verdict = await bench.tell(waiting.workflowId, 'approve', genuine);
    return verdict === 'POLICY_REFUSED' ? null : verdict;
  });
  expect(counted).toBe('accepted');
  await bench.reached(NAME.version, 'roll out');
  const grown = (await objects()) - stored;
  expect((await eventsOf(waiting.workflowId)) - events).toBeLessThan(5_000);
  expect(grown).toBeLessThan(50);
  const audited = (await bench.log()).filter(
    ({ change, reason }) => change === 'message.refused' && reason.includes('approve'),
  );
  const refused = audited.reduce((sum, { reason }) => {
    const dropped = /; (\d+) more were dropped unread/.exec(reason)?.[1] ?? '0';
    return sum + Number(/^(\d+) ×/.exec(reason)?.[1] ?? 0) + Number(dropped);
  }, 0);
  expect(refused).toBeGreaterThanOrEqual(1_000);
  expect((await lifecycleStatus(bench.custody, NAME)).progress.approved?.approvers).toEqual(['alice']);
});

test('attack: more forged kills than Temporal takes, with no worker up, hide no genuine one, and one more goes the direct way by itself', async () => {
  const oscar = await bench.signer('oscar');
  const stranger = { ...oscar, key: importPrivateKey(generateKey('ed25519').privatePem) };
  const one = orderKill(stranger, MODEL, 'forged');
  const forged = () => ({
    ...one,
    signatures: [{ keyid: randomBytes(16).toString('hex'), sig: one.signatures[0]?.sig ?? '' }],
  });
  const stored = await objects();
  bench.signalProcess('control', 'SIGSTOP');
  try {
    expect(await forge(ENDPOINT, 'kill', SIGNALS_OF_A_RUN - 1_000, forged)).toBeGreaterThan(0);
    await bench.signal(ENDPOINT, 'kill', orderKill(oscar, MODEL, 'in the flood'));
    expect(await forge(ENDPOINT, 'kill', 1_001, forged)).toBeLessThan(1_001);
    await expect(bench.signal(ENDPOINT, 'kill', forged())).rejects.toThrow();
    const killed = await bench.cli('kill', MODEL, '--key', 'oscar', '--reason', 'a flood');
    expect(killed.code, killed.stderr).toBe(0);
    expect(await bench.call()).toMatchObject({ status: 503 });
  } finally {
    bench.signalProcess('control', 'SIGCONT');
  }
  // The one from the flood and the one that went straight to the gateway.
  await until('control knows of both orders', 240, async () => {
    const { killedBy } = await endpointStatus(bench.custody, MODEL);
    return killedBy.length === 2 ? true : null;
  });
  expect((await objects()) - stored).toBeLessThan(100);
  await until('a new history', 240, async () => ((await eventsOf(ENDPOINT)) < 1_000 ? true : null));
  await bench.restore();

  await bench.signal(ENDPOINT, 'kill', orderKill(oscar, MODEL, 'by signal'));
  await bench.answers({ status: 503, reason: 'by signal' });
});
