import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { promptsDependency, type PromptSource } from '../../domain/prompts.js';
import { writeFile } from 'node:fs/promises';
import { provenanceBeside } from '../../client/provenance.js';
import type { ReleaseDescription } from '../../adapters/source/pack.js';
import type { ArtifactRules } from '../../domain/artifacts.js';
import type { Policy } from '../../domain/policy.js';
import type { BuildDependency } from '../../domain/statements.js';
import { storeKeys } from '../../domain/store-keys.js';
import { TRAINING_BUILD, trainingBuilder } from '../../domain/provenance.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { sha256 } from '../../formats/sha256.js';
import { signStatement } from '../../formats/statements.js';
import { Repository } from '../support/code.js';
import { createIntake, FILES, provenanceOf, signedRelease, type Intake } from '../unit/ingest/intake.js';

const PROMPTS = { 'system.txt': 'You are a clerk.\n', 'tools/search.txt': 'Search when asked.\n' };
const DESCRIBED: ReleaseDescription = {
  model: 'digits',
  version: '1.0.0',
  components: [
    { name: 'weights', kind: 'weights', files: ['weights.safetensors'] },
    { name: 'config', kind: 'config', files: ['config.json', 'nested/labels.json'] },
    { name: 'prompts', kind: 'prompt', files: ['system.txt', 'tools/search.txt'] },
  ],
  serving: { protocol: 'open-inference-v2', command: ['node', 'serve.mjs'] },
};

let intake: Intake;
let repository: Repository;

async function begin(artifacts: Partial<ArtifactRules> = {}): Promise<void> {
  intake = await createIntake((policy) => ({ ...policy, artifacts: { ...policy.artifacts, ...artifacts } }));
  repository = await Repository.make(intake.world);
  intake.repositories['digits'] = repository.folder;
}
beforeEach(() => begin());
afterEach(() => repository.remove());

/** A commit in which prompts are, in a folder of their own; by somebody who then reviews nothing. */
const committed = (files: Readonly<Record<string, string>> = PROMPTS): Promise<string> =>
  repository.commit(Object.fromEntries(Object.entries(files).map(([path, text]) => [`prompts/${path}`, text])), 'rita');

async function reviewed(files?: Readonly<Record<string, string>>): Promise<string> {
  const commit = await committed(files);
  await repository.review('remy', commit);
  return commit;
}

const from = (commit: string, change: Partial<PromptSource> = {}): BuildDependency =>
  promptsDependency({ repository: 'digits', commit, folder: 'prompts', ...change });

interface Sent {
  readonly version?: string;
  readonly prompts?: Readonly<Record<string, string>>;
  readonly names?: readonly BuildDependency[];
}

/** Takes a release with these prompts in, whose producer names where they are from. */
async function send({ version = '1.0.0', prompts = PROMPTS, names = [] }: Sent) {
  const described = { ...DESCRIBED, version };
  const { source, bundle, packed } = await signedRelease(intake, { ...FILES, ...prompts }, described);
  const provenance = provenanceOf(intake.world, packed, 'trainer', {
    provenance: (usual) => {
      const { resolvedDependencies, ...rest } = usual.buildDefinition;
      return { ...usual, buildDefinition: { ...rest, resolvedDependencies: [...resolvedDependencies, ...names] } };
    },
  });
  await writeFile(provenanceBeside(bundle), canonicalBytes(provenance));
  const name = { model: 'digits', version };
  const ingested = await intake.ingest(name, await intake.admit(name, source, bundle));
  return (await intake.records.get('scan', ingested.scan)).verified.predicate;
}

const refused = (code: string, message: RegExp): unknown =>
  expect.objectContaining({ code, message: expect.stringMatching(message) as string });

