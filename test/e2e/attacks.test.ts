import { randomBytes } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { gatherRelease, newestStatus } from '../../adapters/dossier.js';
import { createGatewayClient, type GatewayClient } from '../../adapters/gateway/client.js';
import { openBucket } from '../../adapters/object-store/s3.js';
import { ask } from '../../client/audit.js';
import { endpointStatus, lifecycleStatus, outcomeOf, requestOf, type WaitingGate } from '../../client/messages.js';
import { askAuditor, decide, orderKill, requestRelease, requestRestore } from '../../client/requests.js';
import type { RolloutOrder } from '../../domain/endpoint.js';
import type { Admission, Progress } from '../../domain/lifecycle.js';
import { NOT_PROVISIONAL } from '../../domain/evidence.js';
import { endpointId, lifecycleId, type ReleaseName } from '../../domain/names.js';
import { planStep, type RouteIntent, type RoutingDocument } from '../../domain/routing.js';
import type { KillPredicate, SignedEnvelope } from '../../domain/statements.js';
import { bucketNames, storeKeys } from '../../domain/store-keys.js';
import { isoTime, plusSeconds } from '../../domain/time.js';
import { envelopeDigest } from '../../formats/dsse.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { generateKey, importPrivateKey, type SigningKey } from '../../formats/keys.js';
import { omsResources, parseManifest } from '../../formats/manifest.js';
import { signOms } from '../../formats/oms.js';
import { sha256 } from '../../formats/sha256.js';
import { signStatement } from '../../formats/statements.js';
import { Bench, FIRST_WEIGHT, MODEL } from './harness.js';
import { Insider } from './insider.js';
import { until } from './support/until.js';

const WAITING: ReleaseName = { model: MODEL, version: '1.0.1' };
const OTHER: ReleaseName = { model: MODEL, version: '1.0.2' };
/** What the insider wants in service, and nobody has approved. */
const VICTIM: ReleaseName = { model: MODEL, version: '1.0.3' };
const ENDPOINT = endpointId(MODEL);

let bench: Bench;
/** The request of a release that waits for its approval. */
let waiting: WaitingGate;

beforeAll(async () => {
  bench = await Bench.start();
  await bench.putFirstInService();
  await bench.start(await bench.source(WAITING.version));
  await bench.start(await bench.source(OTHER.version));
  waiting = await bench.openGate(WAITING.version);
});

afterAll(() => bench.stop());

const stranger = (): SigningKey => importPrivateKey(generateKey('ed25519').privatePem);
const status = () => endpointStatus(bench.custody, MODEL);

/** Whatever was tried: the endpoint is where it was, and callers are answered by 1.0.0. */
async function expectNothingChanged(): Promise<void> {
  expect(await status()).toMatchObject({ revision: serving.revision, document: serving.document, killedBy: [] });
  expect(await bench.call()).toMatchObject({ status: 200, version: '1.0.0' });
}

let serving: { readonly revision: number; readonly document: string | null; readonly release: string };

beforeAll(async () => {
  const { revision, document, serving: releases } = await status();
  serving = { revision, document, release: releases[0]?.release ?? '' };
});

function kill(key: SigningKey, changes: Partial<KillPredicate> = {}): SignedEnvelope {
  const issuedAt = isoTime(Date.now());
  const order: KillPredicate = {
    environment: 'dev',
    model: MODEL,
    nonce: randomBytes(18).toString('base64url'),
    reason: 'forged',
    issuedAt,
    expiresAt: plusSeconds(issuedAt, 600),
    ...changes,
  };
  return signStatement('kill', { name: ENDPOINT, sha256: sha256(canonicalBytes(order)) }, order, [key]);
}

