import { expect, it } from 'vitest';
import type { resign } from '../../workflows/index.js';
import { startResign } from '../../workflows/messages.js';
import { capture, startTimeSkipping } from '../support/temporal.js';
import { digestOf, envelope, refusal, stage } from '../support/zones.js';

const on = stage(startTimeSkipping);

const NAME = { model: 'digits', version: '1.0.0' };
const start = (workflowId = startResign(NAME).workflowId) =>
  on.env.client.workflow.start<typeof resign>('resign', {
    ...startResign(NAME),
    workflowId,
    args: [{ request: envelope('resign') }],
  });

it('has the request verified, the release signed, and the signature recorded', async () => {
  const handle = await start();
  const resigned = { release: digestOf('digits 1.0.0'), signature: digestOf('signature 2'), already: false };
  expect(await handle.result()).toEqual({ kind: 'resigned', ...resigned });
  expect(on.zones.names()).toEqual(['admitResign', 'resignRelease', 'recordResigned']);
  expect(on.zones.argsOf('resignRelease')).toEqual([[NAME, digestOf('resign')]]);
  expect(on.zones.argsOf('recordResigned')).toEqual([[NAME, digestOf('resign'), resigned]]);
  await capture(handle, 'resign-resigned');
});

it('audits what the signing zone refuses, and records nothing', async () => {
  on.zones.acts.resignRelease = async () => {
    throw refusal('REVOKED', 'the release has been revoked');
  };
  const refused = { kind: 'rejected', code: 'REVOKED', reason: 'the release has been revoked' };
  const handle = await start();
  expect(await handle.result()).toEqual(refused);
  await capture(handle, 'resign-refused');
  expect(on.zones.names()).toEqual(['admitResign', 'resignRelease', 'refuse']);
  expect(on.zones.refused[0]).toMatchObject({
    messages: ['resign'],
    reason: expect.stringContaining('REVOKED') as string,
  });
});

it('attack: a request that control refuses never reaches the signing zone', async () => {
  on.zones.acts.admitResign = async () => {
    throw refusal('NOT_AUTHORISED', 'alice may not ask for this');
  };
  expect(await (await start()).result()).toMatchObject({ kind: 'rejected', code: 'NOT_AUTHORISED' });
  expect(on.zones.names()).toEqual(['admitResign']);
});

it.each(['resign/digits', 'resign/digits/one', 'lifecycle/digits/1.0.0'])('fails under the id %s', async (id) => {
  await expect((await start(id)).result()).rejects.toThrow();
  expect(on.zones.names()).toEqual([]);
});
