import { lstat, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type * as FileSystem from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CustodyError, type ErrorCode } from '../../../domain/errors.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { isoTime } from '../../../domain/time.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { generateKey, importPrivateKey } from '../../../formats/keys.js';
import { omsResources } from '../../../formats/manifest.js';
import { signOms } from '../../../formats/oms.js';
import { sha256 } from '../../../formats/sha256.js';
import { FORGERIES } from '../../support/forgeries.js';
import type { Release, ReleaseOptions } from '../../support/world.js';
import { encrypt, infer, pidOf, recordsOf, Site, type Running } from './fixture.js';

const disk = vi.hoisted(() => ({ freeBytes: null as number | null }));
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof FileSystem>();
  const statfs = async (path: string) => {
    const found = await real.statfs(path);
    return disk.freeBytes === null ? found : { ...found, bsize: 1, bavail: disk.freeBytes };
  };
  return { ...real, statfs };
});

let site: Site;
let host: Running;
beforeEach(async () => {
  disk.freeBytes = null;
  site = await Site.open();
});
afterEach(() => site.close());

/** Refused with this code, and nothing on this host that could be loaded. */
async function expectRefused(release: Release, code: string): Promise<void> {
  await expect(host.start(release.name, release.release)).rejects.toMatchObject({ code });
  expect(await site.copies()).toEqual([]);
  expect(await pidOf(join(site.releases, release.release))).toBeNull();
  expect(site.gateway.heard).toEqual([]);
}

async function expectReported(release: Release, code: string): Promise<void> {
  const [incident] = await site.desk.holds(1);
  expect(incident).toMatchObject({
    subject: release.release,
    signers: ['serving'],
    predicate: { environment: 'test', ...release.name, kind: 'load.refused' },
  });
  expect(incident?.predicate.reason).toMatch(new RegExp(`^${code}: `));
}

