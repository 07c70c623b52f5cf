import { expect, it } from 'vitest';
import type { promote } from '../../workflows/index.js';
import { startPromote } from '../../workflows/messages.js';
import { capture, startTimeSkipping } from '../support/temporal.js';
import { digestOf, envelope, refusal, stage } from '../support/zones.js';

const on = stage(startTimeSkipping);

const NAME = { model: 'digits', version: '1.0.0' };
const start = (workflowId = startPromote(NAME).workflowId) =>
  on.env.client.workflow.start<typeof promote>('promote', {
    ...startPromote(NAME),
    workflowId,
    args: [{ request: envelope('promote') }],
  });

it('has the request verified, the release verified by the signing zone, and that recorded', async () => {
  const handle = await start();
  const promoted = { release: digestOf('digits 1.0.0'), summary: digestOf('summary') };
  expect(await handle.result()).toEqual({ kind: 'promoted', ...promoted });
  expect(on.zones.names()).toEqual(['admitPromotion', 'summariseRelease', 'recordPromotion']);
  expect(on.zones.argsOf('summariseRelease')).toEqual([[NAME, digestOf('promote')]]);
  expect(on.zones.argsOf('recordPromotion')).toEqual([[NAME, digestOf('promote'), promoted]]);
  await capture(handle, 'promote-promoted');
});

it('audits what the signing zone refuses, and records nothing', async () => {
  on.zones.acts.summariseRelease = async () => {
    throw refusal('REVOKED', 'the release has been revoked');
  };
  const refused = { kind: 'rejected', code: 'REVOKED', reason: 'the release has been revoked' };
  const handle = await start();
  expect(await handle.result()).toEqual(refused);
  await capture(handle, 'promote-refused');
  expect(on.zones.names()).toEqual(['admitPromotion', 'summariseRelease', 'refuse']);
});

it('attack: a request that control refuses never reaches the signing zone', async () => {
  on.zones.acts.admitPromotion = async () => {
    throw refusal('NOT_AUTHORISED', 'alice may not ask for this');
  };
  expect(await (await start()).result()).toMatchObject({ kind: 'rejected', code: 'NOT_AUTHORISED' });
  expect(on.zones.names()).toEqual(['admitPromotion']);
});

it.each(['promote/digits', 'promote/digits/one', 'resign/digits/1.0.0'])('fails under the id %s', async (id) => {
  await expect((await start(id)).result()).rejects.toThrow();
  expect(on.zones.names()).toEqual([]);
});
