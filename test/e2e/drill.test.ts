import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createGatewayClient } from '../../adapters/gateway/client.js';
import { endpointStatus, send } from '../../client/messages.js';
import { orderKill, orderRollback, requestRestore } from '../../client/requests.js';
import type { DrillPredicate } from '../../domain/drill.js';
import { endpointId } from '../../domain/names.js';
import type { Policy } from '../../domain/policy.js';
import { envelopeDigest } from '../../formats/dsse.js';
import { Bench, MODEL } from './harness.js';
import { until } from './support/until.js';

const NEXT = '1.1.0';
const drills = { model: MODEL, everySeconds: 86_400, rollbackMs: 60_000, killMs: 5_000, restoreMs: 60_000 };

describe('a drill of an endpoint that the policy declares for it', () => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await Bench.start((policy: Policy) => ({ ...policy, drills }));
    await bench.putFirstInService();
    await bench.start(await bench.source(NEXT));
    const waiting = await bench.openGate(NEXT);
    expect(await bench.tell(waiting.workflowId, 'approve', await bench.decision('alice', waiting))).toBe('accepted');
    await bench.reached(NEXT, 'in service');
    await bench.answers({ status: 200, version: NEXT });
  });
  afterAll(() => bench?.stop());

  test('goes back, stops, and comes back, by the schedule, each step measured where callers are', async () => {
    const { temporal } = bench.custody;
    const before = await endpointStatus(bench.custody, MODEL);
    const schedule = temporal.schedule.getHandle('drill');
    expect((await schedule.describe()).spec.intervals).toMatchObject([{ every: 86_400_000 }]);
    await schedule.trigger();
    const [started] = await until('the drill to begin', 180, async () => {
      const { recentActions } = (await schedule.describe()).info;
      return recentActions.length > 0 ? recentActions : null;
    });
    const workflowId = started?.action.type === 'startWorkflow' ? started.action.workflow.workflowId : '';
    const shown = (await temporal.workflow.getHandle(workflowId).result()) as DrillPredicate;
    expect(shown).toMatchObject({ model: MODEL, outcome: 'within' });
    expect(shown.steps.map(({ step }) => step)).toEqual(['rollback', 'kill', 'restore']);
    for (const { ms, agreedMs } of shown.steps) expect(ms).toBeLessThanOrEqual(agreedMs);

    const after = await endpointStatus(bench.custody, MODEL);
    expect(after).toMatchObject({ revision: before.revision + 2, serving: before.serving, killedBy: [] });
    await bench.answers({ status: 200, version: NEXT });

    const log = await bench.log();
    for (const change of ['endpoint.killed', 'endpoint.restored'])
      expect(log.find((record) => record.change === change)).toMatchObject({ actor: { id: 'drill' } });
    expect(log.find(({ change }) => change === 'drill.ended')).toMatchObject({
      subject: { model: MODEL },
      reason: `within: ${shown.reason}`,
    });

    const doctor = await bench.cli('--json', 'doctor');
    const findings = JSON.parse(doctor.stdout) as { what: string; ok: boolean; found: string }[];
    expect(findings.find(({ what }) => what === 'drill')).toMatchObject({
      ok: true,
      found: expect.stringMatching(/kept the agreed times: rollback \d+ of 60000 ms, kill \d+ of 5000 ms/) as string,
    });
    const metrics = async () => (await fetch(bench.custody.description.metrics.control)).text();
    await expect.poll(metrics).toMatch(/custody_drill_seconds\{model="digits",step="kill",zone="control"\} \d/);
    expect(await metrics()).toContain('custody_drill_alarm{model="digits",zone="control"} 0');
  });

  test('attack: with the key of drills nothing else is stopped, taken back or restored', async () => {
    const signer = await bench.signer('drill');
    const kill = orderKill(signer, 'letters', 'not its endpoint');
    await expect(send(bench.custody, endpointId(MODEL), 'kill', kill)).rejects.toMatchObject({
      code: 'NOT_AUTHORISED',
    });
    const gateway = createGatewayClient(bench.custody.description.gateway.admin);
    await expect(gateway.deliverKill(kill)).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
    const rollback = orderRollback(signer, 'letters', null, 'not its endpoint');
    await expect(send(bench.custody, endpointId(MODEL), 'rollback', rollback)).rejects.toMatchObject({
      code: 'NOT_AUTHORISED',
    });

    const order = orderKill(await bench.signer('oscar'), MODEL, 'it answers nonsense');
    await send(bench.custody, endpointId(MODEL), 'kill', order);
    await bench.answers({ status: 503 });
    const { revision } = await endpointStatus(bench.custody, MODEL);
    const restore = requestRestore(signer, MODEL, { kills: [envelopeDigest(order)], revision }, 600);
    await expect(send(bench.custody, endpointId(MODEL), 'restore', restore)).rejects.toMatchObject({
      code: 'NOT_AUTHORISED',
    });
    expect(await bench.call()).toMatchObject({ status: 503 });
    await bench.restore();
    await bench.answers({ status: 200, version: NEXT });
  });

  test('a drill that finds somebody at work is put off, and changes nothing', async () => {
    await send(bench.custody, endpointId(MODEL), 'kill', orderKill(await bench.signer('oscar'), MODEL, 'for now'));
    const before = await endpointStatus(bench.custody, MODEL);
    const byHand = await bench.custody.temporal.workflow.start('drill', {
      ...{ workflowId: 'drill-by-hand', taskQueue: 'control', args: [] },
    });
    expect(await byHand.result()).toMatchObject({ outcome: 'postponed', steps: [] });
    expect(await endpointStatus(bench.custody, MODEL)).toMatchObject({
      revision: before.revision,
      killedBy: before.killedBy,
    });
    await bench.restore();
    await bench.answers({ status: 200, version: NEXT });
  });
});
