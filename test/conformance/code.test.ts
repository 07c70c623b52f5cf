import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { noteReview, treeOf } from '../../client/code.js';
import { reviewedCode } from '../../adapters/reviewed-code.js';
import { recordCode } from '../../adapters/used-code.js';
import type { Policy } from '../../domain/policy.js';
import { TRAINING_BUILD, trainingBuilder } from '../../domain/provenance.js';
import { PREDICATES, type ProvenancePredicate, type SignedEnvelope } from '../../domain/statements.js';
import { storeKeys } from '../../domain/store-keys.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { fileListDigest } from '../../formats/file-list.js';
import { generateKey, importPrivateKey } from '../../formats/keys.js';
import { sha256 } from '../../formats/sha256.js';
import { signStatement } from '../../formats/statements.js';
import { Repository } from '../support/code.js';
import type { KeyName } from '../support/world.js';
import { createIntake, type Intake } from '../unit/ingest/intake.js';

const CODE = { 'train.py': 'print("training")\n', 'config/1.0.0.json': '{"seed":1}\n', '.gitignore': 'out\n' };

let intake: Intake;
let repository: Repository;
let work: string;

beforeEach(async () => {
  intake = await createIntake();
  repository = await Repository.make(intake.world);
  work = mkdtempSync(join(tmpdir(), 'custody-code-test-'));
});
afterEach(() => {
  repository.remove();
  rmSync(work, { recursive: true });
});

let asked = 0;
const check = (commit: string, address = repository.folder) =>
  reviewedCode(intake.records, { repository: 'digits', address, commit }, join(work, String((asked += 1))), {
    trainedBy: { id: 'trainer' },
  });
const refused = async (commit: string): Promise<unknown> => {
  try {
    await check(commit);
    return 'admitted';
  } catch (error) {
    return (error as { code?: string; message: string }).code;
  }
};

/** What a training with this commit leaves behind. */
async function train(commit: string): Promise<void> {
  const { code } = await check(commit);
  await recordCode(intake.records, code, { provenance: await intake.records.keep(provenanceOf(commit)) });
}

function provenanceOf(commit: string, by: KeyName = 'trainer', buildType: string = TRAINING_BUILD): SignedEnvelope {
  const annotations = { kind: 'training-code', reviewers: ['rolf'], reviews: [] };
  const provenance: ProvenancePredicate = {
    buildDefinition: {
      ...{ buildType, externalParameters: {} },
      resolvedDependencies: [{ name: 'digits', digest: { gitCommit: commit, dirHash: sha256('x') }, annotations }],
    },
    runDetails: {
      builder: { id: trainingBuilder('test') },
      metadata: { invocationId: 'x', startedOn: intake.world.at(0), finishedOn: intake.world.at(1) },
    },
  };
  return signStatement('provenance', { name: 'x', sha256: sha256('x') }, provenance, [intake.world.keys[by]]);
}

/** What the training zone keeps of what reviewers say, before it judges it. */
const keeping = (commit: string) =>
  reviewedCode(
    intake.records,
    { repository: 'digits', address: repository.folder, commit },
    join(work, String((asked += 1))),
    { keeps: true },
  );

async function apply(change: (policy: Policy) => Policy): Promise<void> {
  const next = intake.world.nextPolicy(change);
  await intake.bucket.createOnce(storeKeys.policy(2), canonicalBytes(next.envelope));
}

