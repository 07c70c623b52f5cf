import { createHash } from 'node:crypto';
import { activityInfo, Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import type {
  ConsumerControl,
  Decision,
  DecisionVerdict,
  EndpointControl,
  IntakeActivities,
  LifecycleControl,
  PolicyControl,
  PromotionControl,
  ResignControl,
  ServingActivities,
  SigningActivities,
  WatchActivities,
} from '../../activities/contract.js';
import type { EmergencyControl, EmergencySigning } from '../../activities/emergency-contract.js';
import type { TrainingActivities, TrainingControl } from '../../activities/training-contract.js';
import type { DataControl, DataIntake } from '../../activities/data-contract.js';
import type { DrillControl } from '../../activities/drill-contract.js';
import type { HoldControl, KeepingActivities, RetentionControl } from '../../activities/keeping-contract.js';
import { beating } from '../../activities/heartbeat.js';
import { judgeDrill } from '../../domain/drill.js';
import type { EndpointPosition, RolloutOrder, RoutedPosition } from '../../domain/endpoint.js';
import type { ErrorCode } from '../../domain/errors.js';
import type { NoticeStanding, OpenGate, Progress } from '../../domain/lifecycle.js';
import { ZONES, type ReleaseName, type Zone } from '../../domain/names.js';
import type { LockTally } from '../../domain/retention.js';
import type { SignedEnvelope } from '../../domain/statements.js';
import { IDENTITY, workflowBundle } from './temporal.js';

export type Activities = LifecycleControl &
  EmergencyControl &
  EmergencySigning &
  EndpointControl &
  PolicyControl &
  PromotionControl &
  ResignControl &
  ConsumerControl &
  HoldControl &
  DataControl &
  DataIntake &
  RetentionControl &
  DrillControl &
  KeepingActivities &
  IntakeActivities &
  SigningActivities &
  ServingActivities &
  TrainingActivities &
  TrainingControl &
  WatchActivities;
export type ActivityName = keyof Activities;

/** Every activity of the contracts. */
export const ZONE_OF: Record<ActivityName, Zone> = {
  resumeLifecycle: 'control',
  admitRelease: 'control',
  applyPolicy: 'control',
  declareConsumer: 'control',
  wakeEndings: 'control',
  admitPromotion: 'control',
  recordPromotion: 'control',
  summariseRelease: 'signing',
  admitResign: 'control',
  recordResigned: 'control',
  openOverrideGate: 'control',
  proviso: 'control',
  renewOverride: 'control',
  openReviewGate: 'control',
  recordLapse: 'control',
  noteLapse: 'control',
  revertRelease: 'control',
  openDeployGate: 'control',
  decide: 'control',
  noteRejection: 'control',
  refuse: 'control',
  record: 'control',
  askEndpoint: 'control',
  rolloutState: 'control',
  recordOutcome: 'control',
  openRetireGate: 'control',
  giveNotice: 'control',
  followNotice: 'control',
  answerNotice: 'control',
  withdrawRelease: 'control',
  condemnRelease: 'control',
  noteCondemned: 'control',
  informCondemned: 'control',
  resumeEndpoint: 'control',
  resumeRollout: 'control',
  routeStep: 'control',
  openStepGate: 'control',
  promoteRelease: 'control',
  rollBack: 'control',
  revertService: 'control',
  noteBreach: 'control',
  noteRoute: 'control',
  confirmRoute: 'control',
  checkRollback: 'control',
  noteRollback: 'control',
  noteVerdict: 'control',
  takeAlerts: 'control',
  noteAlerts: 'control',
  strayAlert: 'control',
  sortKills: 'control',
  killEndpoint: 'control',
  confirmKill: 'control',
  openRestoreGate: 'control',
  restoreEndpoint: 'control',
  replyRollout: 'control',
  admitData: 'control',
  recordData: 'control',
  takeData: 'intake',
  admitHold: 'control',
  openLiftGate: 'control',
  recordLifted: 'control',
  extendRecords: 'control',
  extendLog: 'control',
  recordRetention: 'control',
  beginDrill: 'control',
  drillStep: 'control',
  recordDrill: 'control',
  ingest: 'intake',
  validate: 'intake',
  signRelease: 'signing',
  resignRelease: 'signing',
  noteErasure: 'control',
  openTrainingGate: 'control',
  recordTraining: 'control',
  revokeRelease: 'signing',
  revokeCondemned: 'signing',
  destroyKeys: 'signing',
  probeHost: 'serving',
  probeGateways: 'control',
  certify: 'signing',
  extendReleases: 'signing',
  holdRelease: 'signing',
  liftHolds: 'signing',
  startRelease: 'serving',
  stopRelease: 'serving',
  examine: 'training',
  train: 'training',
  watchStep: 'watch',
  watchService: 'watch',
};

export function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

export function refusal(code: ErrorCode, reason: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(reason, code);
}

/** What an activity says that cannot go on before somebody has mended something. */
export function obstacle(code: ErrorCode, reason: string): ApplicationFailure {
  return ApplicationFailure.retryable(reason, code);
}

/** A promise that the test settles. */
export function deferred<T = void>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((done) => (resolve = done));
  return { promise, resolve };
}

