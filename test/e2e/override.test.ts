import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lifecycleStatus, outcomeOf } from '../../client/messages.js';
import { overrideFailure } from '../../client/requests.js';
import type { ReleaseSource } from '../../client/start.js';
import { lifecycleId } from '../../domain/names.js';
import type { Policy } from '../../domain/policy.js';
import { shippedFolder } from '../../examples/digits/ship.js';
import { Bench, FIRST, MODEL } from './harness.js';
import { until } from './support/until.js';

const PATIENCE_SECONDS = 180;
const CRITERION = 'accuracy/digits>=0.95';
// Each leaves a busy machine three times what it takes to come into service and be looked at.
const HOLDS_SECONDS = 40;
const REVIEW_SECONDS = 30;
const WHY = 'the held-out set is out of date';

let bench: Bench;

/** The shipped 1.0.0 is not accurate enough for it, 1.2.0 is. One step, so that provisional releases serve soon. */
function demanding(policy: Policy): Policy {
  const { deployment } = policy.emergency;
  if (deployment === undefined) throw new Error('the development policy knows no emergency');
  return {
    ...policy,
    validation: {
      ...policy.validation,
      suites: policy.validation.suites.map((rule) =>
        rule.minimumAccuracy === undefined ? rule : { ...rule, minimumAccuracy: 0.95 },
      ),
    },
    override: { count: 1, withinSeconds: 300, holdsSeconds: HOLDS_SECONDS },
    emergency: {
      ...policy.emergency,
      deployment: {
        ...deployment,
        review: { ...deployment.review, withinSeconds: REVIEW_SECONDS },
        bakeSeconds: 1,
      },
    },
    rollout: {
      ...policy.rollout,
      steps: [{ weight: 100, bakeSeconds: 1 }],
      // A busy machine is no reason to roll back here.
      triggers: { ...policy.rollout.triggers, maxErrorRate: 1, maxLatencyMs: 60_000 },
    },
  };
}

const accurate = (version: string): Promise<ReleaseSource> =>
  bench.source(version, { change: (folder) => cpSync(shippedFolder('1.2.0'), folder, { recursive: true }) });
const inaccurate = (version: string): Promise<ReleaseSource> => bench.source(version);
const named = (version: string) => ({ model: MODEL, version });
const roleOf = async (version: string): Promise<string> => (await bench.openGate(version)).gate.role;
const gateOf = (version: string, role: string) =>
  until(`a gate for ${role}`, PATIENCE_SECONDS, async () => {
    const waiting = await bench.openGate(version);
    return waiting.gate.role === role ? waiting : null;
  });

async function approve(version: string, who: string, role: string): Promise<void> {
  const { gate } = await gateOf(version, role);
  const { code, stderr } = await bench.cli('approve', gate.requestId, '--key', who, '--yes');
  expect(code, stderr).toBe(0);
}

/** The finding that the log names for the end of a release. */
async function findingOf(version: string) {
  const record = await until(`the end of ${version} in the log`, PATIENCE_SECONDS, async () => {
    const records = await bench.log();
    return records.find(({ change, subject }) => change === 'release.lapsed' && subject.version === version) ?? null;
  });
  const { statement } = record.actor;
  if (statement === null) throw new Error('the log names no statement');
  return (await bench.custody.records.get('verificationSummary', statement)).verified;
}

beforeAll(async () => {
  bench = await Bench.start(demanding);
  await bench.start(await accurate(FIRST.version));
  await approve(FIRST.version, 'alice', 'release-approver');
  await bench.reached(FIRST.version, 'in service');
});

afterAll(() => bench?.stop());

