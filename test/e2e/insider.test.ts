import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { gatherRelease, newestStatus } from '../../adapters/dossier.js';
import { ask } from '../../client/audit.js';
import { endpointStatus, lifecycleStatus, outcomeOf, requestOf, type WaitingGate } from '../../client/messages.js';
import {
  askAuditor,
  decide,
  orderKill,
  orderRollback,
  overrideFailure,
  requestResign,
  requestRestore,
  requestRetirement,
  requestTraining,
  type Signer,
} from '../../client/requests.js';
import type { Digest } from '../../domain/digest.js';
import type { Progress } from '../../domain/lifecycle.js';
import { endpointId, lifecycleId, type ReleaseName } from '../../domain/names.js';
import type { Policy } from '../../domain/policy.js';
import { restored } from '../../domain/routing.js';
import { type RequestPredicate, type SignedEnvelope, type Verified } from '../../domain/statements.js';
import { storeKeys } from '../../domain/store-keys.js';
import { isoTime, plusSeconds } from '../../domain/time.js';
import { NOT_PROVISIONAL } from '../../domain/evidence.js';
import { shippedFolder } from '../../examples/digits/ship.js';
import { envelopeDigest } from '../../formats/dsse.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { signPolicy } from '../../formats/policy.js';
import { newNonce } from '../../formats/requests.js';
import { sha256 } from '../../formats/sha256.js';
import { signStatement } from '../../formats/statements.js';
import { Bench, FIRST, MODEL } from './harness.js';
import { Insider } from './insider.js';
import { until } from './support/until.js';

/**
 * Each act that only a designated person may bring about, tried by somebody who has taken control over whole: its key, its
 * credential of the store, every right in the Temporal namespace, every socket of the host. The zone that acts refuses it.
 * Releasing, loading and routing what nobody has approved are tried in attacks.test.ts.
 */
const ENDPOINT = endpointId(MODEL);
const CRITERION = 'accuracy/digits>=0.95';
const REVIEW_SECONDS = 25;
const ASSESSMENT = {
  what: 'closes the overflow in the request parser',
  whyNow: 'it has been exploited since this morning',
  risks: ['the parser is stricter than the one before'],
  mitigations: ['two people watch the dashboards all day'],
  rollbackPlan: 'reject the review, then 1.0.0 serves again',
};
const WAITING: ReleaseName = { model: MODEL, version: '1.1.0' };
const FAILED: ReleaseName = { model: MODEL, version: '2.0.0' };
const URGENT: ReleaseName = { model: MODEL, version: '3.0.0' };
const REVIEWED: ReleaseName = { model: MODEL, version: '3.1.0' };
/** One that people approve in the usual way. */
const RESET: ReleaseName = { model: MODEL, version: '1.2.0' };
const LATE: ReleaseName = { model: MODEL, version: '1.3.0' };
const MIB = 1024 * 1024;

let bench: Bench;
let insider: Insider;
let first: Digest;

/** 1.2.0 as it is shipped is accurate enough for it, 1.0.0 is not; and reviews are due soon. */
function demanding(policy: Policy): Policy {
  const { deployment } = policy.emergency;
  if (deployment === undefined) throw new Error('the development policy knows no emergency');
  const review = { ...deployment.review, withinSeconds: REVIEW_SECONDS };
  return {
    ...policy,
    validation: {
      ...policy.validation,
      suites: policy.validation.suites.map((rule) =>
        rule.minimumAccuracy === undefined ? rule : { ...rule, minimumAccuracy: 0.95 },
      ),
    },
    emergency: { ...policy.emergency, deployment: { ...deployment, review, bakeSeconds: 1 } },
    rollout: {
      ...policy.rollout,
      steps: [{ weight: 100, bakeSeconds: 1 }],
      // A busy machine is no reason to roll back here.
      triggers: { ...policy.rollout.triggers, maxErrorRate: 1, maxLatencyMs: 60_000 },
    },
  };
}

const accurate = ({ version }: ReleaseName) =>
  bench.source(version, { change: (folder) => cpSync(shippedFolder('1.2.0'), folder, { recursive: true }) });

