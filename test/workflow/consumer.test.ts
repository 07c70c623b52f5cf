import { expect, it } from 'vitest';
import type { consumer } from '../../workflows/index.js';
import { startConsumer } from '../../workflows/messages.js';
import { capture, startTimeSkipping } from '../support/temporal.js';
import { digestOf, envelope, refusal, stage } from '../support/zones.js';

const on = stage(startTimeSkipping);

const start = (sequence: number, workflowId = startConsumer('checkout', sequence).workflowId) =>
  on.env.client.workflow.start<typeof consumer>('consumer', {
    ...startConsumer('checkout', sequence),
    workflowId,
    args: [envelope(`checkout ${sequence}`)],
  });

it('takes the statement that it was given, and says which', async () => {
  const handle = await start(1);
  expect(await handle.result()).toEqual({
    kind: 'declared',
    statement: digestOf('checkout 1'),
    by: 'oscar',
    already: false,
    added: ['digits'],
  });
  expect(on.zones.argsOf('declareConsumer')).toEqual([['checkout', 1, envelope('checkout 1')]]);
  expect(on.zones.argsOf('wakeEndings')).toEqual([[['digits']]]);
  await capture(handle, 'consumer-declared');
});

it('ends with what it was refused for, and can be started again', async () => {
  on.zones.acts.declareConsumer = async () => {
    throw refusal('REPLAYED', 'checkout was declared with the number 2');
  };
  const refused = { kind: 'rejected', code: 'REPLAYED', reason: 'checkout was declared with the number 2' };
  const handle = await start(2);
  expect(await handle.result()).toEqual(refused);
  await capture(handle, 'consumer-rejected');
  expect(await (await start(2)).result()).toEqual(refused);
});

it('attack: a message to it is refused and audited, since nothing waits for one', async () => {
  let goOn = (): void => undefined;
  const held = new Promise<void>((done) => (goOn = done));
  const { declareConsumer } = on.zones.acts;
  on.zones.acts.declareConsumer = async (...given) => {
    await held;
    return declareConsumer(...given);
  };
  const handle = await start(3);
  await handle.signal('approve', envelope('yes'));
  await on.zones.called('refuse');
  goOn();
  expect(await handle.result()).toMatchObject({ kind: 'declared' });
  expect(on.zones.refused).toEqual([{ reason: 'no message has this name', messages: ['approve'], dropped: 0 }]);
});

it.each(['consumer/checkout/0', 'consumer/checkout', 'consumer/Check/1', 'consumer/a/b/1'])(
  'fails under the id %s',
  async (id) => {
    await expect((await start(4, id)).result()).rejects.toThrow();
    expect(on.zones.names()).toEqual([]);
  },
);