const past = (seconds: number): string => isoTime(Date.now() - seconds * 1000);
const FORGED: readonly [string, () => SignedEnvelope, string][] = [
  ['a stranger', () => kill(stranger()), 'SIGNATURE_INVALID'],
  ['alice, who is no operator', () => kill(bench.key('alice')), 'NOT_AUTHORISED'],
  ['oscar, for another model', () => kill(bench.key('oscar'), { model: 'letters' }), 'REPLAYED'],
  ['oscar, for another environment', () => kill(bench.key('oscar'), { environment: 'prod' }), 'REPLAYED'],
  ['oscar, long ago', () => kill(bench.key('oscar'), { issuedAt: past(900), expiresAt: past(300) }), 'EXPIRED'],
  ['nobody', () => ({ ...kill(bench.key('oscar')), signatures: [] }), 'MALFORMED'],
  [
    'oscar, but changed on the way',
    () => {
      const order = kill(bench.key('oscar'));
      const text = Buffer.from(order.payload, 'base64').toString('utf8').replace('forged', 'f0rged');
      return { ...order, payload: Buffer.from(text).toString('base64') };
    },
    'SIGNATURE_INVALID',
  ],
];

describe('a forged kill order changes nothing and is in the audit log', () => {
  test.each(FORGED)('by %s, as an update, whose caller is told', async (_, forge, code) => {
    const order = forge();
    expect(await bench.tell(ENDPOINT, 'kill', order)).toBe(code);
    expect(await bench.refusalOf(order)).toMatchObject({
      change: 'message.refused',
      actor: { id: 'unverified', statement: null },
      subject: { model: MODEL },
      reason: expect.stringContaining(code),
    });
    await expectNothingChanged();
  });

  test('by any of them, as a signal', async () => {
    const orders = FORGED.map(([, forge]) => forge());
    for (const order of orders) await bench.signal(ENDPOINT, 'kill', order);
    for (const order of orders) await bench.refusalOf(order);
    await expectNothingChanged();
  });

  test('by any of them, straight at the gateway', async () => {
    const { deliverKill } = gateway();
    // For another model it is one, and stops that.
    for (const [, forge, code] of FORGED.filter(([who]) => who !== 'oscar, for another model'))
      await expect(deliverKill(forge())).rejects.toMatchObject({ code });
    await expectNothingChanged();
  });

  test('as JSON that nobody has signed', async () => {
    const order = { model: MODEL, identity: 'oscar', reason: 'I say so' };
    await bench.signal(ENDPOINT, 'kill', order);
    await bench.refusalOf(order);
    expect(await bench.tell(ENDPOINT, 'kill', order as unknown as SignedEnvelope)).toBe('MALFORMED');
    await expectNothingChanged();
  });
});

describe('a message that nothing waits for is refused and in the audit log', () => {
  test('of a name that nobody knows', async () => {
    const message = { please: 'promote', nonce: randomBytes(8).toString('hex') };
    await bench.signal(ENDPOINT, 'promoteNow', message);
    expect(await bench.refusalOf(message)).toMatchObject({ reason: expect.stringContaining('promoteNow') });
    await expectNothingChanged();
  });

  test('an approval, at an endpoint that has asked for none', async () => {
    const approval = await bench.decision('oscar', waiting);
    expect(await bench.tell(ENDPOINT, 'approve', approval)).toBe('POLICY_REFUSED');
    await bench.refusalOf(approval);
  });
});

