import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { DefaultLogger } from '@temporalio/worker';
import { cpSync, readFileSync } from 'node:fs';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTrainingActivities, type TrainDependencies } from '../../activities/train.js';
import { detectSandbox } from '../../adapters/sandbox/sandbox.js';
import { canTrace } from '../../adapters/sandbox/tracer.js';
import { localPath } from '../../adapters/source/file.js';
import { readRelease } from '../../adapters/source/folder.js';
import { readTrainer, type Trainer } from '../../adapters/training/trainer.js';
import type { Digest } from '../../domain/digest.js';
import { trainingId } from '../../domain/names.js';
import { observedIn, OBSERVABLES } from '../../domain/observed.js';
import type { Policy } from '../../domain/policy.js';
import { promptsOf } from '../../domain/prompts.js';
import { dependenciesOf, flawInProvenance, TRAINING_BUILD } from '../../domain/provenance.js';
import type { RequestPredicate } from '../../domain/statements.js';
import { storeKeys } from '../../domain/store-keys.js';
import { signerOf } from '../../formats/evidence.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { fileListDigest } from '../../formats/file-list.js';
import { sha256 } from '../../formats/sha256.js';
import { trafficIn } from '../../domain/traffic.js';
import { shippedFolder } from '../../examples/digits/ship.js';
import { reviewedCode } from '../../adapters/reviewed-code.js';
import { decide } from '../../client/requests.js';
import { Repository } from '../support/code.js';
import { dataZones, registerData, signerIn, vouched } from '../support/data.js';
import { createIntake, type Intake } from '../unit/ingest/intake.js';
import type { KeyName } from '../support/world.js';

const DIGITS = resolve('examples/digits');
const sandbox = await detectSandbox();
const tracer = process.env['CUSTODY_STRACE'] ?? 'strace';
const isTraced = await canTrace(tracer);
const hyperparameters = sha256(await readFile(join(DIGITS, 'training', 'hyperparameters', '1.0.0.json')));

let folder: string;
let intake: Intake;
let trainer: Trainer;
let data: Digest;
let repository: Repository;
let commit: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'custody-train-'));
  trainer = await readTrainer(join(DIGITS, 'trainer.json'));
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(async () => {
  intake = await createIntake();
  data = await registerData(intake.records, intake.world, join(DIGITS, 'data', 'digits'));
  repository = await Repository.make(intake.world);
  cpSync(join(DIGITS, 'training'), repository.folder, { recursive: true });
  commit = await reviewed({});
});
afterEach(() => repository.remove());

/** A commit with these files, which somebody has reviewed. */
async function reviewed(files: Readonly<Record<string, string>>): Promise<string> {
  const made = await repository.commit(files);
  await repository.review('remy', made);
  return made;
}

/** A commit whose recipe runs something else. */
const running = (command: readonly string[]): Promise<string> => {
  const recipe = JSON.parse(readFileSync(join(DIGITS, 'training', 'recipe.json'), 'utf8')) as object;
  return reviewed({ 'recipe.json': JSON.stringify({ ...recipe, command }) });
};

/** The same of stages. */
const stages = (...scripts: readonly string[]): Promise<string> => {
  const recipe = JSON.parse(readFileSync(join(DIGITS, 'training', 'recipe.json'), 'utf8')) as object;
  const named = scripts.map((script, at) => ({ name: `stage-${at}`, command: ['sh', '-ec', script] }));
  return reviewed({ 'recipe.json': JSON.stringify({ ...recipe, command: undefined, stages: named }) });
};

/** What the recipe runs. */
const HONEST =
  'node /input/code/train.mjs --config /input/hyperparameters.json --data /input/data/digits.csv.gz --out /output/release';

type Train = (
  model: string,
  run: string,
  request: unknown,
  by?: readonly KeyName[],
) => ReturnType<ReturnType<typeof createTrainingActivities>['train']>;

function trainWith(outputs: string, overrides: Partial<TrainDependencies> = {}): Train {
  const { records, world } = intake;
  const dependencies = {
    records,
    producerKey: world.keys.trainer,
    trainers: { digits: trainer },
    repositories: { digits: repository.folder },
    further: async () => [],
    outputs,
    tracer,
    ...overrides,
  };
  const { examine, train } = createTrainingActivities(dependencies);
  const inActivity = () => new MockActivityEnvironment(undefined, { logger: new DefaultLogger('ERROR') });
  return async (model, run, request, by = ['alice']) => {
    await inActivity().run(examine, model, run, request);
    return inActivity().run(train, model, run, request, await agreed(request, by));
  };
}

/** What people said to a request, kept as control keeps it. */
async function agreed(envelope: unknown, by: readonly KeyName[]): Promise<readonly Digest[]> {
  const request = (await intake.records.verify('request', envelope)).verified;
  const said = by.map((id) => decide(signerIn(intake.world, id), request, 'approve', 'as we agreed'));
  return Promise.all(said.map((approval) => intake.records.keep(approval)));
}

