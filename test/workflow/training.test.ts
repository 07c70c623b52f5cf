import { expect, it } from 'vitest';
import type { training } from '../../workflows/index.js';
import { startTraining } from '../../workflows/messages.js';
import { capture, captureRuns, startTimeSkipping } from '../support/temporal.js';
import { decision, digestOf, envelope, refusal, stage } from '../support/zones.js';

const on = stage(startTimeSkipping);

const send = (workflowId: string, name: string, payload: unknown) =>
  on.env.client.workflow.getHandle(workflowId).signal(name, payload);
const ask = (continueAfter: number | null = null, workflowId = startTraining('digits', 'run-1').workflowId) =>
  on.env.client.workflow.start<typeof training>('training', {
    ...startTraining('digits', 'run-1'),
    workflowId,
    args: [{ request: envelope('train') }, continueAfter],
  });
const ended = () => on.zones.argsOf('recordTraining').map((args) => args[3]);

it('trains once people agree, also over several histories; the zone is given what they said', async () => {
  const handle = await ask(10);
  await on.zones.called('examine');
  await send(handle.workflowId, 'approve', decision('alice', 'train-1'));
  await on.zones.called('decide');
  const now = async () => (await on.env.client.workflow.getHandle(handle.workflowId).describe()).runId;
  await expect.poll(now).not.toBe(handle.firstExecutionRunId);
  await send(handle.workflowId, 'approve', decision('bob', 'train-1'));
  expect(await handle.result()).toMatchObject({ kind: 'trained' });
  expect(on.zones.argsOf('examine')).toHaveLength(1);
  expect(on.zones.argsOf('train')[0]?.[3]).toHaveLength(2);
  expect(ended()).toEqual([{ kind: 'trained', statement: digestOf('provenance') }]);
  await captureRuns(on.env.client, handle, ['training-continued', 'training-taken-over']);
});

it('trains in one go', async () => {
  const handle = await ask();
  await on.zones.called('examine');
  for (const by of ['alice', 'bob']) await send(handle.workflowId, 'approve', decision(by, 'train-1'));
  expect(await handle.result()).toMatchObject({ kind: 'trained' });
  expect([...new Set(on.zones.names())]).toEqual(['openTrainingGate', 'examine', 'decide', 'train', 'recordTraining']);
  await capture(handle, 'training-trained');
});

it('attack: runs nothing that too few agree to, that one rejects, or that the zone finds wanting; each is recorded', async () => {
  const early = await ask();
  await on.zones.called('openTrainingGate');
  await send(early.workflowId, 'approve', decision('alice', 'train-1'));
  await send(early.workflowId, 'approve', decision('alice', 'train-1'));
  expect(await early.result()).toEqual({ kind: 'expired' });
  await capture(early, 'training-expired');

  const rejected = await ask();
  await on.zones.called('openTrainingGate', 2);
  await send(rejected.workflowId, 'reject', decision('bob', 'train-1', 'reject'));
  expect(await rejected.result()).toMatchObject({ kind: 'rejected', code: 'POLICY_REFUSED' });
  await capture(rejected, 'training-rejected');

  on.zones.acts.examine = async () => {
    throw refusal('NOT_AUTHORISED', '1 more with the role reviewer must approve the commit');
  };
  const refused = await ask();
  expect(await refused.result()).toMatchObject({ kind: 'rejected', code: 'NOT_AUTHORISED' });
  await capture(refused, 'training-refused');
  expect(on.zones.names()).not.toContain('train');
  expect(ended()).toMatchObject([{ code: 'EXPIRED' }, { code: 'POLICY_REFUSED' }, { code: 'NOT_AUTHORISED' }]);
});

it('attack: what control does not admit reaches no other zone', async () => {
  on.zones.acts.openTrainingGate = async () => {
    throw refusal('NOT_AUTHORISED', 'mallory may not ask for this');
  };
  expect(await (await ask()).result()).toMatchObject({ kind: 'rejected', code: 'NOT_AUTHORISED' });
  expect(on.zones.names()).toEqual(['openTrainingGate']);
});

it.each(['training/digits', 'training/digits/run-1/x', 'lift/digits/1.0.0'])(
  'trains nothing under the id %s',
  async (id) => {
    await expect((await ask(null, id)).result()).rejects.toThrow();
    expect(on.zones.names()).toEqual([]);
  },
);
