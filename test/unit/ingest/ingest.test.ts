import { execFileSync } from 'node:child_process';
import { link, mkdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { storeKeys } from '../../../domain/store-keys.js';
import { sha256 } from '../../../formats/sha256.js';
import { decryptStream } from '../../../formats/streaming-aead.js';
import { provenanceBeside } from '../../../client/provenance.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import type { KeyName } from '../../support/world.js';
import { createIntake, DESCRIPTION, FILES, NAME, provenanceOf, signedRelease, type Intake } from './intake.js';

let intake: Intake;
beforeEach(async () => {
  intake = await createIntake();
});

const refused = (code: string, message?: RegExp): unknown =>
  expect.objectContaining({ code, ...(message && { message: expect.stringMatching(message) as string }) });

/** Ingests a good release after something was done to it on disk. */
async function ingestAfter(change: (source: string, bundle: string) => Promise<unknown>): Promise<unknown> {
  const { source, bundle } = await signedRelease(intake);
  await change(source, bundle);
  return intake.ingest(NAME, await intake.admit(NAME, source, bundle));
}

async function keysUnder(prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const key of intake.bucket.list(prefix)) keys.push(key);
  return keys;
}

describe('ingesting a release', () => {
  it('keeps its provenance, as the producer has signed it', async () => {
    const { source, bundle, packed } = await signedRelease(intake);
    const { provenance } = await intake.ingest(NAME, await intake.admit(NAME, source, bundle));
    const { verified } = await intake.records.get('provenance', provenance);
    expect(verified).toMatchObject({ subject: packed.release, signers: ['trainer'] });
  });

  const provenances: [string, Parameters<typeof provenanceOf>[3], KeyName, string, RegExp][] = [
    ['about another release', { made: sha256('another') }, 'trainer', 'REPLAYED', /about another release/],
    ['by control', {}, 'control', 'NOT_AUTHORISED', /not by the release's producer/],
    ['by a stranger', {}, 'mallory', 'SIGNATURE_INVALID', /trusted keys/],
    [
      'without training data',
      { provenance: (p) => ({ ...p, buildDefinition: { ...p.buildDefinition, resolvedDependencies: [] } }) },
      'trainer',
      'PROVENANCE_INVALID',
      /names no training data/,
    ],
    [
      'from the future',
      {
        provenance: (p) => ({
          ...p,
          runDetails: {
            ...p.runDetails,
            metadata: { ...p.runDetails.metadata, finishedOn: '2999-01-01T00:00:00Z' },
          },
        }),
      },
      'trainer',
      'PROVENANCE_INVALID',
      /to come/,
    ],
  ];
  it.each(provenances)('attack: a provenance %s, and nothing is stored', async (_, options, by, code, message) => {
    const { source, bundle, packed } = await signedRelease(intake);
    const made = provenanceOf(intake.world, packed, by, options);
    await writeFile(provenanceBeside(bundle), canonicalBytes(made));
    await expectRefusedAtTheDoor(source, bundle, code, message);
  });

  it('attack: an edited provenance, and none at all, and nothing is stored', async () => {
    const { source, bundle } = await signedRelease(intake);
    const place = provenanceBeside(bundle);
    const envelope = JSON.parse(await readFile(place, 'utf8')) as { payload: string };
    const said = Buffer.from(envelope.payload, 'base64').toString('utf8').replace('data.csv', 'data.tsv');
    await writeFile(place, JSON.stringify({ ...envelope, payload: Buffer.from(said).toString('base64') }));
    await expectRefusedAtTheDoor(source, bundle, 'SIGNATURE_INVALID');
    await rm(place);
    await expectRefusedAtTheDoor(source, bundle, 'PROVENANCE_INVALID', /no provenance at .*custody pack/);
  });

  const summaries: [string, (of: Parameters<Intake['world']['summary']>[0]) => unknown, string, RegExp][] = [
    [
      'of another release',
      (of) => intake.world.summary({ ...of, release: sha256('x') }),
      'REPLAYED',
      /another release/,
    ],
    [
      'by its own release signer',
      (of) => intake.world.summary(of, {}, 'release-signer'),
      'NOT_AUTHORISED',
      /not verify/,
    ],
    ['by a stranger', (of) => intake.world.summary(of, {}, 'mallory'), 'SIGNATURE_INVALID', /trusted keys/],
    [
      'that FAILED',
      (of) => intake.world.summary(of, { verificationResult: 'FAILED' }),
      'POLICY_REFUSED',
      /has not found/,
    ],
    [
      'that is too old',
      (of) => intake.world.summary(of, { timeVerified: intake.world.at(-3700) }),
      'EXPIRED',
      /older than 3600 s/,
    ],
  ];
  const promoting = { from: 'before', maxAgeSeconds: 3600 };

  it.each(summaries)('attack: a verification summary %s, and nothing is stored', async (_, make, code, message) => {
    intake = await createIntake((p) => ({ ...p, promotion: promoting }));
    const { source, bundle, packed } = await signedRelease(intake);
    const file = `${bundle}.summary`;
    const { envelope } = make({ name: NAME, release: packed.release }) as { envelope: object };
    await writeFile(file, canonicalBytes(envelope));
    await expectRefusedAtTheDoor(source, bundle, code, message, file);
  });

  it('attack: without a summary where the policy wants one, and nothing is stored', async () => {
    intake = await createIntake((p) => ({ ...p, promotion: promoting }));
    const { source, bundle } = await signedRelease(intake);
    await expectRefusedAtTheDoor(source, bundle, 'POLICY_REFUSED', /only with a verification summary/);
  });

  it('attack: without a summary, by a request under an older policy that wanted none, and nothing is stored', async () => {
    const { source, bundle } = await signedRelease(intake);
    const { envelope } = intake.world.nextPolicy((p) => ({ ...p, promotion: promoting }));
    await intake.bucket.createOnce(storeKeys.policy(2), canonicalBytes(envelope));
    await expectRefusedAtTheDoor(source, bundle, 'POLICY_REFUSED', /only with a verification summary/);
  });

  it('attack: by a verifier whose key has ended since, and nothing is stored', async () => {
    intake = await createIntake((p) => ({
      ...p,
      promotion: promoting,
      authorities: p.authorities.map((held) =>
        held.id === 'test-signer'
          ? { ...held, keys: held.keys.map((key) => ({ ...key, validUntil: '2020-01-01T00:00:00.000Z' })) }
          : held,
      ),
    }));
    const { source, bundle, packed } = await signedRelease(intake);
    const file = `${bundle}.summary`;
    await writeFile(file, canonicalBytes(intake.world.summary({ name: NAME, release: packed.release }).envelope));
    await expectRefusedAtTheDoor(source, bundle, 'SIGNATURE_INVALID', /outside the validity/, file);
  });

  it('keeps the verification summary of the environment before, and names it', async () => {
    intake = await createIntake((p) => ({ ...p, promotion: promoting }));
    const { source, bundle, packed } = await signedRelease(intake);
    const file = `${bundle}.summary`;
    const summary = intake.world.summary({ name: NAME, release: packed.release });
    await writeFile(file, canonicalBytes(summary.envelope));
    const { promotion } = await intake.ingest(NAME, await intake.admit(NAME, source, bundle, undefined, file));
    expect(promotion).toBe(summary.digest);
    expect((await intake.records.get('verificationSummary', promotion ?? '')).verified.signers).toEqual([
      'test-signer',
    ]);
  });

  async function expectRefusedAtTheDoor(
    source: string,
    bundle: string,
    code: string,
    message?: RegExp,
    promotion?: string,
  ) {
    const admission = await intake.admit(NAME, source, bundle, undefined, promotion);
    await expect(intake.ingest(NAME, admission)).rejects.toEqual(refused(code, message));
    for (const prefix of ['blobs/', 'versions/', 'manifests/', 'statements/'])
      expect(await keysUnder(prefix), prefix).toEqual([]);
    expect(intake.vault.claims).toBe(0);
  }

  it('stores each distinct file once, encrypted and locked, and the manifest and signature beside it', async () => {
    const { source, bundle, packed } = await signedRelease(
      intake,
      { ...FILES, 'copy.json': FILES['config.json'] as string },
      {
        ...DESCRIPTION,
        components: [...DESCRIPTION.components, { name: 'copy', kind: 'config', files: ['copy.json'] }],
      },
    );
    const ingested = await intake.ingest(NAME, await intake.admit(NAME, source, bundle));
    expect(ingested).toMatchObject({ release: packed.release, producer: 'trainer', files: 4 });
    expect(ingested.bytes).toBe(packed.manifest.files.reduce((sum, { size }) => sum + size, 0));
    expect((await keysUnder('blobs/')).length).toBe(3);
    expect(await intake.records.getBytes(ingested.release, storeKeys.manifest)).toEqual(packed.text);
    expect(await intake.records.getBytes(ingested.bundle)).toEqual(await readFile(bundle));
    for (const { path, sha256: digest } of packed.manifest.files) {
      const stored = intake.vault.done.get(digest);
      const key = intake.vault.open.get(digest)?.key as Buffer;
      if (stored === undefined) throw new Error(`${path} was not stored`);
      const place = storeKeys.blob(stored.blob);
      expect((await intake.bucket.head(place, stored.versionId))?.lock?.mode).toBe('COMPLIANCE');
      const plain: Buffer[] = [];
      const cipher = await intake.bucket.readStream(place, stored.versionId);
      for await (const chunk of decryptStream(cipher as AsyncIterable<Buffer>, key, Buffer.from(digest, 'hex')))
        plain.push(Buffer.from(chunk));
      expect(sha256(Buffer.concat(plain))).toBe(digest);
      expect(Buffer.concat(plain)).toEqual(Buffer.from(FILES[path] ?? (FILES['config.json'] as string)));
    }
  });

  it('answers the same again, and stores nothing twice', async () => {
    const { source, bundle } = await signedRelease(intake);
    const admission = await intake.admit(NAME, source, bundle);
    const first = await intake.ingest(NAME, admission);
    const keys = await keysUnder('');
    expect(await intake.ingest(NAME, admission)).toEqual(first);
    expect(await keysUnder('')).toEqual(keys);
  });

  it('goes on where a killed attempt ended, and takes over a blob that it had not reported', async () => {
    const { source, bundle } = await signedRelease(intake);
    const admission = await intake.admit(NAME, source, bundle);
    const report = intake.vault.stored.bind(intake.vault);
    let reports = 0;
    intake.vault.stored = async (request) => {
      reports += 1;
      if (reports === 2) throw new Error('killed before the vault was told');
      return report(request);
    };
    await expect(intake.ingest(NAME, admission)).rejects.toThrow('killed');
    intake.vault.stored = report;
    await intake.ingest(NAME, admission);
    expect((await keysUnder('blobs/')).length).toBe(3);
    expect(intake.vault.done.size).toBe(3);
    for (const { blob, versionId, ciphertext } of intake.vault.done.values()) {
      expect((await intake.bucket.versions(storeKeys.blob(blob))).length).toBe(1);
      const chunks: Buffer[] = [];
      for await (const chunk of await intake.bucket.readStream(storeKeys.blob(blob), versionId))
        chunks.push(chunk as Buffer);
      expect(sha256(Buffer.concat(chunks))).toBe(ciphertext);
    }
  });

  it('attack: a version is taken for ever by the first bytes that had it', async () => {
    const { source, bundle } = await signedRelease(intake);
    await intake.ingest(NAME, await intake.admit(NAME, source, bundle));
    const blobs = await keysUnder('blobs/');
    const other = await signedRelease(intake, { ...FILES, 'config.json': '{"hidden":5}\n' });
    const admission = await intake.admit(NAME, other.source, other.bundle);
    await expect(intake.ingest(NAME, admission)).rejects.toEqual(refused('VERSION_TAKEN', /next version/));
    expect(await keysUnder('blobs/')).toEqual(blobs);
  });

  it('attack: a file that changes between the two passes is never told to the vault, nor whole in the store', async () => {
    const { source, bundle } = await signedRelease(intake);
    const admission = await intake.admit(NAME, source, bundle);
    const claim = intake.vault.claim.bind(intake.vault);
    const weights = sha256(FILES['weights.safetensors'] as Buffer);
    intake.vault.claim = async (request) => {
      const answer = await claim(request);
      if (request.sha256 === weights) {
        const swapped = Buffer.from(FILES['weights.safetensors'] as Buffer);
        swapped[swapped.length - 1] = 9;
        await writeFile(join(source, 'swapped'), swapped);
        await rename(join(source, 'swapped'), join(source, 'weights.safetensors'));
      }
      return answer;
    };
    await expect(intake.ingest(NAME, admission)).rejects.toEqual(refused('DIGEST_MISMATCH', /weights\.safetensors/));
    expect(intake.vault.done.has(weights)).toBe(false);
    const blob = intake.vault.open.get(weights)?.blob as string;
    expect(await intake.bucket.head(storeKeys.blob(blob), null)).toBeNull();
  });

  it('attack: a blob that somebody else put in its place is not taken for the file', async () => {
    const { source, bundle } = await signedRelease(intake);
    const weights = sha256(FILES['weights.safetensors'] as Buffer);
    const planted = await intake.vault.claim({ sha256: weights });
    await intake.bucket.createOnce(storeKeys.blob(planted.blob), Buffer.alloc(200, 1));
    const admission = await intake.admit(NAME, source, bundle);
    await expect(intake.ingest(NAME, admission)).rejects.toEqual(refused('DIGEST_MISMATCH'));
    expect(intake.vault.done.has(weights)).toBe(false);
  });
});

describe('the door', () => {
  it('refuses what nobody has signed', async () => {
    await expect(ingestAfter((_, bundle) => rm(bundle))).rejects.toEqual(refused('UNSIGNED'));
  });

  it.each(['mallory', 'release-signer', 'alice'] as const)(
    'attack: a signature by %s counts for nothing',
    async (by) => {
      if (by === 'release-signer') {
        const { source, bundle } = await signedRelease(intake, FILES, DESCRIPTION, by);
        const admission = await intake.admit(NAME, source, bundle);
        await expect(intake.ingest(NAME, admission)).rejects.toEqual(refused('SIGNATURE_INVALID'));
      } else {
        // Their keys are Ed25519, which the format does not know: what is left to try is a bundle that is not one.
        await expect(ingestAfter((_, bundle) => writeFile(bundle, `{"by":"${by}"}`))).rejects.toEqual(
          refused('MALFORMED'),
        );
      }
      expect(await keysUnder('versions/')).toEqual([]);
    },
  );

  it('attack: a producer whom the newest policy no longer knows is refused', async () => {
    const { source, bundle } = await signedRelease(intake);
    const admission = await intake.admit(NAME, source, bundle);
    const { envelope } = intake.world.nextPolicy((policy) => ({
      ...policy,
      authorities: policy.authorities.map((authority) =>
        authority.id === 'trainer' ? { ...authority, roles: ['gateway'] } : authority,
      ),
    }));
    await intake.records.keep(envelope, storeKeys.policy(2));
    await expect(intake.ingest(NAME, admission)).rejects.toEqual(refused('SIGNATURE_INVALID'));
  });

  it('attack: an admission that names another source than the signed request is refused', async () => {
    const good = await signedRelease(intake);
    const other = await signedRelease(intake);
    const admission = await intake.admit(NAME, good.source, good.bundle);
    const moved = { ...admission, source: (await intake.admit(NAME, other.source, other.bundle)).source };
    await expect(intake.ingest(NAME, moved)).rejects.toEqual(refused('REPLAYED'));
    await expect(intake.ingest({ ...NAME, version: '1.0.1' }, admission)).rejects.toEqual(refused('REPLAYED'));
  });

  it('refuses a folder that is another release than was asked for', async () => {
    const { source, bundle } = await signedRelease(intake);
    const name = { ...NAME, version: '2.0.0' };
    await expect(intake.ingest(name, await intake.admit(name, source, bundle))).rejects.toEqual(
      refused('POLICY_REFUSED'),
    );
  });

  it('refuses one changed byte, naming the file', async () => {
    const changed = (source: string): Promise<void> => writeFile(join(source, 'config.json'), '{"hidden":9}\n');
    await expect(ingestAfter(changed)).rejects.toEqual(refused('DIGEST_MISMATCH', /"config\.json"/));
  });

  it('attack: what is called safetensors and is a pickle is refused, however well it is signed', async () => {
    const pickle = Buffer.from('80049525000000000000008c05706f736978948c0673797374656d9493948c026964948594529', 'hex');
    const { source, bundle } = await signedRelease(intake, { ...FILES, 'weights.safetensors': pickle });
    const admission = await intake.admit(NAME, source, bundle);
    await expect(intake.ingest(NAME, admission)).rejects.toEqual(
      refused('POLICY_REFUSED', /weights\.safetensors, byte 28: unsafe-global \(AML\.T0011\.000\)/),
    );
  });

  it('attack: a header that claims the whole address space is refused without allocating it', async () => {
    const huge = Buffer.concat([Buffer.alloc(8, 0xff), Buffer.from('{}')]);
    const { source, bundle } = await signedRelease(intake, { ...FILES, 'weights.safetensors': huge });
    const admission = await intake.admit(NAME, source, bundle);
    await expect(intake.ingest(NAME, admission)).rejects.toEqual(
      refused('POLICY_REFUSED', /claims 18446744073709551615/),
    );
  });

  it('refuses weights of zero bytes', async () => {
    const { source, bundle } = await signedRelease(intake, { ...FILES, 'weights.safetensors': '' });
    await expect(intake.ingest(NAME, await intake.admit(NAME, source, bundle))).rejects.toEqual(refused('INPUT_EMPTY'));
  });
});

describe('a hostile folder', () => {
  const cases: [string, string, (source: string) => Promise<unknown>][] = [
    ['a file added after signing', 'DIGEST_MISMATCH', (source) => writeFile(join(source, 'extra.py'), 'import os')],
    ['a file removed', 'DIGEST_MISMATCH', (source) => rm(join(source, 'config.json'))],
    ['a file cut short', 'DIGEST_MISMATCH', (source) => truncate(join(source, 'config.json'), 3)],
    ['a sparse file of 10 GiB', 'INPUT_UNSAFE', (source) => truncate(join(source, 'config.json'), 10 * 1024 ** 3)],
    ['a symbolic link to a file', 'INPUT_UNSAFE', (source) => relink(source, '/etc/passwd')],
    ['a symbolic link inside the folder', 'INPUT_UNSAFE', (source) => relink(source, 'nested/labels.json')],
    ['a symbolic link for a folder', 'INPUT_UNSAFE', (source) => symlink('/etc', join(source, 'etc'))],
    ['a hard link', 'INPUT_UNSAFE', (source) => link(join(source, 'config.json'), join(source, '..', 'second'))],
    ['a pipe', 'INPUT_UNSAFE', async (source) => execFileSync('mkfifo', [join(source, 'pipe')])],
    ['a twin in case', 'INPUT_UNSAFE', (source) => writeFile(join(source, 'CONFIG.json'), 'x')],
    ['a twin folder in case', 'INPUT_UNSAFE', (source) => mkfile(source, 'NESTED', 'x.json')],
    ['a name that is not in normal form', 'INPUT_UNSAFE', (source) => writeFile(join(source, 'e\u0301.json'), 'x')],
    ['a name that is not UTF-8', 'INPUT_UNSAFE', (source) => writeFile(latin1(source, 'caf\xe9'), 'x')],
    ['a name with a colon', 'INPUT_UNSAFE', (source) => writeFile(join(source, 'a:0:1'), 'x')],
    ['a name with a backslash', 'INPUT_UNSAFE', (source) => writeFile(join(source, '..\\x'), 'x')],
    ['a version-control folder', 'INPUT_UNSAFE', (source) => mkfile(source, '.git', 'config')],
    ['an empty folder', 'INPUT_UNSAFE', (source) => mkdir(join(source, 'empty'))],
    ['no manifest', 'INPUT_MISSING', (source) => rm(join(source, 'custody.json'))],
    ['no folder', 'INPUT_MISSING', (source) => rm(source, { recursive: true })],
    ['nothing in it', 'INPUT_EMPTY', (source) => rm(source, { recursive: true }).then(() => mkdir(source))],
    [
      'a link for the folder itself',
      'INPUT_UNSAFE',
      (source) => rename(source, `${source}2`).then(() => symlink(`${source}2`, source)),
    ],
  ];

  it.each(cases)('attack: with %s is refused as %s, and nothing is stored', async (_, code, change) => {
    await expect(ingestAfter(change)).rejects.toEqual(refused(code));
    expect([...(await keysUnder('blobs/')), ...(await keysUnder('versions/'))]).toEqual([]);
  });

  it('attack: a socket is refused', async () => {
    const server = createServer();
    const listening = async (source: string): Promise<void> => {
      server.listen(join(source, 'socket'));
      await once(server, 'listening');
    };
    await expect(ingestAfter(listening)).rejects.toEqual(refused('INPUT_UNSAFE', /socket/));
    server.close();
  });

  it('attack: more files than the policy allows are refused before one is read', async () => {
    intake = await createIntake((policy) => ({ ...policy, artifacts: { maxFiles: 5, maxFileBytes: 1024 } }));
    const many = async (source: string): Promise<void> => {
      for (let at = 0; at < 5; at += 1) await writeFile(join(source, `${at}`), 'x');
    };
    await expect(ingestAfter(many)).rejects.toEqual(refused('INPUT_UNSAFE', /more than 5 files/));
    const folders = (source: string): Promise<unknown> => mkdir(join(source, 'd/'.repeat(200)), { recursive: true });
    await expect(ingestAfter(folders)).rejects.toEqual(refused('INPUT_UNSAFE', /more than 5 files/));
  });

  it('attack: a file larger than the policy allows is refused before it is read', async () => {
    intake = await createIntake((policy) => ({ ...policy, artifacts: { maxFiles: 5, maxFileBytes: 20 } }));
    await expect(ingestAfter(async () => undefined)).rejects.toEqual(refused('INPUT_UNSAFE', /allows 20/));
  });
});

async function relink(source: string, target: string): Promise<void> {
  await rm(join(source, 'config.json'));
  await symlink(target, join(source, 'config.json'));
}

async function mkfile(source: string, folder: string, name: string): Promise<void> {
  await mkdir(join(source, folder));
  await writeFile(join(source, folder, name), 'x');
}

function latin1(source: string, name: string): Buffer {
  return Buffer.concat([Buffer.from(`${source}/`), Buffer.from(name, 'latin1')]);
}