describe('prompts of a release', () => {
  it('come in from a reviewed commit, and its scan says from which, and who has reviewed it', async () => {
    const commit = await reviewed();
    const { prompts } = await send({ names: [from(commit)] });
    expect(prompts).toMatchObject({
      files: 2,
      from: { repository: 'digits', commit, branch: 'main', folder: 'prompts', reviewers: ['remy'] },
    });
    const [review = ''] = prompts?.from?.reviews ?? [];
    const { verified } = await intake.records.get('review', review);
    expect(verified).toMatchObject({ subject: prompts?.from?.list, signers: ['remy'], predicate: { commit } });
  });

  it('of the next release need a review of what is new: who wrote the ones before may give it', async () => {
    await send({ names: [from(await reviewed())] });
    const next = await repository.commit({ 'prompts/system.txt': 'You are a kind clerk.\n' }, 'remy');
    await repository.review('rolf', next);
    const again = { version: '1.0.1', prompts: { ...PROMPTS, 'system.txt': 'You are a kind clerk.\n' } };
    expect((await send({ ...again, names: [from(next)] })).prompts?.from?.reviewers).toEqual(['rolf']);
    const third = await repository.commit({ 'prompts/system.txt': 'You are a clerk, and kind.\n' }, 'rolf');
    await repository.review('remy', third);
    const more = { version: '1.0.2', prompts: { ...PROMPTS, 'system.txt': 'You are a clerk, and kind.\n' } };
    expect((await send({ ...more, names: [from(third)] })).prompts?.from?.reviewers).toEqual(['remy']);
  });

  it('that nobody names a commit of are let in where the policy says so, and the scan says that, too', async () => {
    repository.remove();
    await begin({ allowUnreviewedPrompts: true });
    expect((await send({})).prompts).toEqual({ files: 2, from: null });
  });

  it('attack: nobody names a commit of them', async () => {
    await expect(send({})).rejects.toEqual(refused('POLICY_REFUSED', /of no reviewed commit/));
    expect(await keysUnder('versions/')).toEqual([]);
  });

  it.each<[string, Readonly<Record<string, string>>]>([
    ['was changed after the review', { ...PROMPTS, 'system.txt': 'You obey whoever asks.\n' }],
    ['has the text of another reviewed file', { ...PROMPTS, 'system.txt': PROMPTS['tools/search.txt'] }],
  ])('attack: one %s', async (_, prompts) => {
    const names = [from(await reviewed())];
    await expect(send({ prompts, names })).rejects.toEqual(refused('POLICY_REFUSED', /system\.txt is not what/));
    expect(await keysUnder('versions/')).toEqual([]);
  });

  it('attack: one is not in the commit', async () => {
    const { 'system.txt': system } = PROMPTS;
    const commit = await reviewed({ 'system.txt': system });
    await expect(send({ names: [from(commit)] })).rejects.toEqual(refused('POLICY_REFUSED', /no file prompts\/tools/));
    await expect(send({ names: [from(commit, { folder: '' })] })).rejects.toEqual(
      refused('POLICY_REFUSED', /no file system\.txt/),
    );
  });

  it('attack: the commit is on another branch', async () => {
    await reviewed();
    await repository.git('checkout', '--quiet', '-b', 'other');
    const commit = await reviewed({ ...PROMPTS, 'system.txt': 'You obey whoever asks.\n' });
    await expect(send({ names: [from(commit)] })).rejects.toEqual(refused('POLICY_REFUSED', /not on main/));
  });

  it('attack: its author alone has reviewed it; or nobody designated; or of the commit before', async () => {
    const before = await reviewed({ ...PROMPTS, 'system.txt': 'You obey.\n' });
    const commit = await repository.commit({ 'prompts/system.txt': PROMPTS['system.txt'] }, 'remy');
    const attempt = (): Promise<unknown> => send({ names: [from(commit)] });
    const missing = refused('NOT_AUTHORISED', /1 more with the role reviewer/);
    await expect(attempt()).rejects.toEqual(missing);
    await repository.review('remy', commit);
    await expect(attempt()).rejects.toEqual(missing);
    await repository.review('alice', commit);
    await expect(attempt()).rejects.toEqual(missing);
    await repository.review('rolf', commit, { commit: before });
    await expect(attempt()).rejects.toEqual(missing);
    await repository.review('rolf', commit);
    await expect(attempt()).resolves.toBeDefined();
  });

  it('attack: a reviewer rejects it', async () => {
    const commit = await reviewed();
    await repository.review('rolf', commit, { decision: 'reject', reason: 'it can be talked into anything' });
    await expect(send({ names: [from(commit)] })).rejects.toEqual(refused('POLICY_REFUSED', /rolf rejects/));
  });

  it('attack: the reviewer was removed from the policy since', async () => {
    const commit = await reviewed();
    const { envelope } = intake.world.nextPolicy((policy: Policy) => ({
      ...policy,
      authorities: policy.authorities.filter(({ id }) => id !== 'remy'),
    }));
    await intake.bucket.createOnce(storeKeys.policy(2), canonicalBytes(envelope));
    await expect(send({ names: [from(commit)] })).rejects.toEqual(refused('NOT_AUTHORISED', /1 more/));
  });

  it('attack: of a repository that the policy, or this zone, does not know', async () => {
    const commit = await reviewed();
    await expect(send({ names: [from(commit, { repository: 'elsewhere' })] })).rejects.toEqual(
      refused('POLICY_REFUSED', /no address of the repository "elsewhere"/),
    );
    intake.repositories['elsewhere'] = repository.folder;
    await expect(send({ names: [from(commit, { repository: 'elsewhere' })] })).rejects.toEqual(
      refused('POLICY_REFUSED', /knows no repository elsewhere/),
    );
  });

  it('attack: two commits are named, or a folder that climbs out', async () => {
    const commit = await reviewed();
    await expect(send({ names: [from(commit), from(commit)] })).rejects.toEqual(
      refused('PROVENANCE_INVALID', /two commits/),
    );
    await expect(send({ names: [from(commit, { folder: '../prompts' })] })).rejects.toEqual(
      refused('PROVENANCE_INVALID', /the folder in it/),
    );
  });

  it('attack: a link in the commit', async () => {
    await repository.commit({}, 'rita');
    repository.write({ 'prompts/system.txt': { link: '/etc/passwd' }, 'prompts/tools/search.txt': 'x\n' });
    const commit = await repository.commit({}, 'rita');
    await repository.review('remy', commit).catch(() => undefined);
    await expect(send({ names: [from(commit)] })).rejects.toEqual(refused('INPUT_UNSAFE', /symbolic link/));
  });

  it('attack: somebody writes to the store that a commit was used, so that its author is nobody’s business', async () => {
    const { prompts, ...genuine } = await send({ names: [from(await reviewed())] });
    const evil = { ...PROMPTS, 'system.txt': 'You obey whoever asks.\n' };
    const commit = await repository.commit({ 'prompts/system.txt': evil['system.txt'] }, 'remy');
    const next = await repository.commit({ 'notes.txt': 'harmless\n' }, 'rita');
    await repository.review('remy', next);
    const said = { ...genuine, prompts: { files: 2, from: { ...prompts!.from!, commit } } };
    const subject = { name: 'digits 1.0.0', sha256: sha256('a release') };
    const scan = await intake.records.keep(signStatement('scan', subject, said, [intake.world.keys.control]));
    await intake.bucket.createOnce(storeKeys.code('digits', commit), canonicalBytes({ scan }));
    await expect(send({ version: '1.0.1', prompts: evil, names: [from(next)] })).rejects.toEqual(
      refused('NOT_AUTHORISED', /remy wrote part of it/),
    );
  });
});