function asked(run: string, predicate: Partial<RequestPredicate> = {}, by: KeyName = 'ci'): unknown {
  const id = trainingId('digits', run);
  return intake.world.request(
    { name: id, sha256: sha256(id) },
    {
      model: 'digits',
      version: '1.0.0',
      workflowId: id,
      action: { kind: 'train', run, trainer: 'digits', hyperparameters, data, commit },
      requester: by,
      ...predicate,
    },
    by,
  ).envelope;
}

it('finds a sandbox on the machine that runs these tests', () => {
  expect(sandbox).not.toBeNull();
});

describe('a training run', () => {
  it('makes the release that is shipped, signed by its producer, with its provenance in WORM; and only once', async () => {
    const outputs = join(folder, 'outputs');
    const request = asked('run-1');
    const train = trainWith(outputs);
    const trained = await train('digits', 'run-1', request);
    expect(trained.source).toBe(pathToFileURL(join(outputs, 'run-1', 'release')).href);
    expect(trained.bundle).toBe(pathToFileURL(join(outputs, 'run-1', 'release.sig.json')).href);

    const source = await readRelease(localPath(trained.source), intake.world.policy.artifacts);
    for (const path of ['custody.json', ...source.manifest.files.map((file) => file.path)])
      expect(await readFile(join(source.folder, path)), path).toEqual(
        await readFile(join(shippedFolder('1.0.0'), path)),
      );
    expect((await stat(join(source.folder, 'weights.safetensors'))).mode & 0o777).toBe(0o644);
    const bundle = await readFile(localPath(trained.bundle), 'utf8');
    expect(signerOf(bundle, 'producer', intake.world.policy, source.manifest, source.text)).toBe('trainer');

    const said = await intake.records.verify('provenance', await readFile(localPath(trained.provenance), 'utf8'));
    const { verified } = await intake.records.get('provenance', said.verified.digest);
    expect(verified).toMatchObject({ subject: sha256(source.text), signers: ['trainer'] });
    const { resolvedDependencies, internalParameters } = verified.predicate.buildDefinition;
    expect(internalParameters?.['sandbox']).toBe(sandbox);
    const { watched, seen } = observedIn(internalParameters) ?? {};
    expect(seen).toEqual([]);
    expect(watched).toEqual(isTraced ? OBSERVABLES : expect.arrayContaining(['network', 'limit']));
    expect(Object.fromEntries(resolvedDependencies.map(({ name, digest }) => [name, digest]))).toMatchObject({
      hyperparameters: { sha256: hyperparameters },
      'dependencies.lock.json': {
        sha256: sha256(await readFile(join(shippedFolder('1.0.0'), 'dependencies.lock.json'))),
      },
    });
    const [trainedOn] = resolvedDependencies;
    const { subject: list } = (await intake.records.get('dataSource', data)).verified;
    expect(trainedOn).toEqual({
      ...{ name: 'digits', digest: { dirHash: list } },
      annotations: { kind: 'training-data', statement: data, license: 'CC0-1.0' },
    });
    const { tree, reviews } = await reviewedCode(
      intake.records,
      { repository: 'digits', address: repository.folder, commit },
      join(folder, 'again'),
    );
    expect(resolvedDependencies[1]).toEqual({
      ...{ name: 'digits', digest: { gitCommit: commit, dirHash: tree.digest } },
      annotations: {
        ...{ kind: 'training-code', branch: 'main', reviewers: ['remy'] },
        reviews: reviews.map((each) => each.verified.digest),
      },
    });
    for (const { verified: review } of reviews)
      expect((await intake.records.get('review', review.digest)).verified.subject).toBe(tree.digest);
    const about = { release: sha256(source.text), producer: 'trainer' };
    const rules = { gate: intake.world.policy, newest: intake.world.policy, now: intake.world.at(600) };
    expect(flawInProvenance(about, verified, rules)).toBeNull();

    // A trainer that cannot run shows that the second answer is the first run's.
    const again = trainWith(outputs, { trainers: {} });
    expect(await again('digits', 'run-1', request)).toEqual(trained);
    await expect(again('digits', 'run-1', asked('run-1'))).rejects.toMatchObject({ code: 'REPLAYED' });
    expect(await readdir(outputs)).toEqual(['run-1']);
  });

  it('says of which commit its prompts are, where its recipe does', async () => {
    const recipe = JSON.parse(readFileSync(join(DIGITS, 'training', 'recipe.json'), 'utf8')) as object;
    commit = await reviewed({ 'recipe.json': JSON.stringify({ ...recipe, prompts: 'serve' }) });
    const { statement } = await trainWith(join(folder, 'prompted'))('digits', 'run-1', asked('run-1'));
    const { predicate } = (await intake.records.get('provenance', statement)).verified;
    expect(promptsOf(predicate)).toEqual({ repository: 'digits', commit, folder: 'serve' });
  });

  it('removes what a killed attempt has left', async () => {
    const outputs = join(folder, 'leftovers');
    await mkdir(join(outputs, 'run-1.unfinished-abc', 'output'), { recursive: true });
    commit = await running(['sh', '-c', 'exit 3']);
    await expect(trainWith(outputs)('digits', 'run-1', asked('run-1'))).rejects.toMatchObject({
      code: 'TRAINING_FAILED',
    });
    expect(await readdir(outputs)).toEqual([]);
  });
});