const AT = '2026-01-01T00:00:00.000Z';

interface Said {
  readonly by: string;
  readonly requestId: string;
  readonly decision: 'approve' | 'reject';
}

/** A decision as the fakes understand it: signed when `sig` says so. */
export function decision(by: string, requestId: string, verdict: Said['decision'] = 'approve', sig = 'valid') {
  const said: Said = { by, requestId, decision: verdict };
  return envelope(JSON.stringify(said), sig);
}

export function envelope(payload: string, sig = 'valid'): SignedEnvelope {
  return { payloadType: 'application/vnd.in-toto+json', payload, signatures: [{ keyid: 'k', sig }] };
}

const at = (revision: number, version: string, model: string): EndpointPosition => ({
  revision,
  document: digestOf(`route ${revision}`),
  serving: [{ release: digestOf(`${model} ${version}`), version, weight: 100 }],
  killedBy: [],
});

/** All zones as one object in memory, typed by the contract. A test replaces what it wants to be otherwise. */
export class FakeZones {
  readonly calls: { readonly name: ActivityName; readonly args: readonly unknown[]; readonly at: number }[] = [];
  readonly refused: { readonly reason: string; readonly messages: readonly string[]; readonly dropped: number }[] = [];
  /** Activities whose worker counts as killed: it says nothing more. */
  readonly dead = new Set<ActivityName>();
  progress: Progress = {};
  gateSeconds = 7 * 86_400;
  noticeSeconds = 30 * 86_400;
  /** Consumers that must still answer: each message answers for one. */
  awaited: readonly string[] = [];
  steps = 3;
  /** The step after which people are asked. */
  pausesAt = -1;
  /** How many locks each pass of a run finds. */
  locks = 100;
  acts: Activities;
  position: EndpointPosition = { revision: 0, document: null, serving: [], killedBy: [] };
  private readonly env: TestWorkflowEnvironment;
  private waiting: { name: ActivityName; count: number; done: () => void }[] = [];

  constructor(env: TestWorkflowEnvironment) {
    this.env = env;
    this.acts = this.defaults();
  }

  argsOf<K extends ActivityName>(name: K): Parameters<Activities[K]>[] {
    return this.calls.filter((call) => call.name === name).map((call) => call.args as Parameters<Activities[K]>);
  }

  names(): string[] {
    return this.calls.map((call) => call.name);
  }

  /** Resolves once the activity has been called `count` times. */
  called(name: ActivityName, count = 1): Promise<void> {
    return new Promise((done) => {
      this.waiting.push({ name, count, done });
      this.wake();
    });
  }

  async run(name: ActivityName, args: readonly unknown[]): Promise<unknown> {
    this.calls.push({ name, args, at: await this.env.currentTimeMs() });
    this.wake();
    return (this.acts[name] as (...args: readonly unknown[]) => Promise<unknown>)(...args);
  }

  private wake(): void {
    const due = this.waiting.filter(({ name, count }) => this.argsOf(name).length >= count);
    this.waiting = this.waiting.filter((each) => !due.includes(each));
    for (const { done } of due) done();
  }