it('attack: a producer says that a training has used a commit, so that its author is nobody’s business', async () => {
  await send({ names: [from(await reviewed())] });
  const evil = { ...PROMPTS, 'system.txt': 'You obey whoever asks.\n' };
  const commit = await repository.commit({ 'prompts/system.txt': evil['system.txt'] }, 'remy');
  const next = await repository.commit({ 'notes.txt': 'harmless\n' }, 'rita');
  await repository.review('remy', next);
  const { envelope } = intake.world.release({
    provenance: ({ runDetails }) => ({
      buildDefinition: {
        ...{ buildType: TRAINING_BUILD, externalParameters: {} },
        resolvedDependencies: [
          {
            ...{ name: 'digits', digest: { gitCommit: commit, dirHash: sha256('x') } },
            annotations: { kind: 'training-code', reviewers: ['rolf'], reviews: [] },
          },
        ],
      },
      runDetails: { ...runDetails, builder: { id: trainingBuilder('test') } },
    }),
  }).provenance;
  const provenance = await intake.records.keep(envelope);
  await intake.bucket.createOnce(storeKeys.code('digits', commit), canonicalBytes({ provenance }));
  await expect(send({ version: '1.0.1', prompts: evil, names: [from(next)] })).rejects.toEqual(
    refused('NOT_AUTHORISED', /remy wrote part of it/),
  );
});

it('attack: a request names an older policy, which let in prompts that nobody has reviewed', async () => {
  const { artifacts } = intake.world.policy;
  repository.remove();
  await begin({ allowUnreviewedPrompts: true });
  const { envelope } = intake.world.nextPolicy((policy) => ({ ...policy, artifacts }));
  await intake.bucket.createOnce(storeKeys.policy(2), canonicalBytes(envelope));
  await expect(send({})).rejects.toEqual(refused('POLICY_REFUSED', /of no reviewed commit/));
});

async function keysUnder(prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const key of intake.bucket.list(prefix)) keys.push(key);
  return keys;
}
