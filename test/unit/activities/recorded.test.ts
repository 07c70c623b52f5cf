import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { beforeEach, describe, expect, test } from 'vitest';
import { createAdmission } from '../../../activities/admit.js';
import type { StagePart } from '../../../activities/contract.js';
import { createConsumers } from '../../../activities/consumers.js';
import type { Desk } from '../../../activities/control.js';
import { createGates } from '../../../activities/gate.js';
import { createKill } from '../../../activities/kill.js';
import { createPolicies } from '../../../activities/policy.js';
import { createResignDesk } from '../../../activities/resign.js';
import { createRollouts } from '../../../activities/rollout.js';
import { StoredConsumers } from '../../../adapters/consumers.js';
import type { GatewayClient } from '../../../adapters/gateway/client.js';
import { progressOf } from '../../../adapters/dossier.js';
import { requestResign } from '../../../client/requests.js';
import type { Change } from '../../../domain/audit.js';
import { lifecycleId } from '../../../domain/names.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { parseEnvelope } from '../../../formats/dsse.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { sha256 } from '../../../formats/sha256.js';
import { recordsOf } from '../serving/fixture.js';
import { createWorld, type Release, type Route, type World } from '../../support/world.js';
import { startDesk, type DeskRig } from './rig.js';

let world: World;
let release: Release;
let steady: Route;
let rig: DeskRig;
/** What the gateway has been given, in its order. */
let given: string[];

beforeEach(async () => {
  world = createWorld();
  release = world.release();
  given = [];
  const gateway = {
    deliverRoute: async () => void given.push('route'),
    deliverPolicies: async () => void given.push('policies'),
    state: async () => ({ models: [] }),
  } as unknown as GatewayClient;
  rig = await startDesk(world, [gateway]);
  for (const [key, bytes] of recordsOf(release)) await rig.put(key, bytes);
  const routes = world.inService(release);
  for (const route of routes) await rig.keep(route);
  steady = routes.at(-1)!;
  Object.assign(rig.desk, {
    ...{ gateways: [gateway], audit: rig.audit, consumers: new StoredConsumers(rig.records) },
    reissueStatus: async () => undefined,
  } satisfies Partial<Desk>);
});

function run<T>(act: () => Promise<T>, workflowId = lifecycleId(release.name)): Promise<T> {
  const workflowExecution = { workflowId, runId: 'run-1' };
  return new MockActivityEnvironment({ workflowExecution }, { logger: new DefaultLogger('ERROR') }).run(act);
}

const keysUnder = async (prefix: string): Promise<string[]> => {
  const found: string[] = [];
  for await (const key of rig.records.bucket.list(prefix)) found.push(key);
  return found;
};

/** Of every document there: its bytes, and, of a statement, what it says. */
async function digestsInWorm(): Promise<Set<string>> {
  const found = new Set<string>();
  for (const key of await keysUnder('')) {
    const { body } = (await rig.records.bucket.read(key))!;
    found.add(sha256(body));
    if (!body.toString('utf8').startsWith('{"payload"')) continue;
    const signed = Buffer.from(parseEnvelope(body).payload, 'base64');
    found.add(sha256(canonicalBytes((JSON.parse(signed.toString('utf8')) as { predicate: unknown }).predicate)));
  }
  return found;
}

/** An act that raises exposure, and whether it has come to pass. */
interface Raising {
  readonly change: Change;
  readonly act: () => Promise<unknown>;
  readonly effect: () => Promise<boolean>;
}

async function approved(kind: 'restore') {
  const order = world.kill('oscar');
  await rig.put(storeKeys.kill('digits', order.digest), canonicalBytes(order.envelope));
  const request = world.restoreRequest(steady, [order.digest]);
  const approvals = (['olga', 'otto'] as const).map((who) => world.approve(request, who));
  await rig.put(storeKeys.request(request.digest), canonicalBytes(request.envelope));
  for (const each of approvals) await rig.put(storeKeys.statement(each.digest), canonicalBytes(each.envelope));
  return {
    kind,
    request: request.digest,
    approvals: approvals.map(({ digest }) => digest),
    approvers: ['olga', 'otto'],
  };
}

