import { WorkflowUpdateFailedError, type WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AlertAct } from '../../domain/alert.js';
import {
  rolloutOf,
  type EndpointStatus,
  type RolloutOrder,
  type ServiceVerdict,
  type StepVerdict,
  type Unnoted,
} from '../../domain/endpoint.js';
import type { SignedEnvelope } from '../../domain/statements.js';
import type { endpoint, lifecycle } from '../../workflows/index.js';
import {
  decisionSignal,
  decisionUpdate,
  endpointStatusQuery,
  lifecycleStatusQuery,
  rolloutEndedSignal,
  rolloutSignal,
  routesChangedSignal,
  startEndpoint,
  startLifecycle,
  type EndpointDecision,
} from '../../workflows/messages.js';
import { capture, captureRuns, startDevServer } from '../support/temporal.js';
import {
  attempt,
  decision,
  deferred,
  digestOf,
  envelope,
  obstacle,
  orderOf,
  refusal,
  watching,
  stage,
} from '../support/zones.js';

const on = stage(startDevServer);
let model: string;
let handle: WorkflowHandle<typeof endpoint>;
let count = 0;
// The machine may be busy with other things.
/** How long undoing a rollout takes, where that is measured. */
const UNDONE_MS = 50;

beforeEach(() => {
  model = `digits-${(count += 1)}`;
});
afterEach(async () => {
  await handle?.terminate('the test has ended').catch(() => undefined);
});

const start = async (continueAfterEvents: number | null = null): Promise<void> => {
  handle = await on.env.client.workflow.start<typeof endpoint>('endpoint', {
    ...startEndpoint(model),
    args: [continueAfterEvents],
  });
  handle = on.env.client.workflow.getHandle(handle.workflowId);
};
const order = async (version: string): Promise<RolloutOrder> => {
  const made = orderOf(model, version);
  await handle.signal(rolloutSignal, made);
  return made;
};
const update = (name: EndpointDecision, message: SignedEnvelope) =>
  handle.executeUpdate(decisionUpdate(name), { args: [message] });
const status = (): Promise<EndpointStatus> => handle.query(endpointStatusQuery);
const codeOf = (error: unknown): unknown =>
  error instanceof WorkflowUpdateFailedError && error.cause instanceof ApplicationFailure ? error.cause.type : error;
const never = (): Promise<StepVerdict> => watching(new Promise(() => undefined));
const replies = () => on.zones.argsOf('replyRollout').map(([to, ended]) => ({ to, ...ended.result }));

