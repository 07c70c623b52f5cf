import { WorkflowUpdateFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { beforeEach, describe, expect, test } from 'vitest';
import { createDrill, noteOverdueDrill, type DrillDeps } from '../../../activities/drill.js';
import { createKill } from '../../../activities/kill.js';
import { createRollouts } from '../../../activities/rollout.js';
import { drillReport } from '../../../adapters/drill-runs.js';
import type { CallerSight } from '../../../adapters/gateway/caller.js';
import type { GatewayClient } from '../../../adapters/gateway/client.js';
import { DRILL_ORDER_SECONDS, type DrillMeasured, type DrillStep } from '../../../domain/drill.js';
import type { SignedEnvelope } from '../../../domain/statements.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { isoTime, plusSeconds } from '../../../domain/time.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { keyRing, verifyStatement } from '../../../formats/statements.js';
import { createWorld, withDrills, type KeyName, type Release, type Route, type World } from '../../support/world.js';
import { startDesk, type DeskRig } from './rig.js';

const MODEL = 'digits';
let world: World;
let rig: DeskRig;
let [first, second]: Release[] = [];
let serving: Route;
let begun: { model: string; serving: string; earlier: string };

/** 1.1.0 serves and 1.0.0 is warm. */
beforeEach(async () => {
  world = createWorld({ policy: withDrills() });
  rig = await startDesk(world);
  first = world.release({ version: '1.0.0' });
  const steady = world.inService(first);
  second = world.release({ version: '1.1.0', after: steady.at(-1)! });
  const chain = [...steady, ...world.inService(second, steady.at(-1))];
  for (const route of chain) await rig.keep(route);
  serving = chain.at(-1)!;
  for (const { release, manifestText } of [first, second])
    await rig.put(storeKeys.manifest(release), Buffer.from(manifestText));
  begun = { model: MODEL, serving: second.release, earlier: first.release };
});

const run = <T>(act: () => Promise<T>, info: object = {}): Promise<T> =>
  new MockActivityEnvironment({ activityId: 'a', ...info }).run<[], T, () => Promise<T>>(act);
const codeOf = (act: Promise<unknown>): Promise<string> =>
  act.then(
    () => 'accepted',
    (error: { code: string }) => error.code,
  );
const refused = (): unknown[] => rig.log.filter(({ change }) => change === 'message.refused');

describe('an order of a drill at the desks of people', () => {
  test('to roll back keeps what it goes back from, and stops no replica', async () => {
    const { checkRollback, rollBack } = createRollouts(rig.desk);
    const { target, reason, statement } = await run(() =>
      checkRollback(MODEL, world.rollbackOrder('driller').envelope),
    );
    expect(target).toBe(begun.earlier);
    const { serving, stopped } = await run(() => rollBack(MODEL, target, reason, statement));
    expect(serving.map(({ version, weight }) => `${version} ${weight}`)).toEqual(['1.0.0 100', '1.1.0 0']);
    expect(stopped).toEqual([]);
    expect((await rig.router.current(MODEL))?.document.drill).toBe(statement);
  });

  test('of a person drops it, as ever', async () => {
    const { checkRollback, rollBack } = createRollouts(rig.desk);
    const { target, reason, statement } = await run(() => checkRollback(MODEL, world.rollbackOrder().envelope));
    const { stopped } = await run(() => rollBack(MODEL, target, reason, statement));
    expect(stopped).toMatchObject([{ version: '1.1.0' }]);
  });

  test.each<[string, () => Promise<unknown>]>([
    [
      'to roll back another model',
      () =>
        createRollouts(rig.desk).checkRollback(
          'letters',
          world.rollbackOrder('driller', { model: 'letters' }).envelope,
        ),
    ],
    [
      'to stop another model',
      () =>
        createKill({ ...rig.desk, gateways: [] }).killEndpoint(
          'letters',
          world.kill('driller', { model: 'letters' }).envelope,
        ),
    ],
    ['to restore what a person has stopped', () => restoreOf('oscar')],
    ['to restore what control has stopped', () => restoreOf('control')],
  ])('attack: %s is refused, and audited', async (_, act) => {
    expect(await codeOf(run(act))).toBe('NOT_AUTHORISED');
    expect(refused()).toHaveLength(1);
  });

  test('attack: it goes back no further than by one, and not in a rollout', async () => {
    const far = world.rollbackOrder('driller', { target: second!.release });
    const check = (envelope: SignedEnvelope) =>
      codeOf(run(() => createRollouts(rig.desk).checkRollback(MODEL, envelope)));
    expect(await check(far.envelope)).toBe('POLICY_REFUSED');
    await rig.keep(world.routePlan(serving, world.release({ version: '1.2.0', after: serving })));
    expect(await check(world.rollbackOrder('driller').envelope)).toBe('POLICY_REFUSED');
    expect(await check(world.rollbackOrder('oscar').envelope)).toBe('accepted');
  });

  test('to restore its own kill needs nobody; an ordinary one needs its quorum', async () => {
    expect(await run(() => restoreOf('driller'))).toMatchObject({ count: 0, role: 'drill' });
    expect(rig.log.at(-1)).toMatchObject({ change: 'gate.opened', actor: { id: 'driller' } });
    expect(await run(() => restoreOf('oscar', 'otto'))).toMatchObject({ count: 2, role: 'operator' });
  });
});

async function restoreOf(by: KeyName, asker: KeyName = 'driller') {
  const kill = world.kill(by);
  await rig.put(storeKeys.kill(MODEL, kill.digest), canonicalBytes(kill.envelope));
  const current = (await rig.router.current(MODEL)) ?? expect.fail('no route');
  const times = { issuedAt: world.at(0), expiresAt: plusSeconds(world.at(0), DRILL_ORDER_SECONDS) };
  const request = world.restoreRequest(current, [kill.digest], { requester: asker, ...times }, asker);
  return createKill(rig.desk).openRestoreGate(MODEL, request.envelope);
}

describe('a step', () => {
  let told: { name: string; order: SignedEnvelope }[];
  let answer: CallerSight | null;
  let verdict: () => Promise<unknown>;
  beforeEach(() => {
    told = [];
    answer = { release: begun.serving, status: 200, code: null };
    verdict = async () => null;
  });

  function deps(change: Partial<DrillDeps> = {}): DrillDeps {
    const handle = {
      executeUpdate: async (name: string, { args: [order] }: { args: [SignedEnvelope] }) => {
        told.push({ name, order });
        return verdict();
      },
    };
    const temporal = { workflow: { getHandle: () => handle }, withDeadline: (_: number, act: () => unknown) => act() };
    const replicas = [begun.serving, begun.earlier].map((release) => ({ release }));
    const gateway = { state: async () => ({ models: [{ model: MODEL, replicas }] }) };
    return {
      ...{ records: rig.records, router: rig.router, key: world.keys.control, id: 'control' },
      audit: { append: async (added) => void rig.log.push(...added) },
      temporal: temporal as unknown as DrillDeps['temporal'],
      gateways: [gateway as unknown as GatewayClient],
      driller: { id: 'driller', key: world.keys.driller, callers: [{ url: '', ask: async () => answer }] },
      ...change,
    };
  }
  const info = (attempt = 1) => ({ attempt, workflowExecution: { workflowId: 'drill', runId: 'run-1' } });
  const step = (which: DrillStep, attempt = 1): Promise<DrillMeasured> =>
    run(() => createDrill(deps()).drillStep(which, begun), info(attempt));

  test('is begun where callers are served and the release before is alive', async () => {
    expect(await run(() => createDrill(deps()).beginDrill())).toEqual({ kind: 'ready', ...begun });
    answer = { release: null, status: 503, code: 'STATUS_STALE' };
    expect(await run(() => createDrill(deps()).beginDrill())).toEqual({
      ...{ kind: 'failed', why: 'gateway 1 answers 503 STATUS_STALE' },
    });
    answer = { release: begun.serving, status: 200, code: null };
    const cold = { state: async () => ({ models: [{ model: MODEL, replicas: [{ release: begun.serving }] }] }) };
    const gateways = [cold as unknown as GatewayClient];
    expect(await run(() => createDrill(deps({ gateways })).beginDrill())).toMatchObject({ kind: 'failed' });
  });

  test('is measured until callers see it, by an order that a drill has signed for this model', async () => {
    verdict = async () => {
      answer = { release: null, status: 503, code: 'KILLED' };
    };
    const { ms, trouble } = await step('kill');
    expect(trouble).toBeNull();
    expect(ms).toBeGreaterThanOrEqual(0);
    const [{ name, order } = expect.fail('nothing was told')] = told;
    expect(name).toBe('kill');
    expect(verifyStatement(order, 'kill', keyRing(world.policy))).toMatchObject({
      ...{ signers: ['driller'], predicate: { model: MODEL } },
    });
  });

  test('attack: what looks like it is not it', async () => {
    for (const other of [
      { release: null, status: 503, code: 'STATUS_STALE' },
      { release: begun.serving, status: 500, code: 'KILLED' },
      null,
    ]) {
      answer = other;
      verdict = async () => {
        throw new WorkflowUpdateFailedError('failed', ApplicationFailure.nonRetryable('later', 'EXPIRED'));
      };
      expect(await step('kill')).toEqual({ ms: null, trouble: 'EXPIRED: later' });
    }
  });

  test('gives its order once, however often it is begun: the time that was lost counts', async () => {
    verdict = async () => {
      throw new Error('the worker dies');
    };
    answer = { release: begun.earlier, status: 200, code: null };
    await expect(step('rollback')).rejects.toThrow('the worker dies');
    const lostAt = Date.now();
    verdict = async () => null;
    const { ms } = await step('rollback', 2);
    expect(ms).toBeGreaterThanOrEqual(Date.now() - lostAt - 1_000);
    expect(told[1]).toEqual(told[0]);
  });

  test('attack: of another endpoint is refused, whoever started the workflow', async () => {
    const other = { ...begun, model: 'letters' };
    expect(await codeOf(run(() => createDrill(deps()).drillStep('kill', other), info()))).toBe('NOT_AUTHORISED');
    expect(told).toEqual([]);
  });

  test('attack: restores nothing where this drill has stopped nothing', async () => {
    expect(await codeOf(step('restore'))).toBe('POLICY_REFUSED');
    expect(told).toEqual([]);
  });

  test('without a key is none', async () => {
    expect(await codeOf(run(() => createDrill(deps({ driller: null })).drillStep('kill', begun), info()))).toBe(
      'CONFIG_INVALID',
    );
  });

  describe('what it has shown', () => {
    const startedAt = isoTime(Date.now() - 1000);
    const taken = (ms: number | null) => [{ step: 'kill', ms, trouble: null }] as const;
    const record = (ms: number | null, at = startedAt) =>
      run(() => createDrill(deps()).recordDrill({ startedAt: at, begun, steps: taken(ms), notHeld: null }), info());

    test.each([
      [500, 'within', 'drill.ended'],
      [501, 'over', 'drill.alarm'],
      [null, 'failed', 'drill.alarm'],
    ] as const)('%s of 500 ms is %s: signed, kept, and in the log as %s', async (ms, outcome, change) => {
      expect(await record(ms)).toMatchObject({ outcome });
      expect(await record(ms)).toMatchObject({ outcome });
      const { last, troubles } = await drillReport(rig.records);
      expect(last).toMatchObject({ outcome, model: MODEL });
      expect(troubles).toHaveLength(outcome === 'within' ? 0 : 1);
      expect(rig.log.at(-1)).toMatchObject({ change, after: last?.statement, actor: { id: 'control' } });
    });

    test('attack: what control has not signed is no drill', async () => {
      await record(501);
      const at = Date.now();
      const forged = { ...(await record(501)), startedAt: isoTime(at), outcome: 'within' as const };
      const { envelope } = world.statement('drill', { name: 'drill', sha256: 'f'.repeat(64) }, forged, 'driller');
      await rig.put(storeKeys.drill(at), canonicalBytes(envelope));
      expect((await drillReport(rig.records, at + 1)).last).toMatchObject({ outcome: 'over' });
    });

    test('attack: a drill that is put off hides nothing of what the one before it has shown', async () => {
      await record(501);
      const notHeld = { kind: 'postponed', why: 'a release is being rolled out' } as const;
      const at = isoTime(Date.now());
      await run(() => createDrill(deps()).recordDrill({ startedAt: at, begun: null, steps: [], notHeld }), info());
      const { last, held, troubles } = await drillReport(rig.records);
      expect([last?.outcome, held?.outcome]).toEqual(['postponed', 'over']);
      expect(troubles).toEqual([expect.stringContaining('took longer than agreed')]);
    });

    test('is missed when none comes: said once a day, until one is held', async () => {
      expect((await drillReport(rig.records)).overdue).toBeNull();
      expect((await drillReport(rig.records, Date.now() + 7_300_000)).overdue).toMatch(/no drill of digits/);
      await run(() => noteOverdueDrill(rig.records, deps().audit, 'control'));
      expect(rig.log.filter(({ change }) => change === 'drill.alarm')).toEqual([]);
      await record(null, isoTime(Date.now() + 7_200_000));
      expect((await drillReport(rig.records, Date.now() + 7_300_000)).troubles).toHaveLength(2);
      await record(1, isoTime(Date.now() + 7_250_000));
      expect((await drillReport(rig.records, Date.now() + 7_300_000)).troubles).toEqual([]);
    });
  });
});