/** The gate of a release, once it waits for this role. */
const gateOf = ({ version }: ReleaseName, role: string): Promise<WaitingGate> =>
  until(`a gate of ${version} for ${role}`, 90, async () => {
    const waiting = await bench.openGate(version);
    return waiting.gate.role === role ? waiting : null;
  });
const progressOf = async (name: ReleaseName): Promise<Progress> =>
  (await lifecycleStatus(bench.custody, name)).progress;
const requestAt = async (gate: WaitingGate): Promise<Verified<RequestPredicate>> => requestOf(bench.custody, gate);

/** Control's key, in somebody's name. */
const posing = async (id: string): Promise<Signer> => ({ ...(await bench.signer(id)), key: insider.key });

async function keep(envelope: SignedEnvelope, key = storeKeys.statement(envelopeDigest(envelope))): Promise<Digest> {
  await insider.write(key, canonicalBytes(envelope));
  return envelopeDigest(envelope);
}
const keepRequest = (envelope: SignedEnvelope): Promise<Digest> =>
  keep(envelope, storeKeys.request(envelopeDigest(envelope)));

/** A request to deploy, as control makes them, with what the insider says it rests on. */
async function deployRequest(name: ReleaseName, evidence: Record<string, Digest>): Promise<Verified<RequestPredicate>> {
  const { admission, ingested, validated } = await progressOf(name);
  if (admission === undefined || ingested === undefined || validated === undefined) throw new Error('not validated');
  const { newest, newestDigest } = await insider.records.policies();
  const { revision } = await endpointStatus(bench.custody, MODEL);
  const issuedAt = isoTime(Date.now());
  const isUrgent = evidence['riskAssessment'] !== undefined;
  const expiresAt = plusSeconds(issuedAt, 600);
  const predicate: RequestPredicate = {
    requestId: `deploy-${name.version}-by-hand`,
    nonce: newNonce(),
    environment: 'dev',
    workflowId: lifecycleId(name),
    ...name,
    release: ingested.release,
    action: {
      kind: 'deploy',
      from: { revision, stable: first },
      plan: isUrgent ? [{ weight: 100, bakeSeconds: 1 }] : newest.rollout.steps,
      deployBefore: plusSeconds(expiresAt, 600),
    },
    evidence: {
      admission: admission.request,
      manifest: ingested.release,
      bundle: ingested.bundle,
      provenance: ingested.provenance,
      testResult: validated.testResult,
      scan: ingested.scan,
      change: ingested.change,
      ...evidence,
    },
    policy: newestDigest,
    requester: admission.requester,
    producer: ingested.producer,
    issuedAt,
    expiresAt,
  };
  const subject = { name: lifecycleId(name), sha256: ingested.release };
  const envelope = signStatement('request', subject, predicate, [insider.key]);
  await keepRequest(envelope);
  return (await insider.records.verify('request', envelope)).verified;
}

/** Records these people's approval of a request, and has the signing zone asked for its signature. */
async function signUpon(
  name: ReleaseName,
  request: Verified<RequestPredicate>,
  ...signers: readonly Pick<Signer, 'key'>[]
): Promise<string> {
  const approvals = await Promise.all(signers.map((signer) => keep(decide(signer, request, 'approve', 'go on'))));
  const approved = { request: request.digest, approvals, approvers: ['alice'] };
  await insider.write(storeKeys.record(name, 'approved'), canonicalBytes(approved));
  return insider.call('signing', 'signRelease', name, { ...(await progressOf(name)), approved });
}

async function askForEmergency(name: ReleaseName): Promise<void> {
  const file = join(bench.folder, 'assessment.yaml');
  writeFileSync(file, stringify(ASSESSMENT));
  const { folder, bundle } = await accurate(name);
  const asked = await bench.cli('release', folder, '--bundle', bundle, '--emergency', file, '--key', 'otto');
  expect(asked.code, asked.stderr).toBe(0);
}

beforeAll(async () => {
  bench = await Bench.start(demanding);
  insider = await Insider.start(bench);
  await bench.start(await accurate(FIRST));
  const waiting = await bench.openGate(FIRST.version);
  await bench.tell(waiting.workflowId, 'approve', await bench.decision('alice', waiting));
  await bench.reached(FIRST.version, 'in service');
  first = (await progressOf(FIRST)).ingested?.release ?? '';
  await bench.start(await accurate(WAITING));
  await bench.start(await bench.source(FAILED.version));
  await askForEmergency(URGENT);
});