describe('a rollout', () => {
  it('goes through the steps of its plan to promotion, and what it replaced for good is stopped', async () => {
    const { promoteRelease } = on.zones.acts;
    const oldest = { model, version: '0.9.0', release: digestOf('oldest') };
    on.zones.acts.promoteRelease = async (...args) => ({ ...(await promoteRelease(...args)), stopped: [oldest] });
    await start();
    const { replyTo, release } = await order('1.1.0');
    await on.zones.called('replyRollout');
    await on.zones.called('stopRelease');
    expect(replies()).toEqual([{ to: replyTo, kind: 'promoted', revision: 4 }]);
    expect(on.zones.argsOf('watchStep').map(([, revision]) => revision)).toEqual([1, 2, 3]);
    await on.zones.called('noteVerdict', 3);
    expect(on.zones.argsOf('noteVerdict').map(([of, { verdict }]) => [of, verdict])).toEqual(
      [1, 2, 3].map((revision) => [model, { kind: 'pass', revision, samples: 100 }]),
    );
    expect(on.zones.argsOf('stopRelease')).toEqual([[{ model, version: '0.9.0' }, digestOf('oldest')]]);
    expect(await status()).toMatchObject({ revision: 4, rollout: null, serving: [{ release, version: '1.1.0' }] });
    expect(on.zones.argsOf('rollBack')).toEqual([]);
    await capture(handle, 'endpoint-promoted');
  });

  it.each(['fail', 'inconclusive'] as const)('is rolled back when a step ends with %s', async (kind) => {
    const { rollBack } = on.zones.acts;
    on.zones.acts.watchStep = async (_model, revision) =>
      revision < 2 ? { kind: 'pass', revision, samples: 9 } : { kind, revision, reason: '3 % errors' };
    on.zones.acts.rollBack = async (...args) => {
      await new Promise((done) => setTimeout(done, UNDONE_MS));
      return rollBack(...args);
    };
    await start();
    const made = await order('1.1.0');
    await on.zones.called('replyRollout');
    const [end] = replies();
    expect(end).toMatchObject({ to: made.replyTo, kind: 'rolled back', revision: 3, reason: `${kind}: 3 % errors` });
    // From the verdict on, by the clock of the workflow.
    expect(end?.kind === 'rolled back' && end.tookMs).toBeGreaterThanOrEqual(UNDONE_MS);
    expect((await status()).ended).toMatchObject([{ result: { tookMs: expect.any(Number) } }]);
    expect(on.zones.argsOf('rollBack')).toEqual([[model, null, `${kind}: 3 % errors`, made.request]]);
    expect(on.zones.names()).not.toContain('promoteRelease');
    if (kind === 'fail') await capture(handle, 'endpoint-rolled-back');
  });

  it('ignores verdicts on another revision, and never takes them for a pass', async () => {
    on.zones.acts.watchStep = async () => ({ kind: 'pass', revision: 99, samples: 9 });
    await start();
    await order('1.1.0');
    await on.zones.called('replyRollout');
    expect(replies()).toMatchObject([{ kind: 'rolled back' }]);
  });

  it('that is refused before anything was routed changes no route', async () => {
    on.zones.acts.startRelease = async () => {
      throw refusal('DIGEST_MISMATCH', 'weights.safetensors has other bytes');
    };
    await start();
    await order('1.1.0');
    await on.zones.called('replyRollout');
    expect(replies()).toMatchObject([{ kind: 'refused', code: 'DIGEST_MISMATCH' }]);
    expect(on.zones.names().filter((name) => ['routeStep', 'rollBack'].includes(name))).toEqual([]);
  });

  it('waits for a serving host whose disk is full, says so, and ends when it is told to', async () => {
    on.zones.acts.startRelease = async () => {
      throw obstacle('NO_SPACE', '/replicas is full: free some space');
    };
    await start();
    await order('1.1.0');
    const trouble = ['cannot start 1.1.0: NO_SPACE: /replicas is full: free some space'];
    await expect.poll(async () => (await status()).trouble).toEqual(trouble);
    expect(await update('kill', envelope('stop'))).toMatchObject({ accepted: true });
    await on.zones.called('replyRollout');
    expect(replies()).toMatchObject([{ kind: 'rolled back', reason: 'the endpoint was killed' }]);
    expect((await status()).trouble).toEqual([]);
    expect(on.zones.argsOf('startRelease')).toHaveLength(1);
  });

  it('that the records have at its second step goes on there', async () => {
    on.zones.acts.resumeRollout = async () => ({ kind: 'at', step: 1 });
    await start();
    await order('1.1.0');
    await on.zones.called('replyRollout');
    expect(on.zones.argsOf('routeStep').map(([, , step]) => step)).toEqual([1, 2]);
  });

  it('waits for the one before it; a known order starts none, and one that has ended is answered again', async () => {
    const verdict = deferred<StepVerdict>();
    on.zones.steps = 1;
    on.zones.acts.watchStep = (_model, revision) =>
      revision === 1 ? watching(verdict.promise) : Promise.resolve({ kind: 'pass', revision, samples: 9 });
    await start();
    const first = await order('1.1.0');
    await on.zones.called('watchStep');
    const second = await order('1.2.0');
    await order('1.2.0');
    await order('1.1.0');
    const waiting = await status();
    expect([first, second].map(({ request }) => rolloutOf(waiting, request))).toEqual(['under way', 'under way']);
    expect(waiting.queued).toEqual([second.request]);
    verdict.resolve({ kind: 'pass', revision: 1, samples: 9 });
    await on.zones.called('replyRollout', 2);
    await order('1.1.0');
    await on.zones.called('replyRollout', 3);
    expect(replies().map(({ to }) => to)).toEqual([first.replyTo, second.replyTo, first.replyTo]);
    expect(on.zones.argsOf('startRelease').map(([name]) => name.version)).toEqual(['1.1.0', '1.2.0']);
    expect(rolloutOf(await status(), second.request)).toMatchObject({ kind: 'promoted' });
  });

  it('is rolled back while the log does not take the verdict, which it gets once it is there', async () => {
    const log = deferred();
    const noted: unknown[] = [];
    on.zones.acts.watchStep = async (_model, revision) => ({ kind: 'fail', revision, reason: 'slow' });
    on.zones.acts.noteVerdict = async (_model, { verdict }) => {
      await watching(log.promise);
      noted.push(verdict);
    };
    await start();
    await order('1.1.0');
    await on.zones.called('replyRollout');
    expect(replies()).toMatchObject([{ kind: 'rolled back', reason: 'fail: slow' }]);
    expect(noted).toEqual([]);
    log.resolve();
    await expect.poll(() => noted).toEqual([{ kind: 'fail', revision: 1, reason: 'slow' }]);
  });

  it('is tried to be rolled back again when that is refused, and says so', async () => {
    on.zones.acts.watchStep = async (_model, revision) => ({ kind: 'fail', revision, reason: 'slow' });
    on.zones.acts.rollBack = async () => {
      throw refusal('POLICY_EXPIRED', 'the policy has expired');
    };
    await start();
    await order('1.1.0');
    await on.zones.called('rollBack');
    await expect
      .poll(async () => (await status()).trouble)
      .toEqual(['cannot roll back: POLICY_EXPIRED: the policy has expired']);
    expect(on.zones.names()).not.toContain('replyRollout');
    expect(await update('kill', envelope('stop'))).toMatchObject({ accepted: true });
  });
});