  async gate(requestId: string, role: string): Promise<OpenGate> {
    const expiresAt = new Date((await this.env.currentTimeMs()) + this.gateSeconds * 1000).toISOString();
    return { request: digestOf(requestId), requestId, role, count: 2, expiresAt, envelope: envelope(requestId) };
  }

  private async notice(endsAt: string): Promise<NoticeStanding> {
    const isOver = Date.parse(endsAt) <= (await this.env.currentTimeMs());
    return { awaited: this.awaited, endsAt, lookAt: isOver ? null : endsAt };
  }

  private move(change: Partial<EndpointPosition>): RoutedPosition {
    this.position = { ...this.position, ...change };
    return { ...this.position, stopped: [] };
  }

  private defaults(): Activities {
    const release = (name: ReleaseName): string => digestOf(`${name.model} ${name.version}`);
    let rollout: Awaited<ReturnType<Activities['rolloutState']>> = null;
    return {
      resumeLifecycle: async () => this.progress,
      admitRelease: async () => {
        const admission = {
          request: digestOf('start'),
          requester: 'ci',
          source: 'file:///releases/x',
          bundle: 'file:///releases/x.sigstore',
          provenance: 'file:///releases/x.provenance.json',
          policy: digestOf('policy'),
        };
        this.progress = { ...this.progress, admission };
        return admission;
      },
      ingest: async (name) => ({
        ...{ release: release(name), producer: 'ci', files: 5, bytes: 9 },
        ...{ bundle: digestOf('oms'), provenance: digestOf('provenance') },
        ...{ scan: digestOf('scan'), change: digestOf('change') },
      }),
      validate: async () => ({ testResult: digestOf('test result'), passed: 20, failed: [], accuracy: 0.97 }),
      openOverrideGate: async () => {
        throw refusal('VALIDATION_FAILED', 'failed: case 7; the policy knows no override');
      },
      proviso: async () => null,
      renewOverride: async (_name, decisions) => ({
        verdicts: decisions.map(() => ({ accepted: false, code: 'POLICY_REFUSED', reason: 'not renewed' })),
        proviso: null,
      }),
      openReviewGate: async () => this.gate('review-1', 'reviewer'),
      recordLapse: async (_name, _release, proviso) => proviso,
      noteLapse: async () => undefined,
      revertRelease: async () => ({ ...at(2, '0.0.0', 'x'), stopped: [] }),
      openDeployGate: async () => {
        const gate = await this.gate('deploy-1', 'release-approver');
        this.progress = { ...this.progress, gate };
        return gate;
      },
      openRetireGate: async () => this.gate('retire-1', 'release-approver'),
      openRestoreGate: async () => this.gate('restore-1', 'security-authority'),
      decide: async ({ gate, counted, decisions }) => {
        const verdicts = decisions.map((each) => judge(each, gate));
        const accepted = verdicts.flatMap((verdict) => (verdict.accepted ? [verdict] : []));
        const all = [...new Set([...counted, ...accepted.map((verdict) => verdict.statement)])];
        const no = decisions.find((each, i) => verdicts[i]?.accepted === true && saidIn(each)?.decision === 'reject');
        if (no !== undefined)
          return {
            verdicts,
            outcome: { kind: 'rejected', by: saidIn(no)?.by ?? '', statement: digestOf('no'), reason: 'not yet' },
          };
        if (all.length < gate.count)
          return { verdicts, outcome: { kind: 'pending', missing: gate.count - all.length } };
        const approved = { request: gate.request, approvals: all, approvers: ['alice', 'bob'] };
        return { verdicts, outcome: { kind: 'approved', approved } };
      },
      refuse: async ({ decisions, reason, dropped }) => {
        this.refused.push({ reason, messages: decisions.map((each) => each.message), dropped });
      },
      record: async (_name, part, value) => {
        this.progress = { ...this.progress, [part]: value };
        return value;
      },
      signRelease: async () => ({ signature: digestOf('signature') }),
      askEndpoint: async (_model, order) => {
        rollout = { kind: 'promoted', revision: 1 };
        await this.env.client.workflow
          .getHandle(order.replyTo)
          .signal('rolloutEnded', { request: order.request, result: rollout });
      },
      rolloutState: async () => rollout,
      recordOutcome: async (_name, _release, outcome) => outcome,
      giveNotice: async (_name, _release, approved) => ({
        request: approved.request,
        approvals: approved.approvals,
        notice: digestOf('notice'),
        retiresAt: new Date((await this.env.currentTimeMs()) + this.noticeSeconds * 1000).toISOString(),
      }),
      followNotice: async (_name, _release, { retiresAt }) => this.notice(retiresAt),
      answerNotice: async (_name, _release, { retiresAt }, decisions) => {
        this.awaited = this.awaited.slice(decisions.length);
        const verdicts = decisions.map(({ message }) => ({
          ...{ accepted: true as const, by: 'carol', statement: digestOf(message) },
        }));
        return { verdicts, ...(await this.notice(retiresAt)) };
      },
      condemnRelease: async (_name, _release, notices) => {
        const verdicts = notices.map(({ envelope: sent }): DecisionVerdict => {
          const { payload, signatures } = sent as SignedEnvelope;
          return signatures[0]?.sig === 'valid'
            ? { accepted: true, by: 'sam', statement: digestOf(payload) }
            : { accepted: false, code: 'NOT_AUTHORISED', reason: 'it takes the role security-authority' };
        });
        const first = verdicts.find((verdict) => verdict.accepted);
        const condemned = first === undefined ? null : { vulnerability: first.statement, order: digestOf('kill') };
        return { verdicts, condemned };
      },
      noteCondemned: async () => undefined,
      informCondemned: async () => 0,
      revokeCondemned: async () => digestOf('revocation'),
      withdrawRelease: async () => ({ ...at(2, '0.0.0', 'x'), stopped: [] }),
      noteErasure: async () => undefined,
      openTrainingGate: async () => this.gate('train-1', 'release-approver'),
      examine: async () => undefined,
      recordTraining: async () => undefined,
      revokeRelease: async () => digestOf('revocation'),
      destroyKeys: async () => digestOf('erased'),
      probeHost: async () => envelope('served'),
      probeGateways: async () => digestOf('routed'),
      certify: async () => digestOf('certificate'),
      startRelease: async () => undefined,
      stopRelease: async () => undefined,
      resumeEndpoint: async () => this.position,
      resumeRollout: async () => ({ kind: 'new' }),
      routeStep: async (model, order, step) => ({
        position: this.move(at(this.position.revision + 1, order.version, model)),
        bakeSeconds: 60,
        timeoutSeconds: 120,
        last: step === this.steps - 1,
        pauses: step === this.pausesAt,
      }),
      openStepGate: async (_model, _order, step) => this.gate(`proceed-${step}`, 'release-approver'),
      promoteRelease: async (model, order) => this.move(at(this.position.revision + 1, order.version, model)),
      rollBack: async (model) => {
        const revision = this.position.revision + 1;
        return { ...this.move(at(revision, '1.0.0', model)), unnoted: { revision, since: AT } };
      },
      checkRollback: async (_model, order) => {
        const target = (order as SignedEnvelope).payload;
        const said = { reason: 'slow', by: 'olga', statement: digestOf('rollback'), unnoted: AT };
        return { target: target === '' ? null : target, ...said };
      },
      takeAlerts: async (_model, alerts) => {
        const verdicts = alerts.map(({ envelope: sent }): DecisionVerdict => {
          const { payload, signatures } = sent as SignedEnvelope;
          return signatures[0]?.sig === 'valid'
            ? { accepted: true, by: 'siem', statement: digestOf(payload) }
            : { accepted: false, code: 'SIGNATURE_INVALID', reason: 'the signature does not verify' };
        });
        const [release = ''] = this.position.serving.map((entry) => entry.release);
        const alarms = verdicts.flatMap((verdict) =>
          verdict.accepted ? [{ statement: verdict.statement, release, reason: `warning: ${verdict.statement}` }] : [],
        );
        return { verdicts, act: null, alarms };
      },
      noteAlerts: async () => undefined,
      strayAlert: async () => undefined,
      noteBreach: async () => undefined,
      noteRoute: async () => undefined,
      confirmRoute: async () => undefined,
      noteRejection: async () => undefined,
      noteRollback: async () => undefined,
      noteVerdict: async () => undefined,
      sortKills: async (_model, orders) =>
        orders.map(({ envelope: sent }) => {
          const { payload, signatures } = sent as SignedEnvelope;
          return signatures[0]?.sig === 'valid'
            ? { accepted: true, by: 'oscar', statement: digestOf(payload) }
            : { accepted: false, code: 'SIGNATURE_INVALID', reason: 'the signature does not verify' };
        }),
      killEndpoint: async (_model, order) => {
        const { payload, signatures } = order as SignedEnvelope;
        if (signatures[0]?.sig !== 'valid') throw refusal('SIGNATURE_INVALID', 'the signature does not verify');
        this.position = { ...this.position, killedBy: [...this.position.killedBy, digestOf(payload)] };
        return { order: digestOf(payload), gateways: 2, ms: 3 };
      },
      confirmKill: async () => 'all gateways have stopped, after 7 s: the policy gives 5 s',
      restoreEndpoint: async () => this.move({ revision: this.position.revision + 1, killedBy: [] }),
      replyRollout: async () => undefined,
      admitData: async () => ({ statement: digestOf('data'), list: digestOf('list'), by: 'dana' }),
      takeData: async () => ({ files: 3, bytes: 300 }),
      recordData: async () => undefined,
      admitHold: async (name) => ({
        ...{ release: release(name), hold: digestOf('hold'), by: 'sam', reason: 'a lawsuit' },
      }),
      openLiftGate: async () => this.gate('lift-1', 'operator'),
      recordLifted: async () => undefined,
      holdRelease: async () => ({ objects: 7, open: [digestOf('hold')] }),
      liftHolds: async () => ({ objects: 0, open: [] }),
      extendReleases: async () => kept(this.locks),
      extendRecords: async () => kept(this.locks),
      extendLog: async () => kept(this.locks),
      recordRetention: async (found, startedAt) => ({
        ...{ environment: 'test', startedAt, ...found },
        endedAt: new Date(await this.env.currentTimeMs()).toISOString(),
      }),
      beginDrill: async () => ({
        ...{ kind: 'ready', model: 'digits', serving: digestOf('digits 1.1.0'), earlier: digestOf('digits 1.0.0') },
      }),
      drillStep: async () => ({ ms: 90, trouble: null }),
      recordDrill: async ({ startedAt, begun, steps, notHeld }) => {
        const measures = steps.map((taken) => ({ ...taken, agreedMs: 100 }));
        return {
          ...{ environment: 'test', model: begun?.model ?? 'digits', startedAt },
          endedAt: new Date(await this.env.currentTimeMs()).toISOString(),
          ...{ serving: begun?.serving ?? null, earlier: begun?.earlier ?? null, steps: measures },
          ...(notHeld === null ? judgeDrill(measures) : { outcome: notHeld.kind, reason: notHeld.why }),
        };
      },
      admitPromotion: async () => digestOf('promote'),
      recordPromotion: async () => undefined,
      summariseRelease: async (name) => ({ release: release(name), summary: digestOf('summary') }),
      admitResign: async () => digestOf('resign'),
      recordResigned: async () => undefined,
      resignRelease: async (name) => ({ release: release(name), signature: digestOf('signature 2'), already: false }),
      declareConsumer: async (consumer, sequence) => ({
        statement: digestOf(`${consumer} ${sequence}`),
        by: 'oscar',
        already: false,
        added: ['digits'],
      }),
      wakeEndings: async () => undefined,
      applyPolicy: async (version) => ({
        version,
        digest: digestOf(`policy ${version}`),
        signers: ['rosa'],
        already: false,
      }),
      watchStep: async (_model, revision) => ({ kind: 'pass', revision, samples: 100 }),
      watchService: () => watching(new Promise(() => undefined)),
      revertService: async (model) => ({
        kind: 'rolled back',
        position: this.move(at(this.position.revision + 1, '1.0.0', model)),
      }),
      train: async () => ({
        source: 'file:///out',
        bundle: 'file:///out.sigstore',
        provenance: 'file:///out.provenance.json',
        statement: digestOf('provenance'),
      }),
    };
  }
}