describe('a verified load', () => {
  it('serves a really trained release from a read-only copy, and tells the gateway where before it answers', async () => {
    const release = await site.admit();
    host = await site.begin();
    await host.start(release.name, release.release);
    const [replica] = site.gateway.heard;
    expect(replica).toMatchObject({
      subject: release.release,
      signers: ['serving'],
      predicate: { ...release.name, environment: 'test', host: '127.0.0.1' },
    });
    const { port = 0, issuedAt = '', expiresAt = '' } = replica?.predicate ?? {};
    expect(Date.parse(expiresAt) - Date.parse(issuedAt)).toBe(10_000);
    expect(await infer(port)).toEqual({ status: 200, version: '1.0.0' });
    const copy = join(site.releases, release.release);
    for (const [path, bytes] of release.files) expect(await readFile(join(copy, path)), path).toEqual(bytes);
    expect(sha256(await readFile(join(copy, 'custody.json')))).toBe(release.release);
    for (const path of ['.', 'notes', 'notes/why.md', 'serve.mjs', 'custody.json'])
      expect((await lstat(join(copy, path))).mode & 0o222, path).toBe(0);
  });

  it('changes nothing when it is asked for again', async () => {
    const release = await site.admit();
    host = await site.begin();
    await Promise.all([1, 2, 3].map(() => host.start(release.name, release.release)));
    const pid = await pidOf(join(site.releases, release.release));
    await host.start(release.name, release.release);
    expect(await pidOf(join(site.releases, release.release))).toBe(pid);
    expect(site.vault.opened).toBe(1);
  });

  it('gathers the evidence again when the vault has seen a newer status document', async () => {
    const release = await site.admit();
    host = await site.begin();
    site.vault.refuse = new CustodyError('STATUS_STALE', 'gather the evidence again');
    await host.start(release.name, release.release);
    expect(site.vault.opened).toBe(2);
  });

  it('clears away what a killed load has left, and copies that nothing wants', async () => {
    const stray = sha256('stray');
    await mkdir(join(site.releases, `.partial-${stray}-00`), { recursive: true });
    await writeFile(join(site.releases, `.partial-${stray}-00`, 'weights'), 'x', { mode: 0o400 });
    await mkdir(join(site.releases, stray), { mode: 0o500 });
    host = await site.begin();
    expect(await site.copies()).toEqual([]);
  });

  it('refuses a release that the disk has no room for, before it asks for a key', async () => {
    const release = await site.admit();
    host = await site.begin();
    disk.freeBytes = 64 * 1024 * 1024;
    await expectRefused(release, 'NO_SPACE');
    expect(site.vault.opened).toBe(0);
    expect(await site.spooled()).toEqual([]);
  });

  it('takes nothing for a release digest that is none', async () => {
    const release = await site.admit();
    host = await site.begin();
    for (const release of ['../../etc', 'A'.repeat(64), ''])
      await expect(host.start({ model: 'digits', version: '1.0.0' }, release)).rejects.toMatchObject({ code: 'USAGE' });
    await expect(host.stop(release.name, '../state')).rejects.toMatchObject({ code: 'USAGE' });
  });

  it('refuses the right name with the digest of another release, and leaves that one running', async () => {
    const [one, two] = [await site.admit(), await site.admit({ version: '1.1.0' })];
    host = await site.begin();
    await host.start(one.name, one.release);
    await expect(host.start(two.name, one.release)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    await expect(host.start(one.name, two.release)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    expect(await pidOf(join(site.releases, one.release))).not.toBeNull();
    expect(await site.copies()).toEqual([one.release]);
  });
});

describe('bytes that are not those of the release', () => {
  const weights = (release: Release): Buffer => release.files.get('weights.safetensors') as Buffer;

  /** Lets the vault's reference lead to other ciphertext, as if the store had changed it. */
  async function replaceBlob(release: Release, change: (cipher: Buffer) => Buffer, isKnown = false): Promise<void> {
    const file = site.vault.files.get(sha256(weights(release)));
    if (file === undefined) throw new Error('the fixture has no blob');
    const stored = await site.bucket.read(storeKeys.blob(file.blob));
    const cipher = change(Buffer.from(stored?.body ?? []));
    const versionId = site.store.overwrite('test-custody', storeKeys.blob(file.blob), cipher) ?? '';
    site.vault.files.set(file.sha256, { ...file, versionId });
    if (isKnown) site.refer(file.sha256, { ...file, versionId }, cipher);
  }

  const flipped = (cipher: Buffer): Buffer => {
    cipher.writeUInt8(cipher.readUInt8(cipher.length - 100) ^ 1, cipher.length - 100);
    return cipher;
  };

  it.each([
    ['one flipped bit', flipped],
    ['a missing end', (cipher: Buffer) => cipher.subarray(0, -1)],
    ['a byte too many', (cipher: Buffer) => Buffer.concat([cipher, Buffer.of(0)])],
    ['nothing at all', () => Buffer.alloc(0)],
  ])('stop the load for %s in the stored blob, and are reported', async (_what, change) => {
    const release = await site.admit();
    await replaceBlob(release, change);
    host = await site.begin();
    await expectRefused(release, 'DIGEST_MISMATCH');
    await expectReported(release, 'DIGEST_MISMATCH');
  });

  it('stop the load though the ciphertext is what the vault says', async () => {
    const release = await site.admit();
    await replaceBlob(release, flipped, true);
    host = await site.begin();
    await expectRefused(release, 'DIGEST_MISMATCH');
  });

  it('stop the load when they are the right ones in ciphertext that intake never stored', async () => {
    const release = await site.admit();
    const file = site.vault.files.get(sha256(weights(release)));
    const again = await encrypt(weights(release), file?.key ?? Buffer.alloc(0));
    await replaceBlob(release, () => again);
    host = await site.begin();
    await expectRefused(release, 'DIGEST_MISMATCH');
  });

  it('stop the load when another file of the release stands in, whole and authentic', async () => {
    const release = await site.admit();
    const other = site.vault.files.get(sha256(release.files.get('config.json') as Buffer));
    const digest = sha256(weights(release));
    if (other !== undefined) site.vault.files.set(digest, { ...other, sha256: digest });
    host = await site.begin();
    await expectRefused(release, 'DIGEST_MISMATCH');
  });

  it('stop the load when they are encrypted for the right file and are another', async () => {
    const release = await site.admit();
    const [digest, key] = [sha256(weights(release)), Buffer.alloc(32, 7)];
    const evil = Buffer.from(weights(release));
    evil.writeUInt8(evil.readUInt8(evil.length - 1) ^ 1, evil.length - 1);
    const cipher = await encrypt(evil, key, digest);
    const { versionId } = await site.bucket.createOnce(storeKeys.blob('evil'), cipher);
    site.refer(digest, { blob: 'evil', key, versionId: versionId ?? '' }, cipher);
    host = await site.begin();
    await expectRefused(release, 'DIGEST_MISMATCH');
    await expectReported(release, 'DIGEST_MISMATCH');
    // Found while it was written, before there was any copy to look at.
    expect(site.desk.incidents).toHaveLength(1);
    expect(site.desk.incidents[0]?.predicate.reason).not.toContain('materialised copy');
  });

  it('leave no copy when the store stops answering half way, and the next attempt succeeds', async () => {
    const release = await site.admit();
    host = await site.begin();
    const readStream = site.bucket.readStream.bind(site.bucket);
    let reads = 0;
    vi.spyOn(site.bucket, 'readStream').mockImplementation(async (key, versionId) => {
      reads += 1;
      if (reads === 4) throw new CustodyError('STORE_UNAVAILABLE', 'the object store does not answer');
      return readStream(key, versionId);
    });
    await expect(host.start(release.name, release.release)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(await site.copies()).toEqual([]);
    expect(await site.spooled()).toEqual([]);
    await host.start(release.name, release.release);
    expect(await site.copies()).toEqual([release.release]);
  });
});

describe('a release that may not be loaded', () => {
  it.each([
    ['without a release signature', { signedBy: null }, 'UNSIGNED'],
    ['signed by one who may only produce', { signedBy: 'trainer' }, 'SIGNATURE_INVALID'],
    ['produced by one who may only sign', { producedBy: 'release-signer' }, 'SIGNATURE_INVALID'],
    ['that nobody approved', { approvals: () => [] }, 'NOT_AUTHORISED'],
    ['with a failed validation', { testResult: { result: 'FAILED' } }, 'VALIDATION_FAILED'],
    ['asked for in another environment', { request: { environment: 'prod' } }, 'REPLAYED'],
    ...FORGERIES.map(([how, options, code]) => [`with ${how}`, options, code] as const),
  ] as readonly (readonly [string, ReleaseOptions, ErrorCode])[])(
    '%s is refused and reported',
    async (_what, options, code) => {
      const release = await site.admit(options);
      host = await site.begin();
      await expectRefused(release, code);
      await expectReported(release, code);
      expect(site.vault.opened).toBe(0);
    },
  );

  it.each(['signature', 'bundle'] as const)(
    'because its %s is by a stranger is refused and reported',
    async (which) => {
      const { manifest, manifestText } = site.world.release();
      const resources = omsResources(manifest, Buffer.from(manifestText));
      const stranger = importPrivateKey(generateKey('ecdsa-p256').privatePem);
      const evidence = { [which]: signOms('digits 1.0.0', resources, stranger).toString('utf8') };
      const release = await site.admit({ files: Object.fromEntries(site.world.release().files), evidence });
      host = await site.begin();
      await expectRefused(release, 'SIGNATURE_INVALID');
      await expectReported(release, 'SIGNATURE_INVALID');
    },
  );

  it('because it is revoked is refused and reported', async () => {
    const release = await site.admit();
    await site.issueStatus({ revoked: [release.release], version: Date.now() + 1 });
    host = await site.begin();
    await expectRefused(release, 'REVOKED');
    await expectReported(release, 'REVOKED');
  });

  it('because it is revoked while it loads is not started, and its copy is removed', async () => {
    const release = await site.admit();
    const readStream = site.bucket.readStream.bind(site.bucket);
    vi.spyOn(site.bucket, 'readStream').mockImplementationOnce(async (key, versionId) => {
      await site.issueStatus({ revoked: [release.release], version: Date.now() + 1 });
      return readStream(key, versionId);
    });
    host = await site.begin();
    await expectRefused(release, 'REVOKED');
    expect(site.vault.opened).toBe(1);
  });

  it('whose records are not complete waits, unreported', async () => {
    const release = site.world.release();
    await site.put(recordsOf(release).filter(([key]) => !key.endsWith('/approved')));
    host = await site.begin();
    await expectRefused(release, 'PENDING');
    expect(await site.spooled()).toEqual([]);
  });
});

describe('the status document', () => {
  const later = (seconds: number): number => Date.now() + seconds * 1000;

  it('is needed: without one, nothing loads', async () => {
    const release = await site.admit();
    for await (const key of site.bucket.list('status/')) {
      const [version] = await site.bucket.versions(key);
      site.store.deleteVersion('test-custody', key, version?.versionId ?? null);
    }
    host = await site.begin();
    await expectRefused(release, 'STATUS_STALE');
  });

  it('is refused when it has expired', async () => {
    const release = await site.admit();
    const version = later(1);
    await site.issueStatus({ version, issuedAt: isoTime(later(-20)), expiresAt: isoTime(later(-10)) });
    host = await site.begin();
    await expectRefused(release, 'STATUS_STALE');
  });

  it('is refused when somebody else than control has signed it', async () => {
    const release = await site.admit();
    const version = later(1);
    await site.issueStatus({ version }, 'gateway');
    host = await site.begin();
    await expectRefused(release, 'NOT_AUTHORISED');
    // Nor is its version remembered: that would lock out control's own.
    await site.issueStatus({ version: version - 1 }, 'control', version + 1);
    await host.start(release.name, release.release);
  });

  it('is refused when it is for another environment', async () => {
    const release = await site.admit();
    await site.issueStatus({ version: later(1), environment: 'prod' });
    host = await site.begin();
    await expectRefused(release, 'REPLAYED');
  });

  it('of an older version is refused under a newer key, also after a restart', async () => {
    const release = await site.admit();
    const version = await site.issueStatus({ version: later(2) });
    host = await site.begin();
    await host.start(release.name, release.release);
    await host.stop(release.name, release.release);
    await host.end();
    site.gateway.heard.length = 0;
    const old = site.world.status({ version: version - 1 });
    await site.put([[storeKeys.status(later(10)), canonicalBytes(old.envelope)]]);
    host = await site.begin();
    await expectRefused(release, 'REPLAYED');
    await expectReported(release, 'REPLAYED');
  });

  it('cannot take a revocation back', async () => {
    const release = await site.admit();
    const version = await site.issueStatus({ revoked: [release.release], version: later(1) });
    host = await site.begin();
    await expectRefused(release, 'REVOKED');
    await host.end();
    await site.issueStatus({ version: version + 1 });
    host = await site.begin();
    await expectRefused(release, 'REVOKED');
  });

  it('attack: from the future, for good, does not lock out those of the present', async () => {
    const release = await site.admit();
    await site.issueStatus({
      version: later(86_400),
      issuedAt: isoTime(later(86_400)),
      expiresAt: isoTime(later(90_000)),
    });
    await site.issueStatus({ version: later(3600) });
    host = await site.begin();
    await host.start(release.name, release.release);
  });

  it('that says so itself is refused under a name of the present', async () => {
    const release = await site.admit();
    await site.issueStatus({ version: later(3600) }, 'control', later(2));
    host = await site.begin();
    await expectRefused(release, 'STATUS_STALE');
  });
});