describe('code that was reviewed', () => {
  it('is taken as it is in the commit, with who wrote it and who reviewed it', async () => {
    const commit = await repository.commit({ ...CODE, 'run.sh': { script: '#!/bin/sh\n' } });
    await repository.review('remy', commit);
    repository.write({ 'train.py': 'something else, in no commit' });
    const { code, tree, reviewers, reviews } = await check(commit);
    expect(code).toMatchObject({ repository: 'digits', branch: 'main', written: [{ commit, author: 'rita' }] });
    expect(reviewers).toEqual(['remy']);
    expect(reviews.map(({ verified }) => verified.predicate.decision)).toEqual(['approve']);
    const files = Object.fromEntries(tree.files.map((file) => [file.path, file]));
    expect(files['train.py']?.bytes.toString()).toBe(CODE['train.py']);
    expect(files['run.sh']?.isExecutable).toBe(true);
    expect(tree.digest).toBe(fileListDigest(Object.values(files)));
  });

  it('bears the signature that git and ssh-keygen verify, and the list that sha256sum makes', async () => {
    const commit = await repository.commit(CODE);
    const key = intake.world.keys.rita;
    const blob = key.keyObject.export({ format: 'der', type: 'spki' }).subarray(-32);
    const wire = Buffer.concat([
      Buffer.from([0, 0, 0, 11]),
      Buffer.from('ssh-ed25519'),
      Buffer.from([0, 0, 0, 32]),
      blob,
    ]);
    const signers = join(work, 'signers');
    writeFileSync(signers, `rita namespaces="git" ssh-ed25519 ${wire.toString('base64')}\n`);
    await repository.git('config', 'gpg.format', 'ssh');
    await repository.git('config', 'gpg.ssh.allowedSignersFile', signers);
    expect(await repository.git('log', '-1', '--format=%G? %GS', commit)).toBe('G rita');
    await repository.review('remy', commit);
    const { tree } = await check(commit);
    const { stdout } = await execa('bash', ['-c', 'git ls-files | LC_ALL=C sort | xargs sha256sum | sha256sum'], {
      cwd: repository.folder,
    });
    expect(stdout.slice(0, 64)).toBe(tree.digest);
  });

  it('may be signed by an SSH key, as `git commit -S` does', async () => {
    const file = join(work, 'id');
    await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file]);
    const line = (await execa('cat', [`${file}.pub`])).stdout;
    await apply((policy) => ({
      ...policy,
      authorities: policy.authorities.map((each) => (each.id === 'rita' ? { ...each, keys: [{ ssh: line }] } : each)),
    }));
    await repository.git('config', 'gpg.format', 'ssh');
    await repository.git('config', 'user.signingkey', file);
    repository.write(CODE);
    await repository.git('add', '--all');
    await repository.git('commit', '--quiet', '-S', '--message', 'signed by git');
    const commit = await repository.head();
    await repository.review('remy', commit);
    expect((await check(commit)).code.written).toEqual([{ commit, author: 'rita' }]);
  });

  it('needs no second look at what a training used before', async () => {
    const first = await repository.commit(CODE, 'remy');
    await repository.review('rolf', first);
    await train(first);
    const second = await repository.commit({ 'train.py': 'better' }, 'rolf');
    await repository.review('remy', second);
    expect((await check(second)).code.written).toEqual([{ commit: second, author: 'rolf' }]);
  });

  it.each([0, 1])(
    'attack: a record that no training zone has signed for makes nothing reviewed, and hinders nobody (%d)',
    async (forgery) => {
      const first = await repository.commit(CODE, 'remy');
      const second = await repository.commit({ 'train.py': 'better' });
      await repository.review('remy', second);
      const forged = [provenanceOf(first, 'control'), provenanceOf(first, 'trainer', 'urn:other')][
        forgery
      ] as SignedEnvelope;
      const provenance = await intake.records.keep(forged);
      await intake.records.recordOnce(storeKeys.code('digits', first), { provenance });
      expect(await refused(second)).toBe('NOT_AUTHORISED');
      await repository.review('rolf', second);
      await intake.bucket.createOnce(storeKeys.code('digits', '0'.repeat(40)), Buffer.from('{'));
      expect(await refused(second)).toBe('admitted');
    },
  );

  it('may have been merged: a merge that git makes by itself needs nobody’s signature, one with more in it does', async () => {
    const base = await repository.commit(CODE);
    await repository.git('checkout', '--quiet', '-b', 'topic');
    await repository.commit({ 'topic.py': 'topic' });
    await repository.git('checkout', '--quiet', 'main');
    await repository.commit({ 'main.py': 'main' });
    await repository.git('merge', '--quiet', '--no-ff', '--message', 'merged', 'topic');
    const merged = await repository.head();
    await repository.review('remy', merged);
    expect((await check(merged)).code.written).toHaveLength(3);
    expect(base).not.toBe(merged);

    await repository.git('checkout', '--quiet', '-b', 'evil', 'topic');
    await repository.commit({ 'evil.py': 'x' });
    await repository.git('checkout', '--quiet', 'main');
    await repository.git('merge', '--quiet', '--no-ff', '--no-commit', 'evil');
    repository.write({ 'train.py': 'slipped in' });
    await repository.git('add', '--all');
    await repository.git('commit', '--quiet', '--message', 'merged');
    const evil = await repository.head();
    await repository.review('remy', evil);
    expect(await refused(evil)).toBe('NOT_AUTHORISED');
  });
});