describe('a kill', () => {
  it('ends the rollout under way and stays in force', async () => {
    on.zones.acts.watchStep = never;
    await start();
    const { replyTo, request } = await order('1.1.0');
    await on.zones.called('watchStep');
    expect(await update('kill', envelope('stop'))).toMatchObject({ statement: digestOf('stop') });
    await on.zones.called('replyRollout');
    expect(replies()).toMatchObject([{ to: replyTo, kind: 'rolled back', reason: 'the endpoint was killed' }]);
    expect(on.zones.argsOf('rollBack')).toEqual([[model, null, 'the endpoint was killed', request]]);
    expect((await status()).killedBy).toEqual([digestOf('stop')]);
    await capture(handle, 'endpoint-killed');
  });

  it('whose worker died with it is relayed by the next one, before the gateways should have answered', async () => {
    const { killEndpoint } = on.zones.acts;
    const buried = deferred();
    on.zones.dead.add('killEndpoint');
    on.zones.acts.killEndpoint = async (...args) => {
      if (attempt() === 1) await buried.promise;
      return killEndpoint(...args);
    };
    await start();
    const startedAt = performance.now();
    expect(await update('kill', envelope('stop'))).toMatchObject({ statement: digestOf('stop') });
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    buried.resolve();
  });

  it('that took longer than the policy gives is told to its sender, and shown until it is lifted', async () => {
    const { killEndpoint } = on.zones.acts;
    const confirmed = deferred();
    const late = ['gateway 2 of 2 has not stopped: the policy gives 5 s'];
    on.zones.acts.killEndpoint = async (...args) => ({ ...(await killEndpoint(...args)), late, open: true });
    on.zones.acts.confirmKill = async () => {
      await confirmed.promise;
      return 'all gateways have stopped, after 7 s: the policy gives 5 s';
    };
    await start(25);
    expect(await update('kill', envelope('stop'))).toMatchObject({ accepted: true, warning: late[0] });
    const name = `kill ${digestOf('stop').slice(0, 12)}`;
    expect((await status()).trouble).toEqual([`${name}: ${late[0]}`]);

    // A history that is continued takes over what is shown, and the wait for the last gateway.
    for (let noise = 0; noise < 10; noise += 1) await handle.signal('noise', noise);
    await on.zones.called('confirmKill', 2);
    await expect.poll(async () => (await status()).trouble).toEqual([`${name}: ${late[0]}`]);
    confirmed.resolve();
    const all = [`${name}: all gateways have stopped, after 7 s: the policy gives 5 s`];
    await expect.poll(async () => (await status()).trouble).toEqual(all);

    await update('restore', envelope('restore'));
    await update('approve', decision('alice', 'restore-1'));
    await update('approve', decision('bob', 'restore-1'));
    await expect.poll(async () => (await status()).trouble).toEqual([]);
  });

  it('works as a signal, and waits for nothing: not for a rollback, a reply, a watch, a gate or another kill', async () => {
    const stuck = deferred();
    const { killEndpoint, decide } = on.zones.acts;
    const hangs = async () => {
      await stuck.promise;
      throw refusal('INTERNAL', 'stuck');
    };
    Object.assign(on.zones.acts, {
      rollBack: hangs,
      replyRollout: hangs,
      resumeRollout: async () => ({ kind: 'new' }),
    });
    on.zones.acts.watchStep = (_model, revision) =>
      attempt() === 1 ? Promise.resolve({ kind: 'fail', revision, reason: 'slow' }) : never();
    on.zones.acts.killEndpoint = async (of, sent) => {
      if ((sent as SignedEnvelope).payload === 'first') await stuck.promise;
      return killEndpoint(of, sent);
    };
    on.zones.acts.decide = async (input) => {
      await stuck.promise;
      return decide(input);
    };
    await start();
    await update('restore', envelope('restore'));
    await handle.signal(decisionSignal('approve'), decision('alice', 'restore-1'));
    await order('1.1.0');
    await Promise.all([on.zones.called('rollBack'), on.zones.called('decide')]);
    await handle.signal(decisionSignal('kill'), envelope('first'));
    await on.zones.called('killEndpoint');
    expect(await update('kill', envelope('second'))).toMatchObject({ statement: digestOf('second') });
    expect((await status()).killedBy).toEqual([digestOf('second')]);
    stuck.resolve();
    await expect.poll(async () => (await status()).killedBy.length).toBe(2);
  });

  it('attack: forged ones beside it hold it up no more while the log takes no refusal; that has them later, by the next run if need be', async () => {
    const log = deferred();
    const { sortKills, killEndpoint } = on.zones.acts;
    on.zones.acts.sortKills = async (...args) =>
      (await sortKills(...args)).map((verdict) => (verdict.accepted ? verdict : { ...verdict, unnoted: true }));
    on.zones.acts.killEndpoint = async (...args) => {
      const [, sent] = args;
      if ((sent as SignedEnvelope).signatures[0]?.sig === 'valid') return killEndpoint(...args);
      throw ApplicationFailure.create({
        message: 'the signature does not verify',
        ...{ type: 'SIGNATURE_INVALID', nonRetryable: true, details: [{ unnoted: true }] },
      });
    };
    const noted: string[] = [];
    on.zones.acts.refuse = async ({ decisions, reason }) => {
      await watching(log.promise);
      for (const { envelope: sent } of decisions) noted.push(`${(sent as SignedEnvelope).payload}: ${reason}`);
    };
    await start(40);
    const forged = Array.from({ length: 5 }, (_, index) => envelope(`forged ${index}`, 'forged'));
    for (const each of forged.slice(0, 2)) expect(await update('kill', each).catch(codeOf)).toBe('SIGNATURE_INVALID');
    await Promise.all(forged.slice(2).map((each) => handle.signal(decisionSignal('kill'), each)));
    expect(await update('kill', envelope('genuine'))).toMatchObject({ statement: digestOf('genuine') });
    await order('1.1.0');
    expect(noted).toEqual([]);
    for (let more = 0; more < 4; more += 1) await update('kill', envelope(`more ${more}`));
    await on.zones.called('resumeEndpoint', 2);
    log.resolve();
    const owed = forged.map(({ payload }) => `${payload}: SIGNATURE_INVALID: the signature does not verify`);
    await expect.poll(() => [...new Set(noted)].sort()).toEqual(owed.sort());
  });

  it('is relayed once for all its copies, and in the middle of many forged ones, which are judged together', async () => {
    const judged = deferred();
    const { sortKills } = on.zones.acts;
    on.zones.acts.sortKills = async (...args) => {
      await judged.promise;
      return sortKills(...args);
    };
    await start();
    // Two at once, so that they are sorted; what comes meanwhile waits for nothing but its turn.
    const sent = [
      ...Array.from({ length: 300 }, (_, index) => envelope(`forged ${index}`, 'forged')),
      ...Array.from({ length: 3 }, () => envelope('genuine')),
      ...Array.from({ length: 300 }, (_, index) => envelope(`forged ${300 + index}`, 'forged')),
    ];
    await Promise.all(sent.map((each) => handle.signal(decisionSignal('kill'), each)));
    judged.resolve();
    await expect.poll(async () => (await status()).killedBy).toContain(digestOf('genuine'));
    expect(new Set((await status()).killedBy).size).toBe(1);
    const sorted = () => on.zones.argsOf('sortKills').reduce((sum, [, orders]) => sum + orders.length, 0);
    const alone = () => on.zones.argsOf('killEndpoint').length;
    await expect.poll(() => sorted() + alone()).toBeGreaterThanOrEqual(603);
    expect(on.zones.argsOf('sortKills').length + alone()).toBeLessThan(120);
  });

  it('works before the records can be read', async () => {
    const store = deferred();
    const { resumeEndpoint } = on.zones.acts;
    on.zones.acts.resumeEndpoint = async (of) => {
      await store.promise;
      return resumeEndpoint(of);
    };
    await start();
    expect(await update('kill', envelope('stop'))).toMatchObject({ accepted: true });
    store.resolve();
    expect((await status()).killedBy).toEqual([digestOf('stop')]);
  });

  it('that is forged or replayed changes nothing and ends no rollout', async () => {
    on.zones.acts.watchStep = never;
    await start();
    await order('1.1.0');
    await on.zones.called('watchStep');
    const forged = update('kill', envelope('stop', 'forged'));
    expect(await forged.then(() => 'accepted', codeOf)).toBe('SIGNATURE_INVALID');
    on.zones.acts.killEndpoint = async () => {
      throw refusal('REPLAYED', 'this order has been lifted');
    };
    expect(await update('kill', envelope('old')).then(() => 'accepted', codeOf)).toBe('REPLAYED');
    const { killedBy, rollout } = await status();
    expect({ killedBy, version: rollout?.order.version }).toEqual({ killedBy: [], version: '1.1.0' });
  });

  it('that reached the gateways directly is seen, and ends the rollout', async () => {
    on.zones.acts.watchStep = never;
    await start();
    await order('1.1.0');
    await on.zones.called('watchStep');
    const { resumeEndpoint } = on.zones.acts;
    on.zones.acts.resumeEndpoint = async (of) => ({ ...(await resumeEndpoint(of)), killedBy: [digestOf('direct')] });
    await handle.signal(routesChangedSignal);
    await on.zones.called('replyRollout');
    expect(replies()).toMatchObject([{ kind: 'rolled back', reason: 'the endpoint was killed' }]);
  });
});

