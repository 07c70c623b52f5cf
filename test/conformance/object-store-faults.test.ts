import { randomBytes, randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Bucket } from '../../adapters/object-store/port.js';
import { checkOwnLock, proveWorm } from '../../adapters/object-store/proof.js';
import { S3Session } from '../../adapters/object-store/s3-session.js';
import { openBucket } from '../../adapters/object-store/s3.js';
import { sha256 } from '../../formats/sha256.js';
import { bytesOf, startProxy, type Fault, type Proxy } from '../support/proxy.js';
import { startStore, type TestStore } from '../support/store.js';
import { chunksOf, inMinutes } from './object-store-suite.js';

const isComplete = ({ method, url }: IncomingMessage): boolean => method === 'POST' && !!url?.includes('uploadId=');
const isPart = ({ method, url }: IncomingMessage): boolean => method === 'PUT' && !!url?.includes('partNumber=');
const isCreate = ({ method, headers }: IncomingMessage): boolean =>
  method === 'PUT' && headers['if-none-match'] !== undefined;

describe('a store behind a bad network', () => {
  let store: TestStore;
  let proxy: Proxy;
  let direct: Bucket;
  let bucket: Bucket;
  const body = Buffer.from('one');
  const large = randomBytes(20 * 1024 * 1024);
  const upload = (key: string): ReturnType<Bucket['upload']> =>
    bucket.upload(key, chunksOf(large, 3_000_000), { lock: inMinutes(10) });

  beforeAll(async () => {
    store = await startStore();
    proxy = await startProxy(store.config.endpoint);
    const name = `bucket-${randomUUID()}`;
    await store.admin.createBucket(name, { objectLock: true, versioning: true });
    direct = openBucket(store.config, name);
    bucket = openBucket({ ...store.config, endpoint: proxy.endpoint }, name);
  });
  afterEach(() => proxy.set((_, pass) => pass()));
  afterAll(async () => {
    proxy.stop();
    await store.stop();
  });

  it.each([500, 502, 503, 504, 429])(
    'calls an answer of %i unavailable, and leaves nothing hanging',
    async (status) => {
      proxy.set(async () => ({ status, headers: {}, body: Buffer.from('<html>busy</html>') }));
      await expect(bucket.read('k')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
      await expect(bucket.createOnce('k', body)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    },
  );

  it('calls cut connections and closed ports unavailable', async () => {
    proxy.set(async () => 'cut');
    await expect(bucket.read('k')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    const nobody = openBucket({ ...store.config, endpoint: 'http://127.0.0.1:1' }, 'bucket');
    await expect(nobody.read('k')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  });

  it('calls a download that is cut halfway unavailable, never complete', async () => {
    await direct.upload('cut', chunksOf(large, 3_000_000), { lock: inMinutes(10) });
    const short: Fault = async (request, pass) => {
      const answer = await pass();
      if (request.method !== 'GET' || !request.url?.includes('versionId')) return answer;
      return { ...answer, headers: { ...answer.headers, 'content-length': String(large.length + 1) } };
    };
    proxy.set(async (request, pass) => {
      const answer = await short(request, pass);
      // The socket dies while the client still waits for the last byte.
      if (request.url?.includes('versionId')) setImmediate(() => setImmediate(() => request.socket.end()));
      return answer;
    });
    await expect(bytesOf(await bucket.readStream('cut', null))).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  });

  it('a creation whose answer was lost is found to be its own when it is tried again', async () => {
    const key = randomUUID();
    let lost = 0;
    proxy.set(async (request, pass) => {
      const answer = await pass();
      if (!isCreate(request) || lost > 0) return answer;
      lost += 1;
      return { status: 503, headers: {}, body: Buffer.alloc(0) };
    });
    await expect(bucket.createOnce(key, body, inMinutes(10))).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect((await bucket.createOnce(key, body, inMinutes(10))).created).toBe(false);
    expect(await direct.versions(key)).toHaveLength(1);
  });

  it('finds that an older record counts where a store lets a creation succeed over a delete marker', async () => {
    const key = randomUUID();
    const { versionId } = await direct.createOnce(key, body, inMinutes(10));
    // Such a store answers the conditional PUT with 200 and a second version.
    proxy.set(async (request, pass) => {
      if (!isCreate(request)) return pass();
      return {
        status: 200,
        headers: { 'x-amz-version-id': await overwrite(key, Buffer.from('two')) },
        body: Buffer.alloc(0),
      };
    });
    await expect(bucket.createOnce(key, Buffer.from('two'), inMinutes(10))).rejects.toMatchObject({
      code: 'STORE_CONFLICT',
      details: { found: sha256(body) },
    });
    expect((await bucket.read(key))?.versionId).toBe(versionId);
  });

  it('adds the lock where a store accepted the headers and did not lock', async () => {
    const key = randomUUID();
    proxy.set(async (request, pass) => {
      if (!isCreate(request)) return pass();
      return { status: 200, headers: { 'x-amz-version-id': await overwrite(key, body) }, body: Buffer.alloc(0) };
    });
    const { created, versionId } = await bucket.createOnce(key, body, inMinutes(10));
    expect(created).toBe(true);
    expect((await direct.head(key, versionId))?.lock?.mode).toBe('COMPLIANCE');
  });

  it('refuses a store that accepts locks and sets none', async () => {
    const key = randomUUID();
    proxy.set(async (request, pass) => {
      if (isCreate(request))
        return { status: 200, headers: { 'x-amz-version-id': await overwrite(key, body) }, body: Buffer.alloc(0) };
      if (request.method === 'PUT' && request.url?.includes('retention'))
        return { status: 200, headers: {}, body: Buffer.alloc(0) };
      return pass();
    });
    await expect(bucket.createOnce(key, body, inMinutes(10))).rejects.toMatchObject({ code: 'STORE_NOT_WORM' });
  });

  it.each([
    ['in GOVERNANCE mode', 'x-amz-object-lock-mode', (): string => 'GOVERNANCE'],
    [
      'for less time than it was asked for',
      'x-amz-object-lock-retain-until-date',
      (): string => inMinutes(2).retainUntil,
    ],
  ] as const)('refuses a store that locks %s, whatever it answers', async (_, header, value) => {
    const locksLess: Fault = async (request, pass) => {
      if (request.method === 'PUT' && request.url?.includes('retention'))
        return { status: 200, headers: {}, body: Buffer.alloc(0) };
      const answer = await pass();
      const isLocked = request.method === 'HEAD' && answer.headers[header] !== undefined;
      return isLocked ? { ...answer, headers: { ...answer.headers, [header]: value() } } : answer;
    };
    proxy.set(locksLess);
    const lax = { ...store.config, endpoint: proxy.endpoint };
    await expect(bucket.createOnce(randomUUID(), body, inMinutes(10))).rejects.toMatchObject({
      code: 'STORE_NOT_WORM',
    });
    await expect(upload(randomUUID())).rejects.toMatchObject({ code: 'STORE_NOT_WORM' });
    await expect(proveWorm(lax, direct.name)).rejects.toMatchObject({ code: 'STORE_NOT_WORM' });
    await expect(checkOwnLock(lax, direct.name, randomUUID(), body)).rejects.toMatchObject({ code: 'STORE_NOT_WORM' });
  });

  it('the proof shows a store that lets locked versions go, and a writer sees it too', async () => {
    proxy.set(async (request, pass) =>
      request.method === 'DELETE' ? { status: 204, headers: {}, body: Buffer.alloc(0) } : pass(),
    );
    const lax = { ...store.config, endpoint: proxy.endpoint };
    const allowed = (await proveWorm(lax, direct.name)).filter(({ refused }) => !refused);
    expect(allowed.map(({ check, answer }) => [check, answer])).toEqual([
      ['delete a locked version', '204'],
      ['delete a locked version with the bypass header', '204'],
    ]);
    const check = checkOwnLock(lax, direct.name, randomUUID(), body);
    await expect(check).rejects.toMatchObject({ code: 'STORE_NOT_WORM' });
  });

  it('raises the alarm when a key exists that has no version', async () => {
    const key = randomUUID();
    proxy.set(async (request, pass) =>
      isCreate(request) ? { status: 412, headers: {}, body: Buffer.alloc(0) } : pass(),
    );
    await expect(bucket.createOnce(key, body, inMinutes(10))).rejects.toMatchObject({ code: 'WORM_VIOLATED' });
  });

  it('settles an upload whose completion was done and its answer lost', async () => {
    proxy.set(async (request, pass) => {
      const answer = await pass();
      return isComplete(request) ? 'cut' : answer;
    });
    const key = randomUUID();
    expect(await upload(key)).toMatchObject({ sha256: sha256(large), size: large.length });
    expect((await direct.head(key, null))?.lock?.mode).toBe('COMPLIANCE');
  });

  it('does not take another object for its own when a completion answers 200 without a version', async () => {
    const key = randomUUID();
    await direct.createOnce(key, body, inMinutes(10));
    proxy.set(async (request, pass) =>
      isComplete(request)
        ? { status: 200, headers: {}, body: Buffer.from('<CompleteMultipartUploadResult/>') }
        : pass(),
    );
    await expect(upload(key)).rejects.toMatchObject({ code: 'STORE_CONFLICT', details: { found: sha256(body) } });
  });

  it('takes an error in the body of a completion that answers 200 for the failure it is', async () => {
    const error = '<Error><Code>InternalError</Code><Message>We failed</Message></Error>';
    proxy.set(async (request, pass) =>
      isComplete(request) ? { status: 200, headers: { 'x-amz-version-id': 'x' }, body: Buffer.from(error) } : pass(),
    );
    const key = randomUUID();
    await expect(upload(key)).rejects.toThrow('We failed');
    expect(await direct.versions(key)).toEqual([]);
  });

  it('sends a part again when it was lost', async () => {
    let lost = 0;
    proxy.set(async (request, pass) => {
      if (!isPart(request) || lost > 0) return pass();
      lost += 1;
      return 'cut';
    });
    expect(await upload(randomUUID())).toMatchObject({ sha256: sha256(large) });
    expect(lost).toBe(1);
  });

  it('refuses an upload that the store changed on the way', async () => {
    const key = randomUUID();
    proxy.set(async (request, pass) => {
      const answer = await pass();
      if (request.method === 'GET' && request.url?.includes('versionId')) answer.body[7] = (answer.body[7] ?? 0) ^ 1;
      return answer;
    });
    await expect(upload(key)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  it('leaves nothing readable when the store is killed in the middle of an upload', async () => {
    const key = randomUUID();
    async function* source(): AsyncGenerator<Buffer> {
      yield* chunksOf(large, 3_000_000);
      await store.kill();
      yield* chunksOf(large, 3_000_000);
    }
    const killed = direct.upload(key, source(), { lock: inMinutes(10) });
    await expect(killed).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    await store.restart();
    expect(await direct.versions(key)).toEqual([]);
    expect(await direct.upload(key, chunksOf(large, 3_000_000), {})).toMatchObject({ sha256: sha256(large) });
  });

  async function overwrite(key: string, bytes: Buffer): Promise<string> {
    const put = { method: 'PUT', bucket: direct.name, key, body: bytes } as const;
    return (await new S3Session(store.config).text(put)).headers['x-amz-version-id'] as string;
  }
});