describe('a training run that may reach something', () => {
  const served = 'what a mirror has';
  let mirror: Server;
  let destination: string;

  beforeAll(async () => {
    mirror = createServer((_, response) => void response.end(served)).listen(0, '127.0.0.1');
    await once(mirror, 'listening');
    destination = `127.0.0.1:${(mirror.address() as AddressInfo).port}`;
  });
  afterAll(() => mirror.close());

  const fetching = (url: string): Promise<string> =>
    running(['sh', '-c', `curl --noproxy '' -s ${url} > /output/fetched || exit; rm /output/fetched; exec ${HONEST}`]);
  const listing = async (...destinations: string[]): Promise<void> => {
    const { envelope } = intake.world.nextPolicy((policy) => ({
      ...policy,
      training: { ...policy.training, destinations },
    }));
    await intake.bucket.createOnce(storeKeys.policy(2), canonicalBytes(envelope));
  };
  const reaching = (outputs: string): Train =>
    trainWith(join(folder, outputs), { trainers: { digits: { ...trainer, destinations: [destination] } } });

  it('has in its provenance what it might, and what it did', async () => {
    await listing('other.example:443', destination);
    commit = await fetching(`http://${destination}/a`);
    const trained = await reaching('reached')('digits', 'run-1', asked('run-1'));
    const { verified } = await intake.records.get('provenance', trained.statement);
    const { internalParameters, resolvedDependencies } = verified.predicate.buildDefinition;
    const traffic = trafficIn(internalParameters);
    expect(traffic).toMatchObject({
      destinations: [destination],
      connections: [
        { address: '127.0.0.1', http: { method: 'GET', path: sha256('/a'), status: 200, body: sha256(served) } },
      ],
    });
    expect(observedIn(internalParameters)?.seen).toEqual([]);
    expect(resolvedDependencies.map(({ name }) => name)).toContain('trainer');
  });

  it('attack: one that sends something and then fails does not do so unseen', async () => {
    await listing(destination);
    const send = `curl --noproxy '' -s -d "$(head -c 3000 /dev/zero | tr '\\0' x)" http://${destination}/a`;
    commit = await running(['sh', '-c', `${send}; exit 3`]);
    const reached = new RegExp(`let it reach ${destination}: 1 connections, 3\\d\\d\\d bytes out, \\d+ in`);
    const failed = reaching('sent')('digits', 'run-1', asked('run-1'));
    await expect(failed).rejects.toThrow(/^the stage release of the training run failed \(exit 3\): it tried nothing/);
    await expect(failed).rejects.toThrow(reached);
  });

  const KEEP = 'mkdir /output/checkpoint; echo a > /output/checkpoint/a';
  const from = (url: string): string => `curl --noproxy '' -s '${url}' -o /dev/null`;

  it('attack: what an earlier stage did and reached is in the release’s provenance, after a kill, too', async () => {
    await listing(destination);
    const odd = 'mkfifo /output/pipe';
    commit = await stages(
      `${KEEP}; ${odd}; ${from(`http://${destination}/a`)}`,
      `${from(`http://${destination}/b`)}; ${HONEST}`,
    );
    const request = asked('run-1');
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const { statement } = await reaching('staged')('digits', 'run-1', request);
      const { internalParameters } = (await intake.records.get('provenance', statement)).verified.predicate
        .buildDefinition;
      const paths = trafficIn(internalParameters)?.connections.map(({ http }) => http?.path);
      expect(paths).toEqual([sha256('/a'), sha256('/b')]);
      expect(observedIn(internalParameters)?.seen).toEqual([{ kind: 'output', count: 1, detail: 'pipe pipe' }]);
      await rm(join(folder, 'staged', 'run-1'), { recursive: true });
    }
  });

  it('attack: stages have no more connections together than a run has', async () => {
    await listing(destination);
    const much = from(`http://${destination}/[1-300]`);
    commit = await stages(`${KEEP}; ${much}`, `${much}; ${HONEST}`);
    const failed = reaching('spent')('digits', 'run-1', asked('run-1'));
    await expect(failed).rejects.toThrow(/stage-1 .*by the proxy: more than 200 connections.*: 200 connections/);
  });

  it('attack: fails when it reaches for anything else, though it ends well', async () => {
    await listing(destination);
    commit = await fetching(`http://elsewhere.example/a`);
    const refused = reaching('beyond')('digits', 'run-1', asked('run-1'));
    await expect(refused).rejects.toMatchObject({ code: 'TRAINING_FAILED' });
    await expect(refused).rejects.toThrow(/exit 0.*network 1 × \(by the proxy: elsewhere\.example:80\)/);
  });

  it.each([
    ['nothing', []],
    ['something else', ['127.0.0.1:1']],
  ])('attack: is not begun where the policy lists %s', async (_, listed) => {
    if (listed.length > 0) await listing(...listed);
    commit = await running(['sh', '-c', 'echo begun; exit 9']);
    const refused = reaching('unlisted')('digits', 'run-1', asked('run-1'));
    await expect(refused).rejects.toMatchObject({ code: 'POLICY_REFUSED' });
    await expect(refused).rejects.toThrow(`the trainer wants to reach ${destination}`);
  });
});