describe('restoring', () => {
  it('takes a quorum, clears the kill, and lets the orders go on that had to wait', async () => {
    await start();
    await update('kill', envelope('stop'));
    const waiting = await order('1.1.0');
    expect(await update('restore', envelope('restore'))).toMatchObject({ by: 'restore-1' });
    const again = update('restore', envelope('another'));
    expect(await again.then(() => 'accepted', codeOf)).toBe('POLICY_REFUSED');
    await update('approve', decision('alice', 'restore-1'));
    const { gate, missing, killedBy } = await status();
    expect({ id: gate?.requestId, envelope: gate?.envelope, missing, killedBy }).toEqual({
      id: 'restore-1',
      envelope: envelope('restore-1'),
      missing: 1,
      killedBy: [digestOf('stop')],
    });
    expect(on.zones.names()).not.toContain('startRelease');
    await update('approve', decision('bob', 'restore-1'));
    await on.zones.called('replyRollout');
    expect(on.zones.argsOf('replyRollout')[0]?.[1]).toMatchObject({
      request: waiting.request,
      result: { kind: 'promoted' },
    });
    expect(await status()).toMatchObject({ killedBy: [], gate: null });
    await capture(handle, 'endpoint-restored');
  });

  it('ends when nobody decides in time', async () => {
    on.zones.gateSeconds = 0.5;
    await start();
    await update('kill', envelope('stop'));
    await update('restore', envelope('restore'));
    await expect.poll(async () => (await status()).gate).toBeNull();
    const late = update('approve', decision('alice', 'restore-1'));
    expect(await late.then(() => 'accepted', codeOf)).toBe('POLICY_REFUSED');
    expect(on.zones.names()).not.toContain('restoreEndpoint');
    expect((await status()).killedBy).toEqual([digestOf('stop')]);
  });

  it('keeps a kill that came while it was under way', async () => {
    const lifted = deferred();
    const { restoreEndpoint } = on.zones.acts;
    on.zones.acts.restoreEndpoint = async (...args) => {
      const position = await restoreEndpoint(...args);
      await lifted.promise;
      return position;
    };
    await start();
    await update('kill', envelope('first'));
    await update('restore', envelope('restore'));
    await update('approve', decision('alice', 'restore-1'));
    await update('approve', decision('bob', 'restore-1'));
    await on.zones.called('restoreEndpoint');
    await update('kill', envelope('second'));
    lifted.resolve();
    await expect.poll(async () => (await status()).killedBy).toEqual([digestOf('second')]);
  });
});

describe('records that were read before a restore', () => {
  it('do not bring back what it has lifted', async () => {
    const { resumeEndpoint } = on.zones.acts;
    const restored = deferred();
    await start();
    await update('kill', envelope('stop'));
    await update('restore', envelope('restore'));
    await update('approve', decision('alice', 'restore-1'));
    on.zones.acts.resumeEndpoint = async (of) => {
      const read = await resumeEndpoint(of);
      await restored.promise;
      return { ...read, killedBy: [...read.killedBy, digestOf('known to a gateway')] };
    };
    await handle.signal(routesChangedSignal);
    await on.zones.called('resumeEndpoint', 2);
    await update('approve', decision('bob', 'restore-1'));
    await expect.poll(async () => (await status()).revision).toBe(1);
    on.zones.acts.resumeEndpoint = resumeEndpoint;
    restored.resolve();
    await on.zones.called('resumeEndpoint', 3);
    expect((await status()).killedBy).toEqual([]);
  });
});