afterAll(async () => {
  await insider?.stop();
  await bench?.stop();
});

describe('attack: with all that control has, and no key of a designated person,', () => {
  test('nobody approves, rejects, overrides or orders a rollback: as an update or as a signal', async () => {
    const [waiting, failed] = [await gateOf(WAITING, 'release-approver'), await gateOf(FAILED, 'override-authority')];
    const asked = await requestAt(waiting);
    const given = { lifts: [CRITERION], justification: 'the held-out set is out of date', seconds: 600 };
    const messages: [string, string, SignedEnvelope][] = [
      [waiting.workflowId, 'approve', decide(insider, asked, 'approve', 'go on')],
      [waiting.workflowId, 'reject', decide(insider, asked, 'reject', 'stop')],
      [failed.workflowId, 'override', overrideFailure(insider, await requestAt(failed), given)],
      [ENDPOINT, 'rollback', orderRollback(await posing('oscar'), MODEL, null, 'back')],
    ];
    for (const [workflowId, name, envelope] of messages) {
      expect(await bench.tell(workflowId, name, envelope), name).toBe('NOT_AUTHORISED');
      await bench.signal(workflowId, name, envelope);
      expect((await bench.refusalOf(envelope)).reason).toContain('NOT_AUTHORISED');
    }
    // Whatever name the sender gives itself in Temporal.
    const posed = decide(insider, asked, 'approve', 'I am alice');
    const file = join(bench.folder, 'posed.json');
    writeFileSync(file, JSON.stringify(posed));
    const { address, namespace } = bench.custody.description.temporal;
    const line = `temporal workflow signal --identity alice --workflow-id ${waiting.workflowId} --name approve`;
    const sent = await bench.shell(`${line} --input-file ${file} --address ${address} --namespace ${namespace}`);
    expect(sent.code, sent.stderr).toBe(0);
    expect(await bench.refusalOf(posed)).toMatchObject({ actor: { id: 'unverified' } });
    expect((await bench.openGate(WAITING.version)).missing).toBe(1);
    expect((await bench.openGate(FAILED.version)).gate.role).toBe('override-authority');
  });

  test('nobody lifts a failed validation: the signing zone refuses, even where an approver was taken in', async () => {
    const blocked = await requestAt(await gateOf(FAILED, 'override-authority'));
    const given = { lifts: [CRITERION], justification: 'the held-out set is out of date', seconds: 600 };
    const statement = overrideFailure(insider, blocked, given);
    const override = await keep(statement, storeKeys.override(blocked.digest, envelopeDigest(statement)));
    const overridden = { request: blocked.digest, approvals: [override], approvers: ['vera'] };
    await insider.write(storeKeys.record(FAILED, 'overridden'), canonicalBytes(overridden));
    const request = await deployRequest(FAILED, { override: blocked.digest, 'override/1': override });
    expect(await signUpon(FAILED, request, await bench.signer('alice'))).toBe('NOT_AUTHORISED');
  });

  test('nobody takes the short way of an emergency for what was asked for otherwise', async () => {
    await gateOf(WAITING, 'release-approver');
    const { release = '' } = (await progressOf(WAITING)).ingested ?? {};
    const said = { environment: 'dev', ...WAITING, assessment: ASSESSMENT, issuedAt: isoTime(Date.now()) };
    const subject = { name: lifecycleId(WAITING), sha256: release };
    const riskAssessment = await keep(signStatement('riskAssessment', subject, said, [insider.key]));
    const request = await deployRequest(WAITING, { riskAssessment });
    expect(await signUpon(WAITING, request, await bench.signer('sam'))).toBe('REPLAYED');
  });

  test('nobody stands in for the security authority in an emergency, nor does a release approver', async () => {
    const asked = await requestAt(await gateOf(URGENT, 'security-authority'));
    expect(await signUpon(URGENT, asked, insider, await bench.signer('alice'))).toBe('NOT_AUTHORISED');
  });

  test('nobody gets a signature of today for what was signed before, nor a training run', async () => {
    const asked = await keepRequest(requestResign(await posing('oscar'), FIRST, first));
    expect(await insider.call('signing', 'resignRelease', FIRST, asked)).toBe('NOT_AUTHORISED');
    const of = { trainer: 'digits', hyperparameters: sha256('x'), data: sha256('y'), commit: 'c'.repeat(40) };
    const run = { model: MODEL, version: '4.0.0', run: 'by-hand', ...of };
    const training = requestTraining(await posing('ci'), run);
    expect(await insider.call('training', 'train', MODEL, 'by-hand', training, [])).toBe('NOT_AUTHORISED');
  });

  test('nobody destroys a key: neither the signing zone nor the vault does it, however good the papers look', async () => {
    const { newest } = await insider.records.policies();
    const { noticeSeconds } = newest.retirement;
    const about = { release: first, reason: 'gone', noticeSeconds };
    // Otto may ask; it is those who agree that are missing.
    const asked = requestRetirement(await bench.signer('otto'), FIRST, about, 600);
    const request = (await insider.records.verify('request', asked)).verified;
    const approval = decide(insider, request, 'approve', 'gone');
    const issuedAt = isoTime(Date.now() - 2 * noticeSeconds * 1000);
    const notice = signStatement(
      'notice',
      { name: lifecycleId(FIRST), sha256: first },
      {
        ...{ environment: 'dev', ...FIRST, consumers: [], request: request.digest, issuedAt },
        retiresAt: plusSeconds(issuedAt, noticeSeconds),
      },
      [insider.key],
    );
    const [, approvals] = [await keepRequest(asked), [await keep(approval)]];
    const retirement = {
      request: request.digest,
      approvals,
      notice: await keep(notice),
      retiresAt: isoTime(Date.now()),
    };
    expect(await insider.call('signing', 'revokeRelease', FIRST, first, retirement)).toBe('NOT_AUTHORISED');
    const said = { environment: 'dev', ...FIRST, reason: 'gone', request: request.digest, issuedAt };
    const revocation = signStatement('revocation', { name: lifecycleId(FIRST), sha256: first }, said, [insider.key]);
    const { envelopes: policies } = await insider.records.policies();
    const manifest = (await insider.records.getBytes(first, storeKeys.manifest)).toString('utf8');
    const none = { laterNotices: [], acknowledgements: [], waivers: [], vulnerability: null };
    const evidence = { policies, manifest, request: asked, approvals: [approval], notice, ...none };
    await expect(insider.vault.destroy({ release: first, evidence, revocation })).rejects.toMatchObject({
      code: 'NOT_AUTHORISED',
    });
    await bench.answers({ status: 200, version: FIRST.version });
  });

  test('nobody puts a policy into force: control, vault and gateway each refuse it', async () => {
    const { newest, envelopes } = await insider.records.policies();
    const next = signPolicy({ ...newest, version: 2, rootThreshold: 1 }, [insider.key]);
    expect(await insider.call('control', 'applyPolicy', 2, next)).toBe('SIGNATURE_INVALID');
    const policies = [...envelopes, next];
    await expect(insider.gateway.deliverPolicies(policies)).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
    const evidence = await gatherRelease(insider.records, FIRST, await newestStatus(insider.records));
    const sha256s = [sha256('anything')];
    await expect(insider.vault.open({ sha256s, evidence: { ...evidence, policies } })).rejects.toMatchObject({
      code: 'SIGNATURE_INVALID',
    });
    expect((await insider.gateway.state()).policyVersion).toBe(1);
  });

  test('nobody is shown the audit log, and the attempt is in it', async () => {
    const question = askAuditor(await posing('ada'), { question: 'log' });
    await expect(ask(bench.custody, question)).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
    const attempt = (await bench.log()).find(({ after }) => after === sha256(JSON.stringify(question)));
    expect(attempt).toMatchObject({ change: 'log.read', actor: { id: 'control' } });
  });

  test('nobody reviews an emergency: when the time is over it goes back, and no serving zone takes it up', async () => {
    await askForEmergency(REVIEWED);
    const waiting = await gateOf(REVIEWED, 'security-authority');
    expect(await bench.tell(waiting.workflowId, 'approve', await bench.decision('sam', waiting))).toBe('accepted');
    const review = await gateOf(REVIEWED, 'reviewer');
    const approval = decide(insider, await requestAt(review), 'approve', 'it was right');
    expect(await bench.tell(review.workflowId, 'approve', approval)).toBe('NOT_AUTHORISED');
    const reviewed = { request: review.gate.request, approvals: [await keep(approval)], approvers: ['rita'] };
    await insider.write(storeKeys.record(REVIEWED, 'reviewed'), canonicalBytes(reviewed));

    expect(await outcomeOf(bench.custody, REVIEWED)).toMatchObject({ kind: 'rolled back' });
    await bench.answers({ status: 200, version: FIRST.version });
    const { ingested } = await progressOf(REVIEWED);
    expect(await insider.call('serving', 'startRelease', REVIEWED, ingested?.release)).toBe('EXPIRED');
  });

  test('nobody stops a gate with what is too large for it, and a person still decides', async () => {
    await bench.start(await accurate(RESET));
    const { workflowId, gate } = await gateOf(RESET, 'release-approver');
    const genuine = await bench.decision('alice', { workflowId, gate, missing: 1 });
    const bloated = (size: number) => ({ ...genuine, payload: genuine.payload.padEnd(size, 'A') });
    // Temporal itself takes no more than two.
    await expect(bench.signal(workflowId, 'approve', bloated(3 * MIB))).rejects.toThrow();
    await bench.signal(workflowId, 'approve', bloated(MIB));
    expect(await bench.tell(workflowId, 'approve', bloated(MIB))).toBe('MALFORMED');
    await until('the flood in the audit log', 180, async () => {
      const records = await bench.log();
      return records.find(({ reason }) => reason.includes('too large')) ?? null;
    });
    expect(await bench.tell(workflowId, 'approve', genuine)).toBe('accepted');
    await bench.reached(RESET.version, 'in service');
    await bench.answers({ version: RESET.version });
  });

  test('nobody gains by a reset, or by ending a workflow and starting it again: it goes on where the records are', async () => {
    const workflowId = lifecycleId(RESET);
    const { address, namespace } = bench.custody.description.temporal;
    const before = [await endpointStatus(bench.custody, MODEL), await bench.keys(`routes/${MODEL}/`)] as const;
    const { approved, admission } = await progressOf(RESET);
    const [spent = ''] = approved?.approvals ?? [];
    const approval = (await insider.records.get('approval', spent)).envelope;
    const request = (await insider.records.get('request', admission?.request ?? '')).envelope;

    const reset = ['temporal workflow reset --type FirstWorkflowTask --reason again', `--workflow-id ${workflowId}`];
    const done = await bench.shell([...reset, `--address ${address} --namespace ${namespace}`].join(' '));
    expect(done.code, done.stderr).toBe(0);
    await bench.reached(RESET.version, 'in service');
    expect(await bench.tell(workflowId, 'approve', approval)).toBe('POLICY_REFUSED');

    await bench.custody.temporal.workflow.getHandle(workflowId).terminate('by hand');
    await bench.custody.temporal.workflow.start('lifecycle', { workflowId, taskQueue: 'control', args: [{ request }] });
    await bench.reached(RESET.version, 'in service');
    expect(await progressOf(RESET)).toMatchObject({ approved });
    expect(await bench.tell(workflowId, 'approve', approval)).toBe('POLICY_REFUSED');
    const after = [await endpointStatus(bench.custody, MODEL), await bench.keys(`routes/${MODEL}/`)] as const;
    expect([after[0].document, after[1]]).toEqual([before[0].document, before[1]]);
  });

  describe('and an endpoint that was killed', () => {
    let order: SignedEnvelope;

    /** The document that would lift the order, signed by control, straight at the gateway. */
    async function deliver(asked: SignedEnvelope, approvals: readonly SignedEnvelope[]): Promise<string> {
      const { revision } = await endpointStatus(bench.custody, MODEL);
      const current = await insider.records.find('route', storeKeys.route(MODEL, revision));
      if (current === null) throw new Error('there is no route');
      const { predicate: before, digest: previous } = current.verified;
      const lifted = [{ order: envelopeDigest(order), until: isoTime(Date.now() + 600_000) }];
      const document = {
        ...restored(before, lifted, envelopeDigest(asked), isoTime(Date.now())),
        ...{ environment: 'dev', model: MODEL, revision: revision + 1, previous },
        policy: (await insider.records.policies()).newestDigest,
        issuedAt: isoTime(Date.now()),
      };
      const subject = { name: ENDPOINT, sha256: sha256(canonicalBytes(document)) };
      return insider.gateway
        .deliverRoute({
          policies: (await insider.records.policies()).envelopes,
          document: signStatement('route', subject, document, [insider.key]),
          request: asked,
          approvals,
          proceed: null,
          provisional: NOT_PROVISIONAL,
          kills: [],
          isNewest: true,
        })
        .then(
          () => 'admitted',
          (error: { code: string }) => error.code,
        );
    }

    beforeAll(async () => {
      order = orderKill(await bench.signer('oscar'), MODEL, 'an alarm');
      expect(await bench.tell(ENDPOINT, 'kill', order)).toBe('accepted');
      await bench.answers({ status: 503 });
    });

    test('stays killed: the gateway wants two operators, and neither control twice nor one of them', async () => {
      const { revision } = await endpointStatus(bench.custody, MODEL);
      const asking = async (signer: Signer): Promise<[SignedEnvelope, Verified<RequestPredicate>]> => {
        const asked = requestRestore(signer, MODEL, { kills: [envelopeDigest(order)], revision }, 600);
        return [asked, (await insider.records.verify('request', asked)).verified];
      };
      const said = async (request: Verified<RequestPredicate>, ...signers: readonly Pick<Signer, 'key'>[]) =>
        Promise.all(signers.map(async (signer) => decide(signer, request, 'approve', 'lift it')));

      const [forged, byControl] = await asking(await posing('otto'));
      const people = [await bench.signer('oscar'), await bench.signer('olga')];
      // Both operators were taken in: the request itself is nobody's.
      expect(await deliver(forged, await said(byControl, ...people))).toBe('NOT_AUTHORISED');
      const [asked, byOtto] = await asking(await bench.signer('otto'));
      const [oscar] = await said(byOtto, await bench.signer('oscar'));
      expect(await deliver(asked, await said(byOtto, insider, insider))).toBe('NOT_AUTHORISED');
      expect(
        await deliver(asked, [...(oscar === undefined ? [] : [oscar, oscar]), ...(await said(byOtto, insider))]),
      ).toBe('NOT_AUTHORISED');
      expect(await deliver(asked, await said(byOtto, await bench.signer('oscar'), await bench.signer('otto')))).toBe(
        'NOT_AUTHORISED',
      );
      expect((await bench.call()).status).toBe(503);
    });

    test('stays killed while an approval arrives; once two operators have lifted it, that approval is void', async () => {
      await bench.start(await accurate(LATE));
      const waiting = await gateOf(LATE, 'release-approver');
      expect(await bench.tell(waiting.workflowId, 'approve', await bench.decision('alice', waiting))).toBe('accepted');
      await bench.reached(LATE.version, 'roll out');
      expect((await bench.call()).status).toBe(503);
      await bench.restore();
      expect(await outcomeOf(bench.custody, LATE)).toMatchObject({ kind: 'rejected', stage: 'roll out' });
      await bench.answers({ status: 200, version: RESET.version });
    });
  });

  test('nobody forges the policy in the store: all that decides stops, callers are served, and a kill still works', async () => {
    const { newest } = await insider.records.policies();
    const forged = signPolicy({ ...newest, version: 2 }, [insider.key]);
    await insider.write(storeKeys.policy(2), canonicalBytes(forged));
    expect(await insider.call('signing', 'signRelease', WAITING, await progressOf(WAITING))).toBe('SIGNATURE_INVALID');
    const { ingested } = await progressOf(WAITING);
    expect(await insider.call('serving', 'startRelease', WAITING, ingested?.release)).toBe('SIGNATURE_INVALID');
    expect((await insider.gateway.state()).policyVersion).toBe(1);
    await bench.answers({ status: 200, version: RESET.version });
    const stop = await bench.cli('kill', MODEL, '--reason', 'the store was written to', '--key', 'oscar');
    expect(stop.code, stop.stderr).toBe(0);
    expect(stop.stderr).toContain('SIGNATURE_INVALID');
    expect(await bench.call()).toMatchObject({ status: 503, reason: 'the store was written to' });
    const again = await bench.cli('kill', MODEL, '--reason', 'once more', '--direct', '--key', 'oscar');
    expect(again.code, again.stderr).toBe(0);
  });
});