describe('an approval counts once, for what it names, from whom it must come', () => {
  test.each([
    ['ci', 'NOT_AUTHORISED'],
    ['oscar', 'NOT_AUTHORISED'],
    ['trainer', 'NOT_AUTHORISED'],
    ['control', 'NOT_AUTHORISED'],
  ])('not from %s', async (who, code) => {
    const approval = await bench.decision(who, waiting);
    expect(await bench.tell(waiting.workflowId, 'approve', approval)).toBe(code);
    await bench.refusalOf(approval);
    expect((await lifecycleStatus(bench.custody, WAITING)).stage).toBe('approve');
  });

  test('not for another release than the one it was given for', async () => {
    const other = await bench.openGate(OTHER.version);
    const approval = await bench.decision('alice', waiting);
    expect(await bench.tell(other.workflowId, 'approve', approval)).toBe('REPLAYED');
    await bench.refusalOf(approval);
    expect((await lifecycleStatus(bench.custody, OTHER)).stage).toBe('approve');
  });

  test('not when it says the opposite of its message', async () => {
    const rejection = await bench.decision('bob', waiting, 'reject');
    expect(await bench.tell(waiting.workflowId, 'approve', rejection)).toBe('MALFORMED');
    expect((await lifecycleStatus(bench.custody, WAITING)).stage).toBe('approve');
  });

  test('not after somebody has rejected', async () => {
    const other = await bench.openGate(OTHER.version);
    const late = await bench.decision('alice', other);
    const rejection = await bench.decision('bob', other, 'reject');
    expect(await bench.tell(other.workflowId, 'reject', rejection)).toBe('accepted');
    expect(await outcomeOf(bench.custody, OTHER)).toMatchObject({ kind: 'rejected', stage: 'approve' });
    expect(await bench.tell(other.workflowId, 'approve', late)).toBe('INPUT_MISSING');
    await expect(bench.signal(other.workflowId, 'approve', late)).rejects.toThrow();
    await expectNothingChanged();
  });
});

describe('a request that is not one of ours starts nothing', () => {
  const name = (patch: number): ReleaseName => ({ model: MODEL, version: `9.0.${patch}` });
  const where = { source: 'file:///nowhere', bundle: 'file:///nowhere.sig.json', provenance: 'file:///nowhere.json' };

  async function startAnyway(release: ReleaseName, request: SignedEnvelope): Promise<unknown> {
    await bench.custody.temporal.workflow.signalWithStart('lifecycle', {
      workflowId: lifecycleId(release),
      taskQueue: 'control',
      args: [{ request }],
      signal: 'approve',
      signalArgs: [await bench.decision('alice', waiting)],
    });
    const outcome = await outcomeOf(bench.custody, release);
    await bench.refusalOf(request);
    expect(await bench.keys(`records/${MODEL}/${release.version}/`)).toEqual([]);
    return outcome;
  }

  test('signed by control, as itself or in the name of ci', async () => {
    const control = await bench.signer('control');
    const own = requestRelease(control, name(0), where);
    expect(await startAnyway(name(0), own)).toMatchObject({ kind: 'rejected', stage: 'admit', code: 'NOT_AUTHORISED' });
    const posing = requestRelease({ ...control, id: 'ci' }, name(1), where);
    expect(await startAnyway(name(1), posing)).toMatchObject({ kind: 'rejected', code: 'NOT_AUTHORISED' });
  });

  test('of another environment', async () => {
    const elsewhere = requestRelease({ ...(await bench.signer('ci')), environment: 'prod' }, name(2), where);
    expect(await startAnyway(name(2), elsewhere)).toMatchObject({ kind: 'rejected', code: 'REPLAYED' });
  });

  test('for another release than the workflow that was started with it', async () => {
    const request = requestRelease(await bench.signer('ci'), name(3), where);
    expect(await startAnyway(name(4), request)).toMatchObject({ kind: 'rejected', code: 'REPLAYED' });
  });
});