describe('an order to roll back', () => {
  it('goes to the release it names', async () => {
    await start();
    expect(await update('rollback', envelope('target'))).toMatchObject({ by: 'olga' });
    expect(on.zones.argsOf('rollBack')).toEqual([[model, 'target', 'slow', digestOf('rollback')]]);
  });

  it('ends the rollout under way first', async () => {
    on.zones.acts.watchStep = never;
    await start();
    const { request } = await order('1.1.0');
    await on.zones.called('watchStep');
    await update('rollback', envelope('target'));
    await on.zones.called('replyRollout');
    // The operator's order says where to go, at once; its own plan is ended in the name of its request.
    expect(on.zones.argsOf('rollBack').map(([, target, , actor]) => [target, actor])).toEqual([
      ['target', digestOf('rollback')],
      [null, request],
    ]);
    expect(replies()).toMatchObject([{ kind: 'rolled back', reason: 'slow' }]);
  });

  it('waits for no watch that has died with its worker', async () => {
    on.zones.dead.add('watchStep');
    const buried = deferred<StepVerdict>();
    on.zones.acts.watchStep = () => buried.promise;
    await start();
    await order('1.1.0');
    await on.zones.called('watchStep');
    const startedAt = performance.now();
    expect(await update('rollback', envelope('target'))).toMatchObject({ by: 'olga' });
    // Temporal takes it for dead after ten seconds of silence.
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect(on.zones.argsOf('rollBack').map(([, target]) => target)).toEqual(['target']);
    expect(await update('rollback', envelope('older'))).toMatchObject({ by: 'olga' });
    buried.resolve({ kind: 'pass', revision: 1, samples: 9 });
  });

  it('waits for no promotion that the log or a gateway holds up, nor does an alert', async () => {
    const log = deferred();
    on.zones.steps = 1;
    on.zones.acts.watchStep = async (_model, revision) => ({ kind: 'pass', revision, samples: 9 });
    on.zones.acts.promoteRelease = async () => {
      await log.promise;
      throw refusal('REPLAYED', 'the endpoint has moved on from this plan');
    };
    await start();
    const { request, release } = await order('1.1.0');
    await on.zones.called('promoteRelease');
    on.zones.acts.takeAlerts = async (_model, alerts) => ({
      verdicts: alerts.map(() => ({ accepted: true, by: 'siem', statement: digestOf('leak') })),
      act: { kind: 'stop', request, release, reason: 'it leaks', alerts: [digestOf('leak')] },
      alarms: [],
    });
    expect(await update('securityAlert', envelope('leak'))).toMatchObject({ outcome: 'its rollout was ended' });
    expect(await update('rollback', envelope('target'))).toMatchObject({ by: 'olga' });
    expect(on.zones.argsOf('rollBack').map(([, target]) => target)).toEqual([null, 'target']);
    log.resolve();
    await on.zones.called('replyRollout');
    expect(replies()).toMatchObject([{ kind: 'rolled back', reason: 'it leaks' }]);
  });

  it('is told where a gateway does not answer, and waits for none', async () => {
    const back = deferred();
    const { rollBack } = on.zones.acts;
    on.zones.acts.rollBack = async (...args) => {
      const to = await rollBack(...args);
      return { ...to, unnoted: { revision: to.revision, since: 'then', missing: 'no answer' } };
    };
    on.zones.acts.confirmRoute = () => back.promise;
    await start();
    expect(await update('rollback', envelope('older'))).toMatchObject({ by: 'olga' });
    expect((await status()).trouble).toEqual(['revision 1 is not everywhere: no answer']);
    expect(await update('rollback', envelope('oldest'))).toMatchObject({ by: 'olga' });
    back.resolve();
    await expect.poll(async () => (await status()).trouble).toEqual([]);
    const noted = () => on.zones.argsOf('noteRoute').map(([, { revision }]) => revision);
    // An activity of the endpoint before may come late.
    await expect.poll(noted).toEqual(expect.arrayContaining([1, 2]));
  });

  it('waits for no log, nor does the next one; what it owes the log is done once that is there, by the next run if need be', async () => {
    const log = deferred();
    const noted: string[] = [];
    on.zones.acts.watchStep = never;
    Object.assign(on.zones.acts, {
      noteRollback: async (_model: string, order: string) => {
        await watching(log.promise);
        noted.push(order);
      },
      noteRoute: async (_model: string, { revision }: Unnoted) => {
        await watching(log.promise);
        noted.push(`revision ${revision}`);
      },
    });
    await start(60);
    await order('1.1.0');
    await on.zones.called('watchStep');
    expect(await update('rollback', envelope('older'))).toMatchObject({ by: 'olga' });
    expect(await update('rollback', envelope('oldest'))).toMatchObject({ by: 'olga' });
    const targets = new Set(on.zones.argsOf('rollBack').map(([, target]) => target));
    expect(targets).toEqual(new Set(['older', null, 'oldest']));
    for (let noise = 0; noise < 12; noise += 1) await handle.signal('noise', noise);
    await on.zones.called('resumeEndpoint', 2);
    expect(noted).toEqual([]);
    log.resolve();
    const owed = [digestOf('rollback'), 'revision 2', 'revision 3', 'revision 4'];
    await expect.poll(() => [...new Set(noted)].sort()).toEqual([...owed].sort());
  });

  it('is answered while the rollout under way cannot be undone, also by a run that is handed on; the next one undoes it', async () => {
    const { rollBack } = on.zones.acts;
    on.zones.acts.watchStep = async (_model, revision) => ({ kind: 'fail', revision, reason: 'worse' });
    on.zones.acts.rollBack = async (of, target, ...rest) => {
      if (target === null) throw refusal('WORM_VIOLATED', 'a second document lies in its place');
      return rollBack(of, target, ...rest);
    };
    await start(60);
    const { replyTo } = await order('1.1.0');
    const trouble = ['cannot roll back: WORM_VIOLATED: a second document lies in its place'];
    await expect.poll(async () => (await status()).trouble).toEqual(trouble);
    expect(await update('rollback', envelope('older'))).toMatchObject({ by: 'olga' });
    await handle.signal(decisionSignal('rollback'), envelope('oldest'));
    for (let noise = 0; noise < 16; noise += 1) await handle.signal('noise', noise);
    await on.zones.called('resumeEndpoint', 2);
    const targets = () => new Set(on.zones.argsOf('rollBack').map(([, target]) => target));
    await expect.poll(targets).toEqual(new Set([null, 'older', 'oldest']));
    expect(replies()).toEqual([]);

    // Once it can be undone, a run that is handed on undoes it.
    on.zones.acts.rollBack = rollBack;
    for (let noise = 0; noise < 30; noise += 1) await handle.signal('noise', noise);
    await on.zones.called('replyRollout');
    expect(replies()).toMatchObject([{ to: replyTo, kind: 'rolled back', reason: 'fail: worse' }]);
  });
});

describe('messages without a meaning', () => {
  it('are audited as refused and break nothing', async () => {
    await start();
    await handle.signal('rollout', null);
    await handle.signal('rollout', { ...orderOf(model, '1.1.0'), replyTo: 'endpoint/other' });
    await handle.signal('rollout', orderOf('another-model', '1.1.0'));
    await handle.signal('promote', {});
    await handle.cancel();
    const late = update('approve', decision('alice', 'restore-1'));
    expect(await late.then(() => 'accepted', codeOf)).toBe('POLICY_REFUSED');
    await expect
      .poll(() => on.zones.refused.flatMap((each) => each.messages).sort())
      .toEqual(['approve', 'cancel', 'promote', 'rollout', 'rollout', 'rollout']);
    expect(on.zones.names()).not.toContain('resumeRollout');
    expect(await update('kill', envelope('stop'))).toMatchObject({ accepted: true });
  });
});

