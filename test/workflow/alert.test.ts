import { expect, it } from 'vitest';
import type { alert } from '../../workflows/index.js';
import { startAlert } from '../../workflows/messages.js';
import { capture, startDevServer } from '../support/temporal.js';
import { digestOf, envelope, refusal, stage } from '../support/zones.js';

const on = stage(startDevServer);

const start = (workflowId = startAlert('nobody', digestOf('leak')).workflowId) =>
  on.env.client.workflow.start<typeof alert>('alert', {
    ...startAlert('nobody', digestOf('leak')),
    workflowId,
    args: [envelope('leak')],
  });

it('about a model without an endpoint ends with what control refused it for, as often as it is sent', async () => {
  const refused = { code: 'POLICY_REFUSED', reason: 'nobody does not serve' } as const;
  on.zones.acts.strayAlert = async () => {
    throw refusal(refused.code, refused.reason);
  };
  const handle = await start();
  expect(await handle.result()).toEqual({ kind: 'rejected', ...refused });
  await capture(handle, 'alert-rejected');
  expect(await (await start()).result()).toEqual({ kind: 'rejected', ...refused });
  expect(on.zones.argsOf('strayAlert')).toEqual([
    ['nobody', envelope('leak')],
    ['nobody', envelope('leak')],
  ]);
});

it('about one whose endpoint was gone is handed on', async () => {
  expect(await (await start()).result()).toEqual({ kind: 'handed on' });
  // Control has audited what it refused itself.
  expect(on.zones.refused).toEqual([]);
});

it.each(['alert/nobody', 'alert/nobody/1', `alert/No/${digestOf('leak')}`, `alert/a/b/${digestOf('leak')}`])(
  'attack: fails under the id %s',
  async (id) => {
    await expect((await start(id)).result()).rejects.toThrow();
    expect(on.zones.names()).toEqual([]);
  },
);