describe('code is refused', () => {
  it('attack: without a review, or with its author’s own, also of an earlier commit in it', async () => {
    const first = await repository.commit(CODE, 'remy');
    expect(await refused(first)).toBe('NOT_AUTHORISED');
    await repository.review('remy', first);
    expect(await refused(first)).toBe('NOT_AUTHORISED');
    const second = await repository.commit({ 'train.py': 'more' }, 'rita');
    await repository.review('remy', second);
    expect(await refused(second)).toBe('NOT_AUTHORISED');
    await repository.review('rolf', second);
    expect(await refused(second)).toBe('admitted');
  });

  it('attack: reviewed by people and programs that are no reviewers, and by strangers', async () => {
    const commit = await repository.commit(CODE);
    for (const by of ['alice', 'ci', 'mallory'] as const) await repository.review(by, commit);
    expect(await refused(commit)).toBe('NOT_AUTHORISED');
  });

  it('attack: a review of another commit, of another repository, and of other files under the same id', async () => {
    const first = await repository.commit(CODE);
    await repository.review('remy', first);
    const second = await repository.commit({ 'train.py': 'unseen' });
    expect(await refused(second)).toBe('NOT_AUTHORISED');
    const note = await repository.git('notes', '--ref', 'custody', 'show', first);
    await repository.git('notes', '--ref', 'custody', 'add', '-m', note, second);
    expect(await refused(second)).toBe('NOT_AUTHORISED');
    await repository.review('remy', second, { repository: 'other' });
    expect(await refused(second)).toBe('NOT_AUTHORISED');
    await repository.review('remy', second, { commit: first });
    expect(await refused(second)).toBe('NOT_AUTHORISED');
  });

  it('attack: a squashed one, of which only the original was reviewed', async () => {
    await repository.commit(CODE);
    await repository.git('checkout', '--quiet', '-b', 'topic');
    const topic = await repository.commit({ 'train.py': 'new' });
    await repository.review('remy', topic);
    await repository.git('checkout', '--quiet', 'main');
    await repository.git('merge', '--quiet', '--squash', 'topic');
    await repository.git('commit', '--quiet', '--message', 'squashed');
    const squashed = await repository.sign('rita');
    expect(await refused(squashed)).toBe('NOT_AUTHORISED');
    expect(await refused(topic)).toBe('POLICY_REFUSED');
  });

  it('attack: a commit that a force-push took from the branch, or that never was on it', async () => {
    const first = await repository.commit(CODE);
    const second = await repository.commit({ 'train.py': 'gone' });
    await repository.review('remy', second);
    expect(await refused(second)).toBe('admitted');
    await repository.git('reset', '--quiet', '--hard', first);
    await repository.commit({ 'train.py': 'instead' });
    expect(await refused(second)).toBe('POLICY_REFUSED');
    expect(await refused('0'.repeat(40))).toBe('POLICY_REFUSED');
  });

  it('attack: commits that nobody has signed, or a stranger, or with a signature of another commit', async () => {
    for (const by of [null, importPrivateKey(generateKey('ed25519').privatePem)]) {
      const commit = await repository.commit({ 'train.py': by === null ? 'unsigned' : 'a stranger' }, by);
      await repository.review('remy', commit);
      expect(await refused(commit)).toBe('NOT_AUTHORISED');
    }
    const good = await repository.commit(CODE);
    const object = await repository.git('cat-file', 'commit', good);
    const other = `${object}\nwith another message`;
    const { stdout } = await execa('git', ['hash-object', '-t', 'commit', '-w', '--stdin'], {
      cwd: repository.folder,
      input: other,
    });
    await repository.git('update-ref', 'HEAD', stdout);
    await repository.review('remy', stdout);
    expect(await refused(stdout)).toBe('NOT_AUTHORISED');
  });

  it('attack: a reviewer who is none any more, or who has taken it back', async () => {
    const commit = await repository.commit(CODE);
    await repository.review('remy', commit);
    await repository.review('rolf', commit);
    expect(await refused(commit)).toBe('admitted');
    await apply((policy) => ({
      ...policy,
      authorities: policy.authorities.map((each) => (each.id === 'remy' ? { ...each, roles: ['requester'] } : each)),
    }));
    expect((await check(commit)).reviewers).toEqual(['rolf']);
    await repository.review('rolf', commit, { decision: 'reject', reason: 'I was wrong' });
    expect(await refused(commit)).toBe('POLICY_REFUSED');
  });

  it.each([
    ['a link', { 'data.py': { link: '/etc/passwd' } }],
    ['two names that differ in case', { 'A.py': 'a', 'a.py': 'b' }],
    [
      'what Git LFS keeps elsewhere',
      { 'big.bin': 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n' },
    ],
  ])('attack: with %s in it', async (_, files) => {
    const commit = await repository.commit({ ...CODE, ...files });
    await expect(check(commit)).rejects.toMatchObject({ code: 'INPUT_UNSAFE' });
  });

  it('attack: with a submodule, whose files nobody has seen', async () => {
    const first = await repository.commit(CODE);
    await repository.git('update-index', '--add', '--cacheinfo', `160000,${first},vendored`);
    await repository.git('commit', '--quiet', '--message', 'a submodule');
    const commit = await repository.sign('rita');
    await expect(check(commit)).rejects.toMatchObject({ code: 'INPUT_UNSAFE' });
  });

  it('attack: objects that are replaced, attributes and hooks of the repository have no say', async () => {
    const commit = await repository.commit({ ...CODE, '.gitattributes': '*.py export-ignore filter=evil\n' });
    const blob = await repository.git('rev-parse', `${commit}:train.py`);
    repository.write({ 'train.py': 'replaced' });
    const evil = await repository.git('hash-object', '-w', 'train.py');
    await repository.git('replace', blob, evil);
    await repository.git('config', 'filter.evil.smudge', 'sed s/training/evil/');
    await repository.git('config', 'uploadpack.packObjectsHook', 'false');
    await repository.git('replace', '--delete', blob);
    await repository.review('remy', commit);
    await repository.git('replace', blob, evil);
    const { tree } = await check(commit);
    expect(tree.files.find(({ path }) => path === 'train.py')?.bytes.toString()).toBe(CODE['train.py']);
  });

  it('attack: from an address that runs a program', async () => {
    const commit = await repository.commit(CODE);
    await expect(check(commit, `ext::sh -c "touch ${work}/ran"`)).rejects.toMatchObject({
      code: 'REPOSITORY_UNAVAILABLE',
    });
    await expect(check(commit, '--upload-pack=touch')).rejects.toMatchObject({ code: 'REPOSITORY_UNAVAILABLE' });
    expect(existsSync(join(work, 'ran'))).toBe(false);
  });

  it('attack: a rejection that was taken out of the notes, or whose place in the store somebody has taken', async () => {
    const commit = await repository.commit(CODE);
    await repository.review('rolf', commit);
    await repository.review('remy', commit, { decision: 'reject', reason: 'it reads the answers' });
    const line = (await repository.git('notes', '--ref', 'custody', 'show', commit)).split('\n').at(-1) ?? '';
    const rejection = (await intake.records.verify('review', line)).verified.digest;
    await intake.bucket.createOnce(storeKeys.statement(rejection), Buffer.from('{}'));
    expect(await refused(commit)).toBe('POLICY_REFUSED');
    await expect(keeping(commit)).rejects.toMatchObject({ code: 'POLICY_REFUSED' });
    await repository.git('notes', '--ref', 'custody', 'remove', commit);
    await repository.review('rolf', commit);
    expect(await refused(commit)).toBe('POLICY_REFUSED');
  });

  it('attack: a rejection by a clock that is ahead', async () => {
    const commit = await repository.commit(CODE);
    await repository.review('rolf', commit);
    const tree = await treeOf(repository.folder, commit);
    const said = { environment: 'test', repository: 'digits', commit, decision: 'reject', reason: 'no' } as const;
    const subject = { name: 'digits', sha256: tree.digest };
    const rejection = intake.world.statement('review', subject, { ...said, issuedAt: intake.world.at(7200) }, 'remy');
    await noteReview(repository.folder, commit, rejection.envelope, 'remy');
    expect(await refused(commit)).toBe('POLICY_REFUSED');
  });

  it('attack: signed by a program that a reviewer has at hand', async () => {
    const commit = await repository.commit(CODE, 'ci');
    await repository.review('remy', commit);
    expect(await refused(commit)).toBe('NOT_AUTHORISED');
  });

  it('attack: what was there before the rules is taken as it is, and nothing older than that', async () => {
    const evil = await repository.commit(CODE, 'remy');
    await repository.review('remy', evil);
    const since = await repository.commit({ 'train.py': 'reverted' }, null);
    await repository.review('remy', since);
    const next = await repository.commit({ 'train.py': 'new' });
    await repository.review('remy', next);
    await apply((policy) => ({
      ...policy,
      training: { ...policy.training, repositories: [{ name: 'digits', branch: 'main', reviewers: 1, since }] },
    }));
    expect((await check(next)).code.written).toEqual([{ commit: next, author: 'rita' }]);
    expect([await refused(evil), await refused(since)]).toEqual(['POLICY_REFUSED', 'POLICY_REFUSED']);
  });

  it('attack: from a repository whose history is cut off', async () => {
    await repository.commit(CODE, 'remy');
    const commit = await repository.commit({ 'train.py': 'new' });
    await repository.review('remy', commit);
    const shallow = join(work, 'shallow');
    await execa('git', ['clone', '--quiet', '--depth', '1', `file://${repository.folder}`, shallow]);
    await expect(check(commit, shallow)).rejects.toMatchObject({ code: 'INPUT_UNSAFE' });
  });

  it('leaves the repository alone that a hook of git names', async () => {
    const commit = await repository.commit(CODE);
    const other = await Repository.make(intake.world);
    const head = await other.commit({ 'mine.py': 'mine' });
    process.env['GIT_DIR'] = join(other.folder, '.git');
    try {
      expect((await treeOf(repository.folder, commit)).files).toHaveLength(3);
    } finally {
      delete process.env['GIT_DIR'];
    }
    expect(await other.head()).toBe(head);
    expect(await other.git('config', 'core.bare')).toBe('false');
    other.remove();
  });

  it('of a repository that the policy does not know, or while it has no such rule', async () => {
    const commit = await repository.commit(CODE);
    await repository.review('remy', commit);
    await apply(({ training: { limits }, ...policy }) => ({
      ...policy,
      training: { limits },
    }));
    expect(await refused(commit)).toBe('POLICY_REFUSED');
    expect(PREDICATES.review).toBe('urn:custody:predicate:review:v1');
  });
});
