import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checksumOf } from '../../../adapters/source/checksum.js';
import { packRelease, type PackedRelease } from '../../../adapters/source/pack.js';
import { describeOrigin, provenanceBeside, writeProvenance } from '../../../client/provenance.js';
import { dependenciesOf, flawInBuild } from '../../../domain/provenance.js';
import type { ProvenancePredicate } from '../../../domain/statements.js';
import { SHIPPED_VERSIONS, shippedFolder, shippedProvenance } from '../../../examples/digits/ship.js';
import { readProvenance } from '../../../formats/provenance.js';
import { sha256 } from '../../../formats/sha256.js';
import { keyRing, verifyStatement } from '../../../formats/statements.js';
import { createWorld } from '../../support/world.js';
import { DESCRIPTION, FILES, writeFiles } from '../ingest/intake.js';

const shell = promisify(execFile);
const world = createWorld();
const NOTHING = { data: [], code: [], parent: null, base: null, statement: null, prompts: null };

let folder: string;
let packed: PackedRelease;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'custody-origin-'));
  const release = join(folder, 'release');
  await mkdir(release);
  await writeFiles(release, { ...FILES, 'pip.lock.json': '{}\n' });
  const lock = { name: 'lock', kind: 'dependencies' as const, files: ['pip.lock.json'] };
  packed = await packRelease(release, { ...DESCRIPTION, components: [...DESCRIPTION.components, lock] });
  await writeFiles(join(folder, 'data'), { 'b.csv': '2', 'a.csv': '1', 'more/é.csv': '3', 'more/Z.csv': '4' });
});
afterAll(() => rm(folder, { recursive: true }));

/** A builder's statement about some subjects, with members that Custody does not know. */
function builders(subjects: readonly string[], dependencies: readonly object[] = []) {
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: subjects.map((digest, at) => ({ name: `file-${at}`, digest: { sha256: digest, sha1: 'a'.repeat(40) } })),
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: 'https://actions.github.io/buildtypes/workflow/v1',
        externalParameters: { workflow: { ref: 'refs/heads/main', repository: 'https://example.org/a/b' } },
        internalParameters: { github: { event_name: 'push' } },
        resolvedDependencies: [
          { uri: 'git+https://example.org/a/b@refs/heads/main', digest: { gitCommit: 'c'.repeat(40) } },
          ...dependencies,
        ],
      },
      runDetails: {
        builder: { id: 'https://example.org/builder', version: { node: '20' } },
        metadata: {
          invocationId: 'https://example.org/runs/1',
          startedOn: '2026-01-01T00:00:00Z',
          finishedOn: '2026-01-01T01:00:00.5+01:00',
        },
        byproducts: [{ name: 'log' }],
      },
    },
  };
}

async function written(value: object): Promise<string> {
  const file = join(await mkdtemp(join(folder, 'said-')), 'provenance.json');
  await writeFile(file, JSON.stringify(value));
  return file;
}

describe('a checksum', () => {
  it('of a file is its SHA-256, also by a link to it', async () => {
    await symlink(join(folder, 'data', 'a.csv'), join(folder, 'link.csv'));
    for (const name of ['data/a.csv', 'link.csv'])
      expect(await checksumOf(join(folder, name))).toEqual({ sha256: sha256('1') });
  });

  it('of a folder is what the shell makes of it', async () => {
    const command = `find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum | cut -d' ' -f1`;
    const { stdout } = await shell('/bin/sh', ['-c', command], { cwd: join(folder, 'data') });
    expect(await checksumOf(join(folder, 'data'))).toEqual({ dirHash: stdout.trim() });
    expect(await checksumOf(`${join(folder, 'data')}/`)).toEqual({ dirHash: stdout.trim() });
  });

  it('is of nothing that has no bytes of its own', async () => {
    await expect(checksumOf(join(folder, 'nowhere'))).rejects.toMatchObject({ code: 'INPUT_MISSING' });
    await mkdir(join(folder, 'empty', 'inner'), { recursive: true });
    await expect(checksumOf(join(folder, 'empty'))).rejects.toMatchObject({ code: 'INPUT_EMPTY' });
    await shell('mkfifo', [join(folder, 'empty', 'pipe')]);
    await expect(checksumOf(join(folder, 'empty'))).rejects.toMatchObject({ code: 'INPUT_UNSAFE' });
    await rm(join(folder, 'empty', 'pipe'));
    await symlink(join(folder, 'data'), join(folder, 'empty', 'elsewhere'));
    await expect(checksumOf(join(folder, 'empty'))).rejects.toMatchObject({ code: 'INPUT_UNSAFE' });
    await rm(join(folder, 'empty', 'elsewhere'));
    await writeFile(join(folder, 'empty', 'two\nlines'), '');
    await expect(checksumOf(join(folder, 'empty'))).rejects.toMatchObject({ code: 'INPUT_UNSAFE' });
  });
});