describe('a history that has grown long', () => {
  it('is continued again and again, and no message is lost', async () => {
    await start(40);
    await update('kill', envelope('kill 0'));
    await update('restore', envelope('restore'));
    await update('approve', decision('alice', 'restore-1'));
    for (let burst = 0; burst < 4; burst += 1) {
      const kills = Array.from({ length: 15 }, (_, i) => `kill ${15 * burst + i}`);
      await Promise.all(
        kills.flatMap((kill) => [
          handle.signal(decisionSignal('kill'), envelope(kill)),
          handle.signal(decisionSignal('approve'), decision(kill, 'restore-1', 'approve', 'forged')),
          handle.signal('noise', kill),
        ]),
      );
      await on.zones.called('resumeEndpoint', burst + 2);
    }
    const relayed = () =>
      new Set(on.zones.argsOf('killEndpoint').map(([, sent]) => (sent as SignedEnvelope).payload)).size;
    await expect.poll(relayed).toBe(60);
    const judged = () => on.zones.argsOf('decide').flatMap(([{ decisions }]) => decisions).length;
    await expect.poll(judged).toBe(61);
    const noise = () => on.zones.refused.reduce((sum, each) => sum + each.messages.length + each.dropped, 0);
    await expect.poll(noise).toBe(60);
    await expect.poll(async () => (await status()).killedBy.length).toBe(60);
    // Alice's decision has been carried along, so one more makes the quorum.
    await update('approve', decision('bob', 'restore-1'));
    await expect.poll(async () => (await status()).killedBy).toEqual([]);
  });

  it('attack: forged kills that no next run could be given hide no genuine one, also when a run ends among them', async () => {
    const judged = deferred();
    const { sortKills } = on.zones.acts;
    on.zones.acts.sortKills = async (...args) => {
      await judged.promise;
      return sortKills(...args);
    };
    await start(40);
    const forged = Array.from({ length: 400 }, (_, i) => envelope(`${i} ${'x'.repeat(7_000)}`, 'forged'));
    for (const each of [...forged, envelope('genuine')]) await handle.signal(decisionSignal('kill'), each);
    judged.resolve();
    await expect.poll(async () => (await status()).killedBy).toEqual([digestOf('genuine')]);
    await on.zones.called('resumeEndpoint', 2);
    expect(on.zones.refused.reduce((sum, { dropped }) => sum + dropped, 0)).toBe(0);
  });

  it('hands a rollout on in the middle of a step, with the rest of its time, and promotes it once', async () => {
    const verdict = deferred<StepVerdict>();
    on.zones.steps = 1;
    let begun: { kind: 'new' } | { kind: 'at'; step: number } = { kind: 'new' };
    const { routeStep } = on.zones.acts;
    on.zones.acts.resumeRollout = async () => begun;
    on.zones.acts.routeStep = async (...args) => {
      begun = { kind: 'at', step: 0 };
      return routeStep(...args);
    };
    on.zones.acts.watchStep = () => watching(verdict.promise);
    await start(50);
    await order('1.1.0');
    await on.zones.called('watchStep');
    for (let i = 0; i < 12; i += 1) await handle.signal('noise', i);
    await on.zones.called('watchStep', 2);
    const [first, second] = on.zones.argsOf('watchStep');
    expect(second?.[3]).toBeLessThan(first?.[3] ?? 0);
    verdict.resolve({ kind: 'pass', revision: second?.[1] ?? 0, samples: 9 });
    await on.zones.called('replyRollout');
    expect(replies()).toMatchObject([{ kind: 'promoted' }]);
    expect(on.zones.argsOf('promoteRelease')).toHaveLength(1);
    expect(on.zones.argsOf('rollBack')).toEqual([]);
    expect(on.zones.argsOf('resumeEndpoint').length).toBeGreaterThan(1);
    await captureRuns(on.env.client, handle, ['endpoint-continued', 'endpoint-taken-over']);
  });
});

describe('a lifecycle whose history has grown long', () => {
  it('is continued at a gate with what has counted and what still waits', async () => {
    const started = await on.env.client.workflow.start<typeof lifecycle>('lifecycle', {
      ...startLifecycle({ model, version: '1.0.0' }),
      args: [{ request: envelope('start') }, 60],
    });
    const release = on.env.client.workflow.getHandle<typeof lifecycle>(started.workflowId);
    const tell = (name: 'approve' | 'reject', sent: SignedEnvelope) =>
      release.executeUpdate(decisionUpdate(name), { args: [sent] });
    await on.zones.called('openDeployGate');
    await tell('approve', decision('alice', 'deploy-1'));
    const forged = Array.from({ length: 60 }, (_, i) => decision(`p${i}`, 'deploy-1', 'approve', 'forged'));
    await Promise.all(forged.map((each) => release.signal(decisionSignal('approve'), each)));
    await on.zones.called('resumeLifecycle', 2);
    const judged = () =>
      new Set(on.zones.argsOf('decide').flatMap(([{ decisions }]) => decisions.map((each) => JSON.stringify(each))))
        .size;
    await expect.poll(judged).toBe(61);
    expect(await release.query(lifecycleStatusQuery)).toMatchObject({ stage: 'approve', missing: 1 });
    await tell('reject', decision('bob', 'deploy-1', 'reject'));
    expect(await release.result()).toMatchObject({ kind: 'rejected', stage: 'approve' });
    expect(on.zones.argsOf('openDeployGate')).toHaveLength(1);
    await captureRuns(on.env.client, release, ['lifecycle-continued', 'lifecycle-taken-over']);
  });
});

