import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TrainingActivities } from '../../activities/training-contract.js';
import { createTrainingActivities } from '../../activities/train.js';
import { readTrainer, type Trainer } from '../../adapters/training/trainer.js';
import { provenanceBeside } from '../../client/provenance.js';
import { decide } from '../../client/requests.js';
import type { Digest } from '../../domain/digest.js';
import { lifecycleId, trainingId } from '../../domain/names.js';
import { storeKeys } from '../../domain/store-keys.js';
import { modelDependency, modelsOf } from '../../domain/used-models.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { sha256 } from '../../formats/sha256.js';
import { createSite, type Admitted, type Made, type Site } from '../support/based.js';
import { Repository } from '../support/code.js';
import { registerData, signerIn } from '../support/data.js';
import { DESCRIPTION, FILES, provenanceOf, signedRelease } from '../unit/ingest/intake.js';

const DIGITS = resolve('examples/digits');
const CONFIG = '{"rate":1}\n';
const hyperparameters = sha256(CONFIG);
/** Goes on from what it finds, and cannot change it. */
const TUNE = `
set -e
mkdir /output/release
cp /input/models/start/weights.safetensors /input/models/start/config.json /output/release/
if echo x > /input/models/start/config.json; then exit 9; fi
test "$(ls /input/models)" = start
`;

let folder: string;
let site: Site;
let base: Made & Pick<Admitted, 'source'>;
let trainer: Trainer;
let data: Digest;
let repository: Repository;
let runs = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'custody-models-'));
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(async () => {
  site = await createSite();
  const admitted = await site.admit(FILES, DESCRIPTION);
  base = { ...(await site.release(admitted, await site.ingest(admitted))), source: admitted.source };
  data = await registerData(site.records, site.world, join(DIGITS, 'data', 'digits'));
  repository = await Repository.make(site.world);
  trainer = { ...(await readTrainer(join(DIGITS, 'trainer.json'))), models: { 'digits@1.0.0': base.source } };
});
afterEach(() => repository.remove());

/** A reviewed commit whose recipe names a release. */
async function naming(release = 'digits@1.0.0', digest: Digest = base.release): Promise<string> {
  const recipe = {
    command: ['sh', '/input/code/tune.sh'],
    hyperparameters: 'hyperparameters',
    models: [{ name: 'start', release, sha256: digest }],
    components: [
      { name: 'weights', kind: 'weights', files: ['weights.safetensors'] },
      { name: 'config', kind: 'config', files: ['config.json'] },
    ],
    serving: DESCRIPTION.serving,
  };
  const files = { 'recipe.json': JSON.stringify(recipe), 'tune.sh': TUNE, 'hyperparameters/1.json': CONFIG };
  const commit = await repository.commit(files, 'rita');
  await repository.review('remy', commit);
  return commit;
}

async function train(commit: string): ReturnType<TrainingActivities['train']> {
  const { records, world } = site;
  const run = `run-${(runs += 1)}`;
  const id = trainingId('digits', run);
  const { envelope } = world.request(
    { name: id, sha256: sha256(id) },
    {
      ...{ model: 'digits', version: '1.1.0', workflowId: id, requester: 'ci' },
      action: { kind: 'train', run, trainer: 'digits', hyperparameters, data, commit },
    },
    'ci',
  );
  const { examine, train: act } = createTrainingActivities({
    ...{ records, producerKey: world.keys.trainer, trainers: { digits: trainer } },
    ...{ repositories: { digits: repository.folder }, further: async () => [], outputs: join(folder, 'outputs') },
  });
  const inActivity = () => new MockActivityEnvironment(undefined, { logger: new DefaultLogger('ERROR') });
  await inActivity().run(examine, 'digits', run, envelope);
  const request = (await records.verify('request', envelope)).verified;
  const approval = await records.keep(decide(signerIn(world, 'alice'), request, 'approve', 'as we agreed'));
  return inActivity().run(act, 'digits', run, envelope, [approval]);
}

const refused = (code: string, message: RegExp): unknown =>
  expect.objectContaining({ code, message: expect.stringMatching(message) as string });