describe('a training run of stages', () => {
  const MAKE = 'mkdir /output/checkpoint; head -c 64 /dev/urandom > /output/checkpoint/random';
  const PASS_ON =
    'mkdir /output/checkpoint; cp /input/checkpoint/random /output/checkpoint/; echo b > /output/checkpoint/b';
  const END = `test "$(cat /input/checkpoint/b)" = b; if echo x > /input/checkpoint/b; then exit 9; fi; ${HONEST}`;
  const kept = (outputs: string, at: number, run = 'run-1'): string =>
    join(outputs, `${run}.checkpoints`, `${at}-stage-${at}`);
  const statementAt = async (path: string) =>
    (await intake.records.verify('provenance', await readFile(join(path, 'statement.json'), 'utf8'))).verified;
  let runs = 0;
  let outputs: string;

  /** What is there after a run whose last stage has to be done anew. */
  async function begun(): Promise<unknown> {
    outputs = join(folder, `stages-${(runs += 1)}`);
    commit = await stages(MAKE, PASS_ON, END);
    const request = asked('run-1');
    await trainWith(outputs)('digits', 'run-1', request);
    await rm(join(outputs, 'run-1'), { recursive: true });
    return request;
  }

  it('has each built on the one before, and says so: each checkpoint is an artifact with a provenance', async () => {
    outputs = join(folder, 'stages');
    commit = await stages(MAKE, PASS_ON, END);
    const request = asked('run-1');
    const trained = await trainWith(outputs)('digits', 'run-1', request);
    const [first, second] = [await statementAt(kept(outputs, 0)), await statementAt(kept(outputs, 1))];
    const { verified: release } = await intake.records.get('provenance', trained.statement);
    for (const [made, from] of [
      [second, first],
      [release, second],
    ] as const)
      expect(dependenciesOf(made.predicate, 'checkpoint')).toEqual([
        expect.objectContaining({ sha256: from.subject, statement: from.digest }),
      ]);
    expect(dependenciesOf(first.predicate, 'checkpoint')).toEqual([]);
    for (const { digest, signers, subject, predicate } of [first, second]) {
      expect(signers).toEqual(['trainer']);
      expect((await intake.records.get('provenance', digest)).verified.subject).toBe(subject);
      expect(dependenciesOf(predicate, 'training-data')).toEqual(dependenciesOf(release.predicate, 'training-data'));
    }
    const random = await readFile(join(kept(outputs, 0), 'checkpoint', 'random'));
    expect(first.subject).toBe(fileListDigest([{ path: 'random', sha256: sha256(random) }]));
    expect(await readFile(join(kept(outputs, 1), 'checkpoint', 'random'))).toEqual(random);
    const about = { release: release.subject, producer: 'trainer' };
    const rules = { gate: intake.world.policy, newest: intake.world.policy, now: intake.world.at(600) };
    expect(flawInProvenance(about, release, rules)).toBeNull();
    expect(flawInProvenance(about, second, rules)).toMatchObject({ code: 'REPLAYED' });
  });

  it('goes on after a kill at the first stage without a checkpoint', async () => {
    outputs = join(folder, 'killed');
    commit = await stages(MAKE, `touch /output/begun; sleep 2; ${PASS_ON}`, END);
    const request = asked('run-1');
    const said = await agreed(request, ['alice']);
    const { train } = createTrainingActivities({
      ...{ records: intake.records, producerKey: intake.world.keys.trainer, trainers: { digits: trainer }, outputs },
      ...{ repositories: { digits: repository.folder }, further: async () => [] },
    });
    const killed = new MockActivityEnvironment(undefined, { logger: new DefaultLogger('ERROR') });
    const attempt = killed.run(train, 'digits', 'run-1', request, said).catch((error: unknown) => error);
    const hasBegun = async (): Promise<boolean> =>
      (await readdir(outputs, { recursive: true }).catch(() => [])).some((path) => path.endsWith('/begun'));
    await expect.poll(hasBegun).toBe(true);
    expect((await readdir(outputs, { recursive: true })).filter((path) => /unfinished.*stage-0$/.test(path))).toEqual(
      [],
    );
    killed.cancel();
    expect(await attempt).toMatchObject({ code: 'INTERRUPTED' });
    const { digest } = await statementAt(kept(outputs, 0));
    expect(await readdir(join(outputs, 'run-1.checkpoints'))).toEqual(['0-stage-0']);
    await trainWith(outputs)('digits', 'run-1', request);
    expect((await statementAt(kept(outputs, 0))).digest).toBe(digest);
    expect((await readdir(outputs)).sort()).toEqual(['run-1', 'run-1.checkpoints']);
  });

  it('goes on with its checkpoints though somebody else has reviewed the code meanwhile', async () => {
    const request = await begun();
    const before = await statementAt(kept(outputs, 1));
    await repository.review('rolf', commit);
    const { statement } = await trainWith(outputs)('digits', 'run-1', request);
    expect(await statementAt(kept(outputs, 1))).toEqual(before);
    const { predicate } = (await intake.records.get('provenance', statement)).verified;
    const codeIn = ({ predicate: said }: Pick<typeof before, 'predicate'>) =>
      dependenciesOf(said, 'training-code').find(({ reviewers }) => reviewers !== undefined)?.reviewers;
    expect([codeIn(before), codeIn({ predicate })]).toEqual([['remy'], expect.arrayContaining(['remy', 'rolf'])]);
  });

  it('attack: an attempt that was taken for dead goes on beside the next one, and neither takes anything from the other', async () => {
    outputs = join(folder, 'twice');
    const wait = 'touch /output/begun; while [ ! -e /output/go ]; do sleep 0.1; done';
    commit = await stages(`${wait}; ${MAKE}`, PASS_ON, END);
    const request = asked('run-1');
    const begunIn = async (): Promise<string[]> =>
      (await readdir(outputs, { recursive: true }).catch(() => [])).filter((path) => path.endsWith('/begun'));
    const first = trainWith(outputs)('digits', 'run-1', request);
    await expect.poll(begunIn).toHaveLength(1);
    const second = trainWith(outputs)('digits', 'run-1', request);
    await expect.poll(begunIn).toHaveLength(2);
    for (const path of await begunIn()) await writeFile(join(outputs, path, '..', 'go'), '');
    const trained = await first;
    expect(await second).toEqual(trained);
    expect((await readdir(outputs)).sort()).toEqual(['run-1', 'run-1.checkpoints']);
    const { digest } = await statementAt(kept(outputs, 1));
    const { predicate } = (await intake.records.get('provenance', trained.statement)).verified;
    expect(dependenciesOf(predicate, 'checkpoint')).toMatchObject([{ statement: digest }]);
  });

  const b = (at = 1): string => join(kept(outputs, at), 'checkpoint', 'b');
  const ATTACKS: [string, string, () => Promise<unknown>][] = [
    ['one byte of a checkpoint is another', 'DIGEST_MISMATCH', () => writeFile(b(), 'c\n')],
    ['a file is added to it', 'DIGEST_MISMATCH', () => writeFile(`${b()}.more`, '')],
    ['a file of it is gone', 'DIGEST_MISMATCH', () => rm(b())],
    ['a link takes the place of a file', 'INPUT_UNSAFE', async () => (await rm(b()), symlink('random', b()))],
    [
      'an earlier one has changed, though the later has not',
      'DIGEST_MISMATCH',
      () => writeFile(join(kept(outputs, 0), 'checkpoint', 'random'), 'x'),
    ],
    [
      'its statement is without end',
      'INPUT_UNSAFE',
      () => writeFile(join(kept(outputs, 1), 'statement.json'), Buffer.alloc(9 * 1024 * 1024, ' ')),
    ],
    [
      'an earlier stage stands in for a later one',
      'REPLAYED',
      async () => {
        await rm(kept(outputs, 1), { recursive: true });
        cpSync(kept(outputs, 0), kept(outputs, 1), { recursive: true });
      },
    ],
    [
      'a checkpoint is signed by somebody else',
      'SIGNATURE_INVALID',
      async () => {
        const { subject, predicate } = await statementAt(kept(outputs, 1));
        const forged = intake.world.statement('provenance', { name: 'x', sha256: subject }, predicate, 'mallory');
        await writeFile(join(kept(outputs, 1), 'statement.json'), canonicalBytes(forged.envelope));
      },
    ],
    [
      'it is signed in another role',
      'NOT_AUTHORISED',
      async () => {
        const { subject, predicate } = await statementAt(kept(outputs, 1));
        const forged = intake.world.statement('provenance', { name: 'x', sha256: subject }, predicate, 'control');
        await writeFile(join(kept(outputs, 1), 'statement.json'), canonicalBytes(forged.envelope));
      },
    ],
    [
      'it was made with other code, of whomever it was reviewed by',
      'REPLAYED',
      async () => {
        const { subject, predicate } = await statementAt(kept(outputs, 1));
        const { buildDefinition } = predicate;
        const resolvedDependencies = buildDefinition.resolvedDependencies.map((each) =>
          each.digest?.['gitCommit'] === undefined
            ? each
            : { ...each, digest: { ...each.digest, dirHash: sha256('x') } },
        );
        const said = { ...predicate, buildDefinition: { ...buildDefinition, resolvedDependencies } };
        const forged = intake.world.statement('provenance', { name: 'x', sha256: subject }, said, 'trainer');
        await writeFile(join(kept(outputs, 1), 'statement.json'), canonicalBytes(forged.envelope));
      },
    ],
    [
      'the release’s own provenance stands in for it',
      'REPLAYED',
      async () => {
        const { subject, predicate } = await statementAt(kept(outputs, 1));
        const { buildDefinition } = predicate;
        const said = { ...predicate, buildDefinition: { ...buildDefinition, buildType: TRAINING_BUILD } };
        const forged = intake.world.statement('provenance', { name: 'x', sha256: subject }, said, 'trainer');
        await writeFile(join(kept(outputs, 1), 'statement.json'), canonicalBytes(forged.envelope));
      },
    ],
  ];
  it.each(ATTACKS)('attack: is refused when %s', async (_, code, tamper) => {
    const request = await begun();
    await tamper();
    await expect(trainWith(outputs)('digits', 'run-1', request)).rejects.toMatchObject({ code });
    expect(await readdir(outputs)).toEqual(['run-1.checkpoints']);
  });

  it('attack: leaves on this host nothing that runs as its user, or that others may change', async () => {
    outputs = join(folder, 'stages-modes');
    const open = `${MAKE}; cd /output/checkpoint; mkdir -p a/b; cp /bin/true a/b/run; chmod 6777 a/b/run random; chmod 7777 a . ; chmod 0700 a/b`;
    commit = await stages(open, 'exit 3');
    await expect(trainWith(outputs)('digits', 'run-1', asked('run-1'))).rejects.toMatchObject({
      code: 'TRAINING_FAILED',
    });
    const left = join(kept(outputs, 0), 'checkpoint');
    const modes = async (...paths: string[]): Promise<string[]> =>
      Promise.all(paths.map(async (path) => ((await stat(join(left, path))).mode & 0o7777).toString(8)));
    expect(await modes('random', 'a/b/run', '.', 'a', 'a/b')).toEqual(['644', '644', '755', '755', '755']);
  });

  it('attack: is refused with the checkpoints of another run, and of another request for the same', async () => {
    await begun();
    cpSync(join(outputs, 'run-1.checkpoints'), join(outputs, 'run-2.checkpoints'), { recursive: true });
    for (const run of ['run-1', 'run-2'])
      await expect(trainWith(outputs)('digits', run, asked(run))).rejects.toMatchObject({ code: 'REPLAYED' });
  });

  it('attack: fails when a stage tries what it may not, leaves nothing or a link, or takes all the time there is', async () => {
    outputs = join(folder, 'stages-failed');
    const failed = async (script: string, code = 'TRAINING_FAILED', wallSeconds = 60): Promise<void> => {
      commit = await stages(script, END);
      const trainers = { digits: { ...trainer, limits: { ...trainer.limits, wallSeconds } } };
      await expect(trainWith(outputs, { trainers })('digits', 'run-1', asked('run-1'))).rejects.toMatchObject({ code });
      await rm(join(outputs, 'run-1.checkpoints'), { recursive: true, force: true });
    };
    await failed(`${MAKE}; node -e "net.connect(443, '192.0.2.1').on('error', () => {})"`);
    await failed('true', 'INPUT_MISSING');
    await failed('mkdir /output/checkpoint', 'INPUT_EMPTY');
    await failed(`${MAKE}; ln -s random /output/checkpoint/link`, 'INPUT_UNSAFE');
    await failed(`sleep 2; ${MAKE}`, 'TRAINING_FAILED', 3);
    expect(await readdir(outputs)).toEqual([]);
  });

  it.each<[string, (recipe: Record<string, unknown>) => object]>([
    [
      'both a command and stages',
      ({ command, ...recipe }) => ({
        ...recipe,
        command,
        stages: [
          { name: 'a', command },
          { name: 'b', command },
        ],
      }),
    ],
    ['neither', (recipe) => ({ ...recipe, command: undefined })],
    ['one stage', ({ command, ...recipe }) => ({ ...recipe, stages: [{ name: 'a', command }] })],
    [
      'two of one name',
      ({ command, ...recipe }) => ({
        ...recipe,
        stages: [
          { name: 'a', command },
          { name: 'a', command },
        ],
      }),
    ],
    [
      'a name that climbs',
      ({ command, ...recipe }) => ({
        ...recipe,
        stages: [
          { name: '../a', command },
          { name: 'b', command },
        ],
      }),
    ],
  ])('attack: is refused by a recipe of %s', async (_, change) => {
    const recipe = JSON.parse(readFileSync(join(DIGITS, 'training', 'recipe.json'), 'utf8')) as Record<string, unknown>;
    commit = await reviewed({ 'recipe.json': JSON.stringify(change(recipe)) });
    const refused = trainWith(join(folder, 'recipes'))('digits', 'run-1', asked('run-1'));
    await expect(refused).rejects.toMatchObject({ code: 'MALFORMED' });
  });
});