function kept(checked: number): LockTally {
  return { checked, extended: checked, earliest: '2030-01-01T00:00:00.000Z', troubled: 0, troubles: [] };
}

function saidIn({ envelope: sent }: Decision): Said | null {
  try {
    return JSON.parse((sent as SignedEnvelope).payload) as Said;
  } catch {
    return null; // What is no decision is refused by `judge`.
  }
}

function judge(sent: Decision, gate: OpenGate): DecisionVerdict {
  const said = saidIn(sent);
  if (said === null) return { accepted: false, code: 'MALFORMED', reason: 'this is no decision' };
  if ((sent.envelope as SignedEnvelope).signatures[0]?.sig !== 'valid')
    return { accepted: false, code: 'SIGNATURE_INVALID', reason: 'the signature does not verify' };
  if (said.requestId !== gate.requestId)
    return { accepted: false, code: 'REPLAYED', reason: 'it decides another request' };
  return { accepted: true, by: said.by, statement: digestOf(`${said.by} ${said.requestId}`) };
}

/** A watch that ends with the answer of the test, or when it is cancelled. */
export function watching<T>(answer: Promise<T>): Promise<T> {
  const context = Context.current();
  const beat = setInterval(() => context.heartbeat(), 50);
  return Promise.race([answer, context.cancelled]).finally(() => clearInterval(beat));
}

