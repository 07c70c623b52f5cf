import { expect, it } from 'vitest';
import type { data } from '../../workflows/index.js';
import { startData } from '../../workflows/messages.js';
import { capture, startDevServer } from '../support/temporal.js';
import { attempt, deferred, digestOf, envelope, refusal, stage } from '../support/zones.js';

const on = stage(startDevServer);

const SOURCE = 'digits';
const INPUT = { statement: envelope('data'), handovers: [envelope('handover')], folder: 'file:///data/digits' };
let count = 0;

function register(statement = digestOf(`data ${(count += 1)}`)) {
  return on.env.client.workflow.start<typeof data>('data', { ...startData(SOURCE, statement), args: [INPUT] });
}

it('has data verified, compared, and then recorded', async () => {
  const handle = await register();
  expect(await handle.result()).toEqual({
    ...{ kind: 'registered', statement: digestOf('data'), by: 'dana', files: 3, bytes: 300 },
  });
  expect(on.zones.names()).toEqual(['admitData', 'takeData', 'recordData']);
  expect(on.zones.argsOf('admitData')).toEqual([[SOURCE, INPUT.statement, INPUT.handovers]]);
  await capture(handle, 'data-registered');
});

it('attack: data that nobody may vouch for are not even read', async () => {
  on.zones.acts.admitData = async () => {
    throw refusal('CUSTODY_BROKEN', 'there is a gap');
  };
  const handle = await register();
  expect(await handle.result()).toEqual({ kind: 'rejected', code: 'CUSTODY_BROKEN', reason: 'there is a gap' });
  await capture(handle, 'data-refused');
  expect(on.zones.names()).toEqual(['admitData']);
});

it('attack: data that are not what was signed for are not registered, and the log says why', async () => {
  on.zones.acts.takeData = async () => {
    throw refusal('DIGEST_MISMATCH', 'their list has another digest');
  };
  const outcome = await (await register()).result();
  expect(outcome).toMatchObject({ kind: 'rejected', code: 'DIGEST_MISMATCH' });
  expect(on.zones.names()).toEqual(['admitData', 'takeData', 'refuse']);
  expect(on.zones.argsOf('refuse')[0]?.[0]).toMatchObject({
    reason: 'admitted, and then refused: DIGEST_MISMATCH: their list has another digest',
  });
});

it('attack: intake that is killed while it compares is followed by another, and the data are registered once', async () => {
  const { takeData } = on.zones.acts;
  const killed = deferred();
  on.zones.dead.add('takeData');
  on.zones.acts.takeData = async (...args) => {
    if (attempt() === 1) await killed.promise;
    return takeData(...args);
  };
  expect(await (await register()).result()).toMatchObject({ kind: 'registered' });
  expect(on.zones.argsOf('recordData')).toHaveLength(1);
  killed.resolve();
});

it('attack: a workflow by another name is none', async () => {
  const started = on.env.client.workflow.start<typeof data>('data', {
    ...startData(SOURCE, digestOf('data')),
    workflowId: 'data/digits',
    args: [INPUT],
  });
  await expect((await started).result()).rejects.toMatchObject({ cause: { type: 'USAGE' } });
});