describe('a candidate that fails what may be lifted', () => {
  const VERSION = '2.0.0';
  const override = (...more: string[]) =>
    bench.cli('override', `${MODEL}@${VERSION}`, '--justification', WHY, '--yes', ...more);

  beforeAll(async () => {
    await bench.start(await inaccurate(VERSION));
  });

  test('is blocked without an override, and says who may give one', async () => {
    expect(await roleOf(VERSION)).toBe('override-authority');
    await bench.approvals(`custody override ${MODEL}@${VERSION} --lift`);
    expect(await bench.call()).toMatchObject({ version: FIRST.version });
  });

  test('attack: is not overridden by the wrong person, of the wrong criterion, or for too long', async () => {
    expect(await override('--lift', CRITERION, '--key', 'alice')).toMatchObject({ code: 4 });
    const other = await override('--lift', 'contract/digits/live', '--key', 'vera');
    expect(other).toMatchObject({ code: 2 });
    expect(other.stderr).toContain(CRITERION);
    expect(await override('--lift', CRITERION, '--key', 'vera', '--for', `${HOLDS_SECONDS + 1}s`)).toMatchObject({
      code: 3,
    });
    const short = ['override', `${MODEL}@${VERSION}`, '--justification', ' ', '--yes', '--lift', CRITERION];
    expect(await bench.cli(...short, '--key', 'vera')).toMatchObject({ code: 3 });
    expect(await roleOf(VERSION)).toBe('override-authority');
  });

  test('is overridden by its authority, shown to the approver, and serves', async () => {
    const done = await override('--lift', CRITERION, '--key', 'vera');
    expect(done, done.stderr).toMatchObject({ code: 0, stdout: expect.stringContaining('counted as vera') as string });
    const { gate } = await gateOf(VERSION, 'release-approver');
    const shown = await bench.cli('approve', gate.requestId, '--key', 'alice', '--yes');
    expect(shown.stderr).toContain(`overridden by   vera: ${CRITERION}`);
    expect(shown.stderr).toContain(WHY);
    await bench.answers({ version: VERSION });
    const { stdout } = await bench.cli('status', MODEL, VERSION);
    expect(stdout).toContain('stands until');
  });

  test.each(['update', 'signal'] as const)('is overridden by temporal workflow %s', async (way) => {
    const version = way === 'update' ? '2.1.0' : '2.2.0';
    await bench.start(await inaccurate(version));
    await gateOf(version, 'override-authority');
    const file = join(bench.folder, `override-${way}.json`);
    const printed = await bench.cli(
      ...['--json', 'override', `${MODEL}@${version}`, '--lift', CRITERION],
      ...['--justification', WHY, '--key', 'vera', '--print', file],
    );
    const lines = JSON.parse(printed.stdout) as Record<typeof way, string>;
    const sent = await bench.shell(lines[way]);
    expect(sent.code, sent.stderr).toBe(0);
    const waiting = await gateOf(version, 'release-approver');
    await bench.tell(waiting.workflowId, 'reject', await bench.decision('alice', waiting, 'reject'));
  });

  test('attack: the override of one release does not lift the failure of another', async () => {
    await bench.start(await inaccurate('2.3.0'));
    const { workflowId } = await gateOf('2.3.0', 'override-authority');
    const { overrideGate } = (await lifecycleStatus(bench.custody, named('2.0.0'))).progress;
    const request = (await bench.custody.records.get('request', overrideGate?.request ?? '')).verified;
    const given = { lifts: [CRITERION], justification: WHY, seconds: HOLDS_SECONDS };
    const replayed = overrideFailure(await bench.signer('vera'), request, given);
    expect(await bench.tell(workflowId, 'override', replayed)).toBe('REPLAYED');
    expect(await bench.refusalOf(replayed)).toMatchObject({ reason: expect.stringContaining('REPLAYED') as string });
  });

  test('serves until the override ends by itself', async () => {
    expect(await outcomeOf(bench.custody, named(VERSION))).toMatchObject({
      kind: 'rolled back',
      reason: expect.stringContaining('override') as string,
    });
    await bench.answers({ version: FIRST.version });
    expect(await findingOf(VERSION)).toMatchObject({
      signers: ['control'],
      predicate: { verificationResult: 'FAILED', resourceUri: lifecycleId(named(VERSION)) },
    });
    const verified = await bench.cli('verify', MODEL, VERSION);
    expect(verified).toMatchObject({ code: 3, stderr: expect.stringContaining('EXPIRED') as string });
  });
});

describe('an emergency deployment', () => {
  const assessment = (): string => {
    const file = join(bench.folder, 'assessment.yaml');
    writeFileSync(
      file,
      [
        'what: closes the overflow in the request parser',
        'whyNow: it has been exploited since this morning',
        'risks:',
        '  - the parser is stricter than the one before',
        'mitigations:',
        '  - two people watch the dashboards all day',
        'rollbackPlan: reject the review, then 1.0.0 serves again',
      ].join('\n'),
    );
    return file;
  };
  const release = async (version: string, key: string, file = assessment()) => {
    const { folder, bundle } = await accurate(version);
    return bench.cli('release', folder, '--bundle', bundle, '--emergency', file, '--key', key);
  };

  test('attack: without what an assessment must say it does not begin', async () => {
    const file = join(bench.folder, 'thin.yaml');
    writeFileSync(file, 'what: closes the overflow in the request parser\nwhyNow: soon\n');
    const { code, stderr } = await release('3.0.0', 'otto', file);
    expect(code).toBe(2);
    expect(stderr).toMatch(/thin\.yaml:2/);
    expect(stderr).toContain('rollbackPlan');
  });

  test('attack: by a workload it is refused', async () => {
    expect(await release('3.0.0', 'ci')).toMatchObject({ code: 0 });
    expect(await outcomeOf(bench.custody, named('3.0.0'))).toMatchObject({
      kind: 'rejected',
      stage: 'admit',
      code: 'NOT_AUTHORISED',
    });
  });

  test('needs the security authority, serves all at once, and goes back when nobody else reviews it', async () => {
    const started = await release('3.1.0', 'otto');
    expect(started.code, started.stderr).toBe(0);
    const waiting = await gateOf('3.1.0', 'security-authority');
    expect(await bench.tell(waiting.workflowId, 'approve', await bench.decision('alice', waiting))).toBe(
      'NOT_AUTHORISED',
    );
    const shown = await bench.cli('approve', waiting.gate.requestId, '--key', 'sam', '--yes');
    expect(shown.code, shown.stderr).toBe(0);
    expect(shown.stderr).toContain('it has been exploited since this morning');
    await bench.answers({ version: '3.1.0' });
    const review = await gateOf('3.1.0', 'reviewer');
    expect(await bench.tell(review.workflowId, 'approve', await bench.decision('sam', review))).toBe('NOT_AUTHORISED');
    expect(await outcomeOf(bench.custody, named('3.1.0'))).toMatchObject({
      kind: 'rolled back',
      reason: expect.stringContaining('not reviewed in time') as string,
    });
    await bench.answers({ version: FIRST.version });
    expect(await findingOf('3.1.0')).toMatchObject({ predicate: { verificationResult: 'FAILED' } });
  });

  test('stands for good once it was reviewed', async () => {
    await release('3.2.0', 'otto');
    await approve('3.2.0', 'sam', 'security-authority');
    await approve('3.2.0', 'rita', 'reviewer');
    const after = await until('the review counts', PATIENCE_SECONDS, async () => {
      const status = await lifecycleStatus(bench.custody, named('3.2.0'));
      return status.progress.reviewed !== undefined && status.proviso === null ? status : null;
    });
    expect(after).toMatchObject({ stage: 'in service', gate: null });
    expect(await bench.cli('verify', MODEL, '3.2.0')).toMatchObject({ code: 0 });
  });
});