describe('a training zone refuses', () => {
  const refusal = async (
    predicate: Partial<RequestPredicate>,
    by: KeyName,
    overrides = {},
    approvers: readonly KeyName[] = ['alice'],
  ): Promise<unknown> => {
    const outputs = join(folder, 'refused');
    try {
      return await trainWith(outputs, overrides)('digits', 'run-1', asked('run-1', predicate, by), approvers);
    } catch (error) {
      return (error as { code?: string }).code;
    }
  };
  const action = (change: object): Partial<RequestPredicate> => ({
    action: { kind: 'train', run: 'run-1', trainer: 'digits', hyperparameters, data, commit, ...change },
  });

  it.each([
    ['somebody without the right to ask', {}, 'alice', 'NOT_AUTHORISED'],
    ['a stranger', {}, 'mallory', 'SIGNATURE_INVALID'],
    ['a request in another’s name', { requester: 'rita' }, 'ci', 'NOT_AUTHORISED'],
    ['another environment', { environment: 'prod' }, 'ci', 'REPLAYED'],
    ['another workflow', { workflowId: 'training/digits/run-2' }, 'ci', 'REPLAYED'],
    ['another run in the action', () => action({ run: 'run-2' }), 'ci', 'REPLAYED'],
    [
      'a request for something else',
      { action: { kind: 'release', source: 'x', bundle: 'y', provenance: 'z' } },
      'ci',
      'REPLAYED',
    ],
    ['no version', { version: null }, 'ci', 'VERSION_INVALID'],
    [
      'an expired request',
      { issuedAt: '2020-01-01T00:00:00.000Z', expiresAt: '2020-01-01T00:05:00.000Z' },
      'ci',
      'EXPIRED',
    ],
    ['a trainer it has not', () => action({ trainer: 'constructor' }), 'ci', 'POLICY_REFUSED'],
    ['hyperparameters it has not', () => action({ hyperparameters: 'a'.repeat(64) }), 'ci', 'POLICY_REFUSED'],
  ] as [string, Partial<RequestPredicate> | (() => Partial<RequestPredicate>), KeyName, string][])(
    'attack: %s',
    async (_, given, by, code) => {
      expect(await refusal(typeof given === 'function' ? given() : given, by)).toBe(code);
    },
  );

  it('attack: a run that nobody agreed to, or whoever asked for it, or one who may not', async () => {
    expect(await refusal({}, 'ci', {}, [])).toBe('NOT_AUTHORISED');
    expect(await refusal({}, 'ci', {}, ['oscar', 'rita'])).toBe('NOT_AUTHORISED');
    const next = intake.world.nextPolicy((policy) => ({
      ...policy,
      authorities: policy.authorities.map((each) =>
        each.id === 'alice' ? { ...each, roles: ['release-approver', 'requester'] } : each,
      ),
    }));
    await intake.bucket.createOnce(storeKeys.policy(2), canonicalBytes(next.envelope));
    const policy = (await intake.records.policies()).newestDigest;
    expect(await refusal({ policy }, 'alice', {}, ['alice'])).toBe('NOT_AUTHORISED');
    const before = intake.world.policyDigest;
    const strict = intake.world.nextPolicy(
      (each) => ({ ...each, approvals: { ...each.approvals, train: { ...each.approvals.deploy, count: 2 } } }),
      next.policy,
    );
    await intake.bucket.createOnce(storeKeys.policy(3), canonicalBytes(strict.envelope));
    expect(await refusal({ policy: before }, 'ci')).toBe('NOT_AUTHORISED');
    const another = asked('run-2');
    const said = await agreed(another, ['alice']);
    const { train } = createTrainingActivities({
      ...{ records: intake.records, producerKey: intake.world.keys.trainer, trainers: { digits: trainer } },
      ...{ repositories: { digits: repository.folder }, further: async () => [], outputs: join(folder, 'refused') },
    });
    const environment = new MockActivityEnvironment();
    await expect(environment.run(train, 'digits', 'run-1', asked('run-1'), said)).rejects.toMatchObject({
      code: 'NOT_AUTHORISED',
    });
  });

  it('attack: while the policy says neither who must agree nor where code may come from', async () => {
    const next = intake.world.nextPolicy(({ approvals: { deploy, restore, retire }, ...policy }) => ({
      ...policy,
      approvals: { deploy, restore, retire },
    }));
    await intake.bucket.createOnce(storeKeys.policy(2), canonicalBytes(next.envelope));
    const policy = (await intake.records.policies()).newestDigest;
    expect(await refusal({ policy }, 'ci')).toBe('POLICY_REFUSED');
  });

  it('attack: code that nobody reviewed, that only its author did, or that no request names', async () => {
    commit = await repository.commit({ 'train.mjs': 'process.exit(1)' }, 'remy');
    expect(await refusal({}, 'ci')).toBe('NOT_AUTHORISED');
    await repository.review('remy', commit);
    expect(await refusal({}, 'ci')).toBe('NOT_AUTHORISED');
    const without = { kind: 'train', run: 'run-1', trainer: 'digits', hyperparameters, data } as const;
    expect(await refusal({ action: without }, 'ci')).toBe('POLICY_REFUSED');
    expect(await refusal({}, 'ci', { repositories: {} })).toBe('POLICY_REFUSED');
  });

  it('attack: hyperparameters that are in the working copy, and not in the commit', async () => {
    repository.write({ 'hyperparameters/9.9.9.json': '{}' });
    expect(await refusal(action({ hyperparameters: sha256('{}') }), 'ci')).toBe('POLICY_REFUSED');
  });

  it('attack: a run whose name climbs out of the outputs', async () => {
    const train = trainWith(join(folder, 'refused'));
    await expect(train('digits', '../x', asked('../x'))).rejects.toMatchObject({ code: 'USAGE' });
  });

  it('attack: data that have changed since they were registered', async () => {
    const changed = join(folder, 'changed');
    await mkdir(changed, { recursive: true });
    await writeFile(join(changed, 'digits.csv.gz'), 'other');
    await writeFile(join(changed, 'croissant.json'), '{}');
    const trainers = { digits: { ...trainer, data: { ...trainer.data, folder: changed } } };
    expect(await refusal({}, 'ci', { trainers })).toBe('DIGEST_MISMATCH');
  });

  it('attack: a request that names no data, data that nobody has registered, and data of another source', async () => {
    const without = { kind: 'train', run: 'run-1', trainer: 'digits', hyperparameters, commit } as const;
    expect(await refusal({ action: without }, 'ci')).toBe('POLICY_REFUSED');
    expect(await refusal(action({ data: 'a'.repeat(64) }), 'ci')).toBe('INPUT_MISSING');
    const { handover, statement } = await vouched(intake.world, join(DIGITS, 'data', 'digits'), 'letters');
    const unregistered = await dataZones(intake.records).admit('letters', statement, [handover]);
    expect(await refusal(action({ data: unregistered.statement }), 'ci')).toBe('INPUT_MISSING');
    const letters = await registerData(intake.records, intake.world, join(DIGITS, 'data', 'digits'), 'letters');
    expect(await refusal(action({ data: letters }), 'ci')).toBe('POLICY_REFUSED');
  });

  it('attack: data whose publisher is no longer trusted', async () => {
    const next = intake.world.nextPolicy((policy) => ({
      ...policy,
      authorities: policy.authorities.map((each) => (each.id === 'archive' ? { ...each, roles: ['requester'] } : each)),
    }));
    await intake.bucket.createOnce(storeKeys.policy(2), canonicalBytes(next.envelope));
    expect(await refusal({}, 'ci')).toBe('NOT_AUTHORISED');
  });

  it('to sign with a key that is no producer’s', async () => {
    expect(await refusal({}, 'ci', { producerKey: intake.world.keys['release-signer'] })).toBe('NOT_AUTHORISED');
  });

  it('attack: a trainer that leaves a link in its output', async () => {
    const command = ['sh', '-c', 'mkdir /output/release && ln -s /etc/passwd /output/release/config.json'];
    commit = await running(command);
    expect(await refusal({}, 'ci')).toBe('INPUT_UNSAFE');
  });

  const ESCAPES: [string, string, boolean, RegExp][] = [
    ['connects out', `node -e "net.connect(443, '192.0.2.1').on('error', () => {})"`, true, /network 1 × \(/],
    [
      'asks for a name',
      'RES_OPTIONS=attempts:1 node -e "dns.lookup(\'example.com\', () => {})"',
      true,
      /network \d+ × \(/,
    ],
    [
      'reads the host’s files',
      'cat /etc/shadow /root/.ssh/id_rsa 2> /dev/null || true',
      isTraced,
      /files 2 × \(\/etc\/shadow, /,
    ],
    [
      'looks at other processes',
      'cat /proc/1/environ > /dev/null 2>&1 || true',
      isTraced,
      /processes \d+ × \(\/proc\/1\/environ\)/,
    ],
    ['writes outside', '(: > /usr/bin/x) 2> /dev/null || true', isTraced, /files 1 × \(to change \/usr\/bin\/x\)/],
  ];
  it.each(ESCAPES.filter(([, , isSeen]) => isSeen))(
    'attack: a run that %s, swallows the error and makes its release all the same; the refusal says what it tried',
    async (_, script, __, says) => {
      commit = await running(['sh', '-c', `set -e; ${script}; ${HONEST}`]);
      const outputs = join(folder, 'refused');
      const refused = trainWith(outputs)('digits', 'run-1', asked('run-1'));
      await expect(refused).rejects.toMatchObject({ code: 'TRAINING_FAILED', message: expect.stringMatching(says) });
      await expect(refused).rejects.toThrow('failed (exit 0): it tried what it may not');
      expect(await readdir(outputs)).toEqual([]);
    },
  );

  it('a run that failed says that it tried nothing, where that is so', async () => {
    commit = await running(['sh', '-c', 'exit 3']);
    const refused = trainWith(join(folder, 'refused'))('digits', 'run-1', asked('run-1'));
    await expect(refused).rejects.toThrow('failed (exit 3): it tried nothing that it may not');
  });

  const beyond: [string, Partial<Policy['training']['limits']>, string][] = [
    ['time', { wallSeconds: 1 }, 'sleep 300'],
    ['time of the processor', { cpuSeconds: 1 }, 'while :; do :; done'],
    ['memory', { memoryMb: 64 }, 'head -c 256M /dev/zero | tail > /dev/null'],
    ['output', { outputMb: 1 }, 'head -c 4M /dev/zero > /output/much'],
  ];
  it.each(beyond)(
    'attack: more %s than the newest policy gives, whatever the trainer allows itself and the request’s policy gave',
    async (_, limits, script) => {
      const generous = { ...trainer.limits, wallSeconds: 600, memoryMb: 4096, outputMb: 1024 };
      const command = ['sh', '-c', `set -e; ${script}; mkdir /output/release`];
      const trainers = { digits: { ...trainer, limits: generous } };
      commit = await running(command);
      const tight = intake.world.nextPolicy((policy) => ({
        ...policy,
        training: { ...policy.training, limits: { ...policy.training.limits, ...limits } },
      }));
      await intake.bucket.createOnce(storeKeys.policy(2), canonicalBytes(tight.envelope));
      expect(await refusal({}, 'ci', { trainers })).toBe('TRAINING_FAILED');
      expect(await readdir(join(folder, 'refused'))).toEqual([]);
    },
  );

  it('a trainer’s file that is not one', async () => {
    const file = join(folder, 'trainer.json');
    await writeFile(file, '{"command":[]}');
    await expect(readTrainer(resolve(file))).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});