describe('an endpoint that was killed', () => {
  let order: SignedEnvelope;

  beforeAll(async () => {
    order = orderKill(await bench.signer('oscar'), MODEL, 'an alarm');
    expect(await bench.tell(ENDPOINT, 'kill', order)).toBe('accepted');
    await bench.answers({ status: 503, reason: 'an alarm' });
  });

  test('stays killed when the gateway has lost its state', async () => {
    try {
      await bench.emptyGateway();
      expect((await bench.call()).status).not.toBe(200);
    } finally {
      bench.signalProcess('control', 'SIGCONT');
    }
    const { models } = await until('the routes', 180, async () => {
      const state = await gateway().state();
      return state.models.some(({ revision }) => revision === serving.revision) ? state : null;
    });
    expect(models[0]?.killedBy.map(({ order: by }) => by)).toEqual([envelopeDigest(order)]);
    expect((await bench.call()).status).toBe(503);
  });

  test('is restored by two operators, of whom neither has asked for it, nor both are the same', async () => {
    const insider = await Insider.start(bench);
    try {
      const { killedBy, revision } = await status();
      const request = requestRestore(await bench.signer('otto'), MODEL, { kills: killedBy, revision }, 600);
      expect(await bench.tell(ENDPOINT, 'restore', request)).toBe('accepted');
      const gate = await bench.restoreGate();
      const own = await bench.decision('otto', gate);
      expect(await bench.tell(ENDPOINT, 'approve', own)).toBe('NOT_AUTHORISED');
      await bench.refusalOf(own);
      expect(await bench.tell(ENDPOINT, 'approve', await bench.decision('alice', gate))).toBe('NOT_AUTHORISED');
      const first = await bench.decision('oscar', gate);
      expect(await bench.tell(ENDPOINT, 'approve', first)).toBe('accepted');
      await bench.tell(ENDPOINT, 'approve', await bench.decision('oscar', gate));
      expect((await status()).missing).toBe(1);

      const approvals = [envelopeDigest(first), envelopeDigest(await storedByControl(insider, gate))];
      const approved = { request: gate.gate.request, approvals, approvers: ['oscar', 'olga'] };
      expect(await insider.call('control', 'restoreEndpoint', MODEL, approved)).toBe('NOT_AUTHORISED');
      expect(await bench.call()).toMatchObject({ status: 503 });

      expect(await bench.tell(ENDPOINT, 'approve', await bench.decision('olga', gate))).toBe('accepted');
      await bench.answers({ status: 200, version: '1.0.0' });
    } finally {
      await insider.stop();
    }
    const { revision, document } = await until('the restore', 180, async () => {
      const now = await status();
      return now.killedBy.length === 0 ? now : null;
    });
    serving = { ...serving, revision, document };
  });

  test('is not killed again by the same order: as an update, a signal, or straight at the gateway', async () => {
    // Under an id of its own: the update that was sent first keeps its answer.
    const again = bench.custody.temporal.workflow.getHandle(ENDPOINT).executeUpdate('kill', { args: [order] });
    await expect(again).rejects.toMatchObject({ cause: { type: 'REPLAYED' } });
    await bench.signal(ENDPOINT, 'kill', order);
    await expect(gateway().deliverKill(order)).rejects.toMatchObject({ code: 'REPLAYED' });
    const record = await bench.refusalOf(order);
    expect(record.reason).toContain('REPLAYED');
    await expectNothingChanged();
  });

  test('nor by the same order at a gateway that has lost its state', async () => {
    try {
      await bench.emptyGateway();
      await expect(gateway().deliverKill(order)).rejects.toMatchObject({ code: 'PENDING' });
      expect((await bench.call()).status).not.toBe(200);
    } finally {
      bench.signalProcess('control', 'SIGCONT');
    }
    await bench.answers({ status: 200, version: '1.0.0' });
    await expect(gateway().deliverKill(order)).rejects.toMatchObject({ code: 'REPLAYED' });
    await expectNothingChanged();
  });
});

describe('the audit log', () => {
  test('is shown to nobody but an auditor, and the attempt is in it', async () => {
    const question = askAuditor(await bench.signer('oscar'), { question: 'log' });
    await expect(ask(bench.custody, question)).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
    const forged = askAuditor({ ...(await bench.signer('ada')), key: stranger() }, { question: 'log' });
    await expect(ask(bench.custody, forged)).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
    const attempts = (await bench.log()).filter(
      ({ change, reason }) => change === 'log.read' && /refused/.test(reason),
    );
    expect(attempts.map(({ actor, after }) => [actor.id, after])).toEqual([
      ['oscar', sha256(JSON.stringify(question))],
      ['unverified', sha256(JSON.stringify(forged))],
    ]);
  });

  test('is at no address that can be guessed, and behind no credential of the command line', async () => {
    const { desk, store, environment } = bench.custody.description;
    for (const path of ['/log/checkpoint', '/log//checkpoint', '/log/guess/checkpoint', '/checkpoint'])
      expect((await fetch(new URL(path, desk))).status, path).toBeGreaterThanOrEqual(400);
    const names = bucketNames(environment);
    const lock = { retainUntil: plusSeconds(isoTime(Date.now()), 3600) };
    await expect(openBucket(store, names.log).read('checkpoint')).rejects.toThrow();
    await expect(openBucket(store, names.audit).read('batches/000/000')).rejects.toThrow();
    await expect(openBucket(store, names.custody).createOnce('records/x', Buffer.from('{}'), lock)).rejects.toThrow();
  });
});