const RAISING: readonly [what: string, make: () => Promise<Raising>][] = [
  [
    'a restoration',
    async () => {
      const agreed = await approved('restore');
      return {
        change: 'endpoint.restored',
        act: () => createKill(rig.desk).restoreEndpoint('digits', agreed),
        effect: async () => given.includes('route'),
      };
    },
  ],
  [
    'a promotion, as every other document that raises weight',
    async () => ({
      change: 'route.changed',
      act: () =>
        createRollouts(rig.desk).promoteRelease('digits', {
          ...{ request: release.request.digest, approvals: release.approvals.map(({ digest }) => digest) },
          ...{ release: release.release, version: release.name.version, replyTo: '' },
        }),
      effect: async () => given.includes('route'),
    }),
  ],
  [
    'a policy',
    async () => {
      const next = world.nextPolicy((policy) => ({ ...policy, rollback: { warmReleases: 1 } }));
      return {
        change: 'policy.accepted',
        act: () => createPolicies(rig.desk).applyPolicy(2, next.envelope),
        effect: async () => given.includes('policies') || (await keysUnder('policies/')).length > 1,
      };
    },
  ],
  [
    'a consumer, whom gateways let in',
    async () => {
      const { envelope, predicate } = world.consumer({}, 'oscar');
      return {
        change: 'consumer.declared',
        act: () => createConsumers(rig.desk).declareConsumer(predicate.consumer, predicate.sequence, envelope),
        effect: async () => (await keysUnder('consumers/')).length > 0,
      };
    },
  ],
  [
    'one more signature, with which a release can be loaded again',
    async () => {
      const signer = { key: world.keys.oscar, id: 'oscar', environment: 'test', policy: world.policyDigest };
      const envelope = requestResign(signer, release.name, release.release);
      let isAdmitted = false;
      return {
        change: 'decision.accepted',
        act: async () => {
          await createResignDesk(rig.desk).admitResign(release.name, envelope);
          isAdmitted = true;
        },
        effect: async () => isAdmitted,
      };
    },
  ],
  [
    'an approval',
    async () => {
      const approval = world.approve(release.request, 'alice');
      const { digest: request, predicate, envelope } = release.request;
      const gate = { ...{ request, requestId: predicate.requestId, envelope, role: 'release-approver', count: 1 } };
      let counts = false;
      return {
        change: 'decision.accepted',
        act: async () => {
          const decisions = [{ message: 'approve', envelope: approval.envelope }];
          const input = {
            gate: { ...gate, expiresAt: predicate.expiresAt },
            act: 'deploy',
            counted: [],
            decisions,
          } as const;
          counts = (await createGates(rig.desk).decide(input)).outcome.kind === 'approved';
        },
        effect: async () => counts,
      };
    },
  ],
];

describe('what raises exposure', () => {
  test.each(RAISING)('attack: %s waits for the log, and is in it before it comes about', async (_, make) => {
    const { change, act, effect } = await make();
    rig.audit.isDown = true;
    await expect(run(act)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect({ effect: await effect(), log: rig.log }).toEqual({ effect: false, log: [] });
    rig.audit.isDown = false;
    // Whether it had come about when it was written down.
    let before: boolean | null = null;
    const { append } = rig.audit;
    rig.audit.append = async (added) => {
      if (added.some((record) => record.change === change)) before ??= await effect();
      return append(added);
    };
    await run(act);
    expect({ before, after: await effect() }).toEqual({ before: false, after: true });
    const [record] = rig.log.filter((each) => each.change === change);
    expect(record).toMatchObject({ actor: { id: expect.stringMatching(/./) as string } });
    const documents = await digestsInWorm();
    for (const digest of [record?.before, record?.after, record?.actor.statement])
      if (digest != null) expect([...documents]).toContain(digest);
  });
});

describe('the end of each stage', () => {
  const STAGES: Record<StagePart, Change> = {
    ingested: 'release.ingested',
    validated: 'release.validated',
    overridden: 'release.overridden',
    approved: 'release.approved',
    signed: 'release.signed',
    rollout: 'rollout.ended',
    reviewed: 'release.reviewed',
  };
  const NEXT = { model: 'digits', version: '2.0.0' };

  test.each(Object.entries(STAGES) as [StagePart, Change][])(
    '%s: is in the log with the digest of its record before the next begins, also where the log was down',
    async (part, change) => {
      const value = (await progressOf(rig.records, release.name))[part] ?? { request: 'a'.repeat(64), approvals: [] };
      const record = () => run(() => createAdmission(rig.desk).record(NEXT, part, value as never, release.release));
      rig.audit.isDown = true;
      await expect(record()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
      rig.audit.isDown = false;
      for (let again = 0; again < 2; again += 1) await record();
      const kept = (await rig.records.bucket.read(storeKeys.record(NEXT, part)))!.body;
      expect(rig.log).toMatchObject([{ change, after: sha256(kept), subject: NEXT }]);
    },
  );
});
