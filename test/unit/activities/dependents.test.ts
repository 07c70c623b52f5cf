import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { beforeEach, expect, test } from 'vitest';
import type { Desk } from '../../../activities/control.js';
import { createRetirement } from '../../../activities/retire.js';
import { StoredConsumers } from '../../../adapters/consumers.js';
import { keepFacts } from '../../../adapters/release-facts.js';
import { lifecycleId } from '../../../domain/names.js';
import type { RequestAction } from '../../../domain/statements.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { recordsOf } from '../serving/fixture.js';
import { createWorld, type Release, type World } from '../../support/world.js';
import { startDesk, type DeskRig } from './rig.js';

let world: World;
let rig: DeskRig;
let release: Release;
let served: { model: string; version: string }[];

type Retire = Extract<RequestAction, { kind: 'retire' }>;

beforeEach(async () => {
  world = createWorld({
    policy: (p) => ({ ...p, retirement: { noticeSeconds: 10, fallback: 'required' } }),
  });
  rig = await startDesk(world);
  release = await stored(world.release());
  served = [release.name];
});

async function stored(of: Release): Promise<Release> {
  for (const [key, bytes] of recordsOf(of)) await rig.records.bucket.createOnce(key, bytes);
  await rig.records.bucket.createOnce(storeKeys.version(of.name), Buffer.from(of.release));
  return of;
}

async function routed(...releases: readonly (readonly [Release, number])[]): Promise<void> {
  const entries = releases.map(([of, weight]) => ({ release: of.release, version: of.name.version, weight }));
  const intent = {
    change: 'promote',
    releases: entries,
    plan: null,
    triggers: null,
    lifted: [],
    restore: null,
  } as const;
  await rig.keep(world.route(null, intent, 'digits'));
}

function open(over: Partial<Retire> = {}, of = release) {
  const action: Retire = { kind: 'retire', reason: 'replaced', noticeSeconds: 10, ...over };
  const about = { ...of.name, release: of.release, workflowId: lifecycleId(of.name), action, requester: 'rita' };
  const request = world.request({ name: lifecycleId(of.name), sha256: of.release }, about, 'rita');
  const models = served.map(({ model, version }) => ({ model, serving: [{ version }] }));
  const gateway = { state: async () => ({ models }), callers: async () => ({ models: [] }) };
  const desk = {
    ...rig.desk,
    ...{ gateways: [gateway], consumers: new StoredConsumers(rig.records), key: world.keys.control },
  } as unknown as Desk;
  const environment = new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') });
  const act = async () => ({
    request,
    gate: await createRetirement(desk).openRetireGate(of.name, of.release, request.envelope),
  });
  return environment.run<[], Awaited<ReturnType<typeof act>>, typeof act>(act);
}
const logged = (change: string) => rig.log.filter((record) => record.change === change);

test('who and what depends on a release is signed for, and in the log, before anybody is asked', async () => {
  const { envelope, predicate, digest } = world.consumer();
  await rig.put(storeKeys.consumer(predicate.consumer, predicate.sequence, digest), canonicalBytes(envelope));
  const facts = await keepFacts(rig.records, {
    ...{ schema: 'https://custody.dev/facts/v1', model: 'digits', version: '0.9.0', components: [] },
    serving: { protocol: 'oip-v2', command: ['serve'] },
  });
  const older = await stored(world.release({ version: '0.9.0', change: { facts } }));
  await routed([release, 100], [older, 0]);
  const { request } = await open({ fallback: older.release });
  const found = await rig.records.find('dependents', storeKeys.dependents(release.name, request.digest));
  expect(found?.verified).toMatchObject({
    signers: ['control'],
    subject: release.release,
    predicate: {
      request: request.digest,
      consumers: [{ id: 'checkout', owner: 'carla', criticality: 'critical' }],
      releases: [{ ...older.name, how: 'shares files with it', serves: false }],
      ...{ weight: 100, endpoints: [], isDrilled: false },
    },
  });
  expect(rig.log.map(({ change }) => change)).toEqual(['retirement.scanned', 'gate.opened']);
  expect(logged('retirement.scanned')).toMatchObject([
    { after: found?.verified.digest, before: request.digest, reason: /^1 consumers, 1 releases/ },
  ]);
});

test('attack: what serves is not retired without a fallback where the policy demands one', async () => {
  await routed([release, 100]);
  await expect(open()).rejects.toMatchObject({ code: 'POLICY_REFUSED', message: /left with nothing/ });
  expect(logged('message.refused')).toHaveLength(1);
  expect(logged('gate.opened')).toEqual([]);
});
