import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exchange } from '../../adapters/exchange.js';
import { createVaultClient } from '../../adapters/vault/client.js';
import type { ReleaseEvidence } from '../../domain/evidence.js';
import type { ErrorCode } from '../../domain/errors.js';
import { lifecycleId } from '../../domain/names.js';
import type { RevocationPredicate, SignedEnvelope } from '../../domain/statements.js';
import { isoTime } from '../../domain/time.js';
import type { ClaimAnswer, DestroyAnswer, OpenedFile } from '../../domain/vault.js';
import { generateKey, importPrivateKey } from '../../formats/keys.js';
import { omsResources } from '../../formats/manifest.js';
import { signOms } from '../../formats/oms.js';
import { decryptStream, encryptStream } from '../../formats/streaming-aead.js';
import { sha256 } from '../../formats/sha256.js';
import { FORGERIES } from '../support/forgeries.js';
import { createWorld, type KeyName, type Release, type World } from '../support/world.js';
import { codeOf, digestsOf, filesUnder, ingest, VaultBench, versionOf, type VaultProcess } from './vault-process.js';

/** What a vault promises, wherever its keys are. */
export function vaultSuite(wrapped: boolean): void {
  let bench: VaultBench;
  let world: World;
  /** In how many files of the vault's folder a living key stands. */
  const copies = wrapped ? 0 : 1;

  beforeAll(async () => {
    bench = await VaultBench.create(wrapped);
    world = createWorld();
  });

  afterAll(() => bench.close());

  /** The key of the only new blob a claim makes. */
  function keyOf(answer: ClaimAnswer<Buffer>): Buffer {
    if (answer.state !== 'new') throw new Error(`the bytes were ${answer.state} already`);
    return answer.key;
  }

  /** Opens all files with a status document made now. */
  function open(
    { client }: Pick<VaultProcess, 'client'>,
    release: Release,
    evidence: Partial<ReleaseEvidence> = {},
  ): Promise<readonly OpenedFile<Buffer>[]> {
    const status = world.status().envelope;
    return client.open({ sha256s: digestsOf(release), evidence: { ...release.evidence, status, ...evidence } });
  }

  function revocation(
    release: Release,
    request: string,
    by: KeyName = 'release-signer',
    overrides: Partial<RevocationPredicate> = {},
  ): SignedEnvelope {
    const { environment } = world;
    const said = { environment, ...release.name, reason: 'replaced', request, issuedAt: isoTime(Date.now()) };
    const subject = { name: lifecycleId(release.name), sha256: release.release };
    return world.statement('revocation', subject, { ...said, ...overrides }, by).envelope;
  }

  function retire(release: Release, retirement = world.retirement(release)) {
    const { evidence, request } = retirement;
    return { release: release.release, evidence, revocation: revocation(release, request.digest) };
  }

  /** Over exactly the release's files, with a key that is in no policy. */
  function strangersSignature({ manifest, manifestText }: Release): string {
    const key = importPrivateKey(generateKey('ecdsa-p256').privatePem);
    return signOms('digits', omsResources(manifest, Buffer.from(manifestText)), key).toString('utf8');
  }

  async function collect(stream: AsyncIterable<Buffer>): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(Buffer.from(chunk));
    return Buffer.concat(chunks);
  }

  async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
    yield bytes;
  }

  async function filesWith(folder: string, secret: Buffer): Promise<string[]> {
    const forms = [secret, Buffer.from(secret.toString('base64')), Buffer.from(secret.toString('hex'))];
    return [...(await filesUnder(folder))].flatMap(([path, bytes]) =>
      forms.some((form) => bytes.includes(form)) ? [path] : [],
    );
  }

  describe('a vault', () => {
    let vault: VaultProcess;
    let state: string;

    beforeAll(async () => {
      state = await bench.state();
      vault = await bench.start(state, world.root);
    });

    it('gives serving the key and the place of what intake has encrypted', async () => {
      const release = world.release({ version: '1.0.0' });
      const [path, plain] = [...release.files][0] ?? ['', Buffer.alloc(0)];
      const digest = sha256(plain);
      const claimed = await vault.client.claim({ sha256: digest, size: plain.length, release: release.release });
      const cipher = await collect(encryptStream(once(plain), keyOf(claimed), Buffer.from(digest, 'hex')));
      const place = { versionId: 'v1', ciphertext: sha256(cipher), ciphertextSize: cipher.length };
      await vault.client.stored({ sha256: digest, blob: claimed.blob, ...place });
      await ingest(vault, release);

      const opened = await open(vault, release);
      expect(opened.map((file) => file.sha256)).toEqual(digestsOf(release));
      const { key, ...found } = opened[digestsOf(release).indexOf(digest)] ?? { key: Buffer.alloc(0) };
      expect(found, path).toEqual({ sha256: digest, blob: claimed.blob, ...place });
      expect(await collect(decryptStream(once(cipher), key, Buffer.from(digest, 'hex')))).toEqual(plain);
    });

    it('gives the same blob and key to everybody who claims bytes that are not stored, and keeps the first report', async () => {
      const asked = { sha256: sha256('shared'), size: 6 };
      const answers = await Promise.all(
        ['a', 'b', 'a', 'c'].map((name) => vault.client.claim({ ...asked, release: sha256(name) })),
      );
      const [first] = answers;
      for (const answer of answers) expect(answer).toEqual(first);
      const blob = first?.blob ?? '';
      const report = (versionId: string) =>
        vault.client.stored({
          sha256: asked.sha256,
          blob,
          versionId,
          ciphertext: sha256(versionId),
          ciphertextSize: 62,
        });
      const kept = await report('v1');
      expect(await report('v2')).toEqual(kept);
      expect(kept).toMatchObject({ blob, versionId: 'v1', ciphertext: sha256('v1') });
      expect(await vault.client.claim({ ...asked, release: sha256('d') })).toEqual({ state: 'stored', ...kept });
      const entry = JSON.parse(await readFile(join(state, 'entries', `${asked.sha256}.json`), 'utf8')) as object;
      expect(entry).toMatchObject({ holders: ['a', 'b', 'c', 'd'].map((name) => sha256(name)) });
    });

    it('refuses a claim of the same bytes with another size, and a report for a blob that nobody claimed', async () => {
      const asked = { sha256: sha256('sized'), size: 5, release: sha256('a') };
      await vault.client.claim(asked);
      expect(await codeOf(vault.client.claim({ ...asked, size: 6 }))).toBe('DIGEST_MISMATCH');
      const place = { versionId: 'v1', ciphertext: sha256('x'), ciphertextSize: 61 };
      const other = { sha256: asked.sha256, blob: '0'.repeat(32), ...place };
      expect(await codeOf(vault.client.stored(other))).toBe('REPLAYED');
    });

    it('answers PENDING for a file that was claimed and never stored', async () => {
      const release = world.release({ version: '1.0.1', files: { 'only-claimed.json': '{}' } });
      for (const { sha256, size } of release.manifest.files)
        await vault.client.claim({ sha256, size, release: release.release });
      expect(await codeOf(open(vault, release))).toBe('PENDING');
    });

    describe('opens nothing', () => {
      let release: Release;

      beforeAll(async () => {
        release = world.release({ version: '2.0.0' });
        await ingest(vault, release);
      });

      it.each<[string, ErrorCode, () => Partial<ReleaseEvidence>]>([
        ['of an unsigned release', 'UNSIGNED', () => ({ signature: null })],
        [
          "of a release with a stranger's release signature",
          'SIGNATURE_INVALID',
          () => ({ signature: strangersSignature(release) }),
        ],
        [
          "of a release with the producer's signature in place of the release signature",
          'SIGNATURE_INVALID',
          () => ({ signature: release.evidence.bundle }),
        ],
        ['of a release that nobody has approved', 'NOT_AUTHORISED', () => ({ approvals: [] })],
        [
          'of a release that only its requester has approved',
          'NOT_AUTHORISED',
          () => ({ approvals: [world.approve(release.request, 'ci').envelope] }),
        ],
        ['without a status document', 'STATUS_STALE', () => ({ status: null })],
        [
          'with a status document that has expired',
          'STATUS_STALE',
          () => ({ status: world.status({ issuedAt: world.at(-500), expiresAt: world.at(-5) }).envelope }),
        ],
        [
          'with a status document that control has not signed',
          'NOT_AUTHORISED',
          () => ({ status: world.status({}, 'serving').envelope }),
        ],
        [
          'with a status document of another environment',
          'REPLAYED',
          () => ({ status: world.status({ environment: 'prod' }).envelope }),
        ],
        [
          'with a status document whose version is a time to come',
          'STATUS_STALE',
          () => ({ status: world.status({ version: 2 ** 53 - 1 }).envelope }),
        ],
        [
          'with the test result of another release',
          'REPLAYED',
          () => ({ testResult: world.release({ version: '2.0.1' }).testResult.envelope }),
        ],
        ...FORGERIES.map(([how, options, code]): [string, ErrorCode, () => Partial<ReleaseEvidence>] => [
          `with ${how}`,
          code,
          () => world.release({ version: '2.0.0', ...options }).evidence,
        ]),
        ['without a policy', 'MALFORMED', () => ({ policies: [] })],
      ])('%s', async (_, code, change) => {
        expect(await codeOf(open(vault, release, change()))).toBe(code);
        expect(await open(vault, release)).toHaveLength(release.manifest.files.length);
      });

      it('under policies that another root has signed', async () => {
        const foreign = createWorld().release({ version: '2.0.0' });
        expect(await codeOf(open(vault, release, { policies: foreign.evidence.policies }))).toBe('SIGNATURE_INVALID');
      });

      it('that the manifest does not list, even together with files that it lists', async () => {
        const other = world.release({ version: '2.0.2', files: { 'secret.json': '{"other":true}' } });
        await ingest(vault, other);
        // Even an intake that claims the bytes in this release's name.
        for (const { sha256, size } of other.manifest.files)
          await vault.client.claim({ sha256, size, release: release.release });
        const sha256s = [...digestsOf(release), ...digestsOf(other)];
        const evidence = { ...release.evidence, status: world.status().envelope };
        expect(await codeOf(vault.client.open({ sha256s, evidence }))).toBe('NOT_AUTHORISED');
      });

      it('that the release lists, but that intake never claimed for it', async () => {
        const thief = world.release({
          version: '2.0.3',
          files: { 'config.json': release.files.get('config.json') ?? '' },
        });
        expect(digestsOf(release)).toEqual(expect.arrayContaining(digestsOf(thief)));
        expect(await codeOf(open(vault, thief))).toBe('NOT_AUTHORISED');
      });

      it('with an older status document than it has seen, also after a restart', async () => {
        const own = await bench.state();
        let other = await bench.start(own, world.root);
        await ingest(other, release);
        const older = world.status({ version: Date.now() - 1000 }).envelope;
        await open(other, release);
        expect(await codeOf(open(other, release, { status: older }))).toBe('STATUS_STALE');
        await other.kill();
        other = await bench.start(own, world.root);
        expect(await codeOf(open(other, release, { status: older }))).toBe('STATUS_STALE');
        await open(other, release);
      });

      it('of a release that it has seen revoked, whatever a later status document leaves out', async () => {
        const own = await bench.state();
        let other = await bench.start(own, world.root);
        const neighbour = world.release({ version: '2.0.4' });
        await ingest(other, release);
        await ingest(other, neighbour);
        const revoked = world.status({ revoked: [release.release] }).envelope;
        // It is the neighbour's load that shows the vault the revocation.
        await open(other, neighbour, { status: revoked });
        expect(await codeOf(open(other, release))).toBe('REVOKED');
        await other.kill();
        other = await bench.start(own, world.root);
        expect(await codeOf(open(other, release))).toBe('REVOKED');
        const [file] = release.manifest.files;
        const claim = { sha256: file?.sha256 ?? '', size: file?.size ?? 0, release: release.release };
        expect(await codeOf(other.client.claim(claim))).toBe('REVOKED');
      });

      it('under an older policy than it has seen, nor under another one of the same version', async () => {
        const own = await bench.state();
        let other = await bench.start(own, world.root);
        await ingest(other, release);
        const { policyEnvelope } = world;
        const second = world.nextPolicy((policy) => policy).envelope;
        const fork = world.nextPolicy((policy) => ({ ...policy, rollback: { warmReleases: 3 } })).envelope;
        await open(other, release, { policies: [policyEnvelope, second] });
        await other.kill();
        other = await bench.start(own, world.root);
        expect(await codeOf(open(other, release))).toBe('STATUS_STALE');
        expect(await codeOf(open(other, release, { policies: [policyEnvelope, fork] }))).toBe('POLICY_REFUSED');
        await open(other, release, { policies: [policyEnvelope, second] });
      });
    });
  });

  describe('destruction', () => {
    let vault: VaultProcess;
    let state: string;

    beforeAll(async () => {
      state = await bench.state();
      vault = await bench.start(state, world.root);
    });

    it('leaves nothing of the keys, says so to everybody who asks, and answers the same when asked again', async () => {
      const release = world.release({
        version: '3.0.0',
        files: { 'a.json': '[3]', 'b.json': '[3,0]', 'c.json': '[3]' },
      });
      const keys = await ingest(vault, release);
      const blobs = new Map((await open(vault, release)).map(({ sha256: digest, blob }) => [digest, blob] as const));
      for (const key of keys.values()) expect(await filesWith(state, key)).toHaveLength(copies);

      const asked = retire(release);
      const answer = await vault.client.destroy(asked);
      expect(answer.destroyed).toEqual(
        release.manifest.files.map(({ path, sha256 }) => ({ path, sha256, blob: blobs.get(sha256) })),
      );
      expect(answer.kept).toEqual([]);
      expect(answer.remains).toHaveLength(2);
      for (const { blob, versionId } of answer.remains) expect(versionId).toBe(versionOf(blob));
      for (const key of keys.values()) expect(await filesWith(state, key)).toEqual([]);
      for (const { blob } of answer.remains) {
        expect([...(await filesUnder(join(state, 'keys'))).keys()]).not.toContain(join(state, 'keys', blob));
        expect(await vault.client.probe(blob)).toMatchObject({ refused: true });
      }
      expect(await codeOf(open(vault, release))).toBe('ERASED');
      expect(await codeOf(open(vault, release, { status: null }))).toBe('ERASED');
      expect(await vault.client.destroy(asked)).toEqual(answer);
      expect(await codeOf(vault.client.destroy(retire(release)))).toBe('REPLAYED');
    });

    it('spares what a living release holds, and takes it when the last holder goes', async () => {
      const shared = { 'shared.json': '{"shared":1}' };
      const first = world.release({ version: '3.1.0', files: { ...shared, 'own.json': '[1]' } });
      const second = world.release({ version: '3.1.1', files: { ...shared, 'other.json': '[2]' } });
      await ingest(vault, first);
      await ingest(vault, second);
      const answer = await vault.client.destroy(retire(first));
      expect(answer.destroyed.map(({ path }) => path)).toEqual(['own.json']);
      expect(answer.kept).toEqual([{ path: 'shared.json', sha256: sha256('{"shared":1}'), holders: [second.release] }]);
      expect(await codeOf(open(vault, first))).toBe('ERASED');
      expect(await open(vault, second)).toHaveLength(2);
      const last = await vault.client.destroy(retire(second));
      expect(last.destroyed.map(({ path }) => path).sort()).toEqual(['other.json', 'shared.json']);
      expect(last.kept).toEqual([]);
    });

    it('is followed by a new blob with a new key when another release brings the same bytes', async () => {
      const files = { 'again.json': '{"again":true}' };
      const [gone, next] = [world.release({ version: '3.2.0', files }), world.release({ version: '3.2.1', files })];
      const digest = sha256('{"again":true}');
      const [before] = [...(await ingest(vault, gone)).values()];
      const { destroyed } = await vault.client.destroy(retire(gone));
      const oldBlob = destroyed[0]?.blob ?? '';

      const zombie = { sha256: digest, blob: oldBlob, versionId: 'v', ciphertext: digest, ciphertextSize: 70 };
      expect(await codeOf(vault.client.claim({ sha256: digest, size: 14, release: gone.release }))).toBe('ERASED');
      expect(await codeOf(vault.client.stored(zombie))).toBe('ERASED');
      const claimed = await vault.client.claim({ sha256: digest, size: 14, release: next.release });
      expect(claimed.blob).not.toBe(oldBlob);
      expect(keyOf(claimed)).not.toEqual(before);
      await ingest(vault, next);
      expect((await open(vault, next)).map(({ blob }) => blob)).toEqual([claimed.blob]);
      expect(await vault.client.probe(oldBlob)).toMatchObject({ refused: true });
      expect(await vault.client.probe(claimed.blob)).toMatchObject({ refused: false });
    });

    describe('is refused', () => {
      let release: Release;

      beforeAll(async () => {
        release = world.release({ version: '3.3.0', files: { 'stays.json': '{"stays":1}' } });
        await ingest(vault, release);
      });

      it.each<[string, ErrorCode, () => Parameters<VaultProcess['client']['destroy']>[0]]>([
        [
          'before the notice period is over',
          'PENDING',
          () => retire(release, world.retirement(release, { notice: { retiresAt: world.at(600) } })),
        ],
        [
          'without a quorum',
          'NOT_AUTHORISED',
          () => retire(release, world.retirement(release, { approvals: (asked) => [world.approve(asked, 'alice')] })),
        ],
        [
          'when one person has approved twice',
          'NOT_AUTHORISED',
          () =>
            retire(
              release,
              world.retirement(release, {
                approvals: (asked) => [world.approve(asked, 'alice'), world.approve(asked, 'alice-2')],
              }),
            ),
        ],
        [
          'with the request for another release',
          'REPLAYED',
          () => {
            const other = world.retirement(world.release({ version: '3.3.1' }));
            const evidence = { ...other.evidence, manifest: release.manifestText };
            return { release: release.release, evidence, revocation: revocation(release, other.request.digest) };
          },
        ],
        [
          'when it names another release than its evidence',
          'REPLAYED',
          () => ({ ...retire(release), release: world.release({ version: '3.3.2' }).release }),
        ],
        [
          'with a notice that control has not given',
          'NOT_AUTHORISED',
          () => retire(release, world.retirement(release, { noticeBy: 'serving' })),
        ],
        [
          'with a notice that a stranger has signed',
          'SIGNATURE_INVALID',
          () => retire(release, world.retirement(release, { noticeBy: 'mallory' })),
        ],
        [
          'with a notice for another request',
          'REPLAYED',
          () => retire(release, world.retirement(release, { notice: { request: sha256('another') } })),
        ],
        [
          'with a revocation by somebody who may not revoke',
          'NOT_AUTHORISED',
          () => {
            const retirement = world.retirement(release);
            const forged = revocation(release, retirement.request.digest, 'serving');
            return { ...retire(release, retirement), revocation: forged };
          },
        ],
        [
          'with a revocation that rests on another request',
          'REPLAYED',
          () => ({ ...retire(release), revocation: revocation(release, sha256('another')) }),
        ],
        [
          'with the revocation of another release',
          'REPLAYED',
          () => {
            const retirement = world.retirement(release);
            const other = revocation(world.release({ version: '3.3.4' }), retirement.request.digest);
            return { ...retire(release, retirement), revocation: other };
          },
        ],
        [
          'with a notice in place of the revocation',
          'MALFORMED',
          () => {
            const retirement = world.retirement(release);
            return { ...retire(release, retirement), revocation: retirement.notice.envelope };
          },
        ],
      ])('%s', async (_, code, ask) => {
        expect(await codeOf(vault.client.destroy(ask()))).toBe(code);
        expect(await open(vault, release)).toHaveLength(1);
      });
    });

    it('stands when key and entry come back from a backup', async () => {
      const own = await bench.state();
      const release = world.release({ version: '3.4.0', files: { 'kept.json': '{"kept":1}' } });
      let other = await bench.start(own, world.root);
      const [key] = [...(await ingest(other, release)).values()];
      const backup = await bench.state(own);
      await other.client.destroy(retire(release));
      await other.kill();
      for (const folder of ['keys', 'entries']) await cp(join(backup, folder), join(own, folder), { recursive: true });
      expect(await filesWith(own, key ?? Buffer.of(0))).toHaveLength(copies);

      other = await bench.start(own, world.root);
      expect(await filesWith(own, key ?? Buffer.of(0))).toEqual([]);
      expect(await codeOf(open(other, release))).toBe('ERASED');
      const claim = { sha256: sha256('{"kept":1}'), size: 10, release: sha256('a later release') };
      expect(keyOf(await other.client.claim(claim))).not.toEqual(key);
    });
  });

  // Each step is two processes: on a busy machine that takes its time.
  describe('SIGKILL in place of any step', { timeout: 300_000 }, () => {
    /** Runs `act` against vaults that die at step 1, 2, 3 ... until one lives; `check` sees each dead one's state. */
    async function atEveryStep(
      prepared: string,
      act: (vault: VaultProcess) => Promise<unknown>,
      check: (vault: VaultProcess, state: string) => Promise<void>,
    ): Promise<number> {
      for (let step = 1; ; step += 1) {
        const state = await bench.state(prepared);
        const dying = await bench.start(state, world.root, { crashAt: step });
        const outcome = await act(dying).then(
          () => 'done',
          (error: unknown) => (error as { code?: unknown }).code,
        );
        expect(['done', 'VAULT_UNAVAILABLE']).toContain(outcome);
        await dying.kill();
        const next = await bench.start(state, world.root);
        await check(next, state);
        await next.kill();
        await rm(state, { recursive: true });
        if (outcome === 'done') return step - 1;
      }
    }

    it('of a claim leaves one blob with one key, the same for every later claim', async () => {
      const empty = await bench.state();
      await (await bench.start(empty, world.root)).kill();
      const asked = { sha256: sha256('bytes'), size: 5, release: sha256('r') };
      const steps = await atEveryStep(
        empty,
        (vault) => vault.client.claim(asked),
        async (vault, state) => {
          const first = await vault.client.claim(asked);
          expect(await vault.client.claim({ ...asked, release: sha256('s') })).toEqual(first);
          expect(await filesWith(state, keyOf(first))).toHaveLength(copies);
          expect((await filesUnder(join(state, 'keys'))).size).toBe(1);
        },
      );
      // On a token a key is made, used and tried besides.
      expect(steps).toBeGreaterThanOrEqual(wrapped ? 9 : 6);
    });

    it('of a report that bytes are stored loses neither the key nor the first report', async () => {
      const prepared = await bench.state();
      const asked = { sha256: sha256('bytes'), size: 5, release: sha256('r') };
      const vault = await bench.start(prepared, world.root);
      const { blob } = await vault.client.claim(asked);
      await vault.kill();
      const report = { sha256: asked.sha256, blob, versionId: 'v1', ciphertext: sha256('c'), ciphertextSize: 61 };
      const steps = await atEveryStep(
        prepared,
        (dying) => dying.client.stored(report),
        async (next) => {
          const place = await next.client.stored(report);
          expect(place).toEqual({ blob, versionId: 'v1', ciphertext: sha256('c'), ciphertextSize: 61 });
          expect(await next.client.claim(asked)).toEqual({ state: 'stored', ...place });
        },
      );
      expect(steps).toBeGreaterThanOrEqual(3);
    });

    it('of a destruction ends in the same destruction, and never in half of one', async () => {
      const prepared = await bench.state();
      const shared = { 'shared.json': '{"shared":2}' };
      const gone = world.release({ version: '4.0.0', files: { ...shared, 'own.json': '[4]' } });
      const stays = world.release({ version: '4.0.1', files: shared });
      const vault = await bench.start(prepared, world.root);
      const keys = await ingest(vault, gone);
      await ingest(vault, stays);
      await vault.kill();
      const own = keys.get(sha256('[4]')) ?? Buffer.of(0);
      const asked = retire(gone);
      const answers: DestroyAnswer[] = [];
      const steps = await atEveryStep(
        prepared,
        (dying) => dying.client.destroy(asked),
        async (next, state) => {
          const isDecided = (await filesUnder(join(state, 'destructions'))).size > 0;
          // Once it is decided, a start alone carries it out.
          expect(await filesWith(state, own)).toHaveLength(isDecided ? 0 : copies);
          expect((await filesUnder(join(state, 'keys'))).size).toBe(isDecided ? 1 : 2);
          const answer = await next.client.destroy(asked);
          expect(await next.client.destroy(asked)).toEqual(answer);
          answers.push({ ...answer, destroyedAt: '' });
          expect(await filesWith(state, own)).toEqual([]);
          expect(await codeOf(open(next, gone))).toBe('ERASED');
          expect(await open(next, stays)).toHaveLength(1);
        },
      );
      expect(steps).toBeGreaterThanOrEqual(15);
      for (const answer of answers) expect(answer).toEqual(answers[0]);
    });
  });

  describe('the process', () => {
    it('serves on each socket only the operations of its zone', async () => {
      const vault = await bench.start(await bench.state(), world.root);
      const ask = (socket: string, operation: string): Promise<unknown> =>
        exchange({ socket }, 'POST', `/${operation}`, {}, 'VAULT_UNAVAILABLE');
      const served = {
        create: ['claim', 'stored'],
        open: ['open'],
        destroy: ['destroy', 'probe'],
        recover: ['recover'],
      } as const;
      const all = Object.values(served).flat();
      for (const [name, own] of Object.entries(served) as [keyof typeof served, readonly string[]][])
        for (const operation of [...all, 'constructor', '__proto__', ''])
          expect(await codeOf(ask(vault.sockets[name], operation)), `${name} ${operation}`).toBe(
            own.includes(operation) ? 'MALFORMED' : 'NOT_AUTHORISED',
          );
      expect(
        await codeOf(exchange({ socket: vault.sockets.create }, 'GET', '/claim', undefined, 'VAULT_UNAVAILABLE')),
      ).toBe('NOT_AUTHORISED');
      const client = createVaultClient({ create: vault.sockets.create });
      expect(await codeOf(client.probe('0'.repeat(32)))).toBe('NOT_AUTHORISED');
    });

    it('refuses requests that are too large, and goes on', async () => {
      const vault = await bench.start(await bench.state(), world.root);
      const huge = { filler: 'x'.repeat(64 * 1024) };
      const asked = exchange({ socket: vault.sockets.create }, 'POST', '/claim', huge, 'VAULT_UNAVAILABLE');
      expect(['MALFORMED', 'VAULT_UNAVAILABLE']).toContain(await codeOf(asked));
      await vault.client.claim({ sha256: sha256('x'), size: 1, release: sha256('r') });
    });

    it('lets only one vault use a folder, and takes over from one that was killed', async () => {
      const state = await bench.state();
      const first = await bench.start(state, world.root);
      const second = bench.start(state, world.root);
      await expect(second).rejects.toThrow(
        new RegExp(`code 2: .*the vault with the process id ${first.pid} already uses ${state}: stop it`),
      );
      await first.client.claim({ sha256: sha256('x'), size: 1, release: sha256('r') });
      await first.kill();
      const starters = await Promise.allSettled([1, 2, 3].map(() => bench.start(state, world.root)));
      expect(starters.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    });

    it('ends with code 0 when its stdin ends', async () => {
      const vault = await bench.start(await bench.state(), world.root);
      await vault.client.claim({ sha256: sha256('x'), size: 1, release: sha256('r') });
      expect(await vault.stop()).toBe(0);
      expect(await codeOf(vault.client.probe('0'.repeat(32)))).toBe('VAULT_UNAVAILABLE');
    });

    it('says in one message everything that is wrong with its configuration', async () => {
      const sockets = { create: { path: 'relative' }, open: { path: `/${'x'.repeat(200)}` } };
      const started = bench.start(await bench.state(), world.root, { sockets });
      await expect(started).rejects.toThrow(
        /code 2: .*CONFIG_INVALID.*sockets\.create.*sockets\.open.*sockets\.destroy/s,
      );
    });

    it('keeps its folder, its keys and its sockets to itself', async () => {
      const state = await bench.state();
      const vault = await bench.start(state, world.root);
      await vault.client.claim({ sha256: sha256('x'), size: 1, release: sha256('r') });
      expect((await stat(state)).mode & 0o777).toBe(0o700);
      for (const path of (await filesUnder(state)).keys()) expect((await stat(path)).mode & 0o777, path).toBe(0o600);
      for (const path of Object.values(vault.sockets)) expect((await stat(path)).mode & 0o777, path).toBe(0o600);
    });

    it.runIf(process.getuid?.() === 0)(
      'gives each socket to its zone, and the kernel keeps the others out',
      async () => {
        const state = await bench.state();
        const folder = `${state}.run`;
        await mkdir(folder, { mode: 0o755 });
        await chmod(dirname(folder), 0o755);
        const sockets = {
          create: { path: join(folder, 'create.sock'), uid: 61_001 },
          open: { path: join(folder, 'open.sock'), gid: 61_002 },
          destroy: { path: join(folder, 'destroy.sock') },
          recover: { path: join(folder, 'recover.sock') },
        };
        await bench.start(state, world.root, { sockets });
        const connects = async (path: string, uid: number): Promise<string> => {
          const script = `const s = require('net').connect(process.argv[1]);
        s.on('connect', () => { console.log('connected'); s.destroy(); }).on('error', (e) => console.log(e.code));`;
          const options = { uid, gid: uid, cwd: '/' };
          return (await promisify(execFile)(process.execPath, ['-e', script, path], options)).stdout.trim();
        };
        expect(await connects(sockets.create.path, 61_001)).toBe('connected');
        expect(await connects(sockets.create.path, 61_002)).toBe('EACCES');
        expect(await connects(sockets.open.path, 61_002)).toBe('connected');
        expect(await connects(sockets.open.path, 61_001)).toBe('EACCES');
        expect(await connects(sockets.destroy.path, 61_001)).toBe('EACCES');
      },
    );

    it('writes no key to stdout or stderr, whatever happens', async () => {
      const state = await bench.state();
      const vault = await bench.start(state, world.root);
      const release = world.release({ version: '5.0.0', files: { 'secret.json': '{"secret":5}' } });
      const lost = world.release({ version: '5.0.1', files: { 'lost.json': '{"lost":5}' } });
      const keys = [...(await ingest(vault, release)).values(), ...(await ingest(vault, lost)).values()];
      const [file] = await open(vault, lost);
      await open(vault, release);
      // A key that is damaged on disk is the vault's own failure: it logs it whole.
      const path = join(state, 'keys', file?.blob ?? '');
      await writeFile(path, (await readFile(path)).subarray(0, 31));
      const failed = open(vault, lost);
      expect(await codeOf(failed)).toBe('INTERNAL');
      await codeOf(open(vault, release, { approvals: [] }));
      await vault.client.destroy(retire(release));
      await codeOf(open(vault, release));
      const output = vault.output();
      expect(output).toContain('"operation":"claim"');
      expect(output).toContain('"operation":"open"');
      for (const key of keys)
        for (const form of ['base64', 'base64url', 'hex', 'latin1'] as const)
          expect(output.includes(key.toString(form).slice(0, 20))).toBe(false);
    });
  });
}
