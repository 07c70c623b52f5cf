import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { beforeEach, expect, test } from 'vitest';
import type { TrainingEnded } from '../../../activities/training-contract.js';
import { createTrainingDesk } from '../../../activities/training-desk.js';
import { trainingId } from '../../../domain/names.js';
import { OBSERVABLES } from '../../../domain/observed.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { sha256 } from '../../../formats/sha256.js';
import { createWorld, type KeyName, type World } from '../../support/world.js';
import { startDesk, type DeskRig } from './rig.js';

const RUN = 'run-1';
let world: World;
let rig: DeskRig;

beforeEach(async () => {
  world = createWorld();
  rig = await startDesk(world);
});

function asked(by: KeyName = 'ci', run = RUN) {
  const id = trainingId('digits', run);
  const action = { kind: 'train' as const, run, trainer: 'digits', hyperparameters: sha256('them') };
  const about = { model: 'digits', version: '1.0.0', workflowId: id, action, requester: by };
  return world.request({ name: id, sha256: sha256(id) }, about, by);
}
/** As the training zone leaves it, once it has let a request in. */
const keep = (request: ReturnType<typeof asked>) =>
  rig.put(storeKeys.request(request.digest), canonicalBytes(request.envelope));

async function made(request: string, by: KeyName = 'trainer', internalParameters: Record<string, unknown> = {}) {
  const { provenance } = world.release();
  const { buildDefinition } = provenance.predicate;
  const externalParameters = { ...buildDefinition.externalParameters, request };
  const said = {
    ...provenance.predicate,
    buildDefinition: { ...buildDefinition, externalParameters, internalParameters },
  };
  const statement = world.statement('provenance', { name: 'digits 1.0.0', sha256: sha256('a release') }, said, by);
  await rig.put(storeKeys.statement(statement.digest), canonicalBytes(statement.envelope));
  return { kind: 'trained', statement: statement.digest } as const;
}

function record(envelope: unknown, ended: TrainingEnded, run = RUN): Promise<void> {
  const workflowExecution = { workflowId: trainingId('digits', run), runId: 'run-1' };
  const environment = new MockActivityEnvironment({ workflowExecution }, { logger: new DefaultLogger('ERROR') });
  return environment.run(() => createTrainingDesk(rig.desk).recordTraining('digits', run, envelope, ended));
}

test('a run is in the log with who asked for it, what it made, and what shows that', async () => {
  const request = asked();
  await keep(request);
  const ended = await made(request.digest);
  for (let again = 0; again < 2; again += 1) await record(request.envelope, ended);
  expect(rig.log).toMatchObject([
    {
      change: 'training.ended',
      actor: { id: 'ci', statement: request.digest },
      subject: { model: 'digits', version: '1.0.0', release: sha256('a release') },
      before: request.digest,
      after: ended.statement,
      policy: world.policyDigest,
      reason: 'run run-1: trained',
    },
  ]);
});

test('with what it was seen to do', async () => {
  const seen = [{ kind: 'left-behind', count: 2, detail: 'sleep' }];
  const request = asked();
  await keep(request);
  await record(request.envelope, await made(request.digest, 'trainer', { observed: { watched: OBSERVABLES, seen } }));
  await record(request.envelope, await made(request.digest, 'trainer', { observed: { watched: ['nonsense'], seen } }));
  expect(rig.log.map(({ reason }) => reason)).toEqual([
    'run run-1: trained: it tried nothing that it may not; left-behind 2 × (sleep)',
  ]);
});

test('one that tried what it may not is in the log as it failed', async () => {
  const request = asked();
  await keep(request);
  const failed = { kind: 'rejected', code: 'TRAINING_FAILED', reason: 'the run failed (exit 1)' } as const;
  await record(request.envelope, failed);
  expect(rig.log).toMatchObject([
    { change: 'training.ended', after: null, reason: 'run run-1: TRAINING_FAILED: the run failed (exit 1)' },
  ]);
});

const refused = { kind: 'rejected', code: 'NOT_AUTHORISED', reason: 'alice does not hold the role requester' } as const;
test.each<[string, () => Promise<unknown>]>([
  ['nobody knows', async () => asked('mallory').envelope],
  ['the training zone has not let in', async () => asked('alice').envelope],
  ['is for another run', async () => asked('ci', 'run-2')],
  ['is none', async () => ({ payload: 'x' })],
])('attack: a request that %s is a refused message, and no run', async (_, envelope) => {
  await record(await envelope(), refused);
  expect(rig.log).toMatchObject([
    {
      change: 'message.refused',
      actor: { id: 'unverified', statement: null },
      reason: expect.stringMatching(/^1 × training .*NOT_AUTHORISED: alice/) as string,
    },
  ]);
});

test('attack: what another request made, or no producer has signed, is not taken for what this one made', async () => {
  const [request, other] = [asked(), asked('ci', 'run-2')];
  await keep(request);
  await expect(record(request.envelope, await made(other.digest))).rejects.toMatchObject({ code: 'REPLAYED' });
  await expect(record(request.envelope, await made(request.digest, 'mallory'))).rejects.toMatchObject({
    code: 'SIGNATURE_INVALID',
  });
  expect(rig.log).toEqual([]);
});