/** Takes a release in whose producer says that it was made with a model. */
async function takeIn(release: Digest): Promise<unknown> {
  const described = { ...DESCRIPTION, version: '1.1.0' };
  const { source, bundle, packed } = await signedRelease(site.intake, FILES, described);
  const named = modelDependency({ model: 'digits', version: '1.0.0', release }, 'start');
  const provenance = provenanceOf(site.world, packed, 'trainer', {
    provenance: ({ buildDefinition, ...rest }) => ({
      ...rest,
      buildDefinition: {
        ...buildDefinition,
        resolvedDependencies: [...buildDefinition.resolvedDependencies, named],
      },
    }),
  });
  await writeFile(provenanceBeside(bundle), canonicalBytes(provenance));
  const name = { model: 'digits', version: '1.1.0' };
  return site.ingest({ name, admission: await site.intake.admit(name, source, bundle) });
}

describe('a run that goes on from a release', () => {
  it('gets its verified bytes, read-only, and its provenance names it', async () => {
    const { source, statement } = await train(await naming());
    const { verified } = await site.records.get('provenance', statement);
    expect(modelsOf(verified.predicate)).toEqual([{ model: 'digits', version: '1.0.0', release: base.release }]);
    const made = await readFile(join(fileURLToPath(source), 'weights.safetensors'));
    expect(made).toEqual(FILES['weights.safetensors']);
  });

  it('attack: whose bytes on this host are others', async () => {
    const commit = await naming();
    await appendFile(join(base.source, 'weights.safetensors'), 'x');
    await expect(train(commit)).rejects.toEqual(refused('DIGEST_MISMATCH', /weights\.safetensors/));
  });

  it('attack: that has another digest than its reviewers have seen', async () => {
    await expect(train(await naming('digits@1.0.0', sha256('another')))).rejects.toEqual(
      refused('DIGEST_MISMATCH', /is not the release/),
    );
  });

  it('attack: that was never released, though its files are there', async () => {
    const admitted = await site.admit(FILES, { ...DESCRIPTION, version: '0.9.0' });
    await site.ingest(admitted);
    trainer = { ...trainer, models: { 'digits@0.9.0': admitted.source } };
    await expect(train(await naming('digits@0.9.0', admitted.release))).rejects.toEqual(
      refused('POLICY_REFUSED', /has not been released here/),
    );
  });

  it('attack: that this zone has no folder of', async () => {
    trainer = { ...trainer, models: {} };
    await expect(train(await naming())).rejects.toEqual(refused('POLICY_REFUSED', /no folder of the release/));
  });

  it('attack: that was revoked, by a status document or a moment before it', async () => {
    const commit = await naming();
    const subject = { name: lifecycleId(base.name), sha256: base.release };
    const said = {
      environment: 'test',
      ...base.name,
      request: sha256('x'),
      reason: 'stolen',
      issuedAt: site.world.at(0),
    };
    const { envelope } = site.world.statement('revocation', subject, said, 'release-signer');
    await site.bucket.createOnce(storeKeys.revocation(base.release), canonicalBytes(envelope));
    await expect(train(commit)).rejects.toEqual(refused('REVOKED', /made with has been revoked/));
  });

  it.each(['killed', 'retired'] as const)('attack: that is %s', async (how) => {
    const commit = await naming();
    if (how === 'killed') await site.status({ kills: [{ model: 'digits', order: sha256('an order') }] });
    else await site.records.recordOnce(storeKeys.record(base.name, 'retirement'), { request: sha256('x') });
    await expect(train(commit)).rejects.toEqual(
      refused('POLICY_REFUSED', how === 'killed' ? /digits is killed/ : /is being retired/),
    );
  });

  it('attack: nothing comes in whose producer names a model that is not in custody, or was revoked', async () => {
    await expect(takeIn(sha256('another'))).rejects.toEqual(refused('DIGEST_MISMATCH', /is not the release/));
    await site.status({ revoked: [base.release] });
    await expect(takeIn(base.release)).rejects.toEqual(refused('REVOKED', /./));
  });
});