describe('lifecycle and endpoint together', () => {
  it('hand a release over, and tell of its end', async () => {
    on.zones.acts.askEndpoint = async (of, made) => {
      await on.env.client.workflow.signalWithStart<typeof endpoint, [RolloutOrder]>('endpoint', {
        ...startEndpoint(of),
        args: [],
        signal: rolloutSignal,
        signalArgs: [made],
      });
    };
    on.zones.acts.rolloutState = async (of, request) => {
      const found = on.env.client.workflow.getHandle(startEndpoint(of).workflowId);
      return found.query(endpointStatusQuery).then(
        (answer) => rolloutOf(answer, request),
        () => null,
      );
    };
    on.zones.acts.replyRollout = async (to, ended) => {
      await on.env.client.workflow.getHandle(to).signal(rolloutEndedSignal, ended);
    };
    const release = await on.env.client.workflow.start<typeof lifecycle>('lifecycle', {
      ...startLifecycle({ model, version: '1.0.0' }),
      args: [{ request: envelope('start') }],
    });
    handle = on.env.client.workflow.getHandle(startEndpoint(model).workflowId);
    await on.zones.called('openDeployGate');
    for (const by of ['alice', 'bob'])
      await release.executeUpdate(decisionUpdate('approve'), { args: [decision(by, 'deploy-1')] });
    await release.executeUpdate(decisionUpdate('retire'), { args: [envelope('retire')] });
    expect(await release.query(lifecycleStatusQuery)).toMatchObject({
      stage: 'in service',
      progress: { rollout: { kind: 'promoted' } },
      gate: { requestId: 'retire-1' },
    });
    on.zones.noticeSeconds = 0;
    for (const by of ['alice', 'bob'])
      await release.executeUpdate(decisionUpdate('approve'), { args: [decision(by, 'retire-1')] });
    expect(await release.result()).toMatchObject({ kind: 'retired' });
    await on.zones.called('resumeEndpoint', 2);
  });
});

describe('a security alert', () => {
  const serving = [
    { release: digestOf('1.1.0'), version: '1.1.0', weight: 100 },
    { release: digestOf('1.0.0'), version: '1.0.0', weight: 0 },
  ];
  const serve = (): void => {
    on.zones.position = { revision: 7, document: digestOf('7'), serving, killedBy: [] };
  };
  /** What is valid leads to this. */
  const leadTo = (
    act: Omit<Extract<AlertAct, { kind: 'stop' }>, 'alerts'> | Omit<Extract<AlertAct, { kind: 'revert' }>, 'alerts'>,
  ): void => {
    const { takeAlerts } = on.zones.acts;
    on.zones.acts.takeAlerts = async (...args) => {
      const taken = await takeAlerts(...args);
      const alerts = taken.alarms.map(({ statement }) => statement);
      return alerts.length === 0 ? taken : { ...taken, act: { ...act, alerts }, alarms: [] };
    };
  };
  const reason = 'critical security alert of siem: it leaks its prompts';
  const revert = { kind: 'revert', release: digestOf('1.1.0'), reason } as const;
  const notes = () => on.zones.argsOf('noteAlerts').map(([, alerts, outcome]) => `${alerts.length} ${outcome}`);

  it('ends the rollout under way; its sender is told, and the log what followed', async () => {
    on.zones.acts.watchStep = never;
    await start();
    const { replyTo, request, release } = await order('1.1.0');
    leadTo({ kind: 'stop', request, release, reason });
    await on.zones.called('watchStep');
    expect(await update('securityAlert', envelope('leak'))).toMatchObject({
      ...{ by: 'siem', statement: digestOf('leak'), outcome: 'its rollout was ended' },
    });
    await Promise.all([on.zones.called('replyRollout'), on.zones.called('noteAlerts')]);
    expect(replies()).toMatchObject([{ to: replyTo, kind: 'rolled back', reason }]);
    expect(on.zones.argsOf('rollBack')).toEqual([[model, null, reason, request]]);
    expect(notes()).toEqual(['1 its rollout was ended']);
    expect(on.zones.argsOf('revertService')).toEqual([]);
    await capture(handle, 'endpoint-alerted');
  });

  it('that comes when its rollout has just been promoted takes back what serves', async () => {
    serve();
    on.zones.acts.rollBack = async () => ({ ...on.zones.position, stopped: [] });
    leadTo({ kind: 'stop', request: digestOf('over'), release: digestOf('1.1.0'), reason });
    await start();
    expect(await update('securityAlert', envelope('leak'))).toMatchObject({ outcome: 'rolled back' });
    expect(on.zones.argsOf('revertService')).toEqual([[model, 7, digestOf('1.1.0'), reason]]);
  });

  it('takes back what serves, once for all its copies, as a signal and as an update', async () => {
    serve();
    leadTo(revert);
    await start();
    await handle.signal(decisionSignal('securityAlert'), envelope('leak'));
    await on.zones.called('revertService');
    expect(await update('securityAlert', envelope('leak'))).toMatchObject({ outcome: 'rolled back' });
    expect(await status()).toMatchObject({ revision: 8, trouble: [] });
    expect(on.zones.argsOf('revertService')).toHaveLength(1);
  });

  it('about what cannot be taken back is an alarm, which people see until it has no callers, also in the next run', async () => {
    serve();
    leadTo(revert);
    on.zones.acts.revertService = async () => ({ kind: 'alarm', reason: 'no release before it is kept warm' });
    await start(30);
    const warning = 'it serves on: no release before it is kept warm';
    expect(await update('securityAlert', envelope('leak'))).toMatchObject({ warning });
    expect((await status()).trouble).toEqual([`${reason}; ${warning}`]);
    await on.zones.called('noteAlerts');
    for (let noise = 0; noise < 12; noise += 1) await handle.signal('noise', noise);
    await on.zones.called('resumeEndpoint', 2);
    await expect.poll(async () => (await status()).trouble).toEqual([`${reason}; ${warning}`]);
    expect(notes()).toEqual([`1 ${warning}`]);
    on.zones.acts.checkRollback = async () => ({
      ...{ target: digestOf('1.0.0'), reason: 'leaks', by: 'olga', statement: digestOf('rollback') },
    });
    await update('rollback', envelope(''));
    expect((await status()).trouble).toEqual([]);
  });

  it('is not held up by a log that takes no record, nor by a rollback that is refused', async () => {
    serve();
    leadTo(revert);
    on.zones.acts.noteAlerts = () => watching(new Promise(() => undefined));
    on.zones.acts.revertService = async () => {
      throw refusal('POLICY_REFUSED', 'a second document lies in its place');
    };
    await start();
    const warning = 'it serves on: POLICY_REFUSED: a second document lies in its place';
    for (const leak of ['leak 1', 'leak 2'])
      expect(await update('securityAlert', envelope(leak))).toMatchObject({ warning });
    expect(await update('kill', envelope('stop'))).toMatchObject({ accepted: true });
  });

  it('attack: that is forged changes nothing, and hides no genuine one', async () => {
    serve();
    leadTo(revert);
    await start();
    const forged = update('securityAlert', envelope('leak', 'forged'));
    expect(await forged.then(() => 'accepted', codeOf)).toBe('SIGNATURE_INVALID');
    expect(on.zones.argsOf('revertService')).toEqual([]);
    for (let at = 0; at < 50; at += 1)
      await handle.signal(decisionSignal('securityAlert'), envelope(`${at}`, 'forged'));
    expect(await update('securityAlert', envelope('leak'))).toMatchObject({ outcome: 'rolled back' });
  });

  it('attack: hundreds of alerts take few activities, and people see the newest of them', async () => {
    serve();
    const first = deferred();
    const { takeAlerts } = on.zones.acts;
    on.zones.acts.takeAlerts = async (...args) => {
      await first.promise;
      return takeAlerts(...args);
    };
    await start();
    await on.zones.called('watchService');
    const count = 300;
    for (let from = 0; from < count; from += 100)
      await Promise.all(
        Array.from({ length: 100 }, (_, at) =>
          handle.signal(decisionSignal('securityAlert'), envelope(`${from + at}`)),
        ),
      );
    first.resolve();
    // Another test's endpoint may still be noting what it was told.
    const counted = (name: 'takeAlerts' | 'noteAlerts'): number =>
      on.zones.argsOf(name).reduce((sum, [of, alerts]) => (of === model ? sum + alerts.length : sum), 0);
    await expect.poll(() => [counted('takeAlerts'), counted('noteAlerts')]).toEqual([count, count]);
    expect((await status()).trouble).toHaveLength(20);
    expect(on.zones.names().filter((name) => ['takeAlerts', 'noteAlerts'].includes(name)).length).toBeLessThan(20);
    expect(on.zones.argsOf('revertService')).toEqual([]);
  });
});

