import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { checkRelease, newestStatus } from '../../../adapters/dossier.js';
import { mayServe } from '../../../client/record/serving.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { checksToLoad } from '../../../formats/evidence.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { sha256 } from '../../../formats/sha256.js';
import type { Release } from '../../support/world.js';
import { pidOf, Site, type Running } from './fixture.js';

/**
 * Every place between admission and a model server where something can be exchanged. What lies on the disk of the host is in
 * copy.test.ts, what intake reads twice in the tests of ingest.
 */
let site: Site;
let host: Running;
beforeEach(async () => {
  site = await Site.open();
});
afterEach(() => site.close());

const keyOf = (release: Release, path: string) => {
  const file = site.vault.files.get(sha256(release.files.get(path) as Buffer));
  if (file === undefined) throw new Error(`the fixture has no key for ${path}`);
  return file;
};

/** Answers other bytes for one object of the store, as a store would that was tampered with. */
function serveInstead(key: string, bytes: Buffer): void {
  const read = site.bucket.read.bind(site.bucket);
  vi.spyOn(site.bucket, 'read').mockImplementation(async (asked, ...rest) => {
    const found = await read(asked, ...rest);
    return asked === key && found !== null ? { ...found, body: bytes } : found;
  });
}

async function expectNothing(release: Release): Promise<void> {
  expect(await site.copies()).toEqual([]);
  expect(await pidOf(join(site.releases, release.release))).toBeNull();
  expect(site.gateway.heard).toEqual([]);
}

describe('between admission and load', () => {
  it.each([
    ['manifest', (release: Release, other: Release) => [storeKeys.manifest(release.release), other.evidence.manifest]],
    ['bundle', (release: Release, other: Release) => [storeKeys.statement(sha256(release.bundle)), other.bundle]],
    [
      'release signature',
      (release: Release, other: Release) => [
        storeKeys.statement(sha256(release.evidence.signature ?? '')),
        other.evidence.signature ?? '',
      ],
    ],
    [
      'scan',
      (release: Release, other: Release) => [
        storeKeys.statement(release.scan.digest),
        canonicalBytes(other.scan.envelope).toString(),
      ],
    ],
  ] as const)(
    'attack: the %s of another good release in its place is refused, and by `custody verify`',
    async (_, swap) => {
      const [release, other] = [await site.admit(), await site.admit({ version: '1.1.0' })];
      const [key = '', text = ''] = swap(release, other);
      serveInstead(key, Buffer.from(text));
      host = await site.begin();
      await expect(host.start(release.name, release.release)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
      await expect(mayServe(site.records, release.name, release.release)).rejects.toMatchObject({
        code: 'DIGEST_MISMATCH',
      });
      await expectNothing(release);
      expect(site.vault.opened).toBe(0);
    },
  );

  it('attack: a record that leads to another release is refused, and by `custody verify`', async () => {
    const [release, other] = [await site.admit(), await site.admit({ version: '1.1.0' })];
    const record = await site.bucket.read(storeKeys.record(other.name, 'ingested'));
    serveInstead(storeKeys.record(release.name, 'ingested'), Buffer.from(record?.body ?? []));
    host = await site.begin();
    await expect(host.start(release.name, release.release)).rejects.toThrow();
    await expect(mayServe(site.records, release.name, release.release)).rejects.toThrow();
    await expectNothing(release);
  });

  it('attack: another key in the place of a file’s, or the keys of two files exchanged, open nothing', async () => {
    const release = await site.admit();
    const [weights, config] = [keyOf(release, 'weights.safetensors'), keyOf(release, 'config.json')];
    host = await site.begin();
    site.vault.files.set(weights.sha256, { ...weights, key: Buffer.alloc(32, 7) });
    await expect(host.start(release.name, release.release)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    await expectNothing(release);
    site.vault.files.set(weights.sha256, { ...weights, key: config.key });
    site.vault.files.set(config.sha256, { ...config, key: weights.key });
    await expect(host.start(release.name, release.release)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    await expectNothing(release);
    expect((await site.desk.holds(1))[0]?.predicate.reason).toMatch(/^DIGEST_MISMATCH/);
  });
});

describe('between load and reload', () => {
  it('attack: evidence that was exchanged meanwhile keeps a good copy from being started again', async () => {
    const [release, other] = [await site.admit(), await site.admit({ version: '1.1.0' })];
    host = await site.begin();
    await host.start(release.name, release.release);
    await host.end();
    site.gateway.heard.length = 0;
    serveInstead(storeKeys.statement(sha256(release.bundle)), Buffer.from(other.bundle));
    host = await site.begin();
    const [incident] = await site.desk.holds(1);
    expect(incident?.predicate.reason).toMatch(/^DIGEST_MISMATCH/);
    await expect.poll(() => site.copies()).toEqual([]);
    await expectNothing(release);
  });
});

it('lists the same checks at each load, at each start again and in `custody verify`, and keeps them in its log', async () => {
  const release = await site.admit();
  host = await site.begin();
  await host.start(release.name, release.release);
  await host.end();
  host = await site.begin();
  await site.gateway.hears(({ subject }) => subject === release.release);
  const logged = site.logged.flatMap(({ fields }) => ('checks' in fields ? [fields.checks] : []));
  const { checks } = await mayServe(site.records, release.name, release.release);
  const told = checks.map(({ name, ok, detail }) => ({ name, ok, detail }));
  const bytes = [
    { name: 'copy', ok: true },
    { name: 'seal', ok: true },
  ];
  expect(logged).toMatchObject([
    [...told, ...bytes],
    [...told, ...bytes],
  ]);
  const checked = await checkRelease(site.records, release.name, release.release, await newestStatus(site.records));
  expect(checksToLoad(checked)).toEqual(checks);
});
