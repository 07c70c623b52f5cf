import { randomBytes } from 'node:crypto';
import { CustodyError } from '../domain/errors.js';
import { check, type Attribute, type Cryptoki, type Mechanism, type Ulong } from './pkcs11.js';

const CKA = {
  CLASS: 0x0,
  TOKEN: 0x1,
  PRIVATE: 0x2,
  LABEL: 0x3,
  KEY_TYPE: 0x100,
  ID: 0x102,
  SENSITIVE: 0x103,
  ENCRYPT: 0x104,
  DECRYPT: 0x105,
  WRAP: 0x106,
  UNWRAP: 0x107,
  VALUE_LEN: 0x161,
  EXTRACTABLE: 0x162,
} as const;
const CKO_SECRET_KEY = 4;
const CKK_AES = 0x1f;
const CKM_AES_KEY_GEN = 0x1080;
const CKM_AES_GCM = 0x1087;
const CKF_ENCRYPT_DECRYPT = 0x300;
const CKF_GENERATE = 0x8000;

const AES_KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const LABEL_BYTES = 32;
const FOUND_AT_ONCE = 64;

const YES = Buffer.of(1);
const NO = Buffer.of(0);

/** What one vault does on a token: its keys bear its id as CKA_ID, and each a label of 32 hex digits. */
export class TokenSession {
  readonly #cryptoki: Cryptoki;
  readonly #session: Ulong;
  readonly #ours: readonly Attribute[];

  constructor(cryptoki: Cryptoki, session: Ulong, vault: string) {
    this.#cryptoki = cryptoki;
    this.#session = session;
    this.#ours = [attribute(CKA.CLASS, ulong(CKO_SECRET_KEY)), attribute(CKA.ID, Buffer.from(vault, 'hex'))];
  }

  find(label: string): Promise<readonly Ulong[]> {
    return this.#search([...this.#ours, attribute(CKA.LABEL, Buffer.from(label))]);
  }

  /** Of all keys of this vault. */
  async labels(): Promise<readonly string[]> {
    const labels: string[] = [];
    for (const key of await this.#search(this.#ours)) {
      const label = Buffer.alloc(LABEL_BYTES);
      await this.#read(key, [attribute(CKA.LABEL, label)]);
      labels.push(label.toString('utf8'));
    }
    return labels;
  }

  /** A key that never leaves the token, and does nothing but encrypt and decrypt. */
  async generate(label: string): Promise<Ulong> {
    const template = [
      ...this.#ours,
      attribute(CKA.LABEL, Buffer.from(label)),
      attribute(CKA.KEY_TYPE, ulong(CKK_AES)),
      attribute(CKA.VALUE_LEN, ulong(AES_KEY_BYTES)),
      ...[CKA.TOKEN, CKA.PRIVATE, CKA.SENSITIVE, CKA.ENCRYPT, CKA.DECRYPT].map((type) => attribute(type, YES)),
      ...[CKA.EXTRACTABLE, CKA.WRAP, CKA.UNWRAP].map((type) => attribute(type, NO)),
    ];
    const mechanism = { mechanism: CKM_AES_KEY_GEN, pParameter: null, ulParameterLen: 0 };
    const key: [Ulong] = [0];
    check(
      'C_GenerateKey',
      await this.#cryptoki.C_GenerateKey(this.#session, mechanism, template, template.length, key),
    );
    return key[0];
  }

