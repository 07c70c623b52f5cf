import type { WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import { WorkflowUpdateFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Approved, LifecycleStatus, Validated } from '../../domain/lifecycle.js';
import { inert } from '../../domain/markdown.js';
import type { Proviso } from '../../domain/provisional.js';
import {
  SEARCH_ATTRIBUTES,
  decisionSignal,
  decisionUpdate,
  lifecycleStatusQuery,
  startLifecycle,
  type LifecycleDecision,
} from '../../workflows/messages.js';
import type { lifecycle } from '../../workflows/index.js';
import { capture, startTimeSkipping } from '../support/temporal.js';
import { decision, deferred, digestOf, envelope, refusal, stage } from '../support/zones.js';

type Handle = WorkflowHandleWithFirstExecutionRunId<typeof lifecycle>;

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const HOLDS = 7 * DAY;
const REVIEWED_WITHIN = 3 * DAY;

const on = stage(startTimeSkipping);
let count = 0;
/** Until when the release stands, by the records of the fakes. */
let proviso: Proviso | null;

const now = (): Promise<number> => on.env.currentTimeMs();
const iso = (ms: number): string => new Date(ms).toISOString();

beforeEach(() => {
  proviso = null;
  on.zones.acts.proviso = async () => proviso;
});

const start = (emergency = false, continueAfterEvents: number | null = null): Promise<Handle> =>
  on.env.client.workflow.start<typeof lifecycle>('lifecycle', {
    ...startLifecycle({ model: `urgent-${(count += 1)}`, version: '1.0.0' }),
    args: [
      { request: envelope('start'), ...(emergency ? { riskAssessment: envelope('assessment') } : {}) },
      continueAfterEvents,
    ],
  });
const update = (handle: Handle, name: LifecycleDecision, by: string, request: string) =>
  handle.executeUpdate(decisionUpdate(name), { args: [decision(by, request)] });
const reject = (handle: Handle, request: string) =>
  handle.executeUpdate(decisionUpdate('reject'), { args: [decision('remy', request, 'reject')] });
const codeOf = (error: unknown): unknown =>
  error instanceof WorkflowUpdateFailedError && error.cause instanceof ApplicationFailure ? error.cause.type : error;
const status = (handle: Handle): Promise<LifecycleStatus> => handle.query(lifecycleStatusQuery);
const at = (name: string): number => on.zones.calls.find((call) => call.name === name)?.at ?? NaN;
const approveDeploy = async (handle: Handle): Promise<void> => {
  await on.zones.called('openDeployGate');
  await update(handle, 'approve', 'alice', 'deploy-1');
  await update(handle, 'approve', 'bob', 'deploy-1');
};
/** A validation that fails, and a policy that lets it be lifted. */
function failing(told: Pick<Validated, 'misses' | 'remedy'> = {}): void {
  on.zones.acts.validate = async () => ({
    ...told,
    testResult: digestOf('test result'),
    passed: 19,
    failed: ['accuracy/digits>=0.9'],
    accuracy: 0.8,
  });
  on.zones.acts.openOverrideGate = async () => {
    const gate = await on.zones.gate('override-1', 'override-authority');
    on.zones.progress = { ...on.zones.progress, overrideGate: gate };
    return gate;
  };
}

async function overridden(handle: Handle): Promise<void> {
  await on.zones.called('openOverrideGate');
  proviso = { until: iso((await now()) + HOLDS), why: 'the override of its failed validation has ended' };
  await update(handle, 'override', 'vera', 'override-1');
  await update(handle, 'override', 'vito', 'override-1');
  await approveDeploy(handle);
}

describe('a release whose validation has failed', () => {
  it('is rejected when nobody overrides it in time', async () => {
    failing();
    const handle = await start();
    expect(await handle.result()).toMatchObject({ kind: 'rejected', stage: 'override', code: 'VALIDATION_FAILED' });
    expect(on.zones.names()).not.toContain('openDeployGate');
    expect(at('recordOutcome') - at('openOverrideGate')).toBeGreaterThanOrEqual(7 * DAY);
    await capture(handle, 'lifecycle-override-missed');
  });

  it('shows what has failed and by how much, who may lift it, and with which command', async () => {
    const miss = 'accuracy/digits>=0.9: 80 % of 397 rows are right, 90 % are needed: 10 % too few';
    failing({ misses: [miss], remedy: '1 with the role override-authority' });
    const handle = await start();
    await on.zones.called('openOverrideGate');
    await expect.poll(async () => (await status(handle)).gate?.requestId).toBe('override-1');
    const metadata = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
    expect(metadata.currentDetails).toContain(`custody override urgent-${count}@1.0.0`);
    expect(metadata.currentDetails).toContain(`--name override --input-file decision.json`);
    expect(metadata.currentDetails).toContain(`**Failed:** ${inert(miss)}`);
    expect(metadata.currentDetails).toContain('**An override would need:** 1 with the role override-authority');
    await handle.terminate();
  });

  it('attack: shows names of files, suites and cases as text, whatever the markdown, HTML or terminal codes in them', async () => {
    const evil = 'safety/own/[ok](https://evil.example)<img src=x onerror=alert(1)>\u001b[2K\u202e\n\n# **passed** `x`';
    failing({ misses: [evil], remedy: evil });
    const handle = await start();
    await on.zones.called('openOverrideGate');
    await expect.poll(async () => (await status(handle)).gate?.requestId).toBe('override-1');
    const { currentDetails } = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
    const shown = currentDetails.split('\n').filter((line) => /^\*\*(?:Failed|An override would need):/.test(line));
    expect(shown).toEqual([`**Failed:** ${inert(evil)}`, `**An override would need:** ${inert(evil)}`]);
    expect(shown.join('\n')).not.toMatch(/(?<!\\)<|(?<!\\)\]\(|https:\/\//);
    expect(currentDetails).not.toMatch(/[\u001b\u202e]|^# /m);
    await handle.terminate();
  });

  it('attack: is never signed, and says after its end, too, what failed, by how much, and what would have lifted it', async () => {
    const miss = 'safety/own/refuses-bomb: it does not refuse';
    const remedy = 'no override can help: safety/own/refuses-bomb can never be lifted';
    failing({ misses: [miss], remedy });
    on.zones.acts.openOverrideGate = async () => {
      throw refusal('VALIDATION_FAILED', 'failed: safety/own/refuses-bomb, which can never be lifted');
    };
    const handle = await start();
    // Approvals that came before anyone was asked help it no more than those that come after.
    await handle.signal(decisionSignal('approve'), decision('alice', 'deploy-1'));
    await handle.signal(decisionSignal('override'), decision('vera', 'override-1'));
    expect(await handle.result()).toMatchObject({ kind: 'rejected', stage: 'validate', code: 'VALIDATION_FAILED' });
    for (const act of ['openDeployGate', 'signRelease', 'askEndpoint']) expect(on.zones.names()).not.toContain(act);
    const { currentDetails } = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
    expect(currentDetails).toContain('**Stage:** ended');
    expect(currentDetails).toContain(`**Failed:** ${inert(miss)}`);
    expect(currentDetails).toContain(`**An override would need:** ${inert(remedy)}`);
    expect(currentDetails).toContain('**Outcome:** rejected: failed: safety/own/refuses');
    const { typedSearchAttributes } = await handle.describe();
    expect(typedSearchAttributes.get(SEARCH_ATTRIBUTES.stage)).toBe('ended');
    expect(typedSearchAttributes.get(SEARCH_ATTRIBUTES.awaiting) ?? null).toBeNull();
  });

  it('serves once it was overridden and approved, and goes back by itself seven days later', async () => {
    failing();
    const handle = await start();
    await overridden(handle);
    await expect.poll(async () => (await status(handle)).stage).toBe('in service');
    const { until } = proviso ?? expect.fail('no proviso');
    expect((await status(handle)).proviso).toEqual(proviso);
    expect(await handle.result()).toEqual({ kind: 'rolled back', reason: proviso?.why });
    expect(at('recordLapse')).toBeGreaterThanOrEqual(Date.parse(until));
    expect(at('recordLapse')).toBeLessThan(Date.parse(until) + 60_000);
    const ending = on.zones.names().slice(-5);
    expect(ending.slice(0, 3)).toEqual(['recordLapse', 'revertRelease', 'stopRelease']);
    expect(ending.slice(3).sort()).toEqual(['noteLapse', 'recordOutcome']);
    await capture(handle, 'lifecycle-override-ended');
  });

  it('still serves a second before that time', async () => {
    failing();
    const handle = await start();
    await overridden(handle);
    await expect.poll(async () => (await status(handle)).stage).toBe('in service');
    const until = Date.parse(proviso?.until ?? '');
    await on.env.sleep(until - (await now()) - 1000);
    expect((await status(handle)).stage).toBe('in service');
    expect(on.zones.names()).not.toContain('revertRelease');
    expect(await handle.result()).toMatchObject({ kind: 'rolled back' });
    expect(at('recordLapse')).toBeGreaterThanOrEqual(until);
  });

  it('serves on when the override is renewed in time, and goes back when the renewal ends', async () => {
    failing();
    const handle = await start();
    await overridden(handle);
    await expect.poll(async () => (await status(handle)).stage).toBe('in service');
    const first = Date.parse(proviso?.until ?? '');
    on.zones.acts.renewOverride = async (_name, decisions) => {
      proviso = { until: iso((await now()) + HOLDS), why: 'the renewal has ended' };
      return {
        verdicts: decisions.map(() => ({ accepted: true, by: 'vera', statement: digestOf('renewal') })),
        proviso,
      };
    };
    await on.env.sleep(6 * DAY);
    await handle.signal(decisionSignal('override'), envelope('renewal'));
    await on.zones.called('renewOverride');
    await on.env.sleep(2 * DAY);
    expect(await now()).toBeGreaterThan(first);
    expect((await status(handle)).stage).toBe('in service');
    expect(await handle.result()).toEqual({ kind: 'rolled back', reason: 'the renewal has ended' });
    expect(at('recordLapse')).toBeGreaterThanOrEqual(first + 5 * DAY);
  });

  it('attack: a renewal that comes after it has gone back is refused', async () => {
    failing();
    const handle = await start();
    await overridden(handle);
    let renewed = 0;
    on.zones.acts.renewOverride = async () => {
      renewed += 1;
      return { verdicts: [], proviso: null };
    };
    const { recordOutcome } = on.zones.acts;
    let late: Promise<unknown> = Promise.resolve();
    on.zones.acts.recordOutcome = async (...args) => {
      late = update(handle, 'override', 'vera', 'override-1').then(() => 'accepted', codeOf);
      await on.zones.called('refuse');
      return recordOutcome(...args);
    };
    expect(await handle.result()).toMatchObject({ kind: 'rolled back' });
    expect(await late).toBe('POLICY_REFUSED');
    expect(renewed).toBe(0);
  });

  it('that lapses in its rollout is taken out of it', async () => {
    failing();
    on.zones.acts.askEndpoint = async () => undefined;
    on.zones.acts.rolloutState = async () => 'under way';
    const handle = await start();
    await overridden(handle);
    expect(await handle.result()).toMatchObject({ kind: 'rolled back' });
    expect(at('revertRelease')).toBeGreaterThanOrEqual(Date.parse(proviso?.until ?? ''));
  });

  it('that lapses in its notice period stops serving then, and is retired at its time', async () => {
    failing();
    const handle = await start();
    await overridden(handle);
    await handle.executeUpdate(decisionUpdate('retire'), { args: [envelope('retire')] });
    await update(handle, 'approve', 'alice', 'retire-1');
    await update(handle, 'approve', 'bob', 'retire-1');
    expect(await handle.result()).toMatchObject({ kind: 'retired' });
    expect(at('revertRelease')).toBeLessThan(at('giveNotice') + 8 * DAY);
    expect(at('destroyKeys')).toBeGreaterThanOrEqual(at('giveNotice') + 30 * DAY - 1000);
  });

  it('goes on where it was in a run that begins anew: at the open gate, and until the same time', async () => {
    failing();
    const handle = await start(false, 30);
    await on.zones.called('openOverrideGate');
    proviso = { until: iso((await now()) + HOLDS), why: 'the override of its failed validation has ended' };
    await update(handle, 'override', 'vera', 'override-1');
    await update(handle, 'override', 'vito', 'override-1');
    await update(handle, 'approve', 'alice', 'deploy-1');
    await update(handle, 'approve', 'bob', 'deploy-1');
    expect(await on.env.client.workflow.getHandle(handle.workflowId).result()).toMatchObject({ kind: 'rolled back' });
    expect(on.zones.names().filter((name) => name === 'resumeLifecycle').length).toBeGreaterThan(2);
    expect(on.zones.argsOf('openOverrideGate')).toHaveLength(1);
    expect(at('recordLapse')).toBeGreaterThanOrEqual(Date.parse(proviso.until));
  });

  it('that had begun to go back when it starts again finishes that, whatever else the records say', async () => {
    const gate = await on.zones.gate('deploy-1', 'release-approver');
    const approved: Approved = { request: gate.request, approvals: [], approvers: [] };
    const lapsed = { until: iso((await now()) - DAY), why: 'it had ended' };
    on.zones.progress = {
      admission: {
        request: digestOf('s'),
        requester: 'ci',
        source: 'x',
        bundle: 'y',
        provenance: 'z',
        policy: digestOf('p'),
      },
      ingested: {
        release: digestOf('r'),
        producer: 'ci',
        bundle: digestOf('b'),
        provenance: digestOf('p'),
        scan: digestOf('scan'),
        change: digestOf('c'),
        files: 1,
        bytes: 1,
      },
      validated: { testResult: digestOf('t'), passed: 1, failed: ['a'], accuracy: 1 },
      overridden: approved,
      approved,
      signed: { signature: digestOf('s') },
      rollout: { kind: 'promoted', revision: 3 },
      lapsed,
    };
    const handle = await start();
    expect(await handle.result()).toEqual({ kind: 'rolled back', reason: 'it had ended' });
    const [read, ...ending] = on.zones.names();
    expect([read, ...ending.slice(0, 2)]).toEqual(['resumeLifecycle', 'revertRelease', 'stopRelease']);
    expect(ending.slice(2).sort()).toEqual(['noteLapse', 'recordOutcome']);
  });
});

describe('an emergency deployment', () => {
  const WHY = 'the emergency deployment was not reviewed in time';

  /** What control makes of an emergency: a gate of four hours, and a review within three days of the approval. */
  function urgent(): void {
    const { admitRelease } = on.zones.acts;
    on.zones.acts.admitRelease = async (...args) => {
      const admission = { ...(await admitRelease(...args)), riskAssessment: digestOf('assessment') };
      on.zones.progress = { ...on.zones.progress, admission };
      return admission;
    };
    on.zones.gateSeconds = (4 * HOUR) / 1000;
    on.zones.acts.proviso = async () => (proviso ??= { until: iso((await now()) + REVIEWED_WITHIN), why: WHY });
    on.zones.acts.openReviewGate = async () => {
      on.zones.gateSeconds = REVIEWED_WITHIN / 1000;
      return on.zones.gate('review-1', 'reviewer');
    };
  }

  it('brings its risk assessment along', async () => {
    urgent();
    const handle = await start(true);
    await on.zones.called('openDeployGate');
    expect(on.zones.argsOf('admitRelease')[0]?.[2]).toEqual(envelope('assessment'));
    await reject(handle, 'deploy-1');
    expect(await handle.result()).toMatchObject({ kind: 'rejected', stage: 'approve' });
  });

  it('that the security authority does not approve within four hours expires without effect', async () => {
    urgent();
    const handle = await start(true);
    await on.zones.called('openDeployGate');
    await update(handle, 'approve', 'sam', 'deploy-1');
    expect(await handle.result()).toEqual({ kind: 'expired', stage: 'approve' });
    expect(at('recordOutcome') - at('openDeployGate')).toBeGreaterThanOrEqual(4 * HOUR);
    expect(at('recordOutcome') - at('openDeployGate')).toBeLessThan(4 * HOUR + 60_000);
    expect(on.zones.names()).not.toContain('signRelease');
  });

  it('that is approved a second before the deadline deploys', async () => {
    urgent();
    const handle = await start(true);
    await on.zones.called('openDeployGate');
    await on.env.sleep(at('openDeployGate') + 4 * HOUR - 5000 - (await now()));
    await approveDeploy(handle);
    await expect.poll(async () => (await status(handle)).stage).toBe('in service');
    await reject(handle, 'review-1');
    proviso = { until: iso(await now()), why: 'rejected' };
    expect(await handle.result()).toMatchObject({ kind: 'rolled back' });
  });

  it.each(['whose review is rejected', 'that nobody reviews'])(
    '%s goes back while the log takes no record, and ends once that has all of it',
    async (how) => {
      const log = deferred();
      const audits = ['noteLapse', 'noteRejection', 'noteRoute', 'recordOutcome'] as const;
      for (const name of audits) {
        const act = on.zones.acts[name] as (...args: unknown[]) => Promise<unknown>;
        const waits = async (...args: unknown[]): Promise<unknown> => {
          await log.promise;
          return act(...args);
        };
        Object.assign(on.zones.acts, { [name]: waits });
      }
      const { record, decide } = on.zones.acts;
      on.zones.acts.record = async (name, part, value, release, later) => {
        if (part === 'reviewed' && later !== true) await log.promise;
        return record(name, part, value, release, later);
      };
      on.zones.acts.decide = async (input) => {
        const { verdicts, outcome } = await decide(input);
        return { verdicts, outcome: outcome.kind === 'rejected' ? { ...outcome, unnoted: true } : outcome };
      };
      on.zones.acts.revertRelease = async () => ({
        ...{ revision: 2, document: digestOf('d'), serving: [], killedBy: [], stopped: [] },
        unnoted: { revision: 2, since: iso(0) },
      });
      urgent();
      const handle = await start(true);
      await approveDeploy(handle);
      await on.zones.called('openReviewGate');
      if (how === 'whose review is rejected') {
        proviso = { until: iso(await now()), why: 'rejected' };
        await reject(handle, 'review-1');
      } else proviso = { until: iso((await now()) + 5_000), why: WHY };
      const result = handle.result();
      await on.zones.called('stopRelease');
      await Promise.all([on.zones.called('noteLapse'), on.zones.called('noteRoute')]);
      log.resolve();
      expect(await result).toMatchObject({ kind: 'rolled back' });
      if (how !== 'whose review is rejected') return;
      expect(on.zones.argsOf('noteRejection')).toHaveLength(1);
      expect(on.zones.argsOf('record').filter(([, part]) => part === 'reviewed')).toHaveLength(2);
    },
  );

  it('that is not reviewed within three days goes back by itself', async () => {
    urgent();
    const handle = await start(true);
    await approveDeploy(handle);
    await on.zones.called('openReviewGate');
    await update(handle, 'approve', 'remy', 'review-1');
    expect(await handle.result()).toEqual({ kind: 'rolled back', reason: WHY });
    expect(at('recordLapse')).toBeGreaterThanOrEqual(Date.parse(proviso?.until ?? ''));
    expect(at('recordLapse') - at('openReviewGate')).toBeLessThan(REVIEWED_WITHIN + 60_000);
    await capture(handle, 'lifecycle-emergency-unreviewed');
  });

  it('that was reviewed a second before the deadline serves on, past it, until it is retired', async () => {
    urgent();
    const handle = await start(true);
    await approveDeploy(handle);
    await on.zones.called('openReviewGate');
    await update(handle, 'approve', 'remy', 'review-1');
    await on.env.sleep(Date.parse(proviso?.until ?? '') - 5000 - (await now()));
    on.zones.acts.proviso = async () => null;
    await update(handle, 'approve', 'rosa', 'review-1');
    await on.env.sleep(2 * DAY);
    expect((await status(handle)).stage).toBe('in service');
    expect(on.zones.argsOf('record').find(([, part]) => part === 'reviewed')?.[2]).toMatchObject({
      request: digestOf('review-1'),
    });
    await handle.executeUpdate(decisionUpdate('retire'), { args: [envelope('retire')] });
    await handle.terminate();
  });

  it('goes back at once when a reviewer rejects it', async () => {
    urgent();
    const handle = await start(true);
    await approveDeploy(handle);
    await on.zones.called('openReviewGate');
    on.zones.acts.proviso = async () => ({ until: iso(await now()), why: 'remy rejected it in review' });
    await reject(handle, 'review-1');
    expect(await handle.result()).toEqual({ kind: 'rolled back', reason: 'remy rejected it in review' });
    expect(at('revertRelease') - at('openReviewGate')).toBeLessThan(60_000);
    expect(on.zones.argsOf('record').find(([, part]) => part === 'reviewed')?.[2]).toEqual({
      request: digestOf('review-1'),
      approvals: [digestOf('no')],
      approvers: ['remy'],
    });
  });

  it('is not retired while it waits for its review', async () => {
    urgent();
    const handle = await start(true);
    await approveDeploy(handle);
    await on.zones.called('openReviewGate');
    const asked = handle.executeUpdate(decisionUpdate('retire'), { args: [envelope('retire')] });
    expect(await asked.then(() => 'accepted', codeOf)).toBe('POLICY_REFUSED');
    await handle.terminate();
  });
});