export function orderOf(model: string, version: string): RolloutOrder {
  return {
    request: digestOf(`deploy ${model} ${version}`),
    approvals: [digestOf('a'), digestOf('b')],
    release: digestOf(`${model} ${version}`),
    version,
    replyTo: `lifecycle/${model}/${version}`,
  };
}

/** One worker for each zone. Activities go to the zones that `current` names at that moment. */
async function startWorkers(
  env: TestWorkflowEnvironment,
  current: () => FakeZones,
): Promise<{ stop: () => Promise<void> }> {
  const bundle = await workflowBundle();
  const workers = await Promise.all(
    ZONES.map((zone) => {
      const names = (Object.keys(ZONE_OF) as ActivityName[]).filter((name) => ZONE_OF[name] === zone);
      const acts = Object.fromEntries(names.map((name) => [name, (...args: unknown[]) => current().run(name, args)]));
      // As the real workers have it. A dead one sends no heartbeat.
      const alive = zone === 'control' || zone === 'signing' ? beating(acts) : acts;
      const activities = names.map((name) => {
        const call = (...args: unknown[]) => (current().dead.has(name) ? acts : alive)[name]?.(...args);
        return [name, call] as const;
      });
      return Worker.create({
        connection: env.nativeConnection,
        namespace: env.namespace ?? 'default',
        taskQueue: zone,
        identity: IDENTITY,
        activities: Object.fromEntries(activities),
        maxHeartbeatThrottleInterval: '100ms',
        defaultHeartbeatThrottleInterval: '100ms',
        shutdownForceTime: '2 seconds',
        ...(zone === 'control' ? { workflowBundle: bundle } : {}),
      });
    }),
  );
  const running = workers.map((worker) => worker.run());
  return {
    stop: async () => {
      for (const worker of workers) worker.shutdown();
      await Promise.all(running);
    },
  };
}

/** The attempt of the activity that runs. */
export function attempt(): number {
  return activityInfo().attempt;
}

/** A server with the workers of every zone for all tests of a file, and fakes of its own for each of them. */
export function stage(startServer: () => Promise<TestWorkflowEnvironment>): {
  readonly env: TestWorkflowEnvironment;
  readonly zones: FakeZones;
} {
  const on = {} as { env: TestWorkflowEnvironment; zones: FakeZones };
  let workers: { stop: () => Promise<void> } | undefined;
  beforeAll(async () => {
    on.env = await startServer();
    workers = await startWorkers(on.env, () => on.zones);
  });
  afterAll(async () => {
    await workers?.stop();
    await on.env?.teardown();
  });
  beforeEach(() => {
    on.zones = new FakeZones(on.env);
  });
  return on;
}