  async destroy(key: Ulong): Promise<void> {
    check('C_DestroyObject', await this.#cryptoki.C_DestroyObject(this.#session, key));
  }

  /** CONFIG_INVALID for a key that the token would give away. */
  async demandSafe(key: Ulong): Promise<void> {
    const [sensitive, extractable] = [Buffer.of(0), Buffer.of(1)];
    await this.#read(key, [attribute(CKA.SENSITIVE, sensitive), attribute(CKA.EXTRACTABLE, extractable)]);
    if (sensitive[0] !== 1 || extractable[0] !== 0)
      throw new CustodyError('CONFIG_INVALID', 'the token makes keys that can be taken out of it');
  }

  /** AES-GCM: IV, ciphertext, tag. `bound` must be the same to decrypt it. */
  async encrypt(key: Ulong, plain: Buffer, bound: string): Promise<Buffer> {
    try {
      return await this.#encrypt(key, plain, bound, randomBytes(IV_BYTES));
    } catch (error) {
      if (!(error instanceof CustodyError) || error.details['ckr'] !== 'CKR_MECHANISM_PARAM_INVALID') throw error;
    }
    // Tokens in FIPS mode choose the IV, and write it where they were given zeros.
    const sealed = await this.#encrypt(key, plain, bound, Buffer.alloc(IV_BYTES));
    if (sealed.subarray(0, IV_BYTES).some((byte) => byte !== 0)) return sealed;
    throw new CustodyError('INTERNAL', 'the token takes no IV, and has not chosen one');
  }

  async decrypt(key: Ulong, sealed: Buffer, bound: string): Promise<Buffer> {
    const [iv, data] = [sealed.subarray(0, IV_BYTES), sealed.subarray(IV_BYTES)];
    check('C_DecryptInit', await this.#cryptoki.C_DecryptInit(this.#session, gcm(iv, bound), key));
    const [out, length] = roomFor(data.length);
    check('C_Decrypt', await this.#cryptoki.C_Decrypt(this.#session, data, data.length, out, length));
    return out.subarray(0, Number(length[0]));
  }

  async #encrypt(key: Ulong, plain: Buffer, bound: string, iv: Buffer): Promise<Buffer> {
    check('C_EncryptInit', await this.#cryptoki.C_EncryptInit(this.#session, gcm(iv, bound), key));
    const [out, length] = roomFor(plain.length + TAG_BYTES);
    check('C_Encrypt', await this.#cryptoki.C_Encrypt(this.#session, plain, plain.length, out, length));
    return Buffer.concat([iv, out.subarray(0, Number(length[0]))]);
  }

  async #search(template: readonly Attribute[]): Promise<readonly Ulong[]> {
    check('C_FindObjectsInit', await this.#cryptoki.C_FindObjectsInit(this.#session, template, template.length));
    const all: Ulong[] = [];
    for (;;) {
      const found: Ulong[] = Array.from({ length: FOUND_AT_ONCE }, () => 0);
      const count: [Ulong] = [0];
      check('C_FindObjects', await this.#cryptoki.C_FindObjects(this.#session, found, FOUND_AT_ONCE, count));
      if (Number(count[0]) === 0) break;
      all.push(...found.slice(0, Number(count[0])));
    }
    check('C_FindObjectsFinal', await this.#cryptoki.C_FindObjectsFinal(this.#session));
    return all;
  }

  async #read(key: Ulong, into: readonly Attribute[]): Promise<void> {
    check('C_GetAttributeValue', await this.#cryptoki.C_GetAttributeValue(this.#session, key, into, into.length));
  }
}

/** CONFIG_INVALID for a token that cannot make AES keys of 256 bits, or encrypt with them in GCM. */
export async function demandMechanisms(cryptoki: Cryptoki, slot: Ulong, token: string): Promise<void> {
  for (const [mechanism, name, needed] of [
    [CKM_AES_KEY_GEN, 'CKM_AES_KEY_GEN', CKF_GENERATE],
    [CKM_AES_GCM, 'CKM_AES_GCM', CKF_ENCRYPT_DECRYPT],
  ] as const) {
    // CK_MECHANISM_INFO: the smallest and the largest key, flags.
    const info: [Ulong, Ulong, Ulong] = [0, 0, 0];
    const answer = await cryptoki.C_GetMechanismInfo(slot, mechanism, info);
    if (Number(answer) !== 0 || (Number(info[2]) & needed) !== needed)
      throw new CustodyError('CONFIG_INVALID', `the token ${token} has no ${name}, which the vault needs`);
  }
}

function gcm(iv: Buffer, bound: string): Mechanism {
  const aad = Buffer.from(bound);
  return {
    mechanism: CKM_AES_GCM,
    pParameter: {
      ...{ pIv: iv, ulIvLen: iv.length, ulIvBits: iv.length * 8 },
      ...{ pAAD: aad, ulAADLen: aad.length, ulTagBits: TAG_BYTES * 8 },
    },
    ulParameterLen: GCM_PARAMS_BYTES,
  };
}

/** Six members of eight bytes. */
const GCM_PARAMS_BYTES = 48;

function roomFor(bytes: number): [Buffer, [Ulong]] {
  return [Buffer.alloc(bytes), [bytes]];
}

function attribute(type: number, value: Buffer): Attribute {
  return { type, pValue: value, ulValueLen: value.length };
}

function ulong(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
