import { link, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PARTIAL } from '../../../adapters/materialise.js';
import type { Digest } from '../../../domain/digest.js';
import { CustodyError } from '../../../domain/errors.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { isoTime } from '../../../domain/time.js';
import { keyRing, verifyStatement } from '../../../formats/statements.js';
import { probedBy } from '../../support/destruction.js';
import type { KeyName, Release } from '../../support/world.js';
import { Site, type Running } from './fixture.js';

let site: Site;
let host: Running;
let aside: string;
beforeEach(async () => {
  site = await Site.open();
  aside = await mkdtemp(join(tmpdir(), 'custody-aside-'));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await site.close();
  await rm(aside, { recursive: true, force: true });
});

const blobsOf = (release: Release): string[] =>
  release.manifest.files.flatMap(({ sha256 }) => site.vault.files.get(sha256)?.blob ?? []);

/** As the signing zone says it. */
async function erased(release: Release, by: KeyName = 'release-signer', about = release.release): Promise<Digest> {
  const files = release.manifest.files.map(({ path }) => path);
  const said = {
    zone: 'signing',
    request: 'a'.repeat(64),
    blobs: blobsOf(release),
    issuedAt: isoTime(Date.now()),
    files,
  };
  const { digest, envelope } = probedBy(site.world, release, { ...said, zone: 'signing' }, {}, by, about);
  await site.put([[storeKeys.statement(digest), canonicalBytes(envelope)]]);
  return digest;
}

const gone = (): void => {
  vi.spyOn(site.vault, 'open').mockRejectedValue(new CustodyError('ERASED', 'its keys are gone'));
};
const read = (envelope: unknown) => verifyStatement(envelope, 'probe', keyRing(site.world.policy));

describe('a host that tries a release that is gone', () => {
  it('is refused by the vault and by its own loader, finds nothing of it, and reports no incident', async () => {
    const release = await site.admit();
    host = await site.begin();
    await host.start(release.name, release.release);
    await host.stop(release.name, release.release);
    gone();
    const { signers, predicate, subject } = read(
      await host.probe(release.name, release.release, await erased(release)),
    );
    expect([signers, subject]).toEqual([['serving'], release.release]);
    expect(predicate.probes.map(({ kind, refused }) => [kind, refused])).toEqual([
      ...[
        ['port', true],
        ['copy', true],
        ['loader', true],
        ['vault open', true],
        ['ciphertext', true],
      ],
    ]);
    const answer = (kind: string) => predicate.probes.find((each) => each.kind === kind)?.answer;
    expect(answer('port')).toMatch(/nobody answers there/);
    expect(answer('loader')).toBe('ERASED: its keys are gone');
    expect(answer('vault open')).toBe('ERASED: its keys are gone');
    expect(answer('ciphertext')).toMatch(/^\d+ objects of \d+ bytes in all: no key opens them$/);
    expect(predicate.blobs).toEqual(blobsOf(release));
    expect(await site.spooled()).toEqual([]);
    expect(await site.copies()).toEqual([]);
  });

  it('is refused by its loader because of the revocation, as soon as it has that', async () => {
    const release = await site.admit();
    host = await site.begin();
    await site.issueStatus({ revoked: [release.release] });
    gone();
    const { predicate } = read(await host.probe(release.name, release.release, await erased(release)));
    expect(predicate.probes.find(({ kind }) => kind === 'loader')?.answer).toMatch(/^REVOKED/);
  });

  it('attack: catches a vault that says that the keys are gone and hands them out', async () => {
    const release = await site.admit();
    host = await site.begin();
    // Its own loader would refuse it, and nobody would notice.
    await site.issueStatus({ revoked: [release.release] });
    const probe = host.probe(release.name, release.release, await erased(release));
    await expect(probe).rejects.toMatchObject({
      code: 'VALIDATION_FAILED',
      message: expect.stringMatching(/the vault hands out \d+ keys, and the file [0-9a-f]{64} can be read with one/),
    });
  });

  it('attack: catches a loader that starts it, and leaves nothing of it running', async () => {
    const release = await site.admit();
    host = await site.begin();
    const probe = host.probe(release.name, release.release, await erased(release));
    await expect(probe).rejects.toMatchObject({ code: 'VALIDATION_FAILED', message: /loader .* has answered/ });
    expect(await site.copies()).toEqual([]);
  });

  it('says nothing while it still runs it, has a part of it, or something answers where it did', async () => {
    const release = await site.admit();
    host = await site.begin();
    await host.start(release.name, release.release);
    const { port } = (await site.gateway.hears(({ predicate }) => predicate.port > 0)).predicate;
    const said = await erased(release);
    const probe = () => host.probe(release.name, release.release, said);
    await expect(probe()).rejects.toMatchObject({ code: 'PENDING', message: /this host still runs it/ });
    await host.stop(release.name, release.release);
    gone();
    const part = join(site.releases, `${PARTIAL}${release.release}-0`);
    await mkdir(part);
    await expect(probe()).rejects.toMatchObject({ code: 'PENDING', message: /\.partial-.* is there/ });
    await rm(part, { recursive: true });
    const squatter = createServer().listen(port, '127.0.0.1');
    await once(squatter, 'listening');
    await expect(probe()).rejects.toMatchObject({ code: 'PENDING', message: /something answers there/ });
    squatter.close();
    await once(squatter, 'close');
    await expect(probe()).resolves.toBeDefined();
  });

  it('attack: tries nothing, and stops nothing, that the signing zone has not said to be gone', async () => {
    const release = await site.admit();
    const other = await site.admit({ version: '1.1.0' });
    host = await site.begin();
    await host.start(release.name, release.release);
    const probe = (digest: Digest) => host.probe(release.name, release.release, digest);
    await expect(probe('a'.repeat(64))).rejects.toMatchObject({ code: 'PENDING' });
    await expect(probe(await erased(release, 'control'))).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
    await expect(probe(await erased(other))).rejects.toMatchObject({ code: 'REPLAYED' });
    expect(await site.copies()).toEqual([release.release]);
  });
});

describe('what a host takes away', () => {
  it('is overwritten before it is removed: another name of the same bytes shows only noise', async () => {
    const release = await site.admit();
    host = await site.begin();
    await host.start(release.name, release.release);
    const [path, before] = [...release.files][0]!;
    await link(join(site.releases, release.release, path), join(aside, 'kept'));
    await host.stop(release.name, release.release);
    const after = await readFile(join(aside, 'kept'));
    expect(after.length).toBe(before.length);
    expect(after.equals(before)).toBe(false);
    expect(await site.copies()).toEqual([]);
  });

  it('is overwritten by the next start where the process was killed half-way', async () => {
    const half = join(site.releases, `${PARTIAL}${'a'.repeat(64)}-0`);
    await mkdir(join(half, 'deep'), { recursive: true });
    // More than is overwritten at once, and not a whole number of times.
    const bytes = Buffer.alloc(2_500_000, 'weights');
    await writeFile(join(half, 'deep', 'weights'), bytes, { mode: 0o444 });
    await link(join(half, 'deep', 'weights'), join(aside, 'kept'));
    host = await site.begin();
    const after = await readFile(join(aside, 'kept'));
    expect(after.length).toBe(bytes.length);
    expect(after.includes('weights')).toBe(false);
    expect(await site.copies()).toEqual([]);
  });
});
