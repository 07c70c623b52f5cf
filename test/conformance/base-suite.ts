import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Bucket } from '../../adapters/object-store/port.js';
import { openSealed } from '../../adapters/sealed.js';
import type { ReleaseDescription } from '../../adapters/source/pack.js';
import { MANIFEST_FILE } from '../../domain/manifest.js';
import type { ScanPredicate } from '../../domain/scan.js';
import type { SignedEnvelope } from '../../domain/statements.js';
import { storeKeys } from '../../domain/store-keys.js';
import { isoTime } from '../../domain/time.js';
import type { OpenedFile } from '../../domain/vault.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { sha256 } from '../../formats/sha256.js';
import { createSite, digestOf, type Admitted, type BuildOn, type Made, type Site } from '../support/based.js';
import { DESCRIPTION, FILES } from '../unit/ingest/intake.js';
import type { Attackable } from './object-store-suite.js';

const CHANGED = { 'config.json': '{"hidden":4,"note":"x"}\n' };
const refused = (code: string, message = /./): unknown =>
  expect.objectContaining({ code, message: expect.stringMatching(message) as string });

/** What taking over must do, and refuse, on every store behind the port. */
export function baseSuite(title: string, store: () => Attackable): void {
  describe(title, () => {
    let site: Site;
    let base: Made;

    beforeEach(async () => {
      site = await createSite(await store().bucket({ objectLock: true, versioning: true }));
      const admitted = await site.admit(FILES, DESCRIPTION);
      base = await site.release(admitted, await site.ingest(admitted));
      site.read.length = 0;
    });

    const next = (
      on: Partial<BuildOn> = {},
      description: Partial<ReleaseDescription> = {},
      files: Readonly<Record<string, string | Buffer>> = CHANGED,
    ): Promise<Admitted> =>
      site.admit(
        files,
        { ...DESCRIPTION, version: '1.1.0', ...description },
        { base: { ...base.name, ...base }, ...on },
      );

    const weights = () => digestOf(base, 'weights.safetensors');
    const holders = () => site.vault.holders(weights());
    const blobOf = async (): Promise<OpenedFile<Buffer>> => {
      const entry = await site.vault.vault.ledger.living(weights());
      if (!entry?.stored) throw new Error('the weights are not stored');
      return { sha256: weights(), blob: entry.blob, key: Buffer.alloc(32), ...entry.stored };
    };
    const scanOf = async ({ scan }: { readonly scan: string }): Promise<ScanPredicate> =>
      (await site.records.get('scan', scan)).verified.predicate;
    async function refusedToTake(admitted: Admitted, code: string, message?: RegExp): Promise<void> {
      await expect(site.ingest(admitted)).rejects.toEqual(refused(code, message));
      expect(await holders()).toEqual([base.release]);
    }

    describe('taking over', () => {
      it('reads nothing but what changed, and holds the keys and locks of the rest', async () => {
        const admitted = await next();
        const ingested = await site.ingest(admitted);
        expect(site.read).toEqual(['config.json']);
        expect(ingested).toMatchObject({ release: admitted.release, files: 3 });
        expect(await holders()).toEqual([base.release, admitted.release]);
        const scan = await scanOf(ingested);
        const before = await scanOf(base.ingested);
        expect(scan).toMatchObject({ verdict: 'clean', reader: before.reader, formats: before.formats });
        expect(scan.takenFrom).toEqual({ release: base.release, files: 2, reused: 2, scan: base.ingested.scan });
        const report = JSON.parse((await site.records.getBytes(scan.report)).toString('utf8')) as {
          files: { path: string; takenFrom?: string }[];
        };
        expect(report.files.map(({ path, takenFrom }) => [path, takenFrom])).toEqual([
          ['config.json', undefined],
          ['nested/labels.json', 'base'],
          ['weights.safetensors', 'base'],
        ]);
        const { blob, versionId } = await blobOf();
        const head = await site.bucket.head(storeKeys.blob(blob), versionId);
        expect(head?.lock?.mode).toBe('COMPLIANCE');
      });

      it('answers the same again, and one release can be built on the next', async () => {
        const admitted = await next();
        const ingested = await site.ingest(admitted);
        expect(await site.ingest(admitted)).toEqual(ingested);
        const second = await site.release(admitted, ingested);
        site.read.length = 0;
        const third = await next(
          { base: { ...second.name, ...second } },
          { version: '1.2.0' },
          { 'config.json': '{}' },
        );
        await site.ingest(third);
        expect(site.read).toEqual(['config.json']);
        expect(await holders()).toEqual([base.release, second.release, third.release]);
      });

      it('states the same changes and facts as if everything had been read', async () => {
        const taken = await site.records.get('change', (await site.ingest(await next())).change);
        const whole = await site.admit({ ...FILES, ...CHANGED }, { ...DESCRIPTION, version: '1.1.0' });
        const read = await site.records.get('change', (await site.ingest(whole)).change);
        expect(taken.verified.predicate).toEqual(read.verified.predicate);
      });

      it('hands out what it takes over, byte for byte, so that it is tried with the rest', async () => {
        await site.ingest(await next());
        const [request] = site.vault.reopened;
        if (request === undefined) throw new Error('nothing was reopened');
        for (const file of await site.vault.reopen(request)) {
          const chunks: Buffer[] = [];
          for await (const chunk of openSealed(site.bucket, file, 'a file')) chunks.push(Buffer.from(chunk));
          expect(sha256(Buffer.concat(chunks))).toBe(file.sha256);
        }
      });

      it('is no matter of a name: the same bytes under another path are read, and stored once', async () => {
        const renamed = { 'renamed.json': FILES['nested/labels.json'] as string };
        const admitted = await next(
          { removed: ['nested/labels.json'] },
          {
            components: [
              { name: 'weights', kind: 'weights', files: ['weights.safetensors'] },
              { name: 'config', kind: 'config', files: ['config.json', 'renamed.json'] },
            ],
          },
          renamed,
        );
        await site.ingest(admitted);
        expect(site.read).toEqual(['renamed.json']);
        expect(await site.vault.holders(digestOf(base, 'nested/labels.json'))).toContain(admitted.release);
      });

      it('keeps keys from erasure for as long as a release that is not erased holds them', async () => {
        const admitted = await next();
        await site.ingest(admitted);
        const { evidence, request } = site.world.retirement({ ...base, manifestText: await textOf(base) } as never);
        const said = {
          environment: 'test',
          ...base.name,
          reason: 'replaced',
          request: request.digest,
          issuedAt: isoTime(Date.now()),
        };
        const subject = { name: 'digits', sha256: base.release };
        const revocation = site.world.statement('revocation', subject, said, 'release-signer').envelope;
        const answer = await site.vault.ask<{ kept: { path: string }[]; destroyed: { path: string }[] }>(
          'destroy',
          { release: base.release, evidence, revocation },
          'destroy',
        );
        expect(answer.kept.map(({ path }) => path)).toEqual(['nested/labels.json', 'weights.safetensors']);
        expect(answer.destroyed.map(({ path }) => path)).toEqual(['config.json']);
        expect(await holders()).toEqual([admitted.release]);
        const [again] = site.vault.reopened;
        if (again === undefined) throw new Error('nothing was reopened');
        await expect(site.vault.reopen(again)).rejects.toEqual(refused('ERASED'));
      });
    });

    describe('looks again, from custody, where looking might find something else', () => {
      const everything = ['config.json', 'nested/labels.json', 'weights.safetensors'];

      async function expectReadAnew(admitted: Admitted): Promise<void> {
        const scan = await scanOf(await site.ingest(admitted));
        expect(site.read.slice(-3)).toEqual(everything);
        expect(scan.takenFrom).toEqual({ release: base.release, files: 2, reused: 0, scan: null });
      }

      it('with another reader', async () => {
        const { inspect } = site;
        site.inspect = async (...asked) => ({ ...(await inspect(...asked)), reader: sha256('a newer one') });
        await expectReadAnew(await next());
      });

      it('where the scan does not say what has read the files', async () => {
        const admitted = await site.admit(FILES, { ...DESCRIPTION, version: '1.0.1' });
        const ingested = await site.ingest(admitted);
        const { reader, ...said } = await scanOf(ingested);
        expect(reader).toBeDefined();
        const subject = { name: 'digits', sha256: admitted.release };
        const scan = await site.records.keep(site.world.statement('scan', subject, said, 'intake').envelope);
        base = await site.release(admitted, { ...ingested, scan });
        await expectReadAnew(await next());
      });

      it('isolated otherwise', async () => {
        const { inspect } = site;
        site.inspect = async (...asked) => ({ ...(await inspect(...asked)), isolation: 'bubblewrap' });
        await expectReadAnew(await next());
      });

      it('under other rules', async () => {
        const { envelope, policy } = site.world.nextPolicy((before) => ({
          ...before,
          artifacts: { ...before.artifacts, maxFiles: 999 },
        }));
        await site.records.keep(envelope, storeKeys.policy(2));
        const admitted = await next();
        const request = site.world.request(
          { name: 'digits', sha256: base.release },
          {
            ...(await site.records.get('request', admitted.admission.request)).verified.predicate,
            policy: sha256(canonicalBytes(policy)),
          },
          'ci',
        );
        await site.records.keep(request.envelope, storeKeys.request(request.digest));
        const admission = { ...admitted.admission, request: request.digest, policy: request.predicate.policy };
        await expectReadAnew({ ...admitted, admission });
      });

      it('in a component whose kind is another, which decides what code may be in it', async () => {
        const components = [
          { name: 'weights', kind: 'weights' as const, files: ['weights.safetensors'] },
          { name: 'config', kind: 'config' as const, version: '1.1.0', files: ['config.json'] },
          { name: 'labels', kind: 'serving' as const, files: ['nested/labels.json'] },
        ];
        await site.ingest(await next({}, { components, version: '2.0.0' }));
        expect(site.read).toEqual(['config.json', 'nested/labels.json']);
      });
    });

    describe('attack', () => {
      it('a scan record that was put in its place is not the one that people approved', async () => {
        const key = storeKeys.record(base.name, 'ingested');
        const forged = { ...base.ingested, scan: sha256('a better one') };
        const { bucket } = site;
        site.bucket = reading(bucket, key, canonicalBytes(forged));
        await refusedToTake(await next(), 'POLICY_REFUSED', /has not been released here/);
        const subject = { name: 'digits', sha256: base.release };
        const better = { ...(await scanOf(base.ingested)), reader: sha256('a reader of mine') };
        const digest = await site.records.keep(site.world.statement('scan', subject, better, 'intake').envelope);
        site.bucket = reading(bucket, key, canonicalBytes({ ...base.ingested, scan: digest }));
        await refusedToTake(await next({}, { version: '1.1.1' }), 'REPLAYED', /another scan/);
      });

      it('an edited scan report is not the one that was signed', async () => {
        const { report } = await scanOf(base.ingested);
        const key = storeKeys.statement(report);
        const text = (await site.records.getBytes(report)).toString('utf8');
        site.bucket = reading(site.bucket, key, Buffer.from(text.replace('"safetensors"', '"json"')));
        await refusedToTake(await next(), 'DIGEST_MISMATCH');
      });

      it('another model’s release is no base, whoever may produce both', async () => {
        const description = { ...DESCRIPTION, model: 'letters' };
        const admitted = await site.admit({ ...FILES, 'config.json': '{"hidden":5}\n' }, description);
        const letters = await site.release(admitted, await site.ingest(admitted));
        const on = { base: { ...letters.name, ...letters } };
        await expect(site.ingest(await next(on))).rejects.toEqual(refused('POLICY_REFUSED', /another model/));
        expect(await site.vault.holders(digestOf(letters, 'config.json'))).toEqual([letters.release]);
      });

      it('what its producer does not name as the base is not taken over from it', async () => {
        const admitted = await next({ named: null });
        await refusedToTake(admitted, 'DIGEST_MISMATCH', /missing/);
        const wrong = { ...base.name, release: sha256('another') };
        await refusedToTake(await next({ named: wrong }, { version: '1.1.1' }), 'DIGEST_MISMATCH');
      });

      it('a base that was never released is none', async () => {
        const admitted = await site.admit({ ...FILES, 'config.json': '[]' }, { ...DESCRIPTION, version: '1.9.0' });
        const ingested = await site.ingest(admitted);
        const on = { base: { ...admitted.name, ...admitted, ...ingested } };
        const before = await holders();
        await expect(site.ingest(await next(on))).rejects.toEqual(refused('POLICY_REFUSED', /not been released here/));
        expect(await holders()).toEqual(before);
      });

      it('a base that is revoked, killed or on its way out is none', async () => {
        const admitted = await next();
        await site.status({
          version: Date.now() + 1,
          revoked: [],
          kills: [{ model: 'digits', order: sha256('kill') }],
        });
        await refusedToTake(admitted, 'POLICY_REFUSED', /killed/);
        await site.status({ version: Date.now() + 2, revoked: [], kills: [] });
        const retirement = storeKeys.record(base.name, 'retirement');
        const { bucket } = site;
        site.bucket = reading(bucket, retirement, Buffer.from('{}'));
        await refusedToTake(admitted, 'POLICY_REFUSED', /retired/);
        site.bucket = reading(bucket, storeKeys.revocation(base.release), Buffer.from('{}'));
        await refusedToTake(admitted, 'REVOKED');
        site.bucket = bucket;
        await site.status({ version: Date.now() + 3, revoked: [base.release] });
        await refusedToTake(admitted, 'REVOKED');
      });

      it('a base that is revoked while the release is looked into is not taken over from', async () => {
        const admitted = await next();
        const { inspect } = site;
        site.inspect = async (...asked) => {
          await site.status({ version: Date.now() + 1, revoked: [base.release] });
          return inspect(...asked);
        };
        await refusedToTake(admitted, 'REVOKED');
      });

      it('a base that is revoked between ingest and validation is not read for it', async () => {
        const admitted = await next();
        const ingested = await site.ingest(admitted);
        await site.status({ version: Date.now() + 1, revoked: [base.release] });
        await expect(site.validate(admitted, ingested)).rejects.toEqual(refused('REVOKED'));
      });

      it('a version that was put over the blob is not what was stored', async () => {
        const { blob, versionId, ...stored } = await blobOf();
        const key = storeKeys.blob(blob);
        const over = await store().overwrite(site.bucket.name, key, Buffer.alloc(stored.ciphertextSize));
        const admitted = await next();
        await site.ingest(admitted);
        const { ledger } = site.vault.vault;
        const entry = await ledger.living(weights());
        if (!entry?.stored) throw new Error('the weights are not stored');
        await ledger.replace(entry, { ...entry, stored: { ...entry.stored, versionId: over ?? '' } });
        await expect(site.ingest(admitted)).rejects.toEqual(refused('WORM_VIOLATED', /not the first one/));
        expect(versionId).not.toBe(over);
      });

      it('a blob whose lock is over, missing or about to lapse is not relied on', async () => {
        const { blob } = await blobOf();
        const key = storeKeys.blob(blob);
        const { bucket } = site;
        const admitted = await next();
        for (const [lock, message] of [
          [{ mode: 'COMPLIANCE', retainUntil: isoTime(Date.now() + 5_000) }, /about to be/],
          [{ mode: 'COMPLIANCE', retainUntil: isoTime(Date.now() - 5_000) }, /is over/],
          [{ mode: 'GOVERNANCE', retainUntil: isoTime(Date.now() + 9_000_000) }, /not locked/],
          [null, /not locked/],
        ] as const) {
          site.bucket = locked(bucket, key, lock);
          await expect(site.ingest(admitted)).rejects.toEqual(refused('WORM_VIOLATED', message));
        }
        site.bucket = bucket;
        await site.ingest(admitted);
      });

      it('an intake that claims what the base has not, or has elsewhere, gets no key of the vault', async () => {
        const other = await site.admit(
          { ...FILES, 'config.json': '{"secret":1}' },
          { ...DESCRIPTION, version: '1.5.0' },
        );
        await site.ingest(other);
        await site.ingest(await next());
        const [request] = site.vault.reopened;
        if (request === undefined) throw new Error('nothing was reopened');
        const secret = digestOf(other, 'config.json');
        await expect(site.vault.reopen({ ...request, sha256s: [secret] })).rejects.toEqual(
          refused('NOT_AUTHORISED', /has of its base/),
        );
        expect(await site.vault.holders(secret)).toEqual([other.release]);
        // It is in the new manifest, and not what the base has under that path.
        const own = [sha256(CHANGED['config.json'])];
        await expect(site.vault.reopen({ ...request, sha256s: own })).rejects.toEqual(refused('NOT_AUTHORISED'));
        const manifest = request.evidence.manifest.replace(sha256(CHANGED['config.json']), secret);
        const forged = { ...request, sha256s: [secret], evidence: { ...request.evidence, manifest } };
        await expect(site.vault.reopen(forged)).rejects.toEqual(refused('DIGEST_MISMATCH'));
      });

      it('what was shown to the vault serves for nothing else, and for nothing later', async () => {
        const admitted = await next();
        await site.ingest(admitted);
        const [request] = site.vault.reopened;
        if (request === undefined) throw new Error('nothing was reopened');
        const { evidence, sha256s } = request;
        expect(await site.vault.reopen(request)).toEqual(await site.vault.reopen(request));
        expect(await holders()).toEqual([base.release, admitted.release]);
        const other = await next({}, { version: '1.1.1' });
        await site.ingest(other);
        const second = site.vault.reopened.at(-1)?.evidence ?? evidence;
        const swaps: readonly (readonly [string, Partial<typeof evidence>])[] = [
          ['REPLAYED', { provenance: second.provenance }],
          ['REPLAYED', { admission: second.admission }],
          ['DIGEST_MISMATCH', { bundle: second.bundle }],
          ['STATUS_STALE', { base: { ...evidence.base, status: null } }],
          ['UNSIGNED', { base: { ...evidence.base, signature: null } }],
        ];
        for (const [code, swap] of swaps)
          await expect(site.vault.reopen({ sha256s, evidence: { ...evidence, ...swap } })).rejects.toEqual(
            refused(code),
          );
        const asked = (await site.records.get('request', admitted.admission.request)).verified.predicate;
        const times = { issuedAt: site.world.at(-7200), expiresAt: site.world.at(-3600) };
        const old = site.world.request({ name: 'digits', sha256: base.release }, { ...asked, ...times }, 'ci').envelope;
        await expect(site.vault.reopen({ sha256s, evidence: { ...evidence, admission: old } })).rejects.toEqual(
          refused('EXPIRED'),
        );
        const revoked = site.world.status({ version: Date.now() + 5, revoked: [base.release] }).envelope;
        const late = { ...evidence, base: { ...evidence.base, status: revoked } };
        await expect(site.vault.reopen({ sha256s, evidence: late })).rejects.toEqual(refused('REVOKED'));
        // It has seen it now.
        await expect(site.vault.reopen(request)).rejects.toEqual(refused('STATUS_STALE'));
      });

      it('a scan that takes over from another release than the producer names lets nobody load it', async () => {
        const admitted = await next();
        const ingested = await site.ingest(admitted);
        const { takenFrom, ...said } = await scanOf(ingested);
        const subject = { name: 'digits', sha256: admitted.release };
        const forge = async (predicate: ScanPredicate): Promise<string> => {
          const envelope: SignedEnvelope = site.world.statement('scan', subject, predicate, 'intake').envelope;
          return site.records.keep(envelope);
        };
        if (takenFrom === undefined) throw new Error('the scan takes nothing over');
        const scan = await forge({ ...said, takenFrom: { ...takenFrom, release: sha256('another') } });
        const second = await site.release(admitted, { ...ingested, scan });
        const on = { base: { ...second.name, ...second } };
        await expect(site.ingest(await next(on, { version: '1.2.0' }))).rejects.toEqual(
          refused('REPLAYED', /takes files over/),
        );
      });

      it('a taken file in the folder counts for nothing, and one that is neither there nor the base’s is missing', async () => {
        const admitted = await next();
        await writeFile(join(admitted.source, 'weights.safetensors'), 'short');
        await refusedToTake(admitted, 'DIGEST_MISMATCH', /changed/);
        await rm(join(admitted.source, 'weights.safetensors'));
        await rm(join(admitted.source, 'config.json'));
        await refusedToTake(admitted, 'DIGEST_MISMATCH', /missing/);
        await rm(join(admitted.source, MANIFEST_FILE));
        await refusedToTake(admitted, 'INPUT_EMPTY');
      });
    });

    async function textOf({ release }: Made): Promise<string> {
      return (await site.records.getBytes(release, storeKeys.manifest)).toString('utf8');
    }
  });
}

/** A store that somebody has brought to answer something else under one key. */
function reading(bucket: Bucket, key: string, body: Buffer): Bucket {
  return changed(bucket, {
    read: async (asked) =>
      asked === key ? { body, versionId: 'v', etag: 'e', storedAt: isoTime(Date.now()) } : bucket.read(asked),
  });
}

function locked(bucket: Bucket, key: string, lock: NonNullable<Awaited<ReturnType<Bucket['head']>>>['lock']): Bucket {
  return changed(bucket, {
    head: async (asked, version) => {
      const head = await bucket.head(asked, version);
      return head === null || asked !== key ? head : { ...head, lock };
    },
  });
}

function changed(bucket: Bucket, change: Partial<Bucket>): Bucket {
  return new Proxy(bucket, {
    get: (target, name: keyof Bucket) => {
      const found = change[name] ?? target[name];
      return typeof found === 'function' ? (found as () => unknown).bind(target) : found;
    },
  });
}