describe('what serves', () => {
  /** What serves all callers is watched from the start of the workflow. */
  const serve = (): void => {
    const serving = [
      { release: digestOf('1.1.0'), version: '1.1.0', weight: 100 },
      { release: digestOf('1.0.0'), version: '1.0.0', weight: 0 },
    ];
    on.zones.position = { revision: 7, document: digestOf('7'), serving, killedBy: [] };
  };
  const breach = async (_model: string, revision: number): Promise<ServiceVerdict> =>
    revision === 7 ? { kind: 'breach', revision, reason: '9 % errors' } : watching(new Promise(() => undefined));

  it('and breaks its limits is rolled back, and what it was rolled back to is watched', async () => {
    serve();
    on.zones.acts.watchService = breach;
    await start();
    await on.zones.called('watchService', 2);
    expect(on.zones.argsOf('watchService').map(([, revision]) => revision)).toEqual([7, 8]);
    expect(on.zones.argsOf('revertService')).toEqual([[model, 7, digestOf('1.1.0'), '9 % errors']]);
    expect(await status()).toMatchObject({ revision: 8, trouble: [] });
    await capture(handle, 'endpoint-service-breached');
  });

  it('and cannot be rolled back is an alarm that people see, once, until the endpoint has moved on', async () => {
    serve();
    on.zones.acts.watchService = breach;
    on.zones.acts.revertService = async () => ({ kind: 'alarm', reason: '9 % errors; no release before it' });
    await start();
    const trouble = ['what serves breaks its limits: 9 % errors; no release before it'];
    await expect.poll(async () => (await status()).trouble).toEqual(trouble);
    on.zones.acts.checkRollback = async () => ({
      ...{ target: digestOf('1.0.0'), reason: 'slow', by: 'olga', statement: digestOf('rollback') },
    });
    await update('rollback', envelope(''));
    await on.zones.called('watchService', 2);
    expect(on.zones.argsOf('revertService')).toHaveLength(1);
    await expect.poll(async () => (await status()).trouble).toEqual([]);
  });

  it('is left alone by a kill and a rollout, which end the watch and are not held up by it', async () => {
    serve();
    await start();
    await on.zones.called('watchService');
    await order('1.2.0');
    await on.zones.called('promoteRelease');
    await on.zones.called('watchService', 2);
    expect(await update('kill', envelope('stop'))).toMatchObject({ accepted: true });
    expect(on.zones.argsOf('revertService')).toEqual([]);
  });

  it('attack: a verdict on another revision rolls nothing back, and is not asked for again and again', async () => {
    serve();
    on.zones.acts.watchService = async () => ({ kind: 'breach', revision: 6, reason: 'old' });
    await start();
    await expect.poll(async () => (await status()).trouble.length).toBe(1);
    expect(on.zones.argsOf('watchService')).toHaveLength(1);
    expect(on.zones.argsOf('revertService')).toEqual([]);
  });

  it('is watched for days, by one watch after the other', async () => {
    serve();
    const rounds = 8;
    let round = 0;
    on.zones.acts.watchService = async (_model, revision) =>
      (round += 1) <= rounds ? { kind: 'again', revision } : watching(new Promise(() => undefined));
    await start();
    await on.zones.called('watchService', rounds + 1);
    expect(on.zones.argsOf('watchService')).toHaveLength(rounds + 1);
    await capture(handle, 'endpoint-watched-for-days');
  });

  it('is watched on by the run that continues, which waits for the watch before it', async () => {
    serve();
    await start(60);
    await on.zones.called('watchService');
    for (let at = 0; at < 12; at += 1) await handle.signal(routesChangedSignal);
    const { runId } = await handle.describe();
    await expect
      .poll(async () => {
        await handle.signal(routesChangedSignal);
        return (await on.env.client.workflow.getHandle(handle.workflowId).describe()).runId;
      })
      .not.toBe(runId);
    await on.zones.called('watchService', 2);
  });
});
