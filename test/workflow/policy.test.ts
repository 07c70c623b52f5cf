import { expect, it } from 'vitest';
import type { policy } from '../../workflows/index.js';
import { startPolicy } from '../../workflows/messages.js';
import { capture, startTimeSkipping } from '../support/temporal.js';
import { digestOf, envelope, refusal, stage } from '../support/zones.js';

const on = stage(startTimeSkipping);

const start = (version: number, workflowId = startPolicy(version).workflowId) =>
  on.env.client.workflow.start<typeof policy>('policy', {
    ...startPolicy(version),
    workflowId,
    args: [envelope(`policy ${version}`)],
  });

it('puts the policy that it was given into force, and says which', async () => {
  const handle = await start(2);
  const outcome = await handle.result();
  expect(outcome).toEqual({
    kind: 'applied',
    version: 2,
    digest: digestOf('policy 2'),
    signers: ['rosa'],
    already: false,
  });
  expect(on.zones.argsOf('applyPolicy')).toEqual([[2, envelope('policy 2')]]);
  await capture(handle, 'policy-applied');
});

it('ends with what it was refused for, and can be started again', async () => {
  on.zones.acts.applyPolicy = async () => {
    throw refusal('POLICY_REFUSED', 'it says it is version 4');
  };
  const refused = { kind: 'rejected', code: 'POLICY_REFUSED', reason: 'it says it is version 4' };
  const handle = await start(3);
  expect(await handle.result()).toEqual(refused);
  await capture(handle, 'policy-rejected');
  expect(await (await start(3)).result()).toEqual(refused);
});

it('attack: a message to it is refused and audited, since nothing waits for one', async () => {
  let goOn = (): void => undefined;
  const held = new Promise<void>((done) => (goOn = done));
  const { applyPolicy } = on.zones.acts;
  on.zones.acts.applyPolicy = async (version, signed) => {
    await held;
    return applyPolicy(version, signed);
  };
  const handle = await start(5);
  await handle.signal('approve', envelope('yes'));
  await on.zones.called('refuse');
  goOn();
  expect(await handle.result()).toMatchObject({ kind: 'applied' });
  expect(on.zones.refused).toEqual([{ reason: 'no message has this name', messages: ['approve'], dropped: 0 }]);
});

it.each(['policy/0', 'policy/01', 'policy/two', 'policy/2/3', 'policy/1e3'])('fails under the id %s', async (id) => {
  await expect((await start(2, id)).result()).rejects.toThrow();
  expect(on.zones.names()).toEqual([]);
});
