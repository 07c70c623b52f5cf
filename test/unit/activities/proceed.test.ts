import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Decision } from '../../../activities/contract.js';
import type { Desk } from '../../../activities/control.js';
import { createGates } from '../../../activities/gate.js';
import { Journal } from '../../../activities/journal.js';
import { createProceedDesk } from '../../../activities/proceed.js';
import { createRollouts } from '../../../activities/rollout.js';
import { Router } from '../../../activities/router.js';
import { createMemoryStore } from '../../../adapters/object-store/memory.js';
import { Records } from '../../../adapters/records.js';
import type { AuditRecord } from '../../../domain/audit.js';
import type { Proceeding, RolloutOrder } from '../../../domain/endpoint.js';
import type { OpenGate } from '../../../domain/lifecycle.js';
import { endpointId } from '../../../domain/names.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { decide } from '../../../client/requests.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { createWorld, type KeyName, type Route, type World } from '../../support/world.js';
import { Cleanup, startRig, type Rig } from '../gateway/rig.js';

const MODEL = 'digits';
const cleanup = new Cleanup();
let world: World;
let records: Records;
let rig: Rig;
let desk: Desk;
let order: RolloutOrder;
let log: AuditRecord[];

/** 1.0.0 serves, 1.1.0 is at the first step of its plan, and people are to be asked after it. */
beforeEach(async () => {
  const steps = [
    { weight: 10, bakeSeconds: 0.001, pause: true },
    { weight: 100, bakeSeconds: 0.001 },
  ] as const;
  world = createWorld({ policy: (policy) => ({ ...policy, rollout: { ...policy.rollout, steps } }) });
  const bucket = createMemoryStore().bucket('test-custody');
  await bucket.createOnce(storeKeys.policy(1), canonicalBytes(world.policyEnvelope));
  records = new Records(bucket, world.root);
  rig = await startRig(world, cleanup);
  log = [];
  const [audit, gateways] = [{ append: async (added: AuditRecord[]) => void log.push(...added) }, [rig.client]];
  const control = { records, key: world.keys.control, id: 'control', audit, gateways };
  const router = new Router({ ...control, onJunk: () => undefined });
  desk = { ...control, router, journal: new Journal(audit) } as unknown as Desk;
  const first = world.release({ version: '1.0.0' });
  const chain = world.inService(first);
  for (const route of chain) await keep(route);
  const fresh = world.release({ version: '1.1.0', after: chain.at(-1) as Route });
  await rig.serve(first);
  await rig.serve(fresh);
  for (const each of [fresh.request, ...fresh.approvals])
    await records.keep(each.envelope, each === fresh.request ? storeKeys.request(each.digest) : undefined);
  order = {
    request: fresh.request.digest,
    approvals: fresh.approvals.map(({ digest }) => digest),
    ...{ release: fresh.release, version: '1.1.0', replyTo: 'lifecycle/digits/1.1.0' },
  };
  await route(0, null);
});
afterEach(() => cleanup.run());

async function keep({ document, envelope, request, approvals, digest }: Route): Promise<void> {
  await records.keep(envelope, storeKeys.route(MODEL, document.revision));
  if (request === null) return;
  await records.keep(request.envelope, storeKeys.request(request.digest));
  for (const each of approvals) await records.keep(each.envelope);
  await records.recordOnce(
    storeKeys.grounds(digest),
    approvals.map((each) => each.digest),
  );
}

const inActivity = <T>(act: () => Promise<T>): Promise<T> =>
  new MockActivityEnvironment({ workflowExecution: { workflowId: endpointId(MODEL), runId: 'run-1' } }).run(act);
const route = (step: number, agreed: Proceeding | null) =>
  inActivity(() => createRollouts(desk).routeStep(MODEL, order, step, agreed));
const open = (): Promise<OpenGate> => inActivity(() => createProceedDesk(desk).openStepGate(MODEL, order, 1));
const say = async (gate: OpenGate, by: KeyName): Promise<Decision> => {
  const { verified } = await records.get('request', gate.request);
  return { message: 'approve', envelope: decide({ key: world.keys[by] }, verified, 'approve', 'looks right') };
};
const count = (gate: OpenGate, decisions: readonly Decision[]) =>
  inActivity(() => createGates(desk).decide({ gate, act: 'proceed', counted: [], decisions }));

describe('the gate after a step that pauses', () => {
  test('is a request about that step, in the store and in the log, and is opened once', async () => {
    const gate = await open();
    const { predicate } = (await records.get('request', gate.request)).verified;
    expect(predicate).toMatchObject({
      ...{ workflowId: 'endpoint/digits', model: MODEL, version: '1.1.0', release: order.release, requester: 'ci' },
      action: { kind: 'proceed', deploy: order.request, step: 1, weight: 100 },
    });
    expect(gate).toMatchObject({ role: 'release-approver', count: 1, expiresAt: predicate.expiresAt });
    expect(await open()).toEqual(gate);
    expect(log.filter(({ change }) => change === 'gate.opened')).toHaveLength(1);
  });

  test('what people say at it opens the next step, at the gateway, too', async () => {
    const gate = await open();
    const { outcome } = await count(gate, [await say(gate, 'alice')]);
    if (outcome.kind !== 'approved') throw new Error(`it is ${outcome.kind}`);
    const agreed = { request: outcome.approved.request, approvals: outcome.approved.approvals };
    await expect
      .poll(() => route(1, agreed).catch((error: { code: string }) => error.code))
      .toMatchObject({ last: true, pauses: false });
    expect((await rig.model()).serving[0]).toMatchObject({ version: '1.1.0', weight: 100 });
    // A gateway that comes later is given the same.
    const late = await startRig(world, cleanup);
    await late.serve({ name: { model: MODEL, version: '1.1.0' }, release: order.release } as never);
    await desk.router.deliver(MODEL, [late.client]);
    expect(await late.model()).toMatchObject({ revision: (await rig.model()).revision });
  });

  test('attack: control goes on without people, or with those who have no say: no document is made', async () => {
    const gate = await open();
    const nobody = { request: gate.request, approvals: [] };
    for (const agreed of [null, nobody, { request: order.request, approvals: order.approvals }])
      await expect(route(1, agreed)).rejects.toMatchObject({
        code: agreed?.request === order.request ? 'REPLAYED' : 'NOT_AUTHORISED',
      });
    const { verdicts } = await count(gate, [await say(gate, 'oscar')]);
    expect(verdicts).toMatchObject([{ accepted: false, code: 'NOT_AUTHORISED' }]);
    expect(await rig.model()).toMatchObject({ plan: { step: 0 }, serving: [{ weight: 10 }, { weight: 90 }] });
  });

  test('attack: a document that control signs all the same is refused by the gateway', async () => {
    const current = await desk.router.current(MODEL);
    const forged = world.route(
      current as unknown as Route,
      {
        ...{ change: 'plan', plan: { request: order.request, step: 1 }, restore: null, lifted: [] },
        releases: current!.document.releases.map((entry, at) => ({ ...entry, weight: at === 0 ? 100 : 0 })),
        triggers: current!.document.triggers,
      },
      MODEL,
    );
    const request = (await records.get('request', order.request)).envelope;
    const approvals = await Promise.all(
      order.approvals.map(async (each) => (await records.get('approval', each)).envelope),
    );
    await expect(rig.client.deliverRoute({ ...forged.delivery, request, approvals })).rejects.toMatchObject({
      code: 'NOT_AUTHORISED',
      message: expect.stringContaining('the plan pauses') as string,
    });
  });
});