describe('the origin of a release', () => {
  it('is declared by whoever packs it, with data, code and locks by their checksums', async () => {
    const paths = {
      data: [join(folder, 'data')],
      code: ['package.json'],
      parent: null,
      base: null,
      statement: null,
      prompts: null,
    };
    const made = await describeOrigin(packed, paths);
    expect(dependenciesOf(made, 'training-data')).toEqual([
      { name: 'data', sha256: Object.values(await checksumOf(join(folder, 'data')))[0] },
    ]);
    expect(dependenciesOf(made, 'training-code')).toEqual([
      { name: 'package.json', sha256: sha256(await readFile('package.json')) },
    ]);
    expect(dependenciesOf(made, 'dependency-lock')).toEqual([{ name: 'pip.lock.json', sha256: sha256('{}\n') }]);
    expect(flawInBuild(made, new Date().toISOString())).toBeNull();
  });

  it('is signed by the producer, beside the signature', async () => {
    const made = await describeOrigin(packed, { ...NOTHING, data: [join(folder, 'data')] });
    const file = provenanceBeside(join(folder, 'release.sig.json'));
    expect(file).toBe(join(folder, 'release.provenance.json'));
    writeProvenance(file, packed, made, world.keys.trainer);
    const verified = verifyStatement(await readFile(file), 'provenance', keyRing(world.policy));
    expect(verified).toMatchObject({ subject: packed.release, predicate: made, signers: ['trainer'] });
  });

  it('is what its builder says, bare, enveloped or bundled, and what the builder does not know is added', async () => {
    const statement = builders(['b'.repeat(64), packed.release]);
    const payload = Buffer.from(JSON.stringify(statement)).toString('base64');
    const envelope = { payloadType: 'application/vnd.in-toto+json', payload, signatures: [{ keyid: '', sig: 'AA==' }] };
    const bundle = { mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json', dsseEnvelope: envelope };
    for (const form of [statement, envelope, bundle]) {
      const origin = { ...NOTHING, statement: await written(form), data: [join(folder, 'data', 'a.csv')] };
      const made = await describeOrigin(packed, origin);
      expect(dependenciesOf(made, 'training-data')).toEqual([{ name: 'a.csv', sha256: sha256('1') }]);
      const { buildDefinition, runDetails } = statement.predicate;
      expect(made.runDetails).toEqual(runDetails);
      expect(made.buildDefinition).toMatchObject({ ...buildDefinition, resolvedDependencies: expect.any(Array) as [] });
      expect(made.buildDefinition.resolvedDependencies).toContainEqual(buildDefinition.resolvedDependencies[0]);
    }
  });

  const marked = { name: 'data', annotations: { kind: 'training-data' } };
  it.each<[string, object, string]>([
    ['about another release', builders(['b'.repeat(64)]), 'DIGEST_MISMATCH'],
    ['without training data', builders(['release']), 'PROVENANCE_INVALID'],
    ['with training data that have no checksum', builders(['release'], [marked]), 'PROVENANCE_INVALID'],
    ['of another kind', { ...builders(['release']), predicateType: 'https://slsa.dev/provenance/v0.2' }, 'MALFORMED'],
    ['that is none', { hello: 'world' }, 'MALFORMED'],
  ])('attack: is not a statement %s', async (_, said, code) => {
    const about = JSON.parse(JSON.stringify(said).replaceAll('"release"', `"${packed.release}"`)) as object;
    const origin = { ...NOTHING, statement: await written(about) };
    await expect(describeOrigin(packed, origin)).rejects.toMatchObject({ code });
  });

  it('attack: without a time at which the build ended there is no time of creation', async () => {
    const { predicate, ...rest } = builders([packed.release]);
    const { builder } = predicate.runDetails;
    const said = { ...rest, predicate: { ...predicate, runDetails: { builder, metadata: { invocationId: 'x' } } } };
    const origin = { ...NOTHING, data: ['package.json'], statement: await written(said) };
    await expect(describeOrigin(packed, origin)).rejects.toMatchObject({
      code: 'MALFORMED',
      message: expect.stringContaining('finishedOn') as string,
    });
  });
});

describe('the releases that are shipped already trained', () => {
  it.each(SHIPPED_VERSIONS)('%s comes with its provenance, unsigned', async (version) => {
    const release = sha256(await readFile(join(shippedFolder(version), 'custody.json')));
    const said: ProvenancePredicate = readProvenance(await readFile(shippedProvenance(version)), version, release);
    expect(flawInBuild(said, new Date().toISOString())).toBeNull();
    expect(dependenciesOf(said, 'training-data')).toEqual([
      { name: 'digits.csv.gz', sha256: sha256(await readFile('examples/digits/data/digits/digits.csv.gz')) },
    ]);
  });
});
