import { cp, mkdtemp, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import koffi from 'koffi';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { storeKeys } from '../../domain/store-keys.js';
import { ensureFolder } from '../../vault/files.js';
import { openFileKeys } from '../../vault/key-files.js';
import { openTokenKeys } from '../../vault/key-token.js';
import type { KeyStore } from '../../vault/keys.js';
import { Ledger } from '../../vault/ledger.js';
import { check, loadModule, type Cryptoki, type Ulong } from '../../vault/pkcs11.js';
import { Token } from '../../vault/token.js';
import { initialize, makeToken, softhsm, type TestToken } from '../support/softhsm.js';
import { startKeeping } from '../unit/keeping/rig.js';
import { keyStoreSuite, newBlob } from './key-store-suite.js';
import { filesUnder } from './vault-process.js';

let folder: string;
let state: string;
let count = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'custody-keys-'));
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(async () => {
  count += 1;
  state = join(folder, `s${count}`);
  await ensureFolder(state);
});

const path = (blob: string): string => join(state, 'keys', blob);

keyStoreSuite('keys in files', () => openFileKeys(state));

describe.runIf(softhsm !== undefined)('keys on a token', () => {
  let token: TestToken;
  const open = (change: Partial<TestToken['keys']> = {}, load = loadModule): Promise<KeyStore> =>
    openTokenKeys(state, { ...token.keys, ...change }, load);

  /** The module, but for some functions that do not what they should. */
  const spoiled =
    (change: (module: Cryptoki) => Partial<Cryptoki>): typeof loadModule =>
    async (file) => {
      const module = await loadModule(file);
      return { ...module, ...change(module) };
    };

  beforeAll(async () => {
    token = await makeToken(join(folder, 'token'));
    // The module reads it whenever it is initialized, in this process.
    process.env['SOFTHSM2_CONF'] = token.conf;
  });

  keyStoreSuite('of a vault', () => open());

  it('are on disk only encrypted, and encrypted by a key that is not on disk', async () => {
    const blob = newBlob();
    const key = await (await open()).make(blob);
    const [files, stored] = [await filesUnder(state), await filesUnder(token.stored)];
    expect(await readFile(path(blob))).toHaveLength(12 + 32 + 16);
    for (const bytes of [...files.values(), ...stored.values()])
      for (const form of ['hex', 'base64', 'latin1'] as const)
        expect(bytes.includes(Buffer.from(key.toString(form)))).toBe(false);
  });

  it('open nothing from a backup of the whole folder once they are destroyed', async () => {
    const [store, blob, other] = [await open(), newBlob(), newBlob()];
    await store.make(blob);
    const stays = await store.make(other);
    await cp(state, `${state}.backup`, { recursive: true });
    await store.destroy(blob);
    await rm(state, { recursive: true });
    await cp(`${state}.backup`, state, { recursive: true });
    const restored = await open();
    expect(await restored.read(blob)).toBeNull();
    await expect(restored.make(blob)).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(await restored.read(other)).toEqual(stays);
  });

  it('are wrapped by keys that the token gives to nobody, whatever PIN they have', async () => {
    const blob = newBlob();
    await (await open()).make(blob);
    const { vault } = JSON.parse(await readFile(join(state, 'token.json'), 'utf8')) as { vault: string };
    let session: Ulong = 0;
    const recording = spoiled((module) => ({
      C_Login: (at, ...rest) => {
        session = at;
        return module.C_Login(at, ...rest);
      },
    }));
    const module = await loadModule(token.keys.module);
    const opened = await Token.open(token.keys, vault, recording);
    await opened.use(async (own) => {
      const [wrapping] = await own.find(blob);
      const value = Buffer.alloc(32);
      const template = [{ type: CKA_VALUE, pValue: value, ulValueLen: value.length }];
      const read = await module.C_GetAttributeValue(session, wrapping ?? 0, template, 1);
      expect(() => check('C_GetAttributeValue', read)).toThrow('CKR_ATTRIBUTE_SENSITIVE');
      expect(value).toEqual(Buffer.alloc(32));
      expect(wrapKey(session, await ownWrappingKey(module, session), wrapping ?? 0)).toBe(CKR_KEY_UNEXTRACTABLE);
    });
  });

  it('do not open as another blob, nor when a bit of the file has changed', async () => {
    const [store, one, two] = [await open(), newBlob(), newBlob()];
    await store.make(one);
    const key = await store.make(two);
    const [first, second] = [await readFile(path(one)), await readFile(path(two))];
    await writeFile(path(one), second);
    await expect(store.read(one)).rejects.toMatchObject({ code: 'INTERNAL' });
    for (const at of [0, 12, 59]) {
      const changed = Buffer.from(first);
      changed[at] = (changed[at] ?? 0) ^ 1;
      await writeFile(path(one), changed);
      await expect(store.read(one)).rejects.toMatchObject({ code: 'INTERNAL' });
    }
    await truncate(path(one), 20);
    await expect(store.read(one)).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(await store.read(two)).toEqual(key);
  });

  it('are not what another vault on the same token sees or destroys', async () => {
    const [store, blob] = [await open(), newBlob()];
    const key = await store.make(blob);
    const first = state;
    state = `${state}.other`;
    await ensureFolder(state);
    const other = await open();
    expect(await other.blobs()).toEqual([]);
    await other.destroy(blob);
    state = first;
    expect(await (await open()).read(blob)).toEqual(key);
  });

  it('are out of reach while the token is gone, and back with it', async () => {
    const [store, blob, other] = [await open(), newBlob(), newBlob()];
    const key = await store.make(blob);
    await rename(token.stored, `${token.stored}.gone`);
    try {
      for (const act of [
        () => store.read(blob),
        () => store.make(other),
        () => store.destroy(blob),
        () => store.holds(other),
      ])
        await expect(act()).rejects.toMatchObject({ code: 'VAULT_UNAVAILABLE' });
    } finally {
      await rename(`${token.stored}.gone`, token.stored);
    }
    expect(await store.read(blob)).toEqual(key);
  });

  it('are not counted as destroyed when an empty token has taken the place of the right one', async () => {
    const [store, blob] = [await open(), newBlob()];
    await store.make(blob);
    await rename(token.stored, `${token.stored}.right`);
    try {
      await makeToken(join(folder, 'token'));
      await expect(store.destroy(blob)).rejects.toMatchObject({ code: 'VAULT_UNAVAILABLE' });
      await expect(open()).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    } finally {
      await rm(token.stored, { recursive: true });
      await rename(`${token.stored}.right`, token.stored);
    }
    expect(await store.read(blob)).not.toBeNull();
  });

  it('survive that the module forgets its sessions', async () => {
    const [store, blob] = [await open(), newBlob()];
    const key = await store.make(blob);
    await (await loadModule(token.keys.module)).C_Finalize(null);
    expect(await store.read(blob)).toEqual(key);
  });

  it('do not count as destroyed by a token that says so and keeps them: no certificate is made', async () => {
    let lies = true;
    const lying = spoiled((module) => ({
      C_DestroyObject: (session, object) => (lies ? Promise.resolve(0) : module.C_DestroyObject(session, object)),
    }));
    const keeping = await startKeeping(({ state: own }) => openTokenKeys(own, token.keys, lying));
    try {
      const release = await keeping.keep(keeping.world.release({ version: '1.0.0' }));
      const condemned = await keeping.condemn(release);
      await expect(condemned.bySigning()).rejects.toThrow(/INTERNAL|still has it/);
      const made = () => keeping.records.record(storeKeys.record(release.name, 'destruction'));
      expect(await made()).toBeNull();
      lies = false;
      await condemned.bySigning();
      expect(await made()).not.toBeNull();
    } finally {
      await keeping.stop();
    }
  });

  it('go again when they come back from a backup of the token after their tombstone', async () => {
    const keeping = await startKeeping(({ state: own }) => openTokenKeys(own, token.keys));
    try {
      const release = await keeping.keep(keeping.world.release({ version: '1.0.0' }));
      await cp(token.stored, `${token.stored}.backup`, { recursive: true });
      await (await keeping.condemn(release)).straight();
      await rm(token.stored, { recursive: true });
      await rename(`${token.stored}.backup`, token.stored);
      const store = await openTokenKeys(keeping.state, token.keys);
      const back = await store.blobs();
      expect(back).toHaveLength(release.manifest.files.length);
      await Ledger.open(keeping.state, store);
      expect(await store.blobs()).toEqual([]);
    } finally {
      await keeping.stop();
    }
  });

  describe('are refused', () => {
    const invalid = (message: RegExp) => ({ code: 'CONFIG_INVALID', message: expect.stringMatching(message) });

    it.each<[string, Partial<TestToken['keys']>, RegExp]>([
      ['without the module', { module: '/nowhere/pkcs11.so' }, /cannot load the PKCS#11 module \/nowhere/],
      ['with a library that is no such module', { module: 'libc.so.6' }, /cannot load the PKCS#11 module/],
      ['without the token', { token: 'another' }, /no token with the label another/],
      ['without the file with the PIN', { pinFile: '/nowhere/pin' }, /cannot read the token's PIN/],
    ])('%s', async (_, change, message) => {
      await expect(open(change)).rejects.toMatchObject(invalid(message));
    });

    it('when two tokens have the label', async () => {
      await initialize(token, 'twice');
      await initialize(token, 'twice');
      await expect(open({ token: 'twice' })).rejects.toMatchObject(invalid(/more than one token/));
    });

    it('with a wrong PIN, which is tried once, at the start as later', async () => {
      const [store, blob] = [await open(), newBlob()];
      await store.make(blob);
      const pinFile = join(folder, 'wrong-pin');
      await writeFile(pinFile, '000000');
      let tries = 0;
      const counting = spoiled((module) => ({
        C_Login: (...args) => {
          tries += 1;
          return module.C_Login(...args);
        },
      }));
      await expect(open({ pinFile }, counting)).rejects.toMatchObject(invalid(/refuses the PIN .*CKR_PIN_INCORRECT/));
      expect(tries).toBe(1);
      await cp(token.keys.pinFile, pinFile);
      const running = await open({ pinFile }, counting);
      expect(tries).toBe(2);
      await writeFile(pinFile, '000000');
      await (await loadModule(token.keys.module)).C_Finalize(null);
      for (const ask of [() => running.read(blob), () => running.make(newBlob()), () => running.blobs()])
        await expect(ask()).rejects.toMatchObject({ code: 'VAULT_UNAVAILABLE' });
      expect(tries).toBe(3);
    });

    it('when the token has one try for its PIN left', async () => {
      const last = spoiled((module) => ({
        C_GetTokenInfo: async (slot, info) => {
          const answer = await module.C_GetTokenInfo(slot, info);
          info.writeUInt32LE(info.readUInt32LE(96) | 0x2_0000, 96);
          return answer;
        },
        C_Login: () => Promise.reject(new Error('it has been tried')),
      }));
      await expect(open({}, last)).rejects.toMatchObject(invalid(/one try for its PIN left/));
    });

    it('on a token that lacks a mechanism', async () => {
      const poor = spoiled((module) => ({
        C_GetMechanismInfo: async (slot, mechanism, info) => {
          if (mechanism === CKM_AES_GCM) return CKR_MECHANISM_INVALID;
          return module.C_GetMechanismInfo(slot, mechanism, info);
        },
      }));
      await expect(open({}, poor)).rejects.toMatchObject(invalid(/no CKM_AES_GCM/));
    });

    it('on a token that would give its keys away', async () => {
      const open_ = spoiled((module) => ({
        C_GetAttributeValue: async (session, object, template, length) => {
          const answer = await module.C_GetAttributeValue(session, object, template, length);
          for (const { type, pValue } of template) if (type === CKA_EXTRACTABLE) pValue[0] = 1;
          return answer;
        },
      }));
      await expect(open({}, open_)).rejects.toMatchObject(invalid(/can be taken out/));
    });

    it('where the folder has its keys in files, and files where it has them on a token', async () => {
      await open();
      await expect(openFileKeys(state)).rejects.toMatchObject(invalid(/wrapped by a token/));
      state = `${state}.files`;
      await ensureFolder(state);
      const blob = newBlob();
      const key = await (await openFileKeys(state)).make(blob);
      await expect(open()).rejects.toMatchObject(invalid(/has its keys in files/));
      expect(await (await openFileKeys(state)).read(blob)).toEqual(key);
    });
  });

  it('are encrypted under an IV of the token where it takes none, and under none of zeros', async () => {
    const chosen = Buffer.alloc(12, 7);
    const strict = (chooses: boolean) =>
      spoiled((module) => ({
        C_EncryptInit: (session, mechanism, key) => {
          const iv = mechanism.pParameter?.pIv ?? Buffer.alloc(0);
          if (iv.some((byte) => byte !== 0)) return Promise.resolve(CKR_MECHANISM_PARAM_INVALID);
          if (chooses) chosen.copy(iv);
          return module.C_EncryptInit(session, mechanism, key);
        },
      }));
    const [store, blob] = [await open({}, strict(true)), newBlob()];
    const key = await store.make(blob);
    expect((await readFile(path(blob))).subarray(0, 12)).toEqual(chosen);
    expect(await (await open()).read(blob)).toEqual(key);
    const other = await open({}, strict(false));
    await expect(other.make(newBlob())).rejects.toMatchObject({ code: 'INTERNAL' });
  });
});

const CKA_VALUE = 0x11;
const CKA_WRAP = 0x106;
const CKA_VALUE_LEN = 0x161;
const CKA_EXTRACTABLE = 0x162;
const CKM_AES_KEY_GEN = 0x1080;
const CKM_AES_GCM = 0x1087;
const CKM_AES_KEY_WRAP = 0x2109;
const CKR_MECHANISM_INVALID = 0x70;
const CKR_MECHANISM_PARAM_INVALID = 0x71;
const CKR_KEY_UNEXTRACTABLE = 0x6a;

/** A key that may wrap others, as whoever has the PIN can make one. */
async function ownWrappingKey(module: Cryptoki, session: Ulong): Promise<Ulong> {
  const length = Buffer.from([32, 0, 0, 0, 0, 0, 0, 0]);
  const template = [
    { type: CKA_VALUE_LEN, pValue: length, ulValueLen: length.length },
    { type: CKA_WRAP, pValue: Buffer.of(1), ulValueLen: 1 },
  ];
  const key: [Ulong] = [0];
  const mechanism = { mechanism: CKM_AES_KEY_GEN, pParameter: null, ulParameterLen: 0 };
  check('C_GenerateKey', await module.C_GenerateKey(session, mechanism, template, template.length, key));
  return key[0];
}

/** Asks the module itself for a function that the vault never calls. */
function wrapKey(session: Ulong, by: Ulong, key: Ulong): number {
  const ulong = 'unsigned long';
  const mechanism = koffi.struct({ mechanism: ulong, parameter: 'void *', length: ulong });
  const types = [ulong, koffi.pointer(mechanism), ulong, ulong, 'void *', koffi.inout(koffi.pointer(ulong))];
  const call = koffi.load(softhsm ?? '').func('C_WrapKey', ulong, types);
  const asked = { mechanism: CKM_AES_KEY_WRAP, parameter: null, length: 0 };
  return Number(call(session, asked, by, key, Buffer.alloc(64), [64]));
}
