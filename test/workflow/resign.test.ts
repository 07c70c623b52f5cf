import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { resign } from '../../workflows/index.js';
import { startResign } from '../../workflows/messages.js';
import { capture, startTimeSkipping } from '../support/temporal.js';
import { digestOf, envelope, FakeZones, refusal, startWorkers } from '../support/zones.js';

let env: TestWorkflowEnvironment;
let workers: { stop: () => Promise<void> };
let zones: FakeZones;

beforeAll(async () => {
  env = await startTimeSkipping();
  workers = await startWorkers(env, () => zones);
});
afterAll(async () => {
  await workers?.stop();
  await env?.teardown();
});
beforeEach(() => {
  zones = new FakeZones(env);
});

const NAME = { model: 'digits', version: '1.0.0' };
const start = (workflowId = startResign(NAME).workflowId) =>
  env.client.workflow.start<typeof resign>('resign', {
    ...startResign(NAME),
    workflowId,
    args: [{ request: envelope('resign') }],
  });

it('has the request verified, the release signed, and the signature recorded', async () => {
  const handle = await start();
  const resigned = { release: digestOf('digits 1.0.0'), signature: digestOf('signature 2'), already: false };
  expect(await handle.result()).toEqual({ kind: 'resigned', ...resigned });
  expect(zones.names()).toEqual(['admitResign', 'resignRelease', 'recordResigned']);
  expect(zones.argsOf('resignRelease')).toEqual([[NAME, digestOf('resign')]]);
  expect(zones.argsOf('recordResigned')).toEqual([[NAME, digestOf('resign'), resigned]]);
  await capture(handle, 'resign-resigned');
});

it('audits what the signing zone refuses, and records nothing', async () => {
  zones.acts.resignRelease = async () => {
    throw refusal('REVOKED', 'the release has been revoked');
  };
  const refused = { kind: 'rejected', code: 'REVOKED', reason: 'the release has been revoked' };
  expect(await (await start()).result()).toEqual(refused);
  expect(zones.names()).toEqual(['admitResign', 'resignRelease', 'refuse']);
  expect(zones.refused[0]).toMatchObject({
    messages: ['resign'],
    reason: expect.stringContaining('REVOKED') as string,
  });
});

it('attack: a request that control refuses never reaches the signing zone', async () => {
  zones.acts.admitResign = async () => {
    throw refusal('NOT_AUTHORISED', 'alice may not ask for this');
  };
  expect(await (await start()).result()).toMatchObject({ kind: 'rejected', code: 'NOT_AUTHORISED' });
  expect(zones.names()).toEqual(['admitResign']);
});

it.each(['resign/digits', 'resign/digits/one', 'lifecycle/digits/1.0.0'])('fails under the id %s', async (id) => {
  await expect((await start(id)).result()).rejects.toThrow();
  expect(zones.names()).toEqual([]);
});
