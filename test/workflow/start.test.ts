import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { createMemoryStore } from '../../adapters/object-store/memory.js';
import { Records } from '../../adapters/records.js';
import { packRelease } from '../../adapters/source/pack.js';
import type { Custody } from '../../client/connect.js';
import { askAs, startRelease, startTraining, type ReleaseSource } from '../../client/start.js';
import { storeKeys } from '../../domain/store-keys.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { writeSafetensors } from '../../formats/safetensors.js';
import { startDevServer } from '../support/temporal.js';
import { createWorld } from '../support/world.js';
import { decision, digestOf, refusal, stage } from '../support/zones.js';

const world = createWorld();
const signer = { key: world.keys.ci, id: 'ci', environment: world.environment, policy: world.policyDigest };
const on = stage(startDevServer);
let custody: Custody;
let folder: string;
let source: ReleaseSource;
let count = 0;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'custody-start-'));
  const bucket = createMemoryStore().bucket('test-custody');
  await bucket.createOnce(storeKeys.policy(1), canonicalBytes(world.policyEnvelope));
  custody = {
    temporal: on.env.client,
    records: new Records(bucket, world.root),
    description: { temporal: { ui: 'http://127.0.0.1', namespace: 'default' } },
  } as Custody;
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  const release = join(folder, String((count += 1)));
  mkdirSync(release);
  const weights = [{ name: 'w', dtype: 'F32', shape: [1], data: Buffer.alloc(4) }] as const;
  writeFileSync(join(release, 'weights.safetensors'), writeSafetensors([...weights]));
  await packRelease(release, {
    model: `digits-${count}`,
    version: '1.0.0',
    components: [{ name: 'weights', kind: 'weights', files: ['weights.safetensors'] }],
    serving: { protocol: 'open-inference-v2', command: ['node', 'serve.mjs'] },
  });
  writeFileSync(`${release}.sig.json`, '{}');
  writeFileSync(`${release}.provenance.json`, '{}');
  source = { folder: release, bundle: `${release}.sig.json`, provenance: `${release}.provenance.json` };
});

const resultOf = (workflowId: string): Promise<unknown> => on.env.client.workflow.getHandle(workflowId).result();

it('a release whose request was refused is begun anew by the next request; one that goes on is not', async () => {
  const { admitRelease } = on.zones.acts;
  on.zones.acts.admitRelease = async () => {
    throw refusal('NOT_AUTHORISED', 'mallory may not ask for this');
  };
  const refused = await startRelease(custody, askAs(signer), source);
  expect(refused).toMatchObject({ state: 'started', outcome: null });
  expect(await resultOf(refused.workflowId)).toMatchObject({ kind: 'rejected', code: 'NOT_AUTHORISED' });

  on.zones.acts.admitRelease = admitRelease;
  const genuine = await startRelease(custody, askAs(signer), source);
  expect(genuine).toMatchObject({ state: 'started', workflowId: refused.workflowId });
  expect(genuine.runId).not.toBe(refused.runId);
  await on.zones.called('openDeployGate');
  expect(await startRelease(custody, askAs(signer), source)).toMatchObject({ state: 'running', runId: genuine.runId });
  expect(on.zones.argsOf('admitRelease')).toHaveLength(2);
  await on.env.client.workflow.getHandle(genuine.workflowId).terminate('the test has ended');
});

it('a release that has ended is not begun again, and how it ended is said', async () => {
  on.zones.acts.validate = async () => ({ testResult: 'x', passed: 1, failed: ['case 7'], accuracy: 0.1 });
  const first = await startRelease(custody, askAs(signer), source);
  const outcome = (await resultOf(first.workflowId)) as object;
  expect(outcome).toMatchObject({ kind: 'rejected', code: 'VALIDATION_FAILED' });
  // As control would have kept it.
  await custody.records.recordOnce(storeKeys.record(first, 'outcome'), outcome);
  expect(await startRelease(custody, askAs(signer), source)).toMatchObject({
    state: 'ended',
    runId: first.runId,
    outcome,
  });
  expect(on.zones.argsOf('ingest')).toHaveLength(1);
});

it('a training that was refused is begun anew; one that has trained is not repeated', async () => {
  const { train } = on.zones.acts;
  const digests = { hyperparameters: 'x', data: digestOf('data'), commit: 'c'.repeat(40) };
  const asked = { run: 'first', trainer: 'digits', ...digests };
  const run = { model: `digits-${count}`, version: '1.0.0', ...asked };
  on.zones.acts.train = async () => {
    throw refusal('SANDBOX_UNAVAILABLE', 'this host has no sandbox');
  };
  const agree = async (workflowId: string) => {
    const handle = on.env.client.workflow.getHandle(workflowId);
    for (const by of ['alice', 'bob']) await handle.signal('approve', decision(by, 'train-1'));
  };
  const refused = await startTraining(custody, signer, run);
  await agree(refused.workflowId);
  expect(await resultOf(refused.workflowId)).toMatchObject({ kind: 'rejected' });
  on.zones.acts.train = train;
  const trained = await startTraining(custody, signer, run);
  expect(trained.state).toBe('started');
  await agree(trained.workflowId);
  expect(await resultOf(trained.workflowId)).toMatchObject({ kind: 'trained' });
  expect(await startTraining(custody, signer, run)).toMatchObject({ state: 'ended', runId: trained.runId });
  // Each is told to the log before it is the answer.
  expect(on.zones.argsOf('recordTraining').map(([, , , ended]) => ended)).toEqual([
    { kind: 'rejected', code: 'SANDBOX_UNAVAILABLE', reason: 'this host has no sandbox' },
    { kind: 'trained', statement: digestOf('provenance') },
  ]);
});