describe("with control's key, its credentials and every right in the namespace, but no person's key", () => {
  let insider: Insider;
  /** Made for the revision in force: nothing but the people is missing. */
  let asked: WaitingGate;
  let progress: Progress;
  let release: string;
  let approval: SignedEnvelope;

  beforeAll(async () => {
    insider = await Insider.start(bench);
    const change = (folder: string): void => appendFileSync(join(folder, 'README.md'), 'one more line\n');
    await bench.start(await bench.source(VICTIM.version, { change }));
    asked = await bench.openGate(VICTIM.version);
    progress = (await lifecycleStatus(bench.custody, VICTIM)).progress;
    release = progress.ingested?.release ?? '';
    approval = await storedByControl(insider, asked);
    const approvals = [envelopeDigest(approval)];
    const approved = { request: asked.gate.request, approvals, approvers: ['alice'] };
    progress = { ...progress, approved };
    await insider.write(storeKeys.record(VICTIM, 'approved'), canonicalBytes(approved));
  });

  afterAll(() => insider.stop());

  const order = (): RolloutOrder => ({
    request: asked.gate.request,
    approvals: [envelopeDigest(approval)],
    release,
    version: VICTIM.version,
    replyTo: lifecycleId(VICTIM),
  });

  test('the signing zone signs no release that people have not approved', async () => {
    expect(await insider.call('signing', 'signRelease', VICTIM, progress)).toBe('NOT_AUTHORISED');
    expect(await bench.custody.records.record(storeKeys.record(VICTIM, 'signed'))).toBeNull();
  });

  test('the serving zone loads nothing without a release signature, nor with one that was made up', async () => {
    expect(await insider.call('serving', 'startRelease', VICTIM, release)).toBe('UNSIGNED');
    const text = await bench.custody.records.getBytes(release, storeKeys.manifest);
    const key = importPrivateKey(generateKey('ecdsa-p256').privatePem);
    const forged = signOms(`${MODEL} ${VICTIM.version}`, omsResources(parseManifest(text), text), key);
    await insider.write(storeKeys.statement(sha256(forged)), forged);
    await insider.write(storeKeys.record(VICTIM, 'signed'), canonicalBytes({ signature: sha256(forged) }));
    expect(await insider.call('serving', 'startRelease', VICTIM, release)).toBe('SIGNATURE_INVALID');
    const { models } = await insider.gateway.state();
    expect(models.flatMap(({ replicas }) => replicas).filter((replica) => replica.release === release)).toEqual([]);
    await until('the refused load in the audit log', 180, async () => {
      const refused = (await bench.log()).find(
        ({ change, subject }) => change === 'load.refused' && subject.release === release,
      );
      return refused ?? null;
    });
  });

  test('the vault opens no key of it, neither by its own evidence nor by that of a release that serves', async () => {
    const text = await bench.custody.records.getBytes(release, storeKeys.manifest);
    const [readme] = parseManifest(text).files.filter(({ path }) => path === 'README.md');
    const sha256s = [readme?.sha256 ?? ''];
    const current = await newestStatus(insider.records);
    const evidence = await gatherRelease(insider.records, VICTIM, current);
    await expect(insider.vault.open({ sha256s, evidence })).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
    const genuine = await gatherRelease(insider.records, { model: MODEL, version: '1.0.0' }, current);
    const { signature } = genuine;
    await expect(insider.vault.open({ sha256s, evidence: { ...evidence, signature } })).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
    });
    await expect(insider.vault.open({ sha256s, evidence: genuine })).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
  });

  test('the endpoint refuses an order that nobody has approved', async () => {
    await bench.signal(ENDPOINT, 'rollout', order());
    const { result } = await until('the end of the rollout', 180, async () => {
      const { ended } = await status();
      return ended.find(({ request }) => request === asked.gate.request) ?? null;
    });
    expect(result).toMatchObject({ kind: 'refused' });
    expect(await insider.call('control', 'routeStep', MODEL, order(), 0)).toBe('NOT_AUTHORISED');
    expect(await bench.keys(`routes/${MODEL}/`)).toHaveLength(serving.revision);
    await expectNothingChanged();
  });

  test('intake ingests nothing that nobody has asked for, and nothing else than what was asked for', async () => {
    const { folder, bundle, provenance } = await bench.source('1.0.4');
    const name = { model: MODEL, version: '1.0.4' };
    const where = { source: `file://${folder}`, bundle: `file://${bundle}`, provenance: `file://${provenance}` };
    const request = requestRelease({ ...(await bench.signer('control')), id: 'ci' }, name, where);
    await insider.write(storeKeys.request(envelopeDigest(request)), canonicalBytes(request));
    const { admission: genuine } = progress;
    const made: Admission = { ...(genuine as Admission), ...where, request: envelopeDigest(request) };
    expect(await insider.call('intake', 'ingest', name, made)).toBe('NOT_AUTHORISED');
    expect(await insider.call('intake', 'ingest', VICTIM, { ...genuine, ...where })).toBe('REPLAYED');
    expect(await insider.call('intake', 'ingest', name, genuine)).toBe('REPLAYED');
    expect(await bench.keys(storeKeys.version(name))).toEqual([]);
  });

  test('no key is destroyed, and nothing revoked, that people have not retired', async () => {
    const name = { model: MODEL, version: '1.0.0' };
    const made = {
      request: asked.gate.request,
      approvals: [envelopeDigest(approval)],
      notice: envelopeDigest(approval),
      retiresAt: past(60),
    };
    const refused = ['MALFORMED', 'NOT_AUTHORISED', 'REPLAYED'];
    expect(refused).toContain(await insider.call('signing', 'revokeRelease', name, serving.release, made));
    expect(refused).toContain(await insider.call('signing', 'destroyKeys', name, serving.release, made, release));
    expect(await bench.keys('revocations/')).toEqual([]);
  });

  describe('the gateway admits no document by hand', () => {
    /** The next document of a model, as control would sign it. */
    async function signed(intent: RouteIntent, changes: Partial<RoutingDocument> = {}): Promise<SignedEnvelope> {
      const document: RoutingDocument = {
        environment: 'dev',
        model: MODEL,
        revision: serving.revision + 1,
        previous: serving.document,
        ...intent,
        policy: (await insider.records.policies()).newestDigest,
        issuedAt: isoTime(Date.now()),
        ...changes,
      };
      const subject = { name: endpointId(document.model), sha256: sha256(canonicalBytes(document)) };
      return signStatement('route', subject, document, [insider.key]);
    }

    async function deliver(document: SignedEnvelope, isNewest = true): Promise<string> {
      const { envelopes: policies } = await insider.records.policies();
      const request = asked.gate.envelope;
      const rests = { proceed: null, provisional: NOT_PROVISIONAL, kills: [] };
      return insider.gateway
        .deliverRoute({ policies, document, request, approvals: [approval], ...rests, isNewest })
        .then(
          () => 'admitted',
          (error: { code: string }) => error.code,
        );
    }

    async function current(): Promise<RoutingDocument> {
      const found = await insider.records.find('route', storeKeys.route(MODEL, serving.revision));
      if (found === null) throw new Error('there is no route');
      return found.verified.predicate;
    }

    async function step(weight: number, from: RoutingDocument | null): Promise<RouteIntent> {
      const { rollout, rollback } = (await insider.records.policies()).newest;
      const target = { release, version: VICTIM.version, weight };
      const plan = { request: asked.gate.request, step: 0 };
      return planStep(from, target, plan, rollout.triggers, rollback.warmReleases);
    }

    const whole = (change: RoutingDocument['change']) => async (): Promise<RouteIntent> => ({
      change,
      releases: [{ release, version: VICTIM.version, weight: 100 }],
      plan: null,
      triggers: null,
      lifted: (await current()).lifted,
      restore: change === 'restore' ? asked.gate.request : null,
    });

    test.each<[string, () => Promise<RouteIntent>, string]>([
      ['the first step of the plan', async () => step(FIRST_WEIGHT, await current()), 'NOT_AUTHORISED'],
      ['a plan of one step', async () => step(100, await current()), 'POLICY_REFUSED'],
      ['a promotion', whole('promote'), 'POLICY_REFUSED'],
      ['a rollback', whole('rollback'), 'POLICY_REFUSED'],
      ['a withdrawal', whole('withdraw'), 'POLICY_REFUSED'],
      ['a restore', whole('restore'), 'REPLAYED'],
    ])('%s', async (_, intent, code) => {
      const document = await signed(await intent());
      expect(await deliver(document)).toBe(code);
      // As one that is only being caught up with.
      expect(await deliver(document, false)).toBe(code);
      await expectNothingChanged();
    });

    test('the first document of another model', async () => {
      const document = await signed(await step(100, null), { model: 'letters', revision: 1, previous: null });
      expect(await deliver(document)).not.toBe('admitted');
      const { url } = bench.custody.description.gateway;
      expect((await fetch(new URL('/v2/models/letters/infer', url), { method: 'POST', body: '{}' })).status).toBe(404);
    });

    test('a replica of its own, which would answer in the name of 1.0.0', async () => {
      const issuedAt = isoTime(Date.now());
      const replica = {
        ...{ environment: 'dev', model: MODEL, version: '1.0.0', host: '127.0.0.1', port: 9 },
        ...{ issuedAt, expiresAt: plusSeconds(issuedAt, 10) },
      };
      const forged = signStatement('replica', { name: MODEL, sha256: serving.release }, replica, [insider.key]);
      await expect(insider.gateway.deliverReplica(forged)).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
      await expectNothingChanged();
    });

    test('nor one that lies in the store: control itself delivers it in vain, and kills as ever', async () => {
      const document = await signed(await step(FIRST_WEIGHT, await current()));
      const digest = envelopeDigest(document);
      await insider.write(storeKeys.grounds(digest), canonicalBytes([envelopeDigest(approval)]));
      await insider.write(storeKeys.route(MODEL, serving.revision + 1), canonicalBytes(document));
      // Control brings gateways what they lack once a second.
      await pause(3_000);
      const { models } = await insider.gateway.state();
      expect(models.find(({ model }) => model === MODEL)).toMatchObject({
        revision: serving.revision,
        document: serving.document,
      });
      expect(await bench.call()).toMatchObject({ status: 200, version: '1.0.0' });

      const stop = orderKill(await bench.signer('oscar'), MODEL, 'control was taken over');
      expect(await bench.tell(ENDPOINT, 'kill', stop)).toBe('accepted');
      expect(await bench.call()).toMatchObject({ status: 503, reason: 'control was taken over' });
    });
  });

  test('callers have never seen another release than 1.0.0', () => {
    const { byRelease, mixed } = bench.load.report();
    expect(Object.keys(byRelease).filter((name) => name !== 'unnamed')).toEqual([serving.release]);
    expect(mixed).toBe(0);
  });
});

/** The gateway's admin socket. */
function gateway(): GatewayClient {
  return createGatewayClient(bench.custody.description.gateway.admin);
}

/** An approval that control has signed in the place of a person, kept where approvals are kept. */
async function storedByControl(insider: Insider, gate: WaitingGate): Promise<SignedEnvelope> {
  const request = await requestOf(bench.custody, gate);
  const envelope = decide({ key: insider.key }, request, 'approve', 'control says so');
  await insider.write(storeKeys.statement(envelopeDigest(envelope)), canonicalBytes(envelope));
  return envelope;
}
